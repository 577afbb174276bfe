// Shared stores of one worker, on a real server, while its configuration changes under requests that hold
// claims.
#include "sidecar/worker/token_stores.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <utility>

#include "sidecar/config/filters.h"
#include "sidecar/ledger/ledger.h"
#include "sidecar/redis/test_server.h"
#include "sidecar/worker/find_tables.h"

namespace pillion::worker {
namespace {

using idempotency::ClaimAnswer;
using idempotency::Ended;
using idempotency::Store;
using idempotency::Waiter;
using Kind = ClaimAnswer::Kind;

constexpr idempotency::DomainId kDomain = 7;

// One worker's.
struct Stores {
  explicit Stores(redis::TestWorker& worker, ledger::Ledger& ledger)
      : clusters({ledger, 0}), stores({worker.turn, worker.loop, worker.tls, worker.random, times}) {}
  void Apply(const std::shared_ptr<config::Snapshot>& snapshot) {
    clusters.Apply(*snapshot);
    stores.Apply(*snapshot, clusters);
  }
  Store* Find() const {
    const auto found = stores.stores().find(kDomain);
    return found == stores.stores().end() ? nullptr : found->second;
  }
  upstream::ClusterTable clusters;
  telemetry::TokenStoreTimes times;
  TokenStores stores;
};

class TokenStoresTest : public ::testing::Test {
 protected:
  TokenStoresTest() { SetSecrets(1); }
  void SetSecrets(uint8_t key) {
    auto made = std::make_shared<config::StoreSecrets>();
    made->key = {key};
    secrets->Set(std::move(made));
  }
  // `port` 0: the cluster has no endpoints.
  std::shared_ptr<config::Snapshot> Named(std::optional<uint16_t> port, int lease_ms = 10'000) {
    auto store = std::make_shared<config::TokenStore>();
    store->cluster = "store";
    store->terms.service = "orders";
    store->terms.replicas = 0;
    store->terms.unconfirmed_doubt = idempotency::DomainTime(0);
    store->terms.lease = idempotency::DomainTime(lease_ms);
    store->secrets = secrets;
    config::TokenDomains domains;
    config::TokenDomain& domain = domains.all.emplace_back();
    domain.id = kDomain;
    domain.terms.skew = idempotency::DomainTime(0);
    domain.store = store;
    auto http = std::make_shared<config::HttpServer>();
    http->http.filters =
        std::make_shared<const std::vector<config::FilterEntry>>(std::vector<config::FilterEntry>{
            {.name = "t",
             .kind = config::FilterKind::kIdempotency,
             .options = std::make_shared<const config::FilterOptions>(domains)}});
    auto listener = std::make_shared<config::Listener>();
    listener->chains.emplace_back().http = http;
    auto snapshot = std::make_shared<config::Snapshot>();
    snapshot->listeners["l"] = {listener, {}};
    if (port) {
      auto cluster = std::make_shared<config::Cluster>();
      cluster->name = "store";
      auto assignment = std::make_shared<config::Assignment>();
      if (*port != 0)
        assignment->endpoints.emplace_back().address =
            net::Address::Parse("127.0.0.1", *port).value_or(net::Address());
      snapshot->clusters["store"] = {cluster, assignment};
    }
    FindTables(*snapshot, &tables);
    return snapshot;
  }
  idempotency::Claim ClaimOf() {
    idempotency::Claim claim;
    claim.key.token = {1, 2, 3};
    claim.minted = std::chrono::floor<idempotency::DomainTime>(worker.clock.Wall().time_since_epoch());
    claim.waiter = Waiter{bell, 1};
    return claim;
  }
  ClaimAnswer Ask(Store& store, Store::Held& held, const idempotency::Claim& claim) {
    ClaimAnswer answer = store.Claim(held, claim);
    EXPECT_TRUE(worker.RunUntil([&] {
      answer = store.Claim(held, claim);
      return answer.kind != Kind::kWaits;
    }));
    return answer;
  }
  // Until it can be asked.
  ClaimAnswer AskUntilUp(Store& store, Store::Held& held, const idempotency::Claim& claim) {
    ClaimAnswer answer;
    EXPECT_TRUE(worker.RunUntil([&] {
      answer = Ask(store, held, claim);
      if (answer.kind != Kind::kDown) return true;
      store.Leave(held);
      return false;
    }));
    return answer;
  }
  std::optional<Ended> Complete(Store& store, Store::Held& held) {
    std::optional<Ended> ended = store.Complete(held, {}, 201, Waiter{bell, 2});
    EXPECT_TRUE(worker.RunUntil([&] {
      ended = store.HowEnded(held);
      return ended.has_value();
    }));
    return ended;
  }

