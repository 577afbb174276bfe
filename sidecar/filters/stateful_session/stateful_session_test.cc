#include "sidecar/filters/stateful_session/stateful_session.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sidecar/filter/filter_drive.h"
#include "sidecar/filter/sticky_session.h"

namespace pillion::filters {
namespace {

using std::chrono::seconds;

const net::Address kEndpoint = net::Address::Parse("1.2.3.4", 80).value_or(net::Address());
constexpr time::WallTime kNow(seconds(1'700'000'000));

std::string Value(seconds ttl = seconds(0)) { return filter::StickyValue(kEndpoint, ttl, kNow); }

config::StickySession Terms(config::StickySession::Kind kind) { return {.kind = kind, .name = "s"}; }
config::StickySession Cookie() { return Terms(config::StickySession::Kind::kCookie); }
config::StickySession Header() { return Terms(config::StickySession::Kind::kHeader); }

// "off": the request has nothing to do with sessions; "new": it begins one; else where its own is.
std::string Asked(config::FilterOptions options, const std::vector<filter::Field>& fields,
                  time::WallTime now = kNow) {
  const StatefulSession filter;
  filter::FilterDrive drive(filter, config::FilterKind::kStatefulSession, std::move(options));
  drive.wall = now;
  for (const auto& field : fields) drive.head.headers.Add(field.name, field.value);
  drive.Request("body", 0);
  EXPECT_EQ(drive.sent, "body");
  EXPECT_EQ(drive.state.chain, nullptr) << "it has no use for content";
  const auto& session = *drive.session;
  if (!session) return "off";
  return session->endpoint ? session->endpoint->ToString() : "new";
}

TEST(StatefulSessionTest, TheCookieSaysWhere) {
  EXPECT_EQ(Asked(Cookie(), {{"Cookie", "s=" + Value()}}), "1.2.3.4:80");
  EXPECT_EQ(Asked(Cookie(), {{"cookie", "a=b; s=\"" + Value() + "\"; c=d"}}), "1.2.3.4:80");
  EXPECT_EQ(Asked(Cookie(), {{"cookie", "a=b"}, {"cookie", "s=" + Value()}}), "1.2.3.4:80");
  EXPECT_EQ(Asked(Cookie(), {}), "new");
  EXPECT_EQ(Asked(Cookie(), {{"cookie", "ss=" + Value()}}), "new");
  EXPECT_EQ(Asked(Cookie(), {{"cookie", "S=" + Value()}}), "new") << "case matters";
  EXPECT_EQ(Asked(Cookie(), {{"s", Value()}}), "new");
  EXPECT_EQ(Asked(Cookie(), {{"cookie", "s=bogus"}}), "new");
}

TEST(StatefulSessionTest, TheFieldSaysWhere) {
  EXPECT_EQ(Asked(Header(), {{"S", Value()}}), "1.2.3.4:80");
  EXPECT_EQ(Asked(Header(), {}), "new");
  EXPECT_EQ(Asked(Header(), {{"cookie", "s=" + Value()}}), "new");
  EXPECT_EQ(Asked(Header(), {{"s", "bogus"}}), "new");
}

TEST(StatefulSessionTest, WhatIsOverIsNone) {
  const std::vector<filter::Field> fields = {{"cookie", "s=" + Value(seconds(10))}};
  EXPECT_EQ(Asked(Cookie(), fields, kNow + seconds(9)), "1.2.3.4:80");
  EXPECT_EQ(Asked(Cookie(), fields, kNow + seconds(10)), "new");
}

TEST(StatefulSessionTest, WithoutTermsThereAreNone) {
  EXPECT_EQ(Asked(config::Present{}, {{"cookie", "s=" + Value()}}), "off");
}

}  // namespace
}  // namespace pillion::filters
