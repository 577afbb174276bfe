// On one real server that needs no replica (policy `wait off`).
#include "sidecar/idempotency/shared/shared_store.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "sidecar/idempotency/shared/store_fixture.h"

namespace pillion::idempotency {
namespace {

class SharedStoreTest : public StoreFixture {
 protected:
  SharedStoreTest() {
    one = Start(server);
    two = Start(server);
    Age(server);
  }
  redis::TestServer server;
  std::unique_ptr<Sidecar> one;
  std::unique_ptr<Sidecar> two;
};

TEST_F(SharedStoreTest, WhatOneSidecarRanTheOtherIsToldAgain) {
  http::HeaderList head;
  head.Add("set-cookie", "a=1");
  http::HeaderList trailers;
  trailers.Add("grpc-status", "0");
  SliceQueue content;
  content.AppendCopy("the answer");
  std::string written;
  WriteAnswer(
      201, head, [](const http::HeaderList::Field&) { return true; }, content, &trailers,
      {.at = DomainTime(123), .trace = {1}}, written);
  const SavedAnswer answer(written);
  const Ticket ticket = Begin(*one, 1);
  const uint64_t execution = one->store.Answer(ticket)->execution;
  EXPECT_EQ(one->Rung(1), 1);
  EXPECT_EQ(Complete(*one, ticket, answer), Ended::kDone);
  EXPECT_EQ(one->Rung(2), 1);
  one->store.Drop(ticket);
  const ClaimAnswer told = Claim(*two, 1);
  ASSERT_EQ(told.kind, Kind::kReplay);
  EXPECT_EQ(told.status, 201);
  EXPECT_EQ(told.execution, execution);
  EXPECT_NE(told.execution, 0U);
  EXPECT_EQ(told.answer.content(), "the answer");
  http::HeaderList told_head;
  http::HeaderList told_trailers;
  told.answer.AddHeadTo(told_head);
  told.answer.AddTrailersTo(told_trailers);
  EXPECT_EQ(told_head.Find("set-cookie"), "a=1");
  EXPECT_EQ(told_trailers.Find("grpc-status"), "0");
  EXPECT_EQ(told.answer.execution().at, DomainTime(123));
  EXPECT_EQ(told.answer.execution().trace[0], 1);
}

TEST_F(SharedStoreTest, AnswersDoNotLieOpenInTheStore) {
  RunOne(*one, 1, AnswerOf("a body that nobody may read"));
  const std::string record = ToString(server.Ask({"HGETALL", KeyNames("orders").Record(Named(1))}));
  EXPECT_NE(record.find("201"), std::string::npos);
  EXPECT_EQ(record.find("nobody"), std::string::npos);
  EXPECT_EQ(record.find("text/plain"), std::string::npos);
}

TEST_F(SharedStoreTest, WhatCannotBeDecryptedIsATombstone) {
  RunOne(*one, 1);
  terms.key = {9};
  const auto other = Start(server);
  const ClaimAnswer told = Claim(*other, 1);
  EXPECT_EQ(told.kind, Kind::kTombstone);
  EXPECT_EQ(told.status, 201);
  EXPECT_EQ(other->store.counts().undecryptable, 1U);
}

TEST_F(SharedStoreTest, OfAnAnswerThatIsTooLargeTheStatusIsKept) {
  terms.max_stored_bytes = 1000;
  const auto small = Start(server);
  RunOne(*small, 1, AnswerOf(std::string(2000, 'x'), 503));
  const ClaimAnswer told = Claim(*two, 1);
  EXPECT_EQ(told.kind, Kind::kTombstone);
  EXPECT_EQ(told.status, 503);
  const Ticket ticket = Begin(*one, 2);
  one->store.Complete(ticket, nullptr, 404, {one->bell, 50});
  EXPECT_EQ(AwaitEnd(*one, ticket), Ended::kDone);
  EXPECT_EQ(one->Rung(50), 1);
  EXPECT_EQ(Claim(*two, 2).status, 404);
}

TEST_F(SharedStoreTest, EachWordOfTheStoreIsPassedOn) {
  const Ticket ticket = Begin(*one, 1);
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kInFlight);
  EXPECT_EQ(Claim(*two, 1, 2).kind, Kind::kMismatch);
  idempotency::Claim old = ClaimOf(*two);
  old.minted = *old.minted - std::chrono::minutes(10);
  EXPECT_EQ(Await(*two, two->store.Claim(Named(2), old, Waits::kNever)).kind, Kind::kExpired);
  old.minted = *old.minted + std::chrono::minutes(20);
  EXPECT_EQ(Await(*two, two->store.Claim(Named(2), old, Waits::kNever)).kind, Kind::kBadClock);
  one->store.Abandon(ticket, {one->bell, 60});
  EXPECT_EQ(AwaitEnd(*one, ticket), Ended::kDone);
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kUnknown);
}

