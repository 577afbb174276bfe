#include "sidecar/net/dns_resolver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/net/dns_server.h"
#include "sidecar/time/clock.h"

namespace pillion::net {
namespace {

using Kind = DnsAnswer::Kind;
using Behaviour = DnsServer::Behaviour;

class DnsResolverTest : public testing::Test {
 protected:
  DnsQuestion Question(const std::string& name, DnsFamily family) {
    return {name, family, {server_.address()}};
  }
  // Asks, and serves both until the answer is here.
  DnsAnswer Ask(const std::string& name, DnsFamily family = DnsFamily::kV4Only) {
    std::optional<DnsAnswer> answer;
    resolver_->Resolve(Question(name, family), clock_.Now(), [&](const DnsAnswer& a) { answer = a; });
    ServeUntil([&] { return answer.has_value(); });
    return answer.value_or(DnsAnswer());
  }
  template <typename Condition>
  void ServeUntil(Condition condition) {
    const time::MonotonicTime end = clock_.Now() + std::chrono::seconds(20);
    while (!condition() && clock_.Now() < end) {
      resolver_->Process(clock_.Now());
      server_.Serve();
      loop_.Wait(std::min(resolver_->Next(clock_.Now()), clock_.Now() + std::chrono::milliseconds(2)));
    }
    EXPECT_TRUE(condition());
  }
  static std::vector<std::string> Ips(const DnsAnswer& answer) {
    std::vector<std::string> ips;
    ips.reserve(answer.addresses.size());
    for (const Address& address : answer.addresses) ips.push_back(address.ip());
    return ips;
  }

