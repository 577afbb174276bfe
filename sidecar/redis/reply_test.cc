#include "sidecar/redis/reply.h"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

#include "sidecar/base/random.h"

namespace pillion::redis {
namespace {

using State = ReplyReader::State;

std::vector<std::string> ReadAll(ReplyReader& reader) {
  std::vector<std::string> read;
  Reply reply;
  while (true) {
    switch (reader.Next(reply)) {
      case State::kReply:
        read.push_back(std::to_string(static_cast<int>(reply.kind)) + " " + ToString(reply));
        continue;
      case State::kMore:
        return read;
      case State::kBroken:
        read.emplace_back("broken");
        return read;
    }
  }
}

std::vector<std::string> ReadCut(std::string_view bytes, size_t piece) {
  ReplyReader reader;
  std::vector<std::string> read;
  while (!bytes.empty()) {
    reader.Feed(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    for (std::string& one : ReadAll(reader)) read.push_back(std::move(one));
    if (!read.empty() && read.back() == "broken") break;
  }
  return read;
}

TEST(Command, MayHoldAnyBytes) {
  std::string out = "before";
  const std::array<std::string_view, 3> command = {"SET", {"a\0\r\n", 4}, {}};
  AppendCommand(command, out);
  EXPECT_EQ(out, std::string("before*3\r\n$3\r\nSET\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n", 35));
}

TEST(ReplyReader, ReadsAllKindsWhereverTheyAreCut) {
  const std::string bytes =
      "+OK\r\n-ERR "
      "no\r\n:-42\r\n$3\r\na\r\n\r\n$-1\r\n$0\r\n\r\n*-1\r\n*0\r\n*3\r\n$1\r\nx\r\n*2\r\n:1\r\n$-1\r\n+y\r\n:"
      "9\r\n";
  const std::vector<std::string> expected = {
      "1 OK", "2 -ERR no", "3 -42", "4 a\r\n", "0 nil", "4 ", "0 nil", "5 []", "5 [x, [1, nil], y]", "3 9"};
  for (size_t piece = 1; piece <= bytes.size(); ++piece) EXPECT_EQ(ReadCut(bytes, piece), expected) << piece;
}

TEST(ReplyReader, KnowsAnErrorByItsFirstWord) {
  ReplyReader reader;
  reader.Feed("-NOSCRIPT No matching script\r\n-NOSCRIPTS x\r\n");
  Reply reply;
  ASSERT_EQ(reader.Next(reply), State::kReply);
  EXPECT_TRUE(reply.IsError("NOSCRIPT"));
  EXPECT_FALSE(reply.IsError("NOSCRIP"));
  ASSERT_EQ(reader.Next(reply), State::kReply);
  EXPECT_FALSE(reply.IsError("NOSCRIPT"));
}

TEST(ReplyReader, BreaksAtWhatIsNoReply) {
  for (const std::string_view bytes : {"?\r\n", "%1\r\n+a\r\n+b\r\n", "$-2\r\n", "$x\r\n", ":12a\r\n",
                                       "*-2\r\n", "*99999999999\r\n", "HTTP/1.1 400 Bad Request\r\n"})
    EXPECT_EQ(ReadCut(bytes, 1), std::vector<std::string>{"broken"}) << bytes;
}

TEST(ReplyReader, StaysBroken) {
  ReplyReader reader;
  reader.Feed("?\r\n");
  Reply reply;
  EXPECT_EQ(reader.Next(reply), State::kBroken);
  reader.Feed("+OK\r\n");
  EXPECT_EQ(reader.Next(reply), State::kBroken);
  EXPECT_NE(reader.error(), "");
}

TEST(ReplyReader, TakesAReplyAsLargeAsMayBeAndNoneThatIsLarger) {
  Limits limits;
  limits.max_reply_bytes = 100;
  limits.max_reply_parts = 8;
  const auto state = [&](const std::string& bytes) {
    ReplyReader reader(limits);
    reader.Feed(bytes);
    Reply reply;
    return reader.Next(reply);
  };
  const auto text = [](size_t bytes) {
    return "$" + std::to_string(bytes) + "\r\n" + std::string(bytes, 'x') + "\r\n";
  };
  EXPECT_EQ(state(text(90)), State::kReply);
  EXPECT_EQ(state(text(101)), State::kBroken);
  EXPECT_EQ(state("*2\r\n" + text(50) + text(50)), State::kReply);
  EXPECT_EQ(state("*2\r\n" + text(50) + text(51)), State::kBroken);
  EXPECT_EQ(state("*9\r\n"), State::kBroken);
  EXPECT_EQ(state("*4\r\n*4\r\n"), State::kMore);
  EXPECT_EQ(state("*4\r\n*5\r\n"), State::kBroken);
  // It is known before its end is here.
  EXPECT_EQ(state("$100000\r\n" + std::string(80, 'x')), State::kMore);
  EXPECT_EQ(state("$100000\r\n" + std::string(101, 'x')), State::kBroken);
}

TEST(ReplyReader, MeasuresEachReplyAnew) {
  Limits limits;
  limits.max_reply_bytes = 10;
  limits.max_reply_parts = 2;
  ReplyReader reader(limits);
  Reply reply;
  for (int i = 0; i < 100; ++i) {
    reader.Feed("*2\r\n$5\r\nhello\r\n$5\r\nworld\r\n");
    ASSERT_EQ(reader.Next(reply), State::kReply);
  }
}

// What is read does not depend on how it was cut, whatever it is. Bytes are those that replies are made of.
TEST(ReplyReader, AgreesWithItselfAboutAnyBytes) {
  constexpr std::string_view kAlphabet = "+-:$*0123\r\n\r\n-1a";
  Random random(7);
  size_t broken = 0;
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes;
    const uint64_t size = Below(random.Next(), 40);
    for (uint64_t j = 0; j < size; ++j) bytes += kAlphabet[Below(random.Next(), kAlphabet.size())];
    const std::vector<std::string> whole = ReadCut(bytes, SIZE_MAX);
    ASSERT_EQ(ReadCut(bytes, 1), whole) << bytes;
    ASSERT_EQ(ReadCut(bytes, 3), whole) << bytes;
    broken += static_cast<size_t>(!whole.empty() && whole.back() == "broken");
  }
  EXPECT_GT(broken, 100U);
  EXPECT_LT(broken, 20'000U);
}

}  // namespace
}  // namespace pillion::redis
