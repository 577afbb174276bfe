#include "sidecar/idempotency/digest.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace pillion::idempotency {
namespace {

class DigestTest : public ::testing::Test {
 protected:
  http::RequestHead Head() const {
    http::RequestHead head;
    head.method_text = "POST";
    head.authority = "payments.example";
    head.path = "/charge?a=1";
    head.headers.Add("content-type", "application/json");
    head.headers.Add("content-encoding", "gzip");
    return head;
  }
  Digest Print(const http::RequestHead& head, std::string_view body) {
    SliceQueue queue;
    queue.AppendCopy(body);
    return Fingerprint(head, queue);
  }
};

// SHA-256 of the eight bytes 00 ... 03 and "abc", by another program (printf | sha256sum).
TEST_F(DigestTest, ItIsTheBeginningOfSha256) {
  Digester digester;
  digester.Part("abc");
  EXPECT_EQ(digester.End().ToHex(), "c3494ca1a2cf8eeb8a11ded316fb55b8");
}

TEST_F(DigestTest, PartsAreToldApart) {
  std::set<std::string> seen;
  const std::vector<std::vector<std::string>> lists = {{"ab", "c"}, {"a", "bc"},     {"abc"},     {"", "abc"},
                                                       {"abc", ""}, {"a", "b", "c"}, {"", "", ""}};
  for (const auto& list : lists) {
    Digester digester;
    for (const std::string& part : list) digester.Part(part);
    seen.insert(digester.End().ToHex());
  }
  EXPECT_EQ(seen.size(), lists.size());
}

TEST_F(DigestTest, HowABodyIsCutDoesNotMatter) {
  std::string body;
  for (int i = 0; i < 50'000; ++i) body += static_cast<char>('a' + i % 26);
  const Digest whole = Print(Head(), body);
  for (const size_t piece : {size_t{1}, size_t{7}, size_t{8192}, size_t{9000}}) {
    SliceQueue queue;
    for (size_t at = 0; at < body.size(); at += piece)
      queue.Append(Slice::Copy(std::string_view(body).substr(at, piece)));
    EXPECT_EQ(Fingerprint(Head(), queue), whole) << piece;
    EXPECT_EQ(queue.bytes(), body.size());
  }
}

TEST_F(DigestTest, AllThatMakesTheRequestCounts) {
  std::set<std::string> seen;
  seen.insert(Print(Head(), "body").ToHex());
  http::RequestHead head = Head();
  head.method_text = "PATCH";
  seen.insert(Print(head, "body").ToHex());
  head = Head();
  head.authority = "payments.example:80";
  seen.insert(Print(head, "body").ToHex());
  head = Head();
  head.path = "/charge?a=2";
  seen.insert(Print(head, "body").ToHex());
  head = Head();
  head.headers.Set(http::Known::kContentType, "application/xml");
  seen.insert(Print(head, "body").ToHex());
  head = Head();
  head.headers.Remove("content-encoding");
  seen.insert(Print(head, "body").ToHex());
  seen.insert(Print(Head(), "bodz").ToHex());
  seen.insert(Print(Head(), "body ").ToHex());
  EXPECT_EQ(seen.size(), 8u);
}

TEST_F(DigestTest, WhatDiffersFromAttemptToAttemptDoesNot) {
  http::RequestHead head = Head();
  for (const char* const name : {"traceparent", "date", "user-agent", "x-request-id", "authorization"})
    head.headers.Add(name, "other");
  EXPECT_EQ(Print(head, "body"), Print(Head(), "body"));
}

TEST_F(DigestTest, ARecordIsFoundOnlyWithinItsScope) {
  const auto key = [&](const Scope& scope, std::string_view token) {
    return LookupKey(scope, token).ToHex();
  };
  const Scope scope{.domain = "d", .caller = "spiffe://a/b", .principal = "ann"};
  std::set<std::string> seen = {
      key(scope, "t"),
      key({.domain = "e", .caller = "spiffe://a/b", .principal = "ann"}, "t"),
      key({.domain = "d", .caller = "spiffe://a/c", .principal = "ann"}, "t"),
      key({.domain = "d", .caller = "spiffe://a/b", .source = KeySource::kApp, .principal = "ann"}, "t"),
      key({.domain = "d", .caller = "spiffe://a/b", .principal = "bob"}, "t"),
      key({.domain = "d", .caller = "spiffe://a/b", .principal = ""}, "t"),
      key(scope, "u"),
  };
  EXPECT_EQ(seen.size(), 7u);
  EXPECT_EQ(seen.count(key(scope, "t")), 1u) << "the same each time";
}

TEST(Digest, OnlyWhoHasNothingProvenIsNobody) {
  EXPECT_EQ(CallerOf(""), 0u);
  EXPECT_NE(CallerOf("spiffe://a/b"), 0u);
  EXPECT_NE(CallerOf("spiffe://a/b"), CallerOf("spiffe://a/c"));
}

TEST(Digest, TokensAreShownAsHashesOfTheirBytes) {
  std::array<uint8_t, 16> token{};
  for (size_t i = 0; i < token.size(); ++i) token[i] = static_cast<uint8_t>(i);
  EXPECT_EQ(HashForPeople(token), "be45cb2605bf36be");
}

}  // namespace
}  // namespace pillion::idempotency
