// Which zones the requests of a caller go to, from the table of clusters on.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/upstream/cluster_state.h"

namespace pillion::upstream {
namespace {

constexpr auto kBad = config::Health::kBad;

// So many endpoints in a zone, the first of them bad.
struct Zone {
  std::string name;
  size_t endpoints;
  size_t bad = 0;
  uint32_t priority = 0;
};

class ZoneAware : public ::testing::Test {
 protected:
  ZoneAware() {
    snapshot_.own = {{.region = "r", .zone = "a", .sub_zone = ""}, "callers"};
    cluster_->name = "called";
    cluster_->balancer.zone_aware.emplace();
    callers_->name = "callers";
    callers_->outlier.emplace();
  }
  // Their ports count on, from 1 in the first zone, from 101 in the next.
  static std::shared_ptr<config::Assignment> Make(const std::vector<Zone>& zones) {
    auto assignment = std::make_shared<config::Assignment>();
    for (const Zone& zone : zones) {
      config::Locality& locality = assignment->localities.emplace_back();
      locality.region = "r";
      locality.zone = zone.name;
      locality.priority = zone.priority;
      const size_t number = assignment->localities.size() - 1;
      for (size_t i = 0; i < zone.endpoints; ++i) {
        config::Endpoint endpoint;
        endpoint.address = net::Address::Parse("127.0.0.1", static_cast<uint16_t>(100 * number + 1 + i))
                               .value_or(net::Address());
        endpoint.locality = static_cast<uint32_t>(number);
        if (i < zone.bad) endpoint.health = kBad;
        assignment->endpoints.push_back(endpoint);
      }
    }
    return assignment;
  }
  void Set(const std::vector<Zone>& called, const std::vector<Zone>& callers) {
    called_ = Make(called);
    calling_ = Make(callers);
    Apply();
  }
  void Apply() {
    snapshot_.clusters["called"] = {cluster_, called_};
    snapshot_.clusters["callers"] = {callers_, calling_};
    table_.Apply(snapshot_);
  }
  EndpointState* Pick(Tried tried = {}) {
    return table_.Find("called")->Pick({.tried = tried, .now = now_, .random = random_});
  }
  // Of 1200 requests those that fail, and those to each zone, by their numbers.
  std::map<int, int> Picks() {
    std::map<int, int> picks;
    for (int i = 0; i < 1200; ++i) {
      const EndpointState* const found = Pick();
      ++picks[found == nullptr ? -1 : (found->address().port() - 1) / 100];
    }
    return picks;
  }
  using Counts = std::map<int, int>;

