#include "sidecar/main/dns_keeper.h"

#include <gtest/gtest.h>

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/testing/sim_network.h"

namespace pillion {
namespace {

using std::chrono::seconds;
using Kind = net::DnsAnswer::Kind;
using Strings = std::vector<std::string>;

class DnsKeeperTest : public ::testing::Test {
 protected:
  struct Asked {
    net::DnsQuestion question;
    std::function<void(const net::DnsAnswer&)> done;
  };
  using Clusters = std::vector<std::shared_ptr<const config::Cluster>>;

  static std::shared_ptr<config::Cluster> Cluster(
      const std::string& name, const Strings& hosts,
      config::Cluster::Discovery discovery = config::Cluster::Discovery::kStrictDns) {
    auto cluster = std::make_shared<config::Cluster>();
    cluster->name = name;
    cluster->discovery = discovery;
    cluster->dns.respect_ttl = true;
    auto assignment = std::make_shared<config::Assignment>();
    assignment->name = name;
    uint16_t port = 80;
    assignment->names.reserve(hosts.size());
    for (const std::string& host : hosts) {
      config::NamedEndpoint named;
      named.host = host;
      named.port = port++;
      named.endpoint.weight = port;
      named.endpoint.pillion_sidecar = true;
      assignment->names.push_back(named);
    }
    cluster->load_assignment = std::move(assignment);
    return cluster;
  }
  // Answers the oldest question, which must be for this name.
  void Answer(const std::string& host, const Strings& ips, seconds ttl = seconds(60)) {
    net::DnsAnswer answer;
    answer.kind = Kind::kAddresses;
    answer.ttl = ttl;
    answer.addresses.reserve(ips.size());
    for (const std::string& ip : ips)
      answer.addresses.push_back(net::Address::Parse(ip, 0).value_or(net::Address()));
    Answer(host, answer);
  }
  void Fail(const std::string& host) {
    net::DnsAnswer answer;
    answer.failure = "broken";
    Answer(host, answer);
  }
  void Answer(const std::string& host, const net::DnsAnswer& answer) {
    ASSERT_FALSE(asked_.empty());
    ASSERT_EQ(asked_.front().question.name, host);
    const Asked one = asked_.front();
    asked_.erase(asked_.begin());
    one.done(answer);
    turn_.Run();
  }
  const config::ResolvedEndpoints& Update(Clusters clusters) {
    clusters_ = std::move(clusters);
    resolved_ = keeper_->Update(clusters_);
    turn_.Run();
    return resolved_;
  }
  void Advance(time::Duration d) {
    clock_.AdvanceTo(clock_.Now() + d);
    turn_.Run();
  }
  Strings Hosts() const {
    Strings hosts;
    hosts.reserve(asked_.size());
    for (const Asked& one : asked_) hosts.push_back(one.question.name);
    return hosts;
  }
  Strings Endpoints(const std::string& cluster) const {
    Strings result;
    const auto found = resolved_.find(cluster);
    if (found == resolved_.end()) return {"(waiting)"};
    result.reserve(found->second->endpoints.size());
    EXPECT_TRUE(found->second->names.empty());
    for (const config::Endpoint& endpoint : found->second->endpoints)
      result.push_back(endpoint.address.ToString() + "*" + std::to_string(endpoint.weight));
    return result;
  }

