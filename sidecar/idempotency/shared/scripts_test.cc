#include "sidecar/idempotency/shared/scripts.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "sidecar/redis/test_server.h"

namespace pillion::idempotency {
namespace {

using redis::Reply;

constexpr int64_t kLife = 185'000;
constexpr int64_t kWeek = 604'800'000;

struct Asks {
  std::string execution = "x1";
  int64_t lease = 10'000;
  int64_t mint = 0;  // from now on, in milliseconds
  bool timeless = false;
  std::string run = "run1";
  int64_t doubt = 0;
  std::string print = "f1";
  bool again = false;
  std::string record = "p:{s:0}:r1";
  int64_t life = kLife;
};

class ScriptsTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { server = std::make_unique<redis::TestServer>(); }
  static void TearDownTestSuite() { server.reset(); }
  ScriptsTest() : line(server->port()) {
    line.Ask({"FLUSHALL"});
    line.Ask({"CONFIG", "SET", "maxmemory", "0"});
    // Time has gone on since the records began.
    Run(ScriptName::kOpen, {kEpoch, kEnds, kEnds + "-of-keys"}, {"run1"});
    line.Ask({"HSET", kEpoch, "start", "1"});
  }
  std::vector<std::string> CommandOf(ScriptName name, const std::vector<std::string>& keys,
                                     const std::vector<std::string>& arguments) const {
    std::vector<std::string> command = {"EVAL", std::string(scripts[name].text), std::to_string(keys.size())};
    command.insert(command.end(), keys.begin(), keys.end());
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
  }
  Reply Run(ScriptName name, const std::vector<std::string>& keys,
            const std::vector<std::string>& arguments) {
    return line.Ask(CommandOf(name, keys, arguments));
  }
  int64_t Now() {
    const Reply time = line.Ask({"TIME"});
    return std::stoll(time.parts[0].text) * 1000 + std::stoll(time.parts[1].text) / 1000;
  }
  std::vector<std::string> ClaimCommand(const Asks& asks) {
    return CommandOf(ScriptName::kClaim, {asks.record, kEpoch, kEnds},
                     {asks.execution, std::to_string(asks.lease), std::to_string(asks.life),
                      asks.timeless ? "-1" : std::to_string(Now() + asks.mint), asks.run,
                      std::to_string(asks.doubt), "5000", "120000", asks.print, asks.again ? "1" : "0"});
  }
  // Its word, and what comes behind it but for times.
  std::string Claim(const Asks& asks = {}) {
    Reply reply = line.Ask(ClaimCommand(asks));
    if (!reply.parts.empty() && reply.parts[0].text == "INFLIGHT") reply.parts.erase(reply.parts.begin() + 1);
    return ToString(reply);
  }
  std::string End(const std::string& execution, const std::string& state,
                  const std::string& answer = "sealed") {
    return ToString(Run(ScriptName::kEnd, {kRecord}, {execution, state, "201", answer, kChannel}));
  }
  int64_t Renew(const std::string& execution, int64_t lease = 10'000) {
    return Run(ScriptName::kRenew, {kRecord, kEpoch}, {execution, std::to_string(lease)}).integer;
  }
  int64_t Release(const std::string& execution) {
    return Run(ScriptName::kRelease, {kRecord}, {execution, kChannel}).integer;
  }
  std::string Reassert(const std::string& execution, const std::string& state,
                       const std::string& run = "run2") {
    return ToString(Run(ScriptName::kReassert, {kRecord, kEpoch, kEnds},
                        {execution, state, "10000", "60000", run, "f1", "201", "sealed", kChannel}));
  }
  std::string Field(const std::string& name) { return ToString(line.Ask({"HGET", kRecord, name})); }
  // Until it ends; by the server's own clock it goes a week later.
  int64_t Life() {
    EXPECT_GT(line.Ask({"PTTL", kRecord}).integer, kWeek);
    return std::stoll(Field("e")) - Now();
  }

