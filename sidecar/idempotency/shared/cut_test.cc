// Connections that break: each claim is answered once, nothing runs twice, and what was granted to nobody is
// given back.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/shared/shared_store.h"
#include "sidecar/idempotency/shared/store_fixture.h"
#include "sidecar/redis/test_proxy.h"

namespace pillion::idempotency {
namespace {

class CutTest : public StoreFixture {
 protected:
  CutTest() : proxy(worker, server.address()) {
    one = std::make_unique<Sidecar>(worker, proxy.address(), terms, server.address());
    Settle(*one);
    two = Start(server);
    Age(server);
  }
  void Settle(Sidecar& sidecar) {
    ASSERT_TRUE(worker.RunUntil([&] {
      return sidecar.commands.ready() && sidecar.commands.pending() == 0 && sidecar.subscriber.ready();
    }));
  }
  // The bytes that `act` makes the server say, or hear.
  template <typename Act>
  std::pair<uint64_t, uint64_t> BytesOf(Act act) {
    const uint64_t said = proxy.said();
    const uint64_t asked = proxy.asked();
    act();
    return {proxy.said() - said, proxy.asked() - asked};
  }
  redis::TestServer server;
  redis::TestProxy proxy;
  std::unique_ptr<Sidecar> one;
  std::unique_ptr<Sidecar> two;
};

TEST_F(CutTest, AClaimThatIsCutAtAnyByteOfItsReplyIsRefusedAndGivenBack) {
  uint64_t token = 1;
  const uint64_t bytes = BytesOf([&] { one->store.Drop(Begin(*one, token++)); }).first;
  ASSERT_GT(bytes, 10U);
  const uint64_t reply = std::string_view("*1\r\n$7\r\nCLAIMED\r\n").size();
  for (uint64_t cut = 1; cut < reply; ++cut, ++token) {
    SCOPED_TRACE(cut);
    Settle(*one);
    proxy.CutAfter(cut);
    const Ticket ticket = Ask(*one, token);
    EXPECT_EQ(Await(*one, ticket).kind, Kind::kRefused);
    EXPECT_EQ(one->Rung(last_number), 1);
    one->store.Drop(ticket);
    Settle(*one);
    RunOne(*two, token, AnswerOf("of the other"));
  }
}

TEST_F(CutTest, AClaimThatIsCutAtAnyByteOfItselfIsRefusedAndFree) {
  uint64_t token = 1;
  uint64_t bytes = BytesOf([&] { Begin(*one, token++); }).second;
  for (uint64_t cut = 1; cut <= bytes; cut += 7, ++token) {
    SCOPED_TRACE(cut);
    Settle(*one);
    proxy.CutBefore(cut);
    const Ticket ticket = Ask(*one, token);
    EXPECT_EQ(Await(*one, ticket).kind, Kind::kRefused);
    one->store.Drop(ticket);
    Settle(*one);
    RunOne(*two, token, AnswerOf("of the other"));
  }
}

TEST_F(CutTest, AnEndThatIsCutAtAnyByteOfItsReplyIsToldAgainAndDone) {
  uint64_t token = 1;
  const uint64_t reply = std::string_view("$2\r\nOK\r\n").size();
  for (uint64_t cut = 1; cut < reply; ++cut, ++token) {
    SCOPED_TRACE(cut);
    Settle(*one);
    const Ticket ticket = Begin(*one, token);
    proxy.CutAfter(cut);
    EXPECT_EQ(Complete(*one, ticket, AnswerOf("kept")), Ended::kLater);
    EXPECT_EQ(one->Rung(last_number), 1);
    ASSERT_TRUE(worker.RunUntil([&] { return one->store.HowEnded(ticket) == Ended::kDone; }));
    EXPECT_EQ(Claim(*two, token).answer.content(), "kept");
    one->store.Drop(ticket);
  }
}

TEST_F(CutTest, AReleaseThatIsCutIsToldAgain) {
  for (uint64_t token = 1; token < 4; ++token) {
    const Ticket ticket = Begin(*one, token);
    proxy.CutAfter(token);
    one->store.Release(ticket, {});
    ASSERT_TRUE(worker.RunUntil([&] { return one->store.HowEnded(ticket) == Ended::kDone; }));
    RunOne(*two, token);
    one->store.Drop(ticket);
    Settle(*one);
  }
}

TEST_F(CutTest, ALookThatMayHaveBeenGrantedTheTokenIsGivenBack) {
  terms.first_look = terms.longest_between_looks = std::chrono::hours(1);
  const auto waiter = std::make_unique<Sidecar>(worker, proxy.address(), terms, server.address());
  Settle(*waiter);
  for (uint64_t token = 1; token < std::string_view("*1\r\n$7\r\nCLAIMED\r\n").size(); ++token) {
    SCOPED_TRACE(token);
    const Ticket runs = Begin(*two, token);
    const uint64_t looks = waiter->store.counts().looks;
    const Ticket waits = Ask(*waiter, token, Waits::kIfInFlight);
    ASSERT_TRUE(worker.RunUntil([&] { return waiter->store.counts().looks == looks + 1; }));
    ASSERT_TRUE(worker.RunUntil([&] { return waiter->commands.pending() == 0; }));
    proxy.CutAfter(token);
    two->store.Release(runs, {});
    EXPECT_EQ(Await(*waiter, waits).kind, Kind::kRefused);
    waiter->store.Drop(waits);
    Settle(*waiter);
    RunOne(*two, token);
  }
}

// Requests with the same tokens at three sidecars, whose connections are cut all the time and whose scripts
// are forgotten. Drawn, with a seed.
class Storm : public StoreFixture {
 protected:
  static constexpr uint64_t kTokens = 40;
  struct Try {
    Sidecar* sidecar;
    Ticket ticket;
    uint64_t token;
    uint64_t number;
    bool runs = false;
  };
  void Act(Random& random) {
    switch (Below(random.Next(), 40)) {
      case 0:
        server.Ask({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"});
        return;
      case 1:
        server.Ask({"CLIENT", "KILL", "TYPE", "pubsub"});
        return;
      case 2:
        server.Ask({"SCRIPT", "FLUSH"});
        return;
      case 3:
        proxy->CutAfter(1 + Below(random.Next(), 200));
        return;
      case 4:
        proxy->CutBefore(1 + Below(random.Next(), 2000));
        return;
      default:
        break;
    }
    Sidecar& sidecar = *sidecars[Below(random.Next(), sidecars.size())];
    const uint64_t token = 1 + Below(random.Next(), kTokens);
    const Waits waits = Below(random.Next(), 2) == 0 ? Waits::kNever : Waits::kIfInFlight;
    const Ticket ticket = Ask(sidecar, token, waits);
    tries.push_back({&sidecar, ticket, token, last_number});
    ++attempts;
  }
  // What the guards would do.
  void Serve(Random& random) {
    for (size_t i = 0; i < tries.size();) {
      if (ServeOne(tries[i], random)) {
        tries[i] = tries.back();
        tries.pop_back();
      } else {
        ++i;
      }
    }
  }
  // True: it is over.
  bool ServeOne(Try& one, Random& random) {
    SharedStore& store = one.sidecar->store;
    const ClaimAnswer* answer = store.Answer(one.ticket);
    const bool gone = Below(random.Next(), 100) == 0;
    if (answer == nullptr) {
      if (gone) store.Drop(one.ticket);
      return gone;
    }
    if (!one.runs && answer->kind == Kind::kClaimed) {
      if (Below(random.Next(), 8) == 0) {  // it cannot be delivered to the app
        store.Release(one.ticket, {});
        store.Drop(one.ticket);
        return true;
      }
      one.runs = true;
      ran[one.token].push_back(ToBody(one));
      return false;
    }
    if (answer->kind == Kind::kReplay) told[one.token].emplace_back(answer->answer.content());
    if (one.runs) {
      if (Below(random.Next(), 3) != 0) return false;
      const SavedAnswer saved = AnswerOf(ToBody(one));
      if (Below(random.Next(), 8) != 0) store.Complete(one.ticket, &saved, 200, {});
    }
    store.Drop(one.ticket);
    return true;
  }
  static std::string ToBody(const Try& one) { return "run " + std::to_string(one.number); }

  void Rage(uint64_t seed) {
    SCOPED_TRACE(seed);
    Random random(seed);
    // Not all at once: tokens that were released must find somebody who is not refused.
    for (int i = 0; i < 600; ++i) {
      Act(random);
      worker.TurnOnce(worker.clock.Now() + std::chrono::microseconds(Below(random.Next(), 2000)));
      Serve(random);
    }
    const auto quiet = [&] {
      Serve(random);
      return tries.empty();
    };
    ASSERT_TRUE(worker.RunUntil(quiet));
  }

  redis::TestServer server;
  std::unique_ptr<redis::TestProxy> proxy;
  std::vector<std::unique_ptr<Sidecar>> sidecars;
  std::vector<Try> tries;
  std::map<uint64_t, std::vector<std::string>> ran;
  std::map<uint64_t, std::vector<std::string>> told;
  size_t attempts = 0;
};

TEST_F(Storm, NothingRunsTwiceAndAllAreToldOfTheOneRun) {
  terms.recent = DomainTime(500);
  proxy = std::make_unique<redis::TestProxy>(worker, server.address());
  for (int i = 0; i < 3; ++i) {
    const net::Address at = i == 0 ? proxy->address() : server.address();
    sidecars.push_back(std::make_unique<Sidecar>(worker, at, terms));
    ASSERT_TRUE(worker.RunUntil(
        [&] { return sidecars.back()->commands.ready() && sidecars.back()->commands.pending() == 0; }));
  }
  size_t executions = 0;
  size_t replays = 0;
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    server.Ask({"FLUSHALL"});
    ran.clear();
    told.clear();
    Age(server);
    redis::TestConnection line(server.port());
    const std::string info = line.Ask({"INFO", "replication"}).text;
    const std::string replid = info.substr(info.find("master_replid:") + 14, 40);
    const std::string run = sidecars[0]->commands.server().run_id + ":" + replid;
    const KeyNames names("orders");
    for (size_t shard = 0; shard < KeyNames::kShards; ++shard)
      line.Ask({"HSET", names.Epoch(shard), "run", run});
    Rage(seed);
    for (const auto& [token, runs] : ran) {
      EXPECT_EQ(runs.size(), 1U) << "token " << token << " of seed " << seed;
      executions += runs.size();
      for (const std::string& body : told[token]) {
        EXPECT_EQ(body, runs[0]);
        ++replays;
      }
    }
    // Of last rounds nothing is told in the next.
    for (const auto& sidecar : sidecars)
      ASSERT_TRUE(worker.RunUntil([&] { return sidecar->store.size() == 0; }));
  }
  EXPECT_GT(executions, 100U);
  EXPECT_GT(replays, 50U);
  uint64_t fenced = 0;
  for (const auto& sidecar : sidecars) fenced += sidecar->store.counts().fenced;
  EXPECT_EQ(fenced, 0U);
}

TEST_F(CutTest, TheReplyToWhatWasSaidOfARunningExecutionIsNotTakenForThatToItsEnd) {
  const Ticket ticket = Begin(*one, 1);
  proxy.CutBefore(1);
  const Ticket other = Ask(*one, 2);
  EXPECT_EQ(Await(*one, other).kind, Kind::kRefused);
  one->store.Drop(other);
  // At the new connection it is said that it still runs; before the reply it ends, and that gets lost.
  ASSERT_TRUE(worker.RunUntil([&] { return one->commands.ready(); }));
  server.Pause();
  worker.RunFor(std::chrono::milliseconds(100));  // all of that is on its way
  proxy.CutBefore(1);
  server.Resume();
  while (server.Ask({"PING"}).text != "PONG") {
  }
  const SavedAnswer answer = AnswerOf("answer");
  one->store.Complete(ticket, &answer, 201, {one->bell, ++last_number});
  EXPECT_NE(AwaitEnd(*one, ticket), Ended::kDone) << "the server has heard nothing of it";
  worker.RunFor(std::chrono::seconds(1));
  EXPECT_EQ(server.Ask({"HGET", KeyNames("orders").Record(Named(1)), "s"}).text, "C");
  one->store.Drop(ticket);
}

}  // namespace
}  // namespace pillion::idempotency