TEST_F(SharedStoreTest, AReleasedTokenIsFree) {
  const Ticket ticket = Begin(*one, 1);
  one->store.Release(ticket, {one->bell, 60});
  EXPECT_EQ(AwaitEnd(*one, ticket), Ended::kDone);
  EXPECT_EQ(one->Rung(60), 1);
  RunOne(*two, 1);
}

TEST_F(SharedStoreTest, AKeyWithoutATimeIsClaimedToo) {
  timeless = true;
  RunOne(*one, 1);
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kReplay);
  const int64_t life = server.Ask({"PTTL", KeyNames("orders").Record(Named(1))}).integer - 604'800'000;
  EXPECT_GT(life, 86'000'000);
}

TEST_F(SharedStoreTest, PolicyMayRunAgainWhatIsUnknownAndTheFirstIsFenced) {
  const Ticket first = Begin(*one, 1);
  // Its lease has lapsed.
  server.Ask({"HSET", KeyNames("orders").Record(Named(1)), "l", "1"});
  runs_again = true;
  const Ticket second = Begin(*two, 1);
  EXPECT_EQ(Complete(*one, first, AnswerOf("first")), Ended::kFenced);
  EXPECT_EQ(one->store.counts().fenced, 1U);
  EXPECT_EQ(Complete(*two, second, AnswerOf("second")), Ended::kDone);
  EXPECT_EQ(Claim(*one, 1).answer.content(), "second");
}

TEST_F(SharedStoreTest, AFlushedStoreIsInDoubt) {
  RunOne(*one, 1);
  server.Ask({"FLUSHALL"});
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kDoubt);
  EXPECT_EQ(two->store.counts().doubts, 1U);
}

TEST_F(SharedStoreTest, AnExecutionWhoseRecordWasLostIsToldAnew) {
  const Ticket ticket = Begin(*one, 1);
  server.Ask({"FLUSHALL"});
  EXPECT_EQ(Complete(*one, ticket, AnswerOf("healed")), Ended::kGone);
  ASSERT_TRUE(worker.RunUntil([&] { return one->store.counts().reasserted == 1; }));
  EXPECT_EQ(Claim(*two, 1).answer.content(), "healed");
}

TEST_F(SharedStoreTest, AllEpochsBeginWithTheConnection) {
  server.Ask({"FLUSHALL"});
  EXPECT_EQ(server.Ask({"DBSIZE"}).integer, 0);
  const auto third = Start(server);
  EXPECT_EQ(server.Ask({"DBSIZE"}).integer, 64);
}

TEST_F(SharedStoreTest, LeasesAreRenewedWhileTheirOwnerLives) {
  terms.lease = DomainTime(1000);
  auto owner = Start(server);
  const Ticket ticket = Begin(*owner, 1);
  const Ticket other = Begin(*owner, 2);
  worker.RunFor(std::chrono::milliseconds(1800));
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kInFlight);
  EXPECT_EQ(Claim(*two, 2).kind, Kind::kInFlight);
  EXPECT_EQ(Complete(*owner, ticket, AnswerOf("a")), Ended::kDone);
  static_cast<void>(other);
  owner.reset();
  worker.RunFor(std::chrono::milliseconds(1100));
  EXPECT_EQ(Claim(*two, 2).kind, Kind::kUnknown);
}