  redis::TestServer server;
  redis::TestWorker worker;
  ledger::Ledger ledger{2};
  idempotency::Tables tables{{}};
  std::shared_ptr<tls::Holder<config::StoreSecrets>> secrets =
      std::make_shared<tls::Holder<config::StoreSecrets>>();
  std::shared_ptr<idempotency::Bell> bell = std::make_shared<idempotency::Bell>([] {});
  Stores one{worker, ledger};
};

TEST_F(TokenStoresTest, WhatRunsGoesOnWhenTheConfigurationNamesItsStoreNoMoreOrWithOtherTerms) {
  one.Apply(Named(server.port()));
  worker.RunFor(std::chrono::milliseconds(300));
  for (const bool named : {false, true}) {
    Store& store = *one.Find();
    idempotency::Claim claim = ClaimOf();
    claim.key.token[0] = named ? 8 : 9;
    Store::Held held;
    ASSERT_EQ(AskUntilUp(store, held, claim).kind, Kind::kClaimed);
    one.Apply(named ? Named(server.port(), 20'000) : std::make_shared<config::Snapshot>());
    EXPECT_NE(one.Find(), &store);
    worker.RunFor(std::chrono::milliseconds(1500));
    EXPECT_EQ(Complete(store, held), Ended::kDone);
    store.Leave(held);
    one.Apply(Named(server.port(), 30'000));
    Store::Held again;
    EXPECT_EQ(AskUntilUp(*one.Find(), again, claim).kind, Kind::kTombstone);
    one.Find()->Leave(again);
  }
}

TEST_F(TokenStoresTest, WhatIsGrantedToARequestThatIsOverBeforeItIsToldIsGivenBack) {
  one.Apply(Named(server.port()));
  worker.RunFor(std::chrono::milliseconds(300));
  Store& store = *one.Find();
  Store::Held first;
  ASSERT_EQ(AskUntilUp(store, first, ClaimOf()).kind, Kind::kClaimed);
  store.Leave(first);
  Store::Held held;
  idempotency::Claim claim = ClaimOf();
  claim.key.token[0] = 40;
  (void)bell->Take();
  ASSERT_EQ(store.Claim(held, claim).kind, Kind::kWaits);
  ASSERT_TRUE(worker.RunUntil([&] { return !bell->Take().empty(); }));
  store.Leave(held);  // its client is gone, or its deadline is over: nothing runs
  Store::Held again;
  EXPECT_EQ(Ask(store, again, claim).kind, Kind::kClaimed);
  store.Leave(again);
}

TEST_F(TokenStoresTest, AStoreThatIsConnectedGoesOnWhenItsNamesResolveToNothingAndItsKeyChanges) {
  one.Apply(Named(server.port()));
  worker.RunFor(std::chrono::milliseconds(300));
  Store& store = *one.Find();
  Store::Held held;
  idempotency::Claim claim = ClaimOf();
  ASSERT_EQ(AskUntilUp(store, held, claim).kind, Kind::kClaimed);
  store.Leave(held);
  one.Apply(Named(0));
  claim.key.token[0] = 20;
  EXPECT_EQ(Ask(store, held, claim).kind, Kind::kClaimed) << "the connection is there";
  store.Leave(held);
  SetSecrets(2);
  claim.key.token[0] = 21;
  EXPECT_EQ(Ask(store, held, claim).kind, Kind::kClaimed) << "the connection is still there";
  store.Leave(held);
}

TEST_F(TokenStoresTest, ATroubleOfOneWorkerIsShownThoughAnotherHasNone) {
  Stores other(worker, ledger);
  const auto dead = std::make_unique<redis::TestServer>();
  one.Apply(Named(server.port()));
  worker.RunFor(std::chrono::milliseconds(500));
  other.Apply(Named(dead->port()));
  dead->Kill();
  worker.RunFor(std::chrono::milliseconds(2500));
  int shown = 0;
  for (int i = 0; i < 30; ++i) {
    worker.RunFor(std::chrono::milliseconds(100));
    if (!tables.FindTally(kDomain)->Look().trouble.empty()) ++shown;
  }
  EXPECT_EQ(shown, 30);
}

TEST_F(TokenStoresTest, TheSameDomainTwiceWithOtherTermsKeepsItsConnection) {
  const auto both = Named(server.port());
  both->listeners["m"] = Named(server.port(), 20'000)->listeners["l"];
  one.Apply(both);
  worker.RunFor(std::chrono::milliseconds(500));
  Store* const store = one.Find();
  one.Apply(both);
  EXPECT_EQ(one.Find(), store);
  Store::Held held;
  EXPECT_EQ(Ask(*one.Find(), held, ClaimOf()).kind, Kind::kClaimed);
  one.Find()->Leave(held);
}

}  // namespace
}  // namespace pillion::worker
