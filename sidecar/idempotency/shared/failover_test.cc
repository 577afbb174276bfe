// A primary, its replica, and what is lost between them (specs/idempotency.md 3.4).
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "sidecar/idempotency/shared/shared_store.h"
#include "sidecar/idempotency/shared/store_fixture.h"

namespace pillion::idempotency {
namespace {

class FailoverTest : public StoreFixture {
 protected:
  // Long: this machine may be busy.
  FailoverTest() { terms.replica_wait = DomainTime(5000); }
  // With servers that tokens may be entrusted to.
  void StartServers(const std::vector<std::string>& arguments) {
    primary = std::make_unique<redis::TestServer>(arguments);
    replica = std::make_unique<redis::TestServer>(redis::ReplicaArguments(*primary));
    ASSERT_TRUE(primary->AwaitReplicas(1));
  }
  // The replica is what the primary was; sidecars find it where they look for their server.
  void FailOver(std::initializer_list<Sidecar*> sidecars) {
    primary->Kill();
    replica->Ask({"REPLICAOF", "NO", "ONE"});
    replica->Ask({"CONFIG", "SET", "min-replicas-to-write", "0"});
    for (Sidecar* sidecar : sidecars) {
      sidecar->commands.SetAddresses({replica->address()});
      sidecar->subscriber.SetAddresses({replica->address()});
      ASSERT_TRUE(worker.RunUntil([&] {
        return sidecar->commands.ready() && sidecar->commands.generation() == 2 &&
               sidecar->commands.pending() == 0;
      }));
    }
  }
  std::unique_ptr<redis::TestServer> primary;
  std::unique_ptr<redis::TestServer> replica;
};

TEST_F(FailoverTest, AClaimRunsWhenAReplicaHasIt) {
  StartServers(redis::PrimaryArguments());
  terms.replicas = 1;
  const auto one = Start(*primary);
  Age(*primary);
  RunOne(*one, 1);
  EXPECT_EQ(one->store.counts().waits, 1U);
  size_t confirmed = 0;
  for (size_t i = 0; i < telemetry::Histogram::kBuckets; ++i) confirmed += one->times.confirmations.bucket(i);
  EXPECT_EQ(confirmed, 1U);
  EXPECT_EQ(Claim(*one, 1).kind, Kind::kReplay);
}

TEST_F(FailoverTest, ClaimsOfOneTurnShareOneWait) {
  StartServers(redis::PrimaryArguments());
  terms.replicas = 1;
  const auto one = Start(*primary);
  Age(*primary);
  std::vector<Ticket> tickets;
  for (uint64_t token = 1; token <= 20; ++token) tickets.push_back(Ask(*one, token));
  for (const Ticket ticket : tickets) EXPECT_EQ(Await(*one, ticket).kind, Kind::kClaimed);
  EXPECT_EQ(one->store.counts().waits, 1U);
}

TEST_F(FailoverTest, AClaimThatNoReplicaHasInTimeIsNotRunAndGivenBack) {
  StartServers(redis::PrimaryArguments());
  terms.replicas = 1;
  terms.replica_wait = DomainTime(500);
  const auto one = Start(*primary);
  Age(*primary);
  ASSERT_TRUE(primary->AwaitReplicas(1));
  replica->Pause();
  const Ticket ticket = Ask(*one, 1);
  EXPECT_EQ(Await(*one, ticket).kind, Kind::kRefused);
  EXPECT_EQ(one->store.counts().unconfirmed, 1U);
  EXPECT_EQ(one->Rung(last_number), 1);
  one->store.Drop(ticket);
  ASSERT_TRUE(worker.RunUntil([&] { return one->store.size() == 0; }));
  EXPECT_EQ(primary->Ask({"EXISTS", KeyNames("orders").Record(Named(1))}).integer, 0);
  replica->Resume();
  ASSERT_TRUE(primary->AwaitReplicas(1));
  RunOne(*one, 1);
}

TEST_F(FailoverTest, AClaimThatALookIsGrantedIsConfirmedToo) {
  StartServers(redis::PrimaryArguments());
  terms.replicas = 1;
  const auto one = Start(*primary);
  const auto two = Start(*primary);
  Age(*primary);
  const Ticket ticket = Begin(*one, 1);
  const Ticket waits = Ask(*two, 1, Waits::kIfInFlight);
  ASSERT_TRUE(worker.RunUntil([&] { return two->store.waiting() == 1; }));
  const uint64_t before = two->store.counts().waits;
  one->store.Release(ticket, {});
  EXPECT_EQ(Await(*two, waits).kind, Kind::kClaimed);
  EXPECT_EQ(two->store.counts().waits, before + 1);
}

TEST_F(FailoverTest, WithoutReplicasNothingIsWritten) {
  StartServers(redis::PrimaryArguments());
  terms.replicas = 1;
  const auto one = Start(*primary);
  Age(*primary);
  replica->Kill();
  ASSERT_TRUE(worker.RunUntil([&] { return primary->Ask({"SET", "x", "1"}).IsError("NOREPLICAS"); }));
  EXPECT_EQ(Claim(*one, 1).kind, Kind::kRefused);
}

TEST_F(FailoverTest, WithoutWaitAClaimThatWasLostIsDoubt) {
  StartServers({});
  const auto one = Start(*primary);
  const auto two = Start(*primary);
  Age(*primary);
  ASSERT_TRUE(primary->AwaitReplicas(1));
  replica->Ask({"REPLICAOF", "NO", "ONE"});
  Begin(*one, 1);
  // Its owner dies with the primary: nobody can say that it runs.
  FailOver({two.get()});
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kDoubt);
}

TEST_F(FailoverTest, WhatWasLostIsSaidAgainByItsOwner) {
  StartServers({});
  const auto one = Start(*primary);
  const auto two = Start(*primary);
  Age(*primary);
  const Ticket released = Begin(*one, 4);
  ASSERT_TRUE(primary->AwaitReplicas(1));
  replica->Ask({"REPLICAOF", "NO", "ONE"});
  const Ticket runs = Begin(*one, 1);
  RunOne(*one, 2, AnswerOf("ended"));
  one->store.Drop(Begin(*one, 3));
  one->store.Release(released, {});
  AwaitEnd(*one, released);
  FailOver({one.get(), two.get()});
  EXPECT_GE(one->store.counts().reasserted, 3U);
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kInFlight);
  EXPECT_EQ(Claim(*two, 2).answer.content(), "ended");
  EXPECT_EQ(Claim(*two, 3).kind, Kind::kUnknown);
  // What the replica had heard of, and not that it was given back: until its lease lapses.
  EXPECT_EQ(Claim(*two, 4).kind, Kind::kInFlight);
  EXPECT_EQ(Complete(*one, runs, AnswerOf("on the new primary")), Ended::kDone);
  EXPECT_EQ(Claim(*two, 1).answer.content(), "on the new primary");
}