  testing::VirtualClock clock_;
  stream::Turn turn_{clock_};
  Random random_{7};
  telemetry::WorkerStats stats_;
  std::vector<Asked> asked_;
  Clusters clusters_;
  config::ResolvedEndpoints resolved_;
  int changes_ = 0;
  std::unique_ptr<DnsKeeper> keeper_ = std::make_unique<DnsKeeper>(
      turn_, random_, stats_,
      [this](net::DnsQuestion question, std::function<void(const net::DnsAnswer&)> done) {
        asked_.push_back({std::move(question), std::move(done)});
      },
      [this] {
        ++changes_;
        resolved_ = keeper_->Update(clusters_);
      });
};

TEST_F(DnsKeeperTest, AClusterIsReadyWhenEachOfItsNamesWasResolvedOnceWellOrBadly) {
  Update({Cluster("c", {"a", "b"})});
  EXPECT_EQ(Hosts(), (Strings{"a", "b"}));
  EXPECT_EQ(Endpoints("c"), Strings{"(waiting)"});
  Answer("a", {"10.0.0.2", "10.0.0.1"});
  EXPECT_EQ(Endpoints("c"), Strings{"(waiting)"});
  Fail("b");
  EXPECT_EQ(Endpoints("c"), (Strings{"10.0.0.1:80*81", "10.0.0.2:80*81"}));
  EXPECT_EQ(stats_.dns_answers.value(), 1u);
  EXPECT_EQ(stats_.dns_failures.value(), 1u);
}

TEST_F(DnsKeeperTest, AClusterWithoutNamesNeedsNoResolution) {
  auto cluster = Cluster("c", {});
  auto assignment = std::make_shared<config::Assignment>(*cluster->load_assignment);
  config::Endpoint literal;
  literal.address = net::Address::Parse("10.0.0.9", 9).value_or(net::Address());
  assignment->endpoints.push_back(literal);
  cluster->load_assignment = std::move(assignment);
  Update({cluster});
  EXPECT_EQ(Endpoints("c"), Strings{"10.0.0.9:9*1"});
  EXPECT_TRUE(asked_.empty());
}

TEST_F(DnsKeeperTest, EachAddressHasWhatItsEntrySays) {
  Update({Cluster("c", {"a"})});
  Answer("a", {"10.0.0.1", "fd00::1"});
  EXPECT_EQ(Endpoints("c"), (Strings{"10.0.0.1:80*81", "[fd00::1]:80*81"}));
  EXPECT_TRUE(resolved_.at("c")->endpoints[0].pillion_sidecar);
  EXPECT_TRUE(resolved_.at("c")->endpoints[1].pillion_sidecar);
}

TEST_F(DnsKeeperTest, TheTtlIsObeyed) {
  Update({Cluster("c", {"a"})});
  Answer("a", {"10.0.0.1"}, seconds(60));
  EXPECT_EQ(changes_, 1);
  Advance(seconds(59));
  EXPECT_TRUE(asked_.empty());
  Advance(seconds(1));
  EXPECT_EQ(Hosts(), Strings{"a"});
  Advance(seconds(600));
  EXPECT_EQ(Hosts(), Strings{"a"}) << "one question at a time";
  const auto before = resolved_.at("c");
  Answer("a", {"10.0.0.1"}, seconds(60));
  EXPECT_EQ(changes_, 1) << "nothing differs";
  EXPECT_EQ(keeper_->Update(clusters_).at("c"), before) << "the same object: no new snapshot";
  Advance(seconds(60));
  Answer("a", {"10.0.0.2"});
  EXPECT_EQ(changes_, 2);
  EXPECT_EQ(Endpoints("c"), Strings{"10.0.0.2:80*81"});
}

TEST_F(DnsKeeperTest, AFailureKeepsTheEndpoints) {
  Update({Cluster("c", {"a"})});
  Answer("a", {"10.0.0.1"}, seconds(1));
  Advance(seconds(1));
  Fail("a");
  EXPECT_EQ(Endpoints("c"), Strings{"10.0.0.1:80*81"});
  EXPECT_EQ(changes_, 1);
  Advance(seconds(5));
  EXPECT_EQ(Hosts(), Strings{"a"});
}

TEST_F(DnsKeeperTest, ANameWithoutAddressLeavesAClusterWithoutEndpoints) {
  Update({Cluster("c", {"a"})});
  Answer("a", {"10.0.0.1"}, seconds(1));
  Advance(seconds(1));
  net::DnsAnswer none;
  none.kind = Kind::kNone;
  Answer("a", none);
  EXPECT_EQ(Endpoints("c"), Strings{});
}

TEST_F(DnsKeeperTest, LogicalDnsHasTheFirstAddress) {
  Update({Cluster("c", {"a"}, config::Cluster::Discovery::kLogicalDns)});
  Answer("a", {"10.0.0.2", "10.0.0.1"}, seconds(1));
  EXPECT_EQ(Endpoints("c"), Strings{"10.0.0.2:80*81"});
  Advance(seconds(1));
  Answer("a", {"10.0.0.1", "10.0.0.2"}, seconds(1));
  EXPECT_EQ(Endpoints("c"), Strings{"10.0.0.1:80*81"});
}

TEST_F(DnsKeeperTest, AnAddressOfTwoNamesIsOneEndpoint) {
  auto cluster = Cluster("c", {"a", "b"});
  auto assignment = std::make_shared<config::Assignment>(*cluster->load_assignment);
  assignment->names[1].port = 80;
  cluster->load_assignment = std::move(assignment);
  Update({cluster});
  Answer("a", {"10.0.0.1"});
  Answer("b", {"10.0.0.1", "10.0.0.2"});
  EXPECT_EQ(Endpoints("c"), (Strings{"10.0.0.1:80*81", "10.0.0.2:80*82"}));
}

TEST_F(DnsKeeperTest, OneNameOfManyClustersIsAskedOnce) {
  Clusters many;
  many.reserve(12);
  for (int i = 0; i < 10; ++i) many.push_back(Cluster("c" + std::to_string(i), {"a"}));
  many.push_back(Cluster("first", {"a"}, config::Cluster::Discovery::kLogicalDns));  // has rules of its own
  auto other = Cluster("other", {"a"});
  other->dns.family = net::DnsFamily::kV6Only;
  many.push_back(other);
  Update(many);
  EXPECT_EQ(asked_.size(), 3u);
}

TEST_F(DnsKeeperTest, AnotherConfigurationOfKnownNamesIsReadyAtOnce) {
  Update({Cluster("c", {"a"})});
  Answer("a", {"10.0.0.1"});
  Update({Cluster("c", {"a"}), Cluster("d", {"a"})});
  EXPECT_EQ(Endpoints("c"), Strings{"10.0.0.1:80*81"});
  EXPECT_EQ(Endpoints("d"), Strings{"10.0.0.1:80*81"});
  EXPECT_TRUE(asked_.empty());
}

TEST_F(DnsKeeperTest, WhoLeftIsNotAskedForAndAnswersToHimAreNotLookedAt) {
  Update({Cluster("c", {"a"}), Cluster("d", {"b"})});
  Answer("a", {"10.0.0.1"}, seconds(1));
  Update({});
  EXPECT_TRUE(resolved_.empty());
  const int before = changes_;
  Answer("b", {"10.0.0.2"});
  EXPECT_EQ(changes_, before);
  Advance(seconds(100));
  EXPECT_TRUE(asked_.empty());
  Update({Cluster("c", {"a"})});
  EXPECT_EQ(Hosts(), Strings{"a"}) << "what was known is forgotten";
}

TEST_F(DnsKeeperTest, ItMayEndBeforeAnAnswerComes) {
  Update({Cluster("c", {"a"})});
  keeper_.reset();
  asked_.clear();
}

TEST_F(DnsKeeperTest, PeopleSeeNamesAddressesAndTheLastFailureWithItsAge) {
  Update({Cluster("c", {"a", "b"})});
  Answer("a", {"10.0.0.1"}, seconds(1));
  Advance(seconds(1));
  Fail("b");
  Advance(seconds(3));
  const auto entries = keeper_->entries();
  ASSERT_EQ(entries.size(), 2u);
  EXPECT_EQ(entries[0].cluster, "c");
  EXPECT_EQ(entries[0].host, "a");
  EXPECT_EQ(entries[0].addresses.size(), 1u);
  EXPECT_TRUE(entries[0].known);
  EXPECT_EQ(entries[0].failure, "");
  EXPECT_EQ(entries[0].next_in, seconds(0)) << "it is under way";
  EXPECT_EQ(entries[1].failure, "broken");
  EXPECT_EQ(entries[1].failure_age, seconds(3));
  EXPECT_EQ(entries[1].next_in, seconds(2));
}

}  // namespace
}  // namespace pillion