  inline static std::unique_ptr<redis::TestServer> server;
  const std::string kRecord = "p:{s:0}:r1";
  const std::string kEpoch = "p:{s:0}:epoch";
  const std::string kEnds = "p:{s:0}:ends";
  const std::string kChannel = "n:{s:0}:r1";
  Scripts scripts;
  redis::TestConnection line;
};

// Transitions by their numbers in specs/idempotency.md 4.1.

TEST_F(ScriptsTest, T1AnAbsentTokenIsClaimedAndItsRecordOutlivesIt) {
  EXPECT_EQ(Claim(), "[CLAIMED]");
  EXPECT_EQ(Field("s"), "I");
  EXPECT_EQ(Field("x"), "x1");
  EXPECT_GT(Life(), kLife - 10'000);
  EXPECT_LE(Life(), kLife);
}

TEST_F(ScriptsTest, T2AnAbsentTokenOlderThanTheEpochIsDoubtWhateverItsAttempt) {
  line.Ask({"HSET", kEpoch, "start", std::to_string(Now())});
  EXPECT_EQ(Claim({.mint = -1000}), "[DOUBT]");
  EXPECT_EQ(Claim({.mint = 1000, .doubt = 5000}), "[DOUBT]");
  EXPECT_EQ(Field("s"), "nil");
  EXPECT_EQ(Claim({.mint = 1000}), "[CLAIMED]");
}

TEST_F(ScriptsTest, T2AKeyWithoutATimeIsDoubtUntilTheDoubtIsOver) {
  line.Ask({"HSET", kEpoch, "start", std::to_string(Now())});
  EXPECT_EQ(Claim({.timeless = true, .doubt = 5000}), "[DOUBT]");
  line.Ask({"HSET", kEpoch, "start", std::to_string(Now() - 6000)});
  EXPECT_EQ(Claim({.timeless = true, .doubt = 5000}), "[CLAIMED]");
}

TEST_F(ScriptsTest, T2AFlushedStoreIsInDoubtAboutAllTokensBeforeIt) {
  EXPECT_EQ(Claim(), "[CLAIMED]");
  EXPECT_EQ(End("x1", "C"), "OK");
  line.Ask({"FLUSHALL"});
  EXPECT_EQ(Claim({.mint = -1, .doubt = 5000}), "[DOUBT]");
}

TEST_F(ScriptsTest, T2AnotherServerBeginsAnotherEpochAndKeepsTheRecordsThatItHas) {
  EXPECT_EQ(Claim(), "[CLAIMED]");
  EXPECT_EQ(Claim({.execution = "x2", .run = "run2"}), "[INFLIGHT, x1]");
  EXPECT_EQ(Claim({.run = "run2", .doubt = 5000, .record = "p:{s:0}:r2"}), "[DOUBT]");
}

TEST_F(ScriptsTest, T2AServerThatIsThePrimaryAgainMayLackWhatAnotherHadMeanwhile) {
  EXPECT_EQ(Claim({.mint = -1, .doubt = 5000}), "[CLAIMED]");
  line.Ask({"REPLICAOF", "127.0.0.1", "1"});
  line.Ask({"REPLICAOF", "NO", "ONE"});
  EXPECT_EQ(Claim({.mint = -1, .doubt = 5000, .record = "p:{s:0}:r2"}), "[DOUBT]") << "the same process";
  EXPECT_EQ(Claim({.execution = "x2"}), "[INFLIGHT, x1]") << "what it has is true";
}

TEST_F(ScriptsTest, T3AnExpiredTokenIsRefusedWhateverItsRecordSays) {
  EXPECT_EQ(Claim({.mint = -125'100}), "[EXPIRED]");
  EXPECT_EQ(Claim({.mint = -124'000}), "[CLAIMED]");
  EXPECT_EQ(End("x1", "C"), "OK");
  EXPECT_EQ(Claim({.mint = -125'100}), "[EXPIRED]");
}

TEST_F(ScriptsTest, T3ATokenOfTheFutureIsRefused) {
  EXPECT_EQ(Claim({.mint = 6000}), "[BAD_CLOCK]");
  EXPECT_EQ(Claim({.mint = 4000}), "[CLAIMED]");
}

TEST_F(ScriptsTest, T4AFullStoreRefusesClaimsAndStillReplaysRenewsAndCompletes) {
  EXPECT_EQ(Claim(), "[CLAIMED]");
  EXPECT_EQ(Claim({.record = "p:{s:0}:done"}), "[CLAIMED]");
  Run(ScriptName::kEnd, {"p:{s:0}:done"}, {"x1", "C", "200", "sealed", "n"});
  line.Ask({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_EQ(Claim({.record = "p:{s:0}:new"}).substr(0, 4), "-OOM");
  // Also where the epoch or its mark would be written.
  EXPECT_EQ(Claim({.run = "run2", .record = "p:{s:0}:done"}), "[REPLAY, 200, x1, sealed]");
  EXPECT_EQ(Renew("x1"), 1);
  EXPECT_EQ(End("x1", "C"), "OK");
  EXPECT_EQ(Claim(), "[REPLAY, 201, x1, sealed]");
  EXPECT_EQ(line.Ask({"EXISTS", "p:{s:0}:new"}).integer, 0);
}

TEST_F(ScriptsTest, T4AFullStoreReleasesAndAbandons) {
  EXPECT_EQ(Claim(), "[CLAIMED]");
  line.Ask({"CONFIG", "SET", "maxmemory", "1"});
  EXPECT_EQ(End("x1", "U"), "OK");
  EXPECT_EQ(Release("x1"), 1);
}

TEST_F(ScriptsTest, T5ADuplicateIsToldOfTheExecutionThatRuns) {
  EXPECT_EQ(Claim(), "[CLAIMED]");
  const Reply reply = line.Ask(ClaimCommand({.execution = "x2"}));
  EXPECT_EQ(reply.parts[0].text, "INFLIGHT");
  EXPECT_GT(reply.parts[1].integer, 5000);
  EXPECT_LE(reply.parts[1].integer, 10'000);
  EXPECT_EQ(reply.parts[2].text, "x1");
}

TEST_F(ScriptsTest, T6AnotherRequestWithTheTokenIsAMismatchInEachState) {
  EXPECT_EQ(Claim(), "[CLAIMED]");
  EXPECT_EQ(Claim({.print = "f2"}), "[MISMATCH]");
  EXPECT_EQ(End("x1", "U"), "OK");
  EXPECT_EQ(Claim({.print = "f2", .again = true}), "[MISMATCH]");
  EXPECT_EQ(End("x1", "C"), "OK");
  EXPECT_EQ(Claim({.print = "f2"}), "[MISMATCH]");
}

TEST_F(ScriptsTest, T7OnlyTheOwnerRenews) {
  EXPECT_EQ(Claim({.lease = 1000}), "[CLAIMED]");
  EXPECT_EQ(Renew("x2"), 0);
  EXPECT_EQ(Renew("x1", 60'000), 1);
  EXPECT_GT(line.Ask(ClaimCommand({})).parts[1].integer, 50'000);
  EXPECT_EQ(End("x1", "C"), "OK");
  EXPECT_EQ(Renew("x1"), 0);
  line.Ask({"DEL", kRecord});
  EXPECT_EQ(Renew("x1"), 0);
  EXPECT_EQ(line.Ask({"EXISTS", kRecord}).integer, 0);
}

TEST_F(ScriptsTest, T8ALapsedLeaseFreesNothing) {
  EXPECT_EQ(Claim({.lease = -1}), "[CLAIMED]");
  EXPECT_EQ(Claim({.execution = "x2"}), "[UNKNOWN, x1]");
  EXPECT_EQ(Field("s"), "U");
  EXPECT_EQ(Renew("x1"), 0);
}

TEST_F(ScriptsTest, T9ALateTruthIsTaken) {
  EXPECT_EQ(Claim({.lease = -1}), "[CLAIMED]");
  EXPECT_EQ(Claim({.execution = "x2"}), "[UNKNOWN, x1]");
  EXPECT_EQ(End("x1", "C", "late"), "OK");
  EXPECT_EQ(Claim({.execution = "x2"}), "[REPLAY, 201, x1, late]");
}

TEST_F(ScriptsTest, T9OnlyItsOwnerEndsAnExecutionAndOnce) {
  EXPECT_EQ(End("x1", "C"), "GONE");
  EXPECT_EQ(Claim(), "[CLAIMED]");
  EXPECT_EQ(End("x2", "C"), "FENCED");
  EXPECT_EQ(End("x1", "C"), "OK");
  EXPECT_EQ(End("x1", "C", "other"), "ALREADY");
  EXPECT_EQ(End("x1", "T"), "ALREADY");
  EXPECT_EQ(Field("a"), "sealed");
}

TEST_F(ScriptsTest, T9AnEndIsPublished) {
  redis::TestConnection listener(server->port());
  ASSERT_EQ(listener.Ask({"SUBSCRIBE", kChannel}).parts[0].text, "subscribe");
  EXPECT_EQ(Claim(), "[CLAIMED]");
  EXPECT_EQ(End("x1", "C"), "OK");
  EXPECT_EQ(ToString(listener.AskAll({{"PING"}})[0]), "[message, " + kChannel + ", C]");
}

TEST_F(ScriptsTest, T10AReleasedTokenIsFreeAndOnlyItsOwnerReleases) {
  EXPECT_EQ(Claim(), "[CLAIMED]");
  EXPECT_EQ(Release("x2"), 0);
  EXPECT_EQ(Release("x1"), 1);
  EXPECT_EQ(Release("x1"), 0);
  EXPECT_EQ(Claim({.execution = "x2"}), "[CLAIMED]");
  EXPECT_EQ(End("x2", "C"), "OK");
  EXPECT_EQ(Release("x2"), 0) << "what was answered stays";
}

TEST_F(ScriptsTest, T11AnAbandonedExecutionIsUnknown) {
  EXPECT_EQ(Claim(), "[CLAIMED]");
  EXPECT_EQ(End("x1", "U"), "OK");
  EXPECT_EQ(Claim({.execution = "x2"}), "[UNKNOWN, x1]");
  EXPECT_EQ(Release("x1"), 1);
}

TEST_F(ScriptsTest, T12AndT14WhatIsOverIsToldAgain) {
  EXPECT_EQ(Claim(), "[CLAIMED]");
  EXPECT_EQ(End("x1", "T"), "OK");
  EXPECT_EQ(Claim({.execution = "x2"}), "[TOMBSTONE, 201, x1]");
  EXPECT_EQ(Claim({.execution = "x3"}), "[TOMBSTONE, 201, x1]");
}

TEST_F(ScriptsTest, T17PolicyMayRunAgainWhatIsUnknownAndFencesTheFirst) {
  EXPECT_EQ(Claim({.lease = -1}), "[CLAIMED]");
  EXPECT_EQ(Claim({.execution = "x2", .again = true}), "[CLAIMED]");
  EXPECT_EQ(End("x1", "C", "of the first"), "FENCED");
  EXPECT_EQ(Renew("x1"), 0);
  EXPECT_EQ(Release("x1"), 0);
  EXPECT_EQ(Claim({.execution = "x3", .again = true}), "[INFLIGHT, x2]");
  EXPECT_EQ(End("x2", "C", "of the second"), "OK");
  EXPECT_EQ(Claim({.execution = "x3", .again = true}), "[REPLAY, 201, x2, of the second]");
}

TEST_F(ScriptsTest, AClockThatGoesBackOpensNoExpiredToken) {
  // The latest that was seen is an hour ahead of the clock.
  line.Ask({"HSET", kEpoch, "high", std::to_string(Now() + 3'600'000)});
  EXPECT_EQ(Claim(), "[EXPIRED]");
  EXPECT_EQ(Claim({.mint = 3'600'000}), "[CLAIMED]");
  EXPECT_EQ(Renew("x1", 1000), 1);
  EXPECT_EQ(Claim({.execution = "x2", .mint = 3'600'000}), "[INFLIGHT, x1]")
      << "its lease is on the same clock";
}

TEST_F(ScriptsTest, TheClocksMarkIsRaisedByUse) {
  line.Ask({"HSET", kEpoch, "high", std::to_string(Now() - 60'000)});
  Claim({.mint = -200'000});
  const int64_t mark = std::stoll(ToString(line.Ask({"HGET", kEpoch, "high"})));
  EXPECT_GE(mark, Now() - 10'000);
  EXPECT_LE(mark, Now());
}

TEST_F(ScriptsTest, ARecordEndsWhenTheMarkHasComeToItsEndAndNotBefore) {
  for (int i = 1; i <= 3; ++i)
    EXPECT_EQ(Claim({.record = "p:{s:0}:r" + std::to_string(i), .life = 60'000 + i}), "[CLAIMED]");
  EXPECT_EQ(Release("x1"), 1) << "it stands in the list still";
  const auto there = [&](int i) { return line.Ask({"EXISTS", "p:{s:0}:r" + std::to_string(i)}).integer; };
  const auto mark = [&] { return std::stoll(ToString(line.Ask({"HGET", kEpoch, "high"}))); };
  const auto open = [&] { Run(ScriptName::kOpen, {kEpoch, kEnds, kEnds + "-of-keys"}, {"run1"}); };
  open();
  EXPECT_EQ(there(2) + there(3), 2);
  const int64_t last = std::stoll(ToString(line.Ask({"HGET", "p:{s:0}:r3", "e"})));
  line.Ask({"HSET", kEpoch, "high", std::to_string(last - 1)});
  open();
  EXPECT_EQ(there(2) + there(3), 1);
  EXPECT_EQ(there(3), 1);
  line.Ask({"HSET", kEpoch, "high", std::to_string(last)});
  open();
  EXPECT_EQ(there(3), 0);
  EXPECT_EQ(line.Ask({"EXISTS", kEnds}).integer, 0);
  EXPECT_GE(mark(), last) << "so that a clock that is back before it makes no difference";
}

TEST_F(ScriptsTest, ClaimsEndSomeOfThoseWhoseTimeIsOver) {
  for (int i = 1; i <= 3; ++i)
    EXPECT_EQ(Claim({.record = "p:{s:0}:r" + std::to_string(i), .life = -i}), "[CLAIMED]");
  EXPECT_EQ(Claim({.mint = -200'000}), "[EXPIRED]") << "of one that is refused nothing is done";
  EXPECT_EQ(line.Ask({"LLEN", kEnds}).integer, 1) << "each has ended the one before";
  EXPECT_EQ(Claim({.record = "p:{s:0}:new"}), "[CLAIMED]");
  EXPECT_EQ(line.Ask({"EXISTS", "p:{s:0}:r1", "p:{s:0}:r2", "p:{s:0}:r3", "p:{s:0}:new"}).integer, 1);
}

TEST_F(ScriptsTest, AKeyWhoseTimeIsOverIsNewThoughItsRecordIsThere) {
  EXPECT_EQ(Claim({.timeless = true, .life = -5}), "[CLAIMED]");
  line.Ask({"DEL", kEnds});
  EXPECT_EQ(End("x1", "C"), "OK");
  EXPECT_EQ(Claim({.execution = "x2", .timeless = true, .print = "f2"}), "[CLAIMED]");
  EXPECT_EQ(Field("x"), "x2");
  EXPECT_EQ(Field("a"), "nil");
}

TEST_F(ScriptsTest, OpeningAnEpochTwiceBeginsItOnce) {
  const int64_t began = Run(ScriptName::kOpen, {kEpoch, kEnds, kEnds + "-of-keys"}, {"run2"}).integer;
  EXPECT_LE(began, Now());
  EXPECT_GT(began, Now() - 60'000);
  EXPECT_EQ(Run(ScriptName::kOpen, {kEpoch, kEnds, kEnds + "-of-keys"}, {"run2"}).integer, began);
}

TEST_F(ScriptsTest, WhatAnotherServerHadIsToldAgain) {
  EXPECT_EQ(Reassert("x1", "I"), "OK");
  EXPECT_EQ(Claim({.execution = "x2", .run = "run2"}), "[INFLIGHT, x1]");
  EXPECT_EQ(Reassert("x1", "C"), "OK");
  EXPECT_EQ(Claim({.execution = "x2", .run = "run2"}), "[REPLAY, 201, x1, sealed]");
  EXPECT_EQ(Reassert("x1", "C"), "ALREADY");
  EXPECT_EQ(Reassert("x1", "I"), "ALREADY");
  EXPECT_LE(Life(), 60'000);
}

TEST_F(ScriptsTest, WhatIsToldAgainNeverChangesAnothersRecord) {
  EXPECT_EQ(Claim({.execution = "x2"}), "[CLAIMED]");
  for (const std::string state : {"I", "C", "T", "U"}) EXPECT_EQ(Reassert("x1", state), "FENCED");
  EXPECT_EQ(Field("x"), "x2");
  EXPECT_EQ(Field("s"), "I");
  EXPECT_EQ(End("x2", "C", "its own"), "OK");
  EXPECT_EQ(Reassert("x1", "C"), "FENCED");
  EXPECT_EQ(Claim(), "[REPLAY, 201, x2, its own]");
}

TEST_F(ScriptsTest, WhatIsToldAgainBeginsTheEpochOfItsServer) {
  EXPECT_EQ(Reassert("x1", "I", "run9"), "OK");
  EXPECT_EQ(Claim({.run = "run9", .doubt = 5000, .record = "p:{s:0}:r2"}), "[DOUBT]");
}

TEST_F(ScriptsTest, WhatIsUnknownStaysSoWhenItsOwnerSaysThatItRuns) {
  EXPECT_EQ(Claim({.lease = -1}), "[CLAIMED]");
  EXPECT_EQ(Claim({.execution = "x2"}), "[UNKNOWN, x1]");
  EXPECT_EQ(Reassert("x1", "I"), "OK");
  EXPECT_EQ(Claim({.execution = "x2"}), "[UNKNOWN, x1]");
}

TEST_F(ScriptsTest, OfManyAtOnceOneIsGranted) {
  constexpr size_t kClaimers = 64;
  std::vector<std::string> words(kClaimers);
  std::vector<std::thread> claimers;
  std::vector<std::vector<std::string>> commands;
  claimers.reserve(kClaimers);
  commands.reserve(kClaimers);
  for (size_t i = 0; i < kClaimers; ++i)
    commands.push_back(ClaimCommand({.execution = "x" + std::to_string(i)}));
  for (size_t i = 0; i < kClaimers; ++i) {
    claimers.emplace_back([&, i] {
      const Reply reply = redis::TestConnection(server->port()).Ask(commands[i]);
      words[i] = reply.parts.empty() ? ToString(reply) : reply.parts[0].text;
    });
  }
  for (std::thread& claimer : claimers) claimer.join();
  EXPECT_EQ(std::count(words.begin(), words.end(), "CLAIMED"), 1);
  EXPECT_EQ(std::count(words.begin(), words.end(), "INFLIGHT"), 63);
}

TEST_F(ScriptsTest, AreKnownByTheNamesThatTheServerGivesThem) {
  for (const Script& script : scripts.all())
    EXPECT_EQ(line.Ask({"SCRIPT", "LOAD", std::string(script.text)}).text, script.sha);
}

TEST(KeyNames, CarryTheServiceAndTheShardInTheirTag) {
  const KeyNames names("a:b{c}");
  Digest key;
  key.bytes = {65, 2, 3};
  EXPECT_EQ(names.Record(key), "p:{a%3ab%7bc%7d:1}:41020300000000000000000000000000");
  EXPECT_EQ(names.Channel(key), "n:{a%3ab%7bc%7d:1}:41020300000000000000000000000000");
  EXPECT_EQ(names.Epoch(1), "p:{a%3ab%7bc%7d:1}:epoch");
  EXPECT_EQ(KeyNames::KeyOf(names.Channel(key)), key);
  EXPECT_FALSE(KeyNames::KeyOf("n:"));
}

}  // namespace
}  // namespace pillion::idempotency