  ledger::Ledger ledger_{1};
  ClusterTable table_{{ledger_, 0}};
  config::Snapshot snapshot_;
  std::shared_ptr<config::Cluster> cluster_ = std::make_shared<config::Cluster>();
  std::shared_ptr<config::Cluster> callers_ = std::make_shared<config::Cluster>();
  std::shared_ptr<config::Assignment> called_;
  std::shared_ptr<config::Assignment> calling_;
  time::MonotonicTime now_{std::chrono::hours(1)};
  Random random_{1};
};

TEST_F(ZoneAware, RequestsStayAtHomeOrSpillByTheNumbersOfCallers) {
  Set({{"a", 3}, {"b", 3}}, {{"a", 5}, {"b", 5}});
  EXPECT_EQ(Picks(), (Counts{{0, 1200}}));
  Set({{"a", 2}, {"b", 3}, {"c", 3}}, {{"a", 3}, {"b", 1}});
  EXPECT_EQ(Picks(), (Counts{{0, 400}, {1, 200}, {2, 600}})) << "a has 1/4 of 3/4; b 1/8, c 3/8 more";
  Set({{"a", 2}, {"b", 2}, {"c", 2}}, {{"a", 1}, {"z", 1}});
  EXPECT_EQ(Picks(), (Counts{{0, 800}, {1, 200}, {2, 200}})) << "some call from where there is no endpoint";
  // Callers alone have changed.
  Set({{"a", 2}, {"b", 3}, {"c", 3}}, {{"a", 3}, {"b", 1}});
  calling_ = Make({{"a", 1}, {"b", 3}});
  Apply();
  EXPECT_EQ(Picks(), (Counts{{0, 1200}}));
}

TEST_F(ZoneAware, EndpointsOfAZoneAreChosenByTheBalancer) {
  for (const auto kind : {config::Balancer::Kind::kRoundRobin, config::Balancer::Kind::kRandom,
                          config::Balancer::Kind::kLeastRequest}) {
    cluster_ = std::make_shared<config::Cluster>(*cluster_);
    cluster_->balancer.kind = kind;
    Set({{"a", 3}, {"b", 3}}, {{"a", 1}, {"b", 1}});
    std::map<uint16_t, int> picks;
    for (int i = 0; i < 1200; ++i) ++picks[Pick()->address().port()];
    ASSERT_EQ(picks.size(), 3u);
    for (const uint16_t port : {1, 2, 3}) EXPECT_NEAR(picks[port], 400, 100);
  }
}

// The others are looked at anew when the calling cluster's healths change.
TEST_F(ZoneAware, CallersThatAreEjectedDoNotCount) {
  callers_->outlier->most_percent = 100;
  Set({{"a", 3}, {"b", 3}}, {{"a", 4}, {"b", 2}});
  EXPECT_EQ(Picks(), (Counts{{0, 900}, {1, 300}}));
  ClusterState& calling = *table_.Find("callers");
  for (const size_t i : {size_t{0}, size_t{1}}) {
    for (int failure = 0; failure < 5; ++failure)
      calling.Note(*calling.endpoints()[i], AttemptResult::kServerError, now_, random_);
  }
  EXPECT_EQ(Picks(), (Counts{{0, 1200}}));
}

// Endpoints and healths may change as often as requests come.
TEST_F(ZoneAware, ASetThatIsMadeAnewDoesNotBeginWithTheLargestZone) {
  Counts first;
  for (int i = 0; i < 800; ++i) {
    Set({{"a", 2}, {"b", 3}, {"c", 3}}, {{"a", 1}});
    ++first[(Pick()->address().port() - 1) / 100];
  }
  EXPECT_NEAR(first[0], 200, 60);
  EXPECT_NEAR(first[1], 300, 60);
  EXPECT_NEAR(first[2], 300, 60);
}

TEST_F(ZoneAware, ZonesDoNotCountWhereTheyCannot) {
  const Counts even = {{0, 600}, {1, 600}};
  const std::vector<Zone> called = {{"a", 3}, {"b", 3}};
  const std::vector<Zone> callers = {{"a", 1}, {"b", 1}};
  Set({{"a", 3}, {"b", 2}}, callers);
  EXPECT_EQ(Picks(), (Counts{{0, 720}, {1, 480}})) << "too small";
  Set({{"a", 3, 1}, {"b", 3}}, callers);
  EXPECT_EQ(Picks(), (Counts{{0, 480}, {1, 720}})) << "too few are good";
  Set({{"b", 3}, {"c", 3}}, callers);
  EXPECT_EQ(Picks(), even) << "nothing at home";
  Set({{"a", 2, 2}, {"b", 3}, {"c", 3}}, callers);
  EXPECT_EQ(Picks(), (Counts{{1, 600}, {2, 600}})) << "nothing good at home";
  Set(called, {});
  EXPECT_EQ(Picks(), even) << "no callers";
  Set(called, {{"a", 4, 3}, {"b", 4, 3}});
  EXPECT_EQ(Picks(), even) << "callers in panic";
  Set(called, {{"b", 4, 0, 1}});
  EXPECT_EQ(Picks(), even) << "callers of another priority";
  Set({{"a", 8, 6}, {"b", 8, 4}}, callers);
  EXPECT_EQ(Picks(), even) << "in panic";
  Set(called, callers);
  EXPECT_EQ(Picks(), (Counts{{0, 1200}}));
  snapshot_.clusters.erase("callers");
  table_.Apply(snapshot_);
  EXPECT_EQ(Picks(), even) << "an unknown cluster";
  Apply();
  EXPECT_EQ(Picks(), (Counts{{0, 1200}}));
  cluster_ = std::make_shared<config::Cluster>(*cluster_);
  cluster_->balancer.zone_aware.reset();
  Apply();
  EXPECT_EQ(Picks(), even) << "off";
}

TEST_F(ZoneAware, ZonesDoNotCountWhereItIsNotKnownWhereTheSidecarIs) {
  snapshot_.own.place = {};
  Set({{"", 3}, {"b", 3}}, {{"", 1}, {"b", 1}});
  called_->localities[0].region = "";
  EXPECT_EQ(Picks(), (Counts{{0, 600}, {1, 600}}));
}

TEST_F(ZoneAware, ZonesDoNotCountWithoutALocalCluster) {
  snapshot_.own.cluster = "";
  Set({{"a", 3}, {"b", 3}}, {{"a", 1}, {"b", 1}});
  EXPECT_EQ(Picks(), (Counts{{0, 600}, {1, 600}}));
}

TEST_F(ZoneAware, ItsNumbersAreWhatTheClusterSays) {
  cluster_->balancer.zone_aware->least_endpoints = 2;
  cluster_->balancer.zone_aware->percent = 50;
  Set({{"a", 1}, {"b", 1}}, {{"a", 1}, {"b", 1}});
  EXPECT_EQ(Picks(), (Counts{{0, 900}, {1, 300}}));
}

// A retry, or one while its own are not to be reached, goes to any other zone, by their sizes.
TEST_F(ZoneAware, WhereNoneIsLeftAtHomeTheOthersAreAsked) {
  Set({{"a", 2}, {"b", 1}, {"c", 3}}, {{"a", 1}, {"c", 3}});
  TriedEndpoints tried;
  tried.emplace_back(Pick());
  EndpointState* const second = Pick(tried);
  EXPECT_NE(second, tried[0].get());
  EXPECT_LT(second->address().port(), 100);
  tried.emplace_back(second);
  Counts zones;
  for (int i = 0; i < 4000; ++i) ++zones[(Pick(tried)->address().port() - 1) / 100];
  EXPECT_EQ(zones[0], 0);
  EXPECT_NEAR(zones[1], 1000, 150);
  EXPECT_NEAR(zones[2], 3000, 150);
}

// What its first priority gets; the others are not by zones.
TEST_F(ZoneAware, OtherPrioritiesGetWhatTheFirstCannotCarry) {
  Set({{"a", 6, 3}, {"b", 6, 3}, {"a", 2, 0, 1}, {"b", 6, 0, 1}}, {{"a", 1}, {"b", 1}});
  const Counts picks = Picks();
  EXPECT_NEAR(picks.at(0), 840, 90) << "70 %";
  EXPECT_FALSE(picks.contains(1));
  EXPECT_NEAR(picks.at(2), 90, 50);
  EXPECT_NEAR(picks.at(3), 270, 80);
}

TEST_F(ZoneAware, InPanicRequestsFailWhereTheClusterSaysSo) {
  cluster_->balancer.zone_aware->fails_in_panic = true;
  Set({{"a", 4, 3}, {"b", 4, 2}}, {});
  EXPECT_EQ(Picks(), (Counts{{-1, 1200}}));
  EXPECT_EQ(table_.Find("called")->eligible(), 0u);
  Set({{"a", 4, 4}}, {});
  EXPECT_EQ(Picks(), (Counts{{-1, 1200}})) << "none is good";
  Set({{"a", 4, 2}}, {});
  EXPECT_EQ(Picks(), (Counts{{0, 1200}}));
  // The other priority gets no more than its own part.
  Set({{"a", 20, 19}, {"b", 2, 1, 1}}, {});
  const Counts picks = Picks();
  EXPECT_NEAR(picks.at(-1), 110, 50) << "7 of 77 %";
  EXPECT_NEAR(picks.at(1), 1090, 50);
  Set({{"a", 2, 1}, {"b", 20, 19, 1}}, {});
  EXPECT_NEAR(Picks().at(-1), 110, 50) << "also where one endpoint is all that may be chosen";
}

}  // namespace
}  // namespace pillion::upstream
