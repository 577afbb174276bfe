// Sidecars that share a real Redis server, for tests: all on one worker, each with its own connections.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_STORE_FIXTURE_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_STORE_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/bell.h"
#include "sidecar/idempotency/shared/shared_store.h"
#include "sidecar/redis/client.h"
#include "sidecar/redis/test_server.h"
#include "sidecar/telemetry/stats.h"

namespace pillion::idempotency {

using Kind = ClaimAnswer::Kind;
using Waits = SharedStore::Waits;

inline Digest Named(uint64_t number) {
  Random random(number);
  Digest digest;
  for (uint8_t& byte : digest.bytes) byte = static_cast<uint8_t>(random.Next());
  return digest;
}

inline SavedAnswer AnswerOf(std::string_view body, uint16_t status = 201) {
  http::HeaderList head;
  head.Add("content-type", "text/plain");
  SliceQueue content;
  content.AppendCopy(body);
  std::string written;
  WriteAnswer(
      status, head, [](const http::HeaderList::Field&) { return true; }, content, nullptr, {}, written);
  return SavedAnswer(written);
}

inline redis::ClientSettings SettingsOf(const net::Address& address, const SharedTerms& terms) {
  redis::ClientSettings settings;
  settings.addresses = {address};
  // This machine may be busy.
  settings.connect_timeout = settings.command_timeout = std::chrono::seconds(15);
  settings.backoff_base = std::chrono::milliseconds(2);
  settings.backoff_cap = std::chrono::milliseconds(20);
  settings.requirements.replicas = terms.replicas;
  return settings;
}

struct Sidecar {
  Sidecar(redis::TestWorker& worker, const net::Address& address, const SharedTerms& terms,
          std::optional<net::Address> channels = std::nullopt)
      : commands(worker.parts(), SettingsOf(address, terms), redis::Client::Use::kCommander),
        subscriber(worker.parts(), SettingsOf(channels.value_or(address), terms),
                   redis::Client::Use::kSubscriber),
        store({worker.turn, worker.random, commands, subscriber, times}, terms) {}
  int Rung(uint64_t number) {
    for (const uint64_t one : bell->Take()) rung.push_back(one);
    return static_cast<int>(std::count(rung.begin(), rung.end(), number));
  }
  redis::Client commands;
  redis::Client subscriber;
  telemetry::TokenStoreTimes times;
  SharedStore store;
  std::shared_ptr<Bell> bell = std::make_shared<Bell>([] {});
  std::vector<uint64_t> rung;
};

class StoreFixture : public ::testing::Test {
 protected:
  StoreFixture() {
    terms.service = "orders";
    terms.domain = 7;
    terms.replicas = 0;
    terms.key = {1, 2, 3};
  }
  std::unique_ptr<Sidecar> Start(const redis::TestServer& server,
                                 std::optional<net::Address> channels = std::nullopt) {
    auto sidecar = std::make_unique<Sidecar>(worker, server.address(), terms, channels);
    EXPECT_TRUE(worker.RunUntil([&] {
      return sidecar->commands.ready() && (channels || sidecar->subscriber.ready()) &&
             sidecar->commands.pending() == 0;
    })) << sidecar->commands.trouble();
    return sidecar;
  }
  // All of a service's epochs are taken to have begun long ago.
  static void Age(redis::TestServer& server) {
    const KeyNames names("orders");
    redis::TestConnection line(server.port());
    for (size_t shard = 0; shard < KeyNames::kShards; ++shard)
      line.Ask({"HSET", names.Epoch(shard), "start", "1"});
  }
  idempotency::Claim ClaimOf(Sidecar& sidecar, uint64_t print = 1) {
    idempotency::Claim claim;
    claim.fingerprint = Named(print);
    if (timeless) {
      claim.minted = std::nullopt;
    } else {
      claim.minted = std::chrono::floor<DomainTime>(worker.clock.Wall().time_since_epoch());
    }
    claim.runs_again = runs_again;
    claim.waiter = Waiter{sidecar.bell, ++last_number};
    return claim;
  }
  Ticket Ask(Sidecar& sidecar, uint64_t token, Waits waits = Waits::kNever, uint64_t print = 1) {
    return sidecar.store.Claim(Named(token), ClaimOf(sidecar, print), waits);
  }
  ClaimAnswer Await(Sidecar& sidecar, Ticket ticket) {
    EXPECT_TRUE(worker.RunUntil([&] { return sidecar.store.Answer(ticket) != nullptr; }));
    const ClaimAnswer* answer = sidecar.store.Answer(ticket);
    return answer == nullptr ? ClaimAnswer() : *answer;
  }
  // Asks, and lets go of it again.
  ClaimAnswer Claim(Sidecar& sidecar, uint64_t token, uint64_t print = 1) {
    const Ticket ticket = Ask(sidecar, token, Waits::kNever, print);
    ClaimAnswer answer = Await(sidecar, ticket);
    EXPECT_NE(answer.kind, Kind::kClaimed);
    sidecar.store.Drop(ticket);
    return answer;
  }
  Ticket Begin(Sidecar& sidecar, uint64_t token) {
    const Ticket ticket = Ask(sidecar, token);
    EXPECT_EQ(Await(sidecar, ticket).kind, Kind::kClaimed);
    return ticket;
  }
  std::optional<Ended> AwaitEnd(Sidecar& sidecar, Ticket ticket) {
    EXPECT_TRUE(worker.RunUntil([&] { return sidecar.store.HowEnded(ticket).has_value(); }));
    return sidecar.store.HowEnded(ticket);
  }
  std::optional<Ended> Complete(Sidecar& sidecar, Ticket ticket, const SavedAnswer& answer) {
    sidecar.store.Complete(ticket, &answer, answer.status(), {sidecar.bell, ++last_number});
    return AwaitEnd(sidecar, ticket);
  }
  // Claimed, answered, let go of.
  void RunOne(Sidecar& sidecar, uint64_t token, const SavedAnswer& answer = AnswerOf("answer")) {
    const Ticket ticket = Begin(sidecar, token);
    EXPECT_EQ(Complete(sidecar, ticket, answer), Ended::kDone);
    sidecar.store.Drop(ticket);
  }

  redis::TestWorker worker;
  SharedTerms terms;
  bool timeless = false;
  bool runs_again = false;
  uint64_t last_number = 0;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_STORE_FIXTURE_H_
