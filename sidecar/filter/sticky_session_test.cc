#include "sidecar/filter/sticky_session.h"

#include <gtest/gtest.h>

#include <string>

#include "sidecar/filter/base64.h"

namespace pillion::filter {
namespace {

using std::chrono::seconds;

constexpr time::WallTime kNow(seconds(1'700'000'000));

net::Address At(const std::string& ip, uint16_t port) {
  return net::Address::Parse(ip, port).value_or(net::Address());
}
std::string Base64(std::string_view text) {
  std::string value;
  Base64Encoder encoder;
  encoder.Feed(text, value);
  encoder.Flush(value);
  return value;
}
std::string Read(std::string_view value, time::WallTime now = kNow) {
  const auto address = ReadStickyValue(value, now);
  return address ? address->ToString() : "none";
}

TEST(StickySessionTest, AValueIsTheAddressInBase64) {
  EXPECT_EQ(StickyValue(At("1.2.3.4", 80), seconds(0), kNow), Base64("1.2.3.4:80"));
  EXPECT_EQ(StickyValue(At("::1", 80), seconds(0), kNow), Base64("[::1]:80"));
  EXPECT_EQ(StickyValue(At("1.2.3.4", 80), seconds(60), kNow), Base64("1.2.3.4:80;1700000060"));
}

TEST(StickySessionTest, WhatWasWrittenIsRead) {
  for (const char* ip : {"1.2.3.4", "255.255.255.255", "::1", "2001:db8::ffff:1:2"}) {
    for (const uint16_t port : {1, 80, 65535}) {
      const net::Address address = At(ip, port);
      EXPECT_EQ(Read(StickyValue(address, seconds(0), kNow)), address.ToString());
      EXPECT_EQ(Read(StickyValue(address, seconds(9), kNow)), address.ToString());
    }
  }
  EXPECT_EQ(Read("MS4yLjMuNDo4MA"), "1.2.3.4:80") << "the padding may be lost";
}

TEST(StickySessionTest, ASessionEndsWhenItsTimeIsOver) {
  const std::string value =
      StickyValue(At("1.2.3.4", 80), seconds(60), kNow + std::chrono::milliseconds(900));
  EXPECT_EQ(Read(value, kNow + seconds(59)), "1.2.3.4:80");
  EXPECT_EQ(Read(value, kNow + seconds(60)), "none");
  EXPECT_EQ(Read(value, kNow + seconds(1'000'000)), "none");
}

TEST(StickySessionTest, WhatIsNoValueIsNoSession) {
  for (const std::string& text :
       {std::string(), std::string("1.2.3.4"), std::string("1.2.3.4:"), std::string(":80"),
        std::string("a.example:80"), std::string("1.2.3.4:65536"), std::string("1.2.3.4:-1"),
        std::string("1.2.3.4:80 "), std::string("1.2.3.4:+80"), std::string("1.2.3.4:80;"),
        std::string("1.2.3.4:80;x"), std::string("1.2.3.4:80;-1"),
        std::string("1.2.3.4:80;99999999999999999999"), std::string("1.2.3.4:80;9999999999;1"),
        std::string("\0\0\0\0", 4), std::string(200, 'x'), std::string("[1.2.3.4:80"),
        std::string("[::1:80")}) {
    EXPECT_EQ(Read(Base64(text)), "none") << text;
  }
  for (const char* value : {"", "=", "====", "1.2.3.4:80", "MS4yLjMuNDo4MA=x", "%%%%"}) {
    EXPECT_EQ(Read(value), "none") << value;
  }
  // However much there is of it.
  EXPECT_EQ(Read(Base64("1.2.3.4:80;" + std::string(80, '0') + "9999999999")), "none");
}

std::string Told(const config::StickySession& terms, std::optional<net::Address> asked,
                 std::string_view name) {
  http::HeaderList response;
  response.Add("X-Session", "the app's");
  StickySession{&terms, asked}.Tell(At("1.2.3.4", 80), kNow, response);
  const auto value = response.Find(name);
  EXPECT_LE(response.size(), 2u);
  return value ? std::string(*value) : "none";
}

TEST(StickySessionTest, AClientIsToldOfAnotherEndpointThanItAskedFor) {
  config::StickySession cookie{.name = "s", .attributes = "; Path=/a; HttpOnly"};
  const std::string value = Base64("1.2.3.4:80");
  EXPECT_EQ(Told(cookie, std::nullopt, "set-cookie"), "s=" + value + "; Path=/a; HttpOnly");
  EXPECT_EQ(Told(cookie, At("1.2.3.4", 81), "set-cookie"), "s=" + value + "; Path=/a; HttpOnly");
  EXPECT_EQ(Told(cookie, At("1.2.3.4", 80), "set-cookie"), "none");
  cookie.ttl = seconds(60);
  EXPECT_EQ(Told(cookie, std::nullopt, "set-cookie"),
            "s=" + Base64("1.2.3.4:80;1700000060") + "; Path=/a; HttpOnly");
}

TEST(StickySessionTest, AFieldTakesThePlaceOfTheAppsOwn) {
  const config::StickySession header{.kind = config::StickySession::Kind::kHeader, .name = "x-session"};
  EXPECT_EQ(Told(header, std::nullopt, "x-session"), Base64("1.2.3.4:80"));
  EXPECT_EQ(Told(header, At("1.2.3.4", 80), "x-session"), "the app's");
  EXPECT_EQ(Told(header, std::nullopt, "set-cookie"), "none");
}

TEST(StickySessionTest, OnlyWhoHasAnEndpointCanInsistOnIt) {
  const config::StickySession strict{.name = "s", .strict = true};
  const config::StickySession loose{.name = "s"};
  EXPECT_TRUE((StickySession{&strict, At("1.2.3.4", 80)}.strict()));
  EXPECT_FALSE((StickySession{&strict, std::nullopt}.strict()));
  EXPECT_FALSE((StickySession{&loose, At("1.2.3.4", 80)}.strict()));
}

}  // namespace
}  // namespace pillion::filter
