#include "sidecar/idempotency/hello.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "sidecar/base/random.h"

namespace pillion::idempotency {
namespace {

Hello Any(Random& random, size_t domains) {
  Hello hello;
  for (uint8_t& byte : hello.incarnation) byte = static_cast<uint8_t>(random.Next());
  for (size_t i = 0; i < domains; ++i)
    hello.domains.push_back({random.Next() | 1, DomainTime(static_cast<int64_t>(random.Next() >> 16))});
  return hello;
}

TEST(Hello, IsReadAsItWasWritten) {
  Random random(1);
  for (size_t domains = 0; domains <= kMaxDomains; ++domains) {
    const Hello hello = Any(random, domains);
    EXPECT_EQ(DecodeHello(Encode(hello)), hello);
    for (const Hello::Domain& domain : hello.domains) EXPECT_EQ(*hello.Find(domain.id), domain);
    EXPECT_EQ(hello.Find(2), nullptr);
  }
}

// Sidecars of different versions speak it to each other: it stays as it is.
TEST(Hello, HasTheseBytes) {
  Hello hello;
  for (size_t i = 0; i < hello.incarnation.size(); ++i) hello.incarnation[i] = static_cast<uint8_t>(i);
  hello.domains.push_back({0x0102030405060708, DomainTime(0x0A0B0C0D0E0F)});
  const std::string bytes(
      "\1\0\1\2\3\4\5\6\7\x08\x09\x0A\x0B\x0C\x0D\x0E\x0F"
      "\1\2\3\4\5\6\7\x08\0\0\x0A\x0B\x0C\x0D\x0E\x0F",
      33);
  EXPECT_EQ(Encode(hello), bytes);
}

TEST(Hello, WhatIsNoneSaysNothing) {
  Random random(2);
  const std::string good = Encode(Any(random, 3));
  for (size_t size = 0; size < good.size(); ++size)
    EXPECT_EQ(DecodeHello(good.substr(0, size)).has_value(), size >= 17 && (size - 17) % 16 == 0) << size;
  EXPECT_FALSE(DecodeHello(good + "x"));
  EXPECT_FALSE(DecodeHello(Encode(Any(random, kMaxDomains + 1))));
  std::string other = good;
  other[0] = 2;
  EXPECT_FALSE(DecodeHello(other)) << "another version";
  other = good;
  std::fill_n(other.begin() + 17, 8, '\0');
  EXPECT_FALSE(DecodeHello(other)) << "no domain";
  other = good;
  other[25] = '\1';
  EXPECT_FALSE(DecodeHello(other)) << "a time that no token can say";
}

TEST(Hello, AnyBytesAreReadOrRefused) {
  Random random(3);
  int read = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string bytes(Below(random.Next(), 70), '\0');
    for (char& byte : bytes) byte = static_cast<char>(random.Next() >> (random.Next() % 64));
    if (!bytes.empty() && random.Percent(90)) bytes[0] = 1;
    const auto hello = DecodeHello(bytes);
    if (!hello) continue;
    ++read;
    ASSERT_EQ(Encode(*hello), bytes);
  }
  EXPECT_GT(read, 100);
}

TEST(Hello, AClockGoesOnFromWhenItWasHeard) {
  const HeardHello heard{{{}, {{1, DomainTime(5000)}}}, time::MonotonicTime(std::chrono::seconds(10))};
  const auto clock = [&](std::chrono::nanoseconds now) {
    return heard.Clock(heard.hello.domains[0], time::MonotonicTime(now)).count();
  };
  EXPECT_EQ(clock(std::chrono::seconds(10)), 5000);
  EXPECT_EQ(clock(std::chrono::microseconds(11'500'900)), 6500);
}

TEST(Hello, NamesAreReadAsTheyAreWritten) {
  Random random(4);
  for (int i = 0; i < 1000; ++i) {
    const Hello hello = Any(random, 1);
    EXPECT_EQ(ParseIncarnation(ToHex(hello.incarnation)), hello.incarnation);
    EXPECT_EQ(ParseDomainId(ToHex(hello.domains[0].id)), hello.domains[0].id);
  }
  EXPECT_EQ(ToHex(DomainId{0xABC}), "0000000000000abc");
  for (const char* const bad :
       {"", "0000000000000abC", "0000000000000ab", "0000000000000abcd", "000000000000 abc"})
    EXPECT_FALSE(ParseDomainId(bad)) << bad;
  EXPECT_FALSE(ParseIncarnation("0000000000000abc"));
}

}  // namespace
}  // namespace pillion::idempotency
