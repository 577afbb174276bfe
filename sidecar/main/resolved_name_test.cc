#include "sidecar/main/resolved_name.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

namespace pillion {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = net::DnsAnswer::Kind;
using Use = ResolvedName::Use;

net::DnsAnswer Addresses(const std::vector<std::string>& ips, seconds ttl = seconds(0)) {
  net::DnsAnswer answer;
  answer.kind = Kind::kAddresses;
  answer.ttl = ttl;
  answer.addresses.reserve(ips.size());
  for (const std::string& ip : ips)
    answer.addresses.push_back(net::Address::Parse(ip, 0).value_or(net::Address()));
  return answer;
}
net::DnsAnswer None() {
  net::DnsAnswer answer;
  answer.kind = Kind::kNone;
  return answer;
}
net::DnsAnswer Failed(const std::string& why = "broken") {
  net::DnsAnswer answer;
  answer.failure = why;
  return answer;
}

class ResolvedNameTest : public testing::Test {
 protected:
  // Takes it; how long until the next resolution.
  time::Duration Pause(ResolvedName& name, const net::DnsAnswer& answer) {
    name.Take(answer, now_, random_);
    const time::Duration pause = name.next() - now_;
    now_ = name.next();
    return pause;
  }
  static std::vector<std::string> Ips(const ResolvedName& name) {
    std::vector<std::string> ips;
    ips.reserve(name.addresses().size());
    for (const net::Address& address : name.addresses()) ips.push_back(address.ip());
    return ips;
  }
  using Strings = std::vector<std::string>;
  config::DnsOptions options_;
  time::MonotonicTime now_{seconds(1000)};
  Random random_{7};
};

TEST_F(ResolvedNameTest, ItIsAskedForAtOnceAndThenAtItsRate) {
  options_.refresh = seconds(3);
  ResolvedName name(options_, Use::kAll);
  EXPECT_LE(name.next(), time::MonotonicTime());
  EXPECT_FALSE(name.known());
  EXPECT_EQ(Pause(name, Addresses({"10.0.0.1"}, seconds(60))), seconds(3));
  EXPECT_TRUE(name.known());
}

TEST_F(ResolvedNameTest, ATtlThatIsRespectedIsTheRate) {
  options_.respect_ttl = true;
  ResolvedName name(options_, Use::kAll);
  EXPECT_EQ(Pause(name, Addresses({"10.0.0.1"}, seconds(60))), seconds(60));
  EXPECT_EQ(Pause(name, Addresses({"10.0.0.1"}, seconds(1))), seconds(1));
  EXPECT_EQ(Pause(name, Addresses({"10.0.0.1"}, seconds(0))), seconds(5)) << "a hosts file";
  EXPECT_EQ(Pause(name, Addresses({"10.0.0.1"}, seconds(INT32_MAX))), ResolvedName::kLongestTtl);
  EXPECT_EQ(Pause(name, None()), seconds(5));
}

TEST_F(ResolvedNameTest, AFailureKeepsTheAddressesAndIsRemembered) {
  for (const Use use : {Use::kAll, Use::kFirst}) {
    ResolvedName name(options_, use);
    EXPECT_TRUE(name.Take(Addresses({"10.0.0.1"}), now_, random_));
    EXPECT_EQ(name.failure(), "");
    EXPECT_FALSE(name.Take(Failed("no answer in time"), now_ + seconds(5), random_));
    EXPECT_EQ(Ips(name), (Strings{"10.0.0.1"}));
    EXPECT_EQ(name.failure(), "no answer in time");
    EXPECT_EQ(name.failed_at(), now_ + seconds(5));
    EXPECT_FALSE(name.Take(Addresses({"10.0.0.1"}), now_ + seconds(10), random_));
    EXPECT_EQ(name.failure(), "no answer in time") << "the last one is told with its age";
    EXPECT_EQ(name.failed_at(), now_ + seconds(5));
  }
}

TEST_F(ResolvedNameTest, AFirstFailureIsKnowledgeToo) {
  ResolvedName name(options_, Use::kAll);
  EXPECT_TRUE(name.Take(Failed(), now_, random_));
  EXPECT_TRUE(name.known());
  EXPECT_TRUE(name.addresses().empty());
}

TEST_F(ResolvedNameTest, NoAddressIsAnAnswerForAllAndAFailureForTheFirst) {
  ResolvedName all(options_, Use::kAll);
  all.Take(Addresses({"10.0.0.1"}), now_, random_);
  EXPECT_TRUE(all.Take(None(), now_, random_));
  EXPECT_TRUE(all.addresses().empty());
  EXPECT_EQ(all.failure(), "");
  ResolvedName first(options_, Use::kFirst);
  first.Take(Addresses({"10.0.0.1"}), now_, random_);
  EXPECT_FALSE(first.Take(None(), now_, random_));
  EXPECT_EQ(Ips(first), (Strings{"10.0.0.1"}));
  EXPECT_EQ(first.failure(), "the name has no address");
}

TEST_F(ResolvedNameTest, AnotherOrderIsADifferenceOnlyWhereTheFirstCounts) {
  ResolvedName all(options_, Use::kAll);
  EXPECT_TRUE(all.Take(Addresses({"10.0.0.2", "10.0.0.1"}), now_, random_));
  EXPECT_EQ(all.revision(), 1u);
  EXPECT_FALSE(all.Take(Addresses({"10.0.0.1", "10.0.0.2"}), now_, random_));
  EXPECT_TRUE(all.Take(Addresses({"10.0.0.1", "10.0.0.3"}), now_, random_));
  EXPECT_EQ(all.revision(), 2u);
  ResolvedName first(options_, Use::kFirst);
  EXPECT_TRUE(first.Take(Addresses({"10.0.0.2", "10.0.0.1"}), now_, random_));
  EXPECT_EQ(Ips(first), (Strings{"10.0.0.2"}));
  EXPECT_FALSE(first.Take(Addresses({"10.0.0.2", "10.0.0.3"}), now_, random_));
  EXPECT_TRUE(first.Take(Addresses({"10.0.0.1", "10.0.0.2"}), now_, random_));
  EXPECT_EQ(Ips(first), (Strings{"10.0.0.1"}));
}

TEST_F(ResolvedNameTest, FailuresBackOffFromBaseToMaxAndASuccessEndsThat) {
  options_.backoff = config::DnsBackoff{seconds(1), seconds(6)};
  const seconds whole[] = {seconds(1), seconds(2), seconds(4), seconds(6), seconds(6)};
  for (int round = 0; round < 100; ++round) {
    ResolvedName name(options_, Use::kAll);
    for (const seconds most : whole) {
      const time::Duration pause = Pause(name, Failed());
      EXPECT_GE(pause, most / 2);
      EXPECT_LE(pause, most);
    }
    EXPECT_EQ(Pause(name, Addresses({"10.0.0.1"})), seconds(5));
    EXPECT_LE(Pause(name, Failed()), seconds(1));
  }
}

TEST_F(ResolvedNameTest, PausesBehindFailuresAreDrawn) {
  options_.backoff = config::DnsBackoff{seconds(1), seconds(1)};
  ResolvedName name(options_, Use::kAll);
  std::vector<time::Duration> pauses;
  pauses.reserve(200);
  for (int i = 0; i < 200; ++i) pauses.push_back(Pause(name, Failed()));
  EXPECT_LT(*std::ranges::min_element(pauses), milliseconds(520));
  EXPECT_GT(*std::ranges::max_element(pauses), milliseconds(980));
}

TEST_F(ResolvedNameTest, WithoutBackoffAFailureIsFollowedAtTheRate) {
  options_.refresh = seconds(2);
  ResolvedName name(options_, Use::kFirst);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(Pause(name, i % 2 == 0 ? Failed() : None()), seconds(2));
}

TEST_F(ResolvedNameTest, JitterIsAddedToEachPause) {
  options_.jitter = seconds(1);
  ResolvedName name(options_, Use::kAll);
  std::vector<time::Duration> pauses;
  pauses.reserve(200);
  for (int i = 0; i < 200; ++i)
    pauses.push_back(Pause(name, i % 2 == 0 ? Failed() : Addresses({"10.0.0.1"})));
  EXPECT_GE(*std::ranges::min_element(pauses), seconds(5));
  EXPECT_LT(*std::ranges::min_element(pauses), milliseconds(5100));
  EXPECT_LE(*std::ranges::max_element(pauses), seconds(6));
  EXPECT_GT(*std::ranges::max_element(pauses), milliseconds(5900));
}

TEST_F(ResolvedNameTest, TheLongestConfiguredPauseDoesNotOverflow) {
  constexpr auto kYears = std::chrono::hours(100 * 365 * 24);
  options_.backoff = config::DnsBackoff{kYears, kYears};
  ResolvedName name(options_, Use::kAll);
  for (int i = 0; i < 3; ++i) {
    name.Take(Failed(), now_, random_);
    EXPECT_GE(name.next(), now_ + kYears / 2);
  }
}

}  // namespace
}  // namespace pillion