size_t Taken(const telemetry::Histogram& times) {
  size_t all = 0;
  for (size_t i = 0; i < telemetry::Histogram::kBuckets; ++i) all += times.bucket(i);
  return all;
}

TEST_F(SharedStoreTest, WhatItTakesIsKnown) {
  RunOne(*one, 1);
  EXPECT_EQ(Taken(one->times.claims), 1U);
  EXPECT_EQ(Taken(one->times.ends), 1U);
  EXPECT_EQ(Claim(*one, 1).kind, Kind::kReplay);
  EXPECT_EQ(Taken(one->times.claims), 2U);
  EXPECT_EQ(Taken(one->times.ends), 1U);
  EXPECT_EQ(Taken(one->times.confirmations), 0U) << "there are no replicas";
}

TEST_F(SharedStoreTest, WhoWaitsIsToldWhenTheOtherHasEnded) {
  const Ticket ticket = Begin(*one, 1);
  const Ticket waits = Ask(*two, 1, Waits::kIfInFlight);
  const uint64_t number = last_number;
  ASSERT_TRUE(worker.RunUntil([&] { return two->store.counts().looks >= 2; }));
  EXPECT_EQ(two->store.Answer(waits), nullptr);
  EXPECT_EQ(two->Rung(number), 0);
  EXPECT_EQ(Complete(*one, ticket, AnswerOf("waited for")), Ended::kDone);
  const ClaimAnswer told = Await(*two, waits);
  EXPECT_EQ(told.kind, Kind::kReplay);
  EXPECT_EQ(told.answer.content(), "waited for");
  EXPECT_EQ(two->Rung(number), 1);
  EXPECT_EQ(two->store.waiting(), 0U);
  EXPECT_EQ(Taken(two->times.claims), 0U) << "it was not the store that took so long";
}

TEST_F(SharedStoreTest, WhoWaitsFindsOutByLookingWhereNoMessageComes) {
  redis::TestServer deaf;
  const auto third = Start(server, deaf.address());
  const Ticket ticket = Begin(*one, 1);
  const Ticket waits = Ask(*third, 1, Waits::kIfInFlight);
  worker.RunFor(std::chrono::milliseconds(30));
  EXPECT_EQ(Complete(*one, ticket, AnswerOf("found")), Ended::kDone);
  EXPECT_EQ(Await(*third, waits).answer.content(), "found");
}

TEST_F(SharedStoreTest, AMessageIsEnough) {
  terms.first_look = terms.longest_between_looks = std::chrono::hours(1);
  const auto third = Start(server);
  const Ticket ticket = Begin(*one, 1);
  const Ticket waits = Ask(*third, 1, Waits::kIfInFlight);
  ASSERT_TRUE(worker.RunUntil([&] { return third->store.counts().looks == 1; }));
  EXPECT_EQ(Complete(*one, ticket, AnswerOf("told")), Ended::kDone);
  EXPECT_EQ(Await(*third, waits).answer.content(), "told");
}

TEST_F(SharedStoreTest, WhatEndsBeforeAnybodyListensIsFoundWhenHeDoes) {
  terms.first_look = terms.longest_between_looks = std::chrono::hours(1);
  const auto third = Start(server);
  Begin(*one, 1);
  const Ticket waits = Ask(*third, 1, Waits::kIfInFlight);
  ASSERT_TRUE(worker.RunUntil([&] { return third->store.waiting() == 1; }));
  EXPECT_EQ(third->store.counts().looks, 0U);
  // It ends now, and nothing is said of it where anybody listens.
  const std::string record = KeyNames("orders").Record(Named(1));
  const std::string execution = ToString(server.Ask({"HGET", record, "x"}));
  server.Ask({"EVAL", std::string(Scripts()[ScriptName::kEnd].text), "1", record, execution, "T", "204", "",
              "60000", "nobody"});
  EXPECT_EQ(Await(*third, waits).status, 204);
}