  using Strings = std::vector<std::string>;
  time::SystemClock clock_;
  EpollLoop loop_{clock_};
  DnsServer server_;
  int wakes_ = 0;
  std::unique_ptr<DnsResolver> resolver_ = std::make_unique<DnsResolver>(loop_, [this] { ++wakes_; });
};

TEST_F(DnsResolverTest, ANameHasItsAddressesInTheServersOrderAndTheirTtl) {
  server_.names["a.test"] = {.addresses = {"10.0.0.9", "127.0.0.1", "10.0.0.9"}, .ttl = 77};
  const DnsAnswer answer = Ask("a.test.");
  EXPECT_EQ(answer.kind, Kind::kAddresses);
  EXPECT_EQ(Ips(answer), (Strings{"10.0.0.9", "127.0.0.1"}));
  EXPECT_EQ(answer.addresses[0].port(), 0);
  EXPECT_EQ(answer.ttl, std::chrono::seconds(77));
  EXPECT_EQ(server_.asked, (std::map<std::string, int>{{"A a.test", 1}}));
  EXPECT_EQ(resolver_->under_way(), 0u);
}

TEST_F(DnsResolverTest, AnAliasOfShorterLifeShortensThatOfItsAddresses) {
  server_.names["a.test"] = {.addresses = {"10.0.0.1"}, .ttl = 77, .alias_of = "b.test", .alias_ttl = 5};
  const DnsAnswer answer = Ask("a.test.");
  EXPECT_EQ(Ips(answer), (Strings{"10.0.0.1"}));
  EXPECT_EQ(answer.ttl, std::chrono::seconds(5));
}

TEST_F(DnsResolverTest, FamiliesAreAskedForAsTheQuestionSays) {
  server_.names["both.test"] = {.addresses = {"10.0.0.1", "fd00::1"}};
  server_.names["four.test"] = {.addresses = {"10.0.0.4"}};
  server_.names["six.test"] = {.addresses = {"fd00::6"}};
  const struct {
    DnsFamily family;
    Strings both, four, six;
  } cases[] = {
      {DnsFamily::kAuto, {"fd00::1"}, {"10.0.0.4"}, {"fd00::6"}},
      {DnsFamily::kV4Only, {"10.0.0.1"}, {"10.0.0.4"}, {}},
      {DnsFamily::kV6Only, {"fd00::1"}, {}, {"fd00::6"}},
      {DnsFamily::kV4Preferred, {"10.0.0.1"}, {"10.0.0.4"}, {"fd00::6"}},
      {DnsFamily::kAll, {"10.0.0.1", "fd00::1"}, {"10.0.0.4"}, {"fd00::6"}},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(static_cast<int>(one.family));
    EXPECT_EQ(Ips(Ask("both.test.", one.family)), one.both);
    EXPECT_EQ(Ips(Ask("four.test.", one.family)), one.four);
    const DnsAnswer six = Ask("six.test.", one.family);
    EXPECT_EQ(Ips(six), one.six);
    EXPECT_EQ(six.kind, one.six.empty() ? Kind::kNone : Kind::kAddresses);
  }
}

TEST_F(DnsResolverTest, WhatTheFirstFamilyHasSparesTheSecondQuestion) {
  server_.names["both.test"] = {.addresses = {"10.0.0.1", "fd00::1"}};
  Ask("both.test.", DnsFamily::kAuto);
  EXPECT_EQ(server_.asked, (std::map<std::string, int>{{"AAAA both.test", 1}}));
}

TEST_F(DnsResolverTest, ANameThatIsNotThereHasNoAddressAndThatIsNoFailure) {
  server_.names["empty.test"] = {};
  for (const char* name : {"missing.test.", "empty.test."}) {
    const DnsAnswer answer = Ask(name, DnsFamily::kAuto);
    EXPECT_EQ(answer.kind, Kind::kNone) << name;
    EXPECT_EQ(answer.failure, "");
  }
}

TEST_F(DnsResolverTest, AServersFailureIsNotAnAbsence) {
  server_.names["broken.test"] = {.addresses = {}, .behaviour = Behaviour::kServerFailure};
  const DnsAnswer answer = Ask("broken.test.", DnsFamily::kAuto);
  EXPECT_EQ(answer.kind, Kind::kFailed);
  EXPECT_EQ(answer.failure, "no server could be asked, or each of them failed");
}

TEST_F(DnsResolverTest, AServerThatKnowsNothingOfIpv6DoesNotCostItsIpv4Addresses) {
  server_.names["half.test"] = {.addresses = {"10.0.0.1"}, .ipv6_behaviour = Behaviour::kServerFailure};
  for (const DnsFamily family : {DnsFamily::kAuto, DnsFamily::kAll}) {
    const DnsAnswer answer = Ask("half.test.", family);
    EXPECT_EQ(answer.kind, Kind::kAddresses);
    EXPECT_EQ(Ips(answer), (Strings{"10.0.0.1"}));
    EXPECT_EQ(answer.failure, "");
  }
}

TEST_F(DnsResolverTest, HalfAnAnswerIsNotAnAbsence) {  // no IPv6 address, and IPv4 unknown
  server_.names["half.test"] = {.addresses = {}, .behaviour = Behaviour::kServerFailure};
  server_.names["half.test"].ipv6_behaviour = Behaviour::kAnswer;
  EXPECT_EQ(Ask("half.test.", DnsFamily::kV4Preferred).kind, Kind::kFailed);
}

TEST_F(DnsResolverTest, WhatIsTooLongForUdpComesOverTcp) {
  Strings many;
  many.reserve(100);
  for (int i = 1; i <= 100; ++i) many.push_back("10.0.1." + std::to_string(i));
  server_.names["long.test"] = {.addresses = many, .behaviour = Behaviour::kTruncateOverUdp};
  EXPECT_EQ(Ips(Ask("long.test.")), many);
  EXPECT_EQ(server_.over_tcp, 1);
}

TEST_F(DnsResolverTest, MoreAddressesThanAnyNameNeedsAreLeftOut) {
  Strings many;
  many.reserve(300);
  for (int i = 0; i < 300; ++i)
    many.push_back("10.0." + std::to_string(i / 200) + "." + std::to_string(1 + i % 200));
  server_.names["flood.test"] = {.addresses = many, .behaviour = Behaviour::kTruncateOverUdp};
  const DnsAnswer answer = Ask("flood.test.");
  EXPECT_EQ(answer.addresses.size(), kMaxAddressesPerName);
  EXPECT_EQ(answer.left_out, 300 - kMaxAddressesPerName);
}

TEST_F(DnsResolverTest, AServerThatNeverAnswersIsGivenUpInTime) {
  server_.names["silent.test"] = {.addresses = {}, .behaviour = Behaviour::kSilent};
  std::optional<DnsAnswer> answer;
  const time::MonotonicTime begin = clock_.Now();
  resolver_->Resolve(Question("silent.test.", DnsFamily::kV4Only), begin,
                     [&](const DnsAnswer& a) { answer = a; });
  ServeUntil([&] { return server_.asked["A silent.test"] > 0; });
  EXPECT_LE(resolver_->Next(clock_.Now()), clock_.Now() + std::chrono::milliseconds(2100));
  resolver_->Process(begin + DnsResolver::kLongestLookup - std::chrono::milliseconds(1));
  EXPECT_FALSE(answer.has_value());
  resolver_->Process(begin + DnsResolver::kLongestLookup);
  EXPECT_EQ(answer.value_or(DnsAnswer()).kind, Kind::kFailed);
  EXPECT_EQ(answer.value_or(DnsAnswer()).failure, "no answer in time");
}

TEST_F(DnsResolverTest, AtTheDeadlineWhatOneFamilyHasBroughtIsTheAnswer) {
  server_.names["slow.test"] = {.addresses = {"10.0.0.1"}, .ipv6_behaviour = Behaviour::kSilent};
  std::optional<DnsAnswer> answer;
  const time::MonotonicTime begin = clock_.Now();
  resolver_->Resolve(Question("slow.test.", DnsFamily::kAll), begin, [&](const DnsAnswer& a) { answer = a; });
  ServeUntil([&] { return server_.asked["A slow.test"] > 0; });
  for (int i = 0; i < 20; ++i) {  // that answer is read
    loop_.Wait(clock_.Now() + std::chrono::milliseconds(2));
    resolver_->Process(begin);
  }
  EXPECT_FALSE(answer.has_value());
  resolver_->Process(begin + DnsResolver::kLongestLookup);
  EXPECT_EQ(Ips(answer.value_or(DnsAnswer())), (Strings{"10.0.0.1"}));
}

TEST_F(DnsResolverTest, AServerThatIsNotThereIsAFailureAtOnce) {
  std::optional<DnsAnswer> answer;
  Address nobody;
  {
    const DnsServer gone;
    nobody = gone.address();
  }
  resolver_->Resolve({"a.test.", DnsFamily::kV4Only, {nobody}}, clock_.Now(),
                     [&](const DnsAnswer& a) { answer = a; });
  ServeUntil([&] { return answer.has_value(); });
  EXPECT_EQ(answer.value_or(DnsAnswer()).kind, Kind::kFailed);
}

TEST_F(DnsResolverTest, TheHostsFileIsReadWithoutAnyServer) {
  const DnsAnswer answer = Ask("localhost");
  EXPECT_EQ(Ips(answer), (Strings{"127.0.0.1"}));
  EXPECT_TRUE(server_.asked.empty());
}

TEST_F(DnsResolverTest, LookupsUnderWayMayEndWithTheResolver) {
  server_.names["silent.test"] = {.addresses = {}, .behaviour = Behaviour::kSilent};
  server_.names["tcp.test"] = {.addresses = {}, .behaviour = Behaviour::kTruncateOverUdp};
  int told = 0;
  for (const DnsFamily family : {DnsFamily::kAuto, DnsFamily::kAll, DnsFamily::kV4Only}) {
    resolver_->Resolve(Question("silent.test.", family), clock_.Now(), [&](const DnsAnswer&) { ++told; });
  }
  resolver_->Resolve(Question("tcp.test.", DnsFamily::kV4Only), clock_.Now(),
                     [&](const DnsAnswer&) { ++told; });
  ServeUntil([&] { return server_.asked["A silent.test"] == 2 && server_.asked["A tcp.test"] == 1; });
  resolver_->Resolve(Question("never-begun.test.", DnsFamily::kAuto), clock_.Now(),
                     [&](const DnsAnswer&) { ++told; });
  resolver_.reset();
  EXPECT_EQ(told, 0);
}

TEST_F(DnsResolverTest, WhoIsToldMayAskAgain) {
  server_.names["a.test"] = {.addresses = {"10.0.0.1"}};
  int told = 0;
  const std::function<void(const DnsAnswer&)> again = [&](const DnsAnswer&) {
    if (++told < 3) resolver_->Resolve(Question("a.test.", DnsFamily::kV4Only), clock_.Now(), again);
  };
  again({});
  ServeUntil([&] { return told == 3; });
  EXPECT_EQ(server_.asked["A a.test"], 2);
}

TEST_F(DnsResolverTest, ManyLookupsTakeTurns) {
  int told = 0;
  for (size_t i = 0; i < DnsResolver::kMaxLookupsAtOnce + 50; ++i) {
    const std::string name = "n" + std::to_string(i) + ".test";
    server_.names[name] = {.addresses = {"10.0.0.1"}};
    resolver_->Resolve(Question(name + ".", DnsFamily::kV4Only), clock_.Now(),
                       [&](const DnsAnswer& answer) { told += answer.kind == Kind::kAddresses ? 1 : 0; });
  }
  resolver_->Process(clock_.Now());
  server_.Serve();
  EXPECT_EQ(server_.asked.size(), DnsResolver::kMaxLookupsAtOnce);
  ServeUntil([&] { return resolver_->under_way() == 0; });
  EXPECT_EQ(told, static_cast<int>(DnsResolver::kMaxLookupsAtOnce + 50));
}

TEST_F(DnsResolverTest, NothingIsLeftOpenBehindAnAnswer) {
  server_.names["a.test"] = {.addresses = {"10.0.0.1"}};
  Ask("a.test.");
  EXPECT_EQ(resolver_->Next(clock_.Now()), time::MonotonicTime::max());
  wakes_ = 0;
  loop_.Wait(clock_.Now());
  EXPECT_EQ(wakes_, 0);
}

}  // namespace
}  // namespace pillion::net