TEST_F(FailoverTest, ACompletionThatWasLostIsSaidAgainThoughTheClaimWasNot) {
  StartServers({});
  const auto one = Start(*primary);
  const auto two = Start(*primary);
  Age(*primary);
  const Ticket ticket = Begin(*one, 1);
  ASSERT_TRUE(primary->AwaitReplicas(1));
  replica->Ask({"REPLICAOF", "NO", "ONE"});
  EXPECT_EQ(Complete(*one, ticket, AnswerOf("x")), Ended::kDone);
  FailOver({two.get()});
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kInFlight) << "as far as the new primary knows";
  FailOver({one.get()});
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kReplay);
}

TEST_F(FailoverTest, WhoWaitsGoesOnWaitingAtTheNewPrimary) {
  StartServers({});
  const auto one = Start(*primary);
  const auto two = Start(*primary);
  Age(*primary);
  const Ticket runs = Begin(*one, 1);
  const Ticket waits = Ask(*two, 1, Waits::kIfInFlight);
  ASSERT_TRUE(worker.RunUntil([&] { return two->store.counts().looks >= 2; }));
  ASSERT_TRUE(primary->AwaitReplicas(1));
  FailOver({one.get(), two.get()});
  EXPECT_EQ(Complete(*one, runs, AnswerOf("x")), Ended::kDone);
  const Kind kind = Await(*two, waits).kind;
  // A look that was under way when the connection broke may have been a claim: it is refused, to be sure.
  EXPECT_TRUE(kind == Kind::kReplay || kind == Kind::kRefused) << static_cast<int>(kind);
}

TEST_F(FailoverTest, APrimaryThatBecameAReplicaIsLeft) {
  StartServers({});
  const auto one = Start(*primary);
  Age(*primary);
  RunOne(*one, 1);
  ASSERT_TRUE(primary->AwaitReplicas(1));
  replica->Ask({"REPLICAOF", "NO", "ONE"});
  replica->Ask({"CONFIG", "SET", "min-replicas-to-write", "0"});
  primary->Ask({"REPLICAOF", "127.0.0.1", std::to_string(replica->port())});
  one->commands.SetAddresses({replica->address()});
  // What was the primary takes no writes; when it follows the other one already its data have another
  // history, and it says that it knows nothing. Either way nothing ran.
  const Kind kind = Claim(*one, 2).kind;
  EXPECT_TRUE(kind == Kind::kRefused || kind == Kind::kDoubt) << static_cast<int>(kind);
  ASSERT_TRUE(worker.RunUntil([&] { return one->commands.generation() == 2; }));
  EXPECT_EQ(Claim(*one, 1).kind, Kind::kReplay);
  EXPECT_EQ(Claim(*one, 3).kind, Kind::kDoubt);
}

}  // namespace
}  // namespace pillion::idempotency