TEST_F(SharedStoreTest, ListensAgainWhenTheConnectionWasLost) {
  terms.first_look = terms.longest_between_looks = std::chrono::hours(1);
  const auto third = Start(server);
  const Ticket ticket = Begin(*one, 1);
  const Ticket waits = Ask(*third, 1, Waits::kIfInFlight);
  ASSERT_TRUE(worker.RunUntil([&] { return third->store.counts().looks == 1; }));
  server.Ask({"CLIENT", "KILL", "TYPE", "pubsub"});
  ASSERT_TRUE(worker.RunUntil([&] { return third->store.counts().looks == 2; }));
  EXPECT_EQ(Complete(*one, ticket, AnswerOf("told")), Ended::kDone);
  EXPECT_EQ(Await(*third, waits).answer.content(), "told");
}

TEST_F(SharedStoreTest, TheTimeIsToldWhileRecordsMayBeThere) {
  terms.table.skew = terms.table.max_execution = DomainTime(1000);
  const auto third = Start(server);
  RunOne(*third, 1);
  const std::string epoch = KeyNames("orders").Epoch(KeyNames::ShardOf(Named(1)));
  server.Ask({"HSET", epoch, "high", "1000"});
  server.Ask({"SCRIPT", "FLUSH"});
  EXPECT_TRUE(
      worker.RunUntil([&] { return std::stoll(ToString(server.Ask({"HGET", epoch, "high"}))) > 1000; }));
}

TEST_F(SharedStoreTest, AllWhoWaitAtOneSidecarShareOneLookOut) {
  const Ticket ticket = Begin(*one, 1);
  std::vector<Ticket> waits;
  waits.reserve(5);
  for (int i = 0; i < 5; ++i) waits.push_back(Ask(*two, 1, Waits::kIfInFlight));
  // One too many.
  EXPECT_EQ(Await(*two, waits[4]).kind, Kind::kInFlight);
  ASSERT_TRUE(worker.RunUntil([&] { return two->store.counts().looks >= 2; }));
  EXPECT_EQ(two->store.waiting(), 4U);
  EXPECT_EQ(ToString(server.Ask({"PUBSUB", "NUMSUB", KeyNames("orders").Channel(Named(1))})).back(), ']');
  EXPECT_EQ(server.Ask({"PUBSUB", "NUMSUB", KeyNames("orders").Channel(Named(1))}).parts[1].integer, 1);
  EXPECT_EQ(Complete(*one, ticket, AnswerOf("for all")), Ended::kDone);
  for (int i = 0; i < 4; ++i)
    EXPECT_EQ(Await(*two, waits[static_cast<size_t>(i)]).answer.content(), "for all");
  EXPECT_EQ(two->store.waiting(), 0U);
  ASSERT_TRUE(worker.RunUntil([&] { return two->subscriber.pending() == 0; }));
  EXPECT_EQ(server.Ask({"PUBSUB", "NUMSUB", KeyNames("orders").Channel(Named(1))}).parts[1].integer, 0);
}

TEST_F(SharedStoreTest, WhenATokenIsReleasedOneOfThoseWhoWaitRunsAndTheOthersWaitForIt) {
  const Ticket ticket = Begin(*one, 1);
  const Ticket first = Ask(*two, 1, Waits::kIfInFlight);
  const Ticket second = Ask(*two, 1, Waits::kIfInFlight);
  ASSERT_TRUE(worker.RunUntil([&] { return two->store.waiting() == 2; }));
  one->store.Release(ticket, {one->bell, 60});
  EXPECT_EQ(Await(*two, first).kind, Kind::kClaimed);
  EXPECT_EQ(two->store.Answer(second), nullptr);
  EXPECT_EQ(Complete(*two, first, AnswerOf("second try")), Ended::kDone);
  EXPECT_EQ(Await(*two, second).answer.content(), "second try");
}

