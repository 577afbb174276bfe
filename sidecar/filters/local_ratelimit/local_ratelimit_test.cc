#include "sidecar/filters/local_ratelimit/local_ratelimit.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/filter/filter_drive.h"
#include "sidecar/ledger/limiter.h"

namespace pillion::filters {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = config::RateLimit::Action::Kind;

config::Limit LimitOf(uint32_t tokens, time::Duration token) {
  config::Limit limit{.max_tokens = tokens, .token = token};
  limit.holder->limiter =
      std::make_shared<ledger::Limiter>(ledger::BucketShape{.max_tokens = tokens, .token = token}, 64);
  return limit;
}
config::RateLimit All(uint32_t tokens, time::Duration token = seconds(10)) {
  config::RateLimit policy;
  policy.limit = LimitOf(tokens, token);
  policy.counted = policy.enforced = {100, 100};
  return policy;
}
// Plenty for all, and one request for each client.
config::RateLimit Each(std::vector<config::RateLimit::Action> rule) {
  config::RateLimit policy = All(100);
  std::vector<config::RateLimit::Entry> entries;
  entries.reserve(rule.size());
  for (const auto& action : rule) entries.push_back({action.key, ""});
  policy.rules = {std::move(rule)};
  policy.descriptors.push_back({std::move(entries), LimitOf(1, seconds(10))});
  return policy;
}

class LocalRateLimitTest : public ::testing::Test {
 protected:
  filter::FilterDrive Drive(config::RateLimit policy) {
    return {filter_, config::FilterKind::kLocalRateLimit, std::move(policy)};
  }
  // Whether a request of the client that `ask` describes passes.
  template <typename Ask>
  bool Passes(const config::RateLimit& policy, Ask ask) {
    auto drive = Drive(policy);
    ask(drive);
    drive.Request("", 0);
    return !drive.refused;
  }
  bool PassesWith(const config::RateLimit& policy, const std::string& name, const std::string& value) {
    return Passes(policy, [&](auto& drive) { drive.head.headers.Add(name, value); });
  }
  LocalRateLimit filter_;
};

TEST_F(LocalRateLimitTest, WhatIsBeyondIsRefusedUntilThereIsATokenAgain) {
  auto drive = Drive(All(2));
  for (int i = 0; i < 2; ++i) {
    drive.Request("body", 0);
    EXPECT_EQ(drive.sent, "body");
  }
  drive.Request("body", 0);
  ASSERT_TRUE(drive.refused);
  EXPECT_EQ(drive.refusal->status, 429);
  EXPECT_EQ(drive.refusal->grpc_status, 14);
  EXPECT_EQ(drive.refusal->error.kind, ErrorKind::kRateLimited);
  EXPECT_EQ(drive.refusal->error.outcome, Outcome::kAnswered) << "nobody is told to try again";
  EXPECT_EQ(drive.refusal->fields.Find("x-envoy-ratelimited"), "true");
  EXPECT_EQ(drive.refusal->fields.size(), 1u);
  EXPECT_EQ(drive.stats->rate_limited.value(), 1u);
  drive.now += seconds(10);
  drive.Request("body", 0);
  EXPECT_FALSE(drive.refused);
  EXPECT_EQ(drive.state.chain, nullptr) << "its answer is nobody's";
}

TEST_F(LocalRateLimitTest, ARefusalSaysWhenToComeAgain) {
  config::RateLimit policy = All(2);
  policy.tell_left = policy.tell_retry_after = true;
  policy.status = 503;
  policy.grpc_status = 8;
  auto drive = Drive(policy);
  drive.Request("", 0);
  drive.Request("", 0);
  drive.now += milliseconds(2500);
  drive.Request("", 0);
  ASSERT_TRUE(drive.refused);
  EXPECT_EQ(drive.refusal->status, 503);
  EXPECT_EQ(drive.refusal->grpc_status, 8);
  const http::HeaderList& fields = drive.refusal->fields;
  EXPECT_EQ(fields.Find("retry-after"), "8");  // 7.5 s
  for (const std::string prefix : {"ratelimit-", "x-ratelimit-"}) {
    EXPECT_EQ(fields.Find(prefix + "limit"), "2");
    EXPECT_EQ(fields.Find(prefix + "remaining"), "0");
    EXPECT_EQ(fields.Find(prefix + "reset"), "18");  // 17.5 s
  }
}

TEST_F(LocalRateLimitTest, AnAnswerSaysWhatIsLeft) {
  config::RateLimit policy = All(5);
  policy.tell_left = true;
  auto drive = Drive(policy);
  drive.Request("body", 0);
  drive.Response(200, {}, "answer", 0);
  EXPECT_EQ(drive.received, "answer");
  EXPECT_EQ(drive.ResponseField("ratelimit-limit"), "5");
  EXPECT_EQ(drive.ResponseField("ratelimit-remaining"), "4");
  EXPECT_EQ(drive.ResponseField("ratelimit-reset"), "10");
  EXPECT_EQ(drive.ResponseField("retry-after"), "(none)");
}

TEST_F(LocalRateLimitTest, WhatIsNotEnforcedOnlyCounts) {
  config::RateLimit policy = All(1);
  policy.enforced = {0, 100};
  auto drive = Drive(policy);
  drive.Request("", 0);
  drive.Request("", 0);
  EXPECT_FALSE(drive.refused);
  EXPECT_EQ(drive.stats->rate_limit_overrun.value(), 1u);
  // What is not counted takes no tokens.
  policy = All(1);
  policy.counted = {0, 100};
  auto other = Drive(policy);
  for (int i = 0; i < 5; ++i) other.Request("", 0);
  EXPECT_FALSE(other.refused);
  EXPECT_EQ(other.stats->rate_limit_overrun.value(), 0u);
  EXPECT_TRUE(policy.limit->holder->limiter->Take(other.now).granted);
}

TEST_F(LocalRateLimitTest, ClientsAreToldApartByAField) {
  const auto policy = Each({{.kind = Kind::kField, .key = "user", .text = "x-user"}});
  EXPECT_TRUE(PassesWith(policy, "X-User", "ann"));
  EXPECT_FALSE(PassesWith(policy, "x-user", "ann"));
  EXPECT_TRUE(PassesWith(policy, "x-user", "bob"));
  // Without it, the limit of all is left.
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(PassesWith(policy, "x-other", "ann"));
}

TEST_F(LocalRateLimitTest, ClientsAreToldApartByAddressWithoutItsPort) {
  const auto policy = Each({{.kind = Kind::kClientAddress, .key = "remote_address", .text = ""}});
  const auto from = [&](const char* host, uint16_t port) {
    return Passes(
        policy, [&](auto& drive) { drive.peer = net::Address::Parse(host, port).value_or(net::Address()); });
  };
  EXPECT_TRUE(from("192.0.2.1", 1000));
  EXPECT_FALSE(from("192.0.2.1", 2000));
  EXPECT_TRUE(from("192.0.2.2", 1000));
  EXPECT_TRUE(from("2001:db8::1", 1000));
  EXPECT_FALSE(from("2001:db8::1", 1001));
}

TEST_F(LocalRateLimitTest, ClientsAreToldApartByProvenIdentity) {
  const auto policy = Each({{.kind = Kind::kPeerIdentity, .key = "peer_identity", .text = ""}});
  const auto as = [&](const std::string& uri, bool verified) {
    net::Security security;
    security.has_peer_certificate = true;
    security.peer_certificate.uri_names = {uri};
    security.peer_certificate.verified = verified;
    return Passes(policy, [&](auto& drive) { drive.security = &security; });
  };
  EXPECT_TRUE(as("spiffe://a/b", true));
  EXPECT_FALSE(as("spiffe://a/b", true));
  EXPECT_TRUE(as("spiffe://a/c", true));
  // What is not proven is no identity.
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(as("spiffe://a/b", false));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(Passes(policy, [](auto&) {}));
}

TEST_F(LocalRateLimitTest, SeveralValuesMakeOneClient) {
  const auto policy = Each(
      {{.kind = Kind::kField, .key = "a", .text = "x-a"}, {.kind = Kind::kField, .key = "b", .text = "x-b"}});
  const auto pass = [&](const char* a, const char* b) {
    return Passes(policy, [&](auto& drive) {
      drive.head.headers.Add("x-a", a);
      drive.head.headers.Add("x-b", b);
    });
  };
  EXPECT_TRUE(pass("1:1", "x"));
  EXPECT_FALSE(pass("1:1", "x"));
  EXPECT_TRUE(pass("1", "1x"));
  EXPECT_TRUE(pass("", "")) << "no entries, no descriptor";
}

TEST_F(LocalRateLimitTest, ANamedValueHasItsOwnLimit) {
  config::RateLimit policy = All(100);
  policy.rules = {{{.kind = Kind::kField, .key = "user", .text = "x-user"}}};
  policy.descriptors.push_back({{{"user", "ann"}}, LimitOf(2, seconds(10))});
  EXPECT_TRUE(PassesWith(policy, "x-user", "ann"));
  EXPECT_TRUE(PassesWith(policy, "x-user", "ann"));
  EXPECT_FALSE(PassesWith(policy, "x-user", "ann"));
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(PassesWith(policy, "x-user", "bob"));
}

TEST_F(LocalRateLimitTest, ADescribedRequestTakesFromTheLimitOfAllToo) {
  config::RateLimit policy = Each({{.kind = Kind::kField, .key = "user", .text = "x-user"}});
  policy.limit = LimitOf(2, seconds(10));
  EXPECT_TRUE(PassesWith(policy, "x-user", "a"));
  EXPECT_FALSE(PassesWith(policy, "x-user", "a")) << "refused: it takes nothing from the others";
  EXPECT_TRUE(PassesWith(policy, "x-user", "b"));
  EXPECT_FALSE(PassesWith(policy, "x-user", "c"));
  policy.always_common = false;
  EXPECT_TRUE(PassesWith(policy, "x-user", "d"));
  EXPECT_FALSE(PassesWith(policy, "x-other", "e")) << "nothing describes it";
}

TEST_F(LocalRateLimitTest, ForgottenClientsAreCounted) {
  const auto policy = Each({{.kind = Kind::kField, .key = "user", .text = "x-user"}});
  uint64_t forgotten = 0;
  for (int i = 0; i < 99; ++i) {
    auto drive = Drive(policy);
    drive.head.headers.Add("x-user", std::to_string(i));
    drive.Request("", 0);
    forgotten += drive.stats->rate_limit_forgotten.value();
  }
  EXPECT_GE(forgotten, 35u);
  EXPECT_LE(policy.descriptors[0].limit.holder->limiter->clients(), 64u);
}

TEST_F(LocalRateLimitTest, WhereNoLimitIsStatedNothingHappens) {
  config::RateLimit policy;
  policy.counted = policy.enforced = {100, 100};
  EXPECT_TRUE(Passes(policy, [](auto&) {}));
}

}  // namespace
}  // namespace pillion::filters
