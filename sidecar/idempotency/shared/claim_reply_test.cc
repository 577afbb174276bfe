#include "sidecar/idempotency/shared/claim_reply.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sidecar/idempotency/test_answer.h"

namespace pillion::idempotency {
namespace {

using Kind = ClaimAnswer::Kind;
using redis::Reply;

constexpr Digest kRecord = {{9, 8, 7}};
constexpr std::string_view kExecution = "00000000000000ff0123456789abcdef";

Reply Said(const std::vector<std::string>& parts) {
  Reply reply{.kind = Reply::Kind::kArray, .integer = 0, .text = {}, .parts = {}};
  for (const std::string& part : parts)
    reply.parts.push_back({.kind = Reply::Kind::kText, .integer = 0, .text = part, .parts = {}});
  return reply;
}

class ClaimReplyTest : public ::testing::Test {
 protected:
  std::optional<ClaimReply> Read(const Reply& reply) { return ReadClaimReply(reply, kRecord, cipher); }
  Kind KindOf(const std::vector<std::string>& parts) { return Read(Said(parts))->answer.kind; }
  RecordCipher cipher{{1}, 5};
};

TEST_F(ClaimReplyTest, KnowsEachWord) {
  EXPECT_EQ(KindOf({"CLAIMED"}), Kind::kClaimed);
  EXPECT_EQ(KindOf({"INFLIGHT", "", std::string(kExecution)}), Kind::kInFlight);
  EXPECT_EQ(KindOf({"UNKNOWN", std::string(kExecution)}), Kind::kUnknown);
  EXPECT_EQ(KindOf({"MISMATCH"}), Kind::kMismatch);
  EXPECT_EQ(KindOf({"EXPIRED"}), Kind::kExpired);
  EXPECT_EQ(KindOf({"BAD_CLOCK"}), Kind::kBadClock);
  EXPECT_EQ(KindOf({"DOUBT"}), Kind::kDoubt);
}

TEST_F(ClaimReplyTest, AReplayBringsItsAnswerAndItsExecution) {
  const SavedAnswer answer(AnswerOf("hello"));
  const auto read = Read(Said({"REPLAY", "201", std::string(kExecution), cipher.Seal(kRecord, answer)}));
  EXPECT_EQ(read->answer.kind, Kind::kReplay);
  EXPECT_EQ(read->answer.status, 201);
  EXPECT_EQ(read->answer.execution, 255U);
  EXPECT_EQ(read->answer.answer.content(), "hello");
  EXPECT_FALSE(read->undecryptable);
}

TEST_F(ClaimReplyTest, WhatCannotBeOpenedIsATombstone) {
  const auto read = Read(Said({"REPLAY", "201", std::string(kExecution), "anything"}));
  EXPECT_EQ(read->answer.kind, Kind::kTombstone);
  EXPECT_EQ(read->answer.status, 201);
  EXPECT_FALSE(read->answer.answer);
  EXPECT_TRUE(read->undecryptable);
  EXPECT_TRUE(Read(Said({"REPLAY"}))->undecryptable);
}

TEST_F(ClaimReplyTest, ARefusalToWriteDidNothing) {
  Reply reply{.kind = Reply::Kind::kError, .integer = 0, .text = "OOM command not allowed", .parts = {}};
  EXPECT_EQ(Read(reply)->answer.kind, Kind::kFull);
  reply.text = "NOREPLICAS Not enough good replicas to write.";
  EXPECT_EQ(Read(reply)->answer.kind, Kind::kRefused);
}

TEST_F(ClaimReplyTest, AnythingElseIsNotUnderstood) {
  EXPECT_FALSE(Read(Said({})));
  EXPECT_FALSE(Read(Said({"CLAIMED?"})));
  EXPECT_FALSE(Read(Said({"claimed"})));
  EXPECT_FALSE(Read({.kind = Reply::Kind::kStatus, .integer = 0, .text = "CLAIMED", .parts = {}}));
  EXPECT_FALSE(Read({.kind = Reply::Kind::kNil, .integer = 0, .text = {}, .parts = {}}));
}

}  // namespace
}  // namespace pillion::idempotency