TEST_F(SharedStoreTest, WhoIsGoneWhileHeWaitsIsNotRung) {
  const Ticket ticket = Begin(*one, 1);
  const Ticket first = Ask(*two, 1, Waits::kIfInFlight);
  const Ticket second = Ask(*two, 1, Waits::kIfInFlight);
  const uint64_t number = last_number - 1;
  ASSERT_TRUE(worker.RunUntil([&] { return two->store.waiting() == 2; }));
  two->store.Drop(first);
  EXPECT_EQ(Complete(*one, ticket, AnswerOf("x")), Ended::kDone);
  EXPECT_EQ(Await(*two, second).kind, Kind::kReplay);
  EXPECT_EQ(two->Rung(number), 0);
  two->store.Drop(second);
  ASSERT_TRUE(worker.RunUntil([&] { return two->store.size() == 0; }));
}

TEST_F(SharedStoreTest, AClaimThatIsGrantedToNobodyIsGivenBack) {
  const Ticket ticket = Ask(*one, 1);
  one->store.Drop(ticket);
  ASSERT_TRUE(worker.RunUntil([&] { return one->store.size() == 0; }));
  EXPECT_EQ(one->store.counts().claimed, 1U);
  RunOne(*two, 1);
}

TEST_F(SharedStoreTest, AnExecutionThatIsLetGoOfIsUnknown) {
  const Ticket ticket = Begin(*one, 1);
  one->store.Drop(ticket);
  ASSERT_TRUE(worker.RunUntil([&] { return one->commands.pending() == 0; }));
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kUnknown);
}

TEST_F(SharedStoreTest, ScriptsThatTheServerHasForgottenAreToldAgain) {
  const Ticket ticket = Begin(*one, 1);
  ASSERT_EQ(server.Ask({"SCRIPT", "FLUSH"}).text, "OK");
  RunOne(*two, 2);
  ASSERT_EQ(server.Ask({"SCRIPT", "FLUSH"}).text, "OK");
  EXPECT_EQ(Complete(*one, ticket, AnswerOf("x")), Ended::kDone);
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kReplay);
  EXPECT_GE(two->store.counts().unknown_scripts, 2U);
  const Ticket third = Begin(*one, 3);
  ASSERT_EQ(server.Ask({"SCRIPT", "FLUSH"}).text, "OK");
  one->store.Release(third, {});
  EXPECT_EQ(AwaitEnd(*one, third), Ended::kDone);
}

TEST_F(SharedStoreTest, AFullStoreRefusesClaimsAndTakesEnds) {
  RunOne(*one, 1);
  const Ticket ticket = Begin(*one, 2);
  server.Ask({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_EQ(Claim(*two, 3).kind, Kind::kFull);
  EXPECT_EQ(Claim(*two, 1).kind, Kind::kReplay);
  EXPECT_EQ(Complete(*one, ticket, AnswerOf("x")), Ended::kDone);
  EXPECT_EQ(Claim(*two, 2).kind, Kind::kReplay);
}

TEST_F(SharedStoreTest, AStoreThatIsNotThereRefusesAtOnceAndNobodyIsRung) {
  server.Kill();
  ASSERT_TRUE(worker.RunUntil([&] { return !one->commands.ready(); }));
  const Ticket ticket = Ask(*one, 1);
  ASSERT_NE(one->store.Answer(ticket), nullptr);
  EXPECT_EQ(one->store.Answer(ticket)->kind, Kind::kRefused);
  EXPECT_EQ(one->Rung(last_number), 0);
  EXPECT_EQ(one->store.counts().refused, 1U);
  one->store.Drop(ticket);
  EXPECT_EQ(one->store.size(), 0U);
}

TEST_F(SharedStoreTest, AnEndWhileTheStoreIsDownIsToldWhenItIsBack) {
  const Ticket completes = Begin(*one, 1);
  const Ticket releases = Begin(*one, 2);
  const Ticket abandons = Begin(*one, 3);
  const Ticket runs = Begin(*one, 4);
  server.Kill();
  ASSERT_TRUE(worker.RunUntil([&] { return !one->commands.ready(); }));
  EXPECT_EQ(Complete(*one, completes, AnswerOf("kept")), Ended::kLater);
  EXPECT_EQ(one->Rung(last_number), 1);
  one->store.Release(releases, {});
  one->store.Abandon(abandons, {});
  EXPECT_EQ(AwaitEnd(*one, releases), Ended::kLater);
  server.StartAgain();
  for (const Ticket ticket : {completes, releases, abandons})
    ASSERT_TRUE(worker.RunUntil([&] { return one->store.HowEnded(ticket) == Ended::kDone; }));
  EXPECT_EQ(one->Rung(last_number), 1) << "who waited was told already";
  ASSERT_TRUE(worker.RunUntil([&] { return two->commands.ready(); }));
  EXPECT_EQ(Claim(*two, 1).answer.content(), "kept");
  EXPECT_EQ(Claim(*two, 3).kind, Kind::kUnknown);
  EXPECT_EQ(Claim(*two, 4).kind, Kind::kInFlight);
  EXPECT_EQ(Complete(*one, runs, AnswerOf("went on")), Ended::kDone);
  EXPECT_EQ(Claim(*two, 2).kind, Kind::kDoubt) << "free, and minted before the server came back";
}

TEST_F(SharedStoreTest, AnEndThatCannotBeToldIsGivenUpWhenTheLeaseIsOver) {
  terms.lease = DomainTime(90);
  const auto owner = Start(server);
  const Ticket ticket = Begin(*owner, 1);
  server.Kill();
  ASSERT_TRUE(worker.RunUntil([&] { return !owner->commands.ready(); }));
  EXPECT_EQ(Complete(*owner, ticket, AnswerOf("x")), Ended::kLater);
  ASSERT_TRUE(worker.RunUntil([&] { return owner->store.counts().lost == 1; }));
  owner->store.Drop(ticket);
  EXPECT_EQ(owner->store.size(), 0U);
}

// What an operator may grant, and no more.
TEST_F(SharedStoreTest, NeedsOnlyTheRightsThatAreNamedHere) {
  ASSERT_EQ(server
                .Ask({"ACL",          "SETUSER", "pillion",    "on",           ">secret",      "~p:{orders:*",
                      "&n:{orders:*", "-@all",   "+auth",      "+info",        "+script|load", "+eval",
                      "+evalsha",     "+wait",   "+subscribe", "+unsubscribe", "+publish",     "+ping",
                      "+time",        "+hset",   "+hget",      "+hmget",       "+pexpire",     "+del",
                      "+rpush",       "+lindex", "+lpop"})
                .text,
            "OK");
  redis::ClientSettings settings = SettingsOf(server.address(), terms);
  settings.user = "pillion";
  settings.password = "secret";
  redis::Client commands(worker.parts(), settings, redis::Client::Use::kCommander);
  redis::Client subscriber(worker.parts(), settings, redis::Client::Use::kSubscriber);
  telemetry::TokenStoreTimes times;
  SharedStore store({worker.turn, worker.random, commands, subscriber, times}, terms);
  ASSERT_TRUE(worker.RunUntil([&] { return commands.ready() && subscriber.ready(); })) << commands.trouble();
  const Ticket other = Begin(*one, 1);
  const Ticket waits = store.Claim(Named(1), ClaimOf(*one), Waits::kIfInFlight);
  ASSERT_TRUE(worker.RunUntil([&] { return store.waiting() == 1; }));
  one->store.Release(other, {});
  ASSERT_TRUE(worker.RunUntil([&] { return store.Answer(waits) != nullptr; }));
  ASSERT_EQ(store.Answer(waits)->kind, Kind::kClaimed);
  const SavedAnswer answer = AnswerOf("x");
  store.Complete(waits, &answer, 200, {});
  ASSERT_TRUE(worker.RunUntil([&] { return store.HowEnded(waits).has_value(); }));
  EXPECT_EQ(store.HowEnded(waits), Ended::kDone);
  const Ticket next = store.Claim(Named(2), ClaimOf(*one), Waits::kNever);
  ASSERT_TRUE(worker.RunUntil([&] { return store.Answer(next) != nullptr; }));
  ASSERT_EQ(store.Answer(next)->kind, Kind::kClaimed);
  store.Release(next, {});
  ASSERT_TRUE(worker.RunUntil([&] { return store.HowEnded(next).has_value(); }));
  EXPECT_EQ(store.HowEnded(next), Ended::kDone);
  EXPECT_NE(ToString(server.Ask({"ACL", "LOG"})).find("config"), std::string::npos)
      << "asked for, and not needed";
}

TEST_F(SharedStoreTest, RecentEndsAreForgottenInTheirTimeOrForWantOfRoom) {
  terms.recent = DomainTime(50);
  terms.recent_bytes = 4000;
  const auto owner = Start(server);
  for (uint64_t token = 1; token <= 10; ++token) RunOne(*owner, token, AnswerOf(std::string(1000, 'x')));
  EXPECT_GE(owner->store.counts().forgotten, 7U);
  EXPECT_LE(owner->store.size(), 3U);
  ASSERT_TRUE(worker.RunUntil([&] { return owner->store.size() == 0; }));
}

TEST_F(SharedStoreTest, ManyClaimsAtOnceAreEachAnsweredOnce) {
  constexpr uint64_t kTokens = 500;
  std::vector<std::pair<Sidecar*, Ticket>> tickets;
  for (uint64_t token = 1; token <= kTokens; ++token) {
    tickets.emplace_back(one.get(), Ask(*one, token));
    tickets.emplace_back(two.get(), Ask(*two, token));
  }
  size_t claimed = 0;
  for (const auto& [sidecar, ticket] : tickets) {
    const Kind kind = Await(*sidecar, ticket).kind;
    claimed += static_cast<size_t>(kind == Kind::kClaimed);
    EXPECT_TRUE(kind == Kind::kClaimed || kind == Kind::kInFlight) << static_cast<int>(kind);
  }
  EXPECT_EQ(claimed, kTokens);
  for (uint64_t number = 1; number <= 2 * kTokens; ++number)
    ASSERT_EQ(one->Rung(number) + two->Rung(number), 1);
}

TEST_F(SharedStoreTest, WhatIsToldToWhoWaitsForAnotherRequestOfTheSameNameIsNotToldToTheRest) {
  // An app's key that is used for two requests: the first is released, and the other begins, before who waits
  // for it has looked.
  const Ticket ticket = Begin(*one, 1);
  const Ticket first = Ask(*two, 1, Waits::kIfInFlight);
  ASSERT_TRUE(worker.RunUntil([&] { return two->store.waiting() == 1; }));
  const std::string record = KeyNames("orders").Record(Named(1));
  const Digest print = Named(2);
  server.Ask({"HSET", record, "fp",
              std::string(reinterpret_cast<const char*>(print.bytes.data()), print.bytes.size())});
  const Ticket second = Ask(*two, 1, Waits::kIfInFlight, 2);
  EXPECT_EQ(Await(*two, first).kind, Kind::kMismatch);
  worker.RunFor(std::chrono::milliseconds(300));
  EXPECT_EQ(two->store.Answer(second), nullptr) << "it is the request that runs";
  EXPECT_EQ(Complete(*one, ticket, AnswerOf("answer")), Ended::kDone);
  EXPECT_EQ(Await(*two, second).kind, Kind::kReplay);
}

}  // namespace
}  // namespace pillion::idempotency
