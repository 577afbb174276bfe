// Sessions that stay with an endpoint, from a client's requests to the apps that answer them, on a simulated
// network and virtual time.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/config/filters.h"
#include "sidecar/filter/sticky_session.h"
#include "sidecar/worker/apps_fixture.h"

namespace pillion::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Answers = std::map<std::string, int>;
using Kind = config::StickySession::Kind;

class Sessions : public Apps {
 protected:
  void StartSessions(size_t count, config::StickySession terms = {.name = "s", .attributes = "; HttpOnly"},
                     config::Cluster options = {}, config::Route route = {}) {
    UseTerms(std::move(terms));
    Start(count, std::move(options), std::move(route));
  }
  void UseTerms(config::StickySession terms) {
    header_ = terms.kind == Kind::kHeader;
    auto filters = std::make_shared<std::vector<config::FilterEntry>>();
    filters->push_back({.name = "sessions",
                        .kind = config::FilterKind::kStatefulSession,
                        .options = std::make_shared<const config::FilterOptions>(std::move(terms))});
    filters_ = filters;
  }
  // What the last answer told the client to send, as a field of a request; "": nothing.
  std::string Told() const {
    const std::string name = header_ ? "\r\ns: " : "\r\nset-cookie: s=";
    const size_t at = answer_.find(name);
    if (at == std::string::npos) return "";
    const size_t from = at + name.size();
    const std::string value = answer_.substr(from, answer_.find_first_of(";\r", from) - from);
    return (header_ ? "s: " : "cookie: s=") + value + "\r\n";
  }
  // Begins a session; where it is.
  std::string Begin() {
    const std::string app = Get();
    session_ = Told();
    EXPECT_NE(session_, "") << answer_;
    return app;
  }
  // The session's next request, told what it is told.
  std::string Next() {
    const std::string app = Get(session_);
    if (const std::string told = Told(); !told.empty()) {
      session_ = told;
      ++moves_;
    }
    return app;
  }
  // A session that another has begun there.
  static std::string At(uint16_t port) {
    const net::Address address = net::Address::Parse("127.0.0.1", port).value_or(net::Address());
    return "cookie: s=" + filter::StickyValue(address, seconds(0), {}) + "\r\n";
  }
  size_t IndexOf(const std::string& app) const { return static_cast<size_t>(app.back() - '0'); }
  bool header_ = false;
  std::string session_;
  int moves_ = 0;  // how often the client was told of another endpoint
};

config::Cluster LeastRequest() {
  config::Cluster cluster;
  cluster.balancer.kind = config::Balancer::Kind::kLeastRequest;
  return cluster;
}

TEST_F(Sessions, ASessionStaysWithItsEndpoint) {
  for (const Kind kind : {Kind::kCookie, Kind::kHeader}) {
    apps_.clear();
    StartSessions(3, {.kind = kind, .name = "s"}, LeastRequest());
    EXPECT_GT(GetMany(30).size(), 1u) << "those without a session are balanced";
    Answers begun;
    for (int client = 0; client < 10; ++client) {
      const std::string app = Begin();
      ++begun[app];
      moves_ = 0;
      for (int i = 0; i < 50; ++i) ASSERT_EQ(Next(), app);
      EXPECT_EQ(moves_, 0) << "who knows is not told again";
    }
    EXPECT_GT(begun.size(), 1u);
  }
}

TEST_F(Sessions, ASessionComesBeforeAHash) {
  config::Cluster cluster;
  cluster.balancer.kind = config::Balancer::Kind::kRingHash;
  config::Route route;
  route.hash_policy = {{.kind = config::HashPolicy::Kind::kHeader, .name = "user"}};
  StartSessions(4, {.name = "s"}, cluster, route);
  for (uint16_t app = 0; app < 4; ++app) {
    for (const char* user : {"a", "b", "c", "d", "e"}) {
      const std::string fields = std::string("user: ") + user + "\r\n";
      EXPECT_EQ(Get(fields + At(kFirstApp + app)), "app" + std::to_string(app));
    }
  }
}

TEST_F(Sessions, ASessionLeavesAnEndpointThatIsEjected) {
  config::Cluster cluster;
  cluster.outlier.emplace();
  cluster.outlier->most_percent = 50;
  StartSessions(3, {.name = "s"}, cluster);
  const std::string app = Begin();
  apps_[IndexOf(app)]->Answer(503);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(Next(), "503");
  EXPECT_EQ(moves_, 0);
  const std::string other = Next();
  EXPECT_NE(other, app);
  EXPECT_EQ(moves_, 1);
  for (int i = 0; i < 20; ++i) ASSERT_EQ(Next(), other);
  EXPECT_EQ(moves_, 1);
  // It does not come back when the endpoint does.
  apps_[IndexOf(app)]->Answer(200);
  PassAll(seconds(60));
  for (int i = 0; i < 20; ++i) ASSERT_EQ(Next(), other);
}

TEST_F(Sessions, AStrictSessionIsServedThereOrNowhere) {
  config::Cluster cluster;
  cluster.outlier.emplace();
  cluster.outlier->most_percent = 50;
  StartSessions(3, {.name = "s", .strict = true}, cluster);
  const std::string app = Begin();
  for (int i = 0; i < 10; ++i) ASSERT_EQ(Next(), app);
  apps_[IndexOf(app)]->Answer(500);
  for (int i = 0; i < 5; ++i) ASSERT_EQ(Next(), "500");
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(Get(session_ + "x-pillion-explain: 1\r\n"), "503");
    EXPECT_EQ(Told(), "") << "nobody has served it";
    EXPECT_NE(answer_.find("reason=\"the endpoint of the request's session gets no requests\""),
              std::string::npos)
        << answer_;
  }
  EXPECT_TRUE(Get().starts_with("app")) << "those that begin are balanced";
  apps_[IndexOf(app)]->Answer(200);
  PassAll(seconds(60));
  EXPECT_EQ(Next(), app);
}

TEST_F(Sessions, AStrictSessionIsTriedAgainWhereItIs) {
  config::Route route;
  route.retry.emplace();
  route.retry->on = config::kRetry5xx;
  route.retry->backoff_base = route.retry->backoff_max = milliseconds(1);
  route.retry->max_retries = 2;
  StartSessions(3, {.name = "s", .strict = true}, {}, route);
  const std::string app = Begin();
  apps_[IndexOf(app)]->Answer(503);
  EXPECT_EQ(Get(session_ + "x-pillion-explain: 1\r\n"), "503");
  EXPECT_NE(answer_.find("attempts=3"), std::string::npos) << answer_;
  apps_.erase(apps_.begin() + static_cast<ptrdiff_t>(IndexOf(app)));
  EXPECT_EQ(Get(session_), "503");
}

TEST_F(Sessions, WhereAStrictSessionCannotBeReachedNobodyIsAskedTwice) {
  StartSessions(3, {.name = "s", .strict = true});
  const std::string app = Begin();
  apps_.erase(apps_.begin() + static_cast<ptrdiff_t>(IndexOf(app)));
  EXPECT_EQ(Get(session_ + "x-pillion-explain: 1\r\n"), "503");
  EXPECT_NE(answer_.find("attempts=1"), std::string::npos) << answer_;
}

TEST_F(Sessions, OnlyMembersOfTheClusterAreReached) {
  for (const bool strict : {false, true}) {
    apps_.clear();
    StartSessions(3, {.name = "s", .strict = strict});
    Configure(2, {});  // the third app is none of it, but listens
    for (int i = 0; i < 10; ++i) {
      const std::string answer = Get(At(kFirstApp + 2));
      EXPECT_TRUE(strict ? answer == "503" : answer == "app0" || answer == "app1") << answer;
      EXPECT_EQ(Told().empty(), strict);
    }
    // The listener itself is none either.
    EXPECT_NE(Get(At(kProxyPort)), "508");
  }
}

TEST_F(Sessions, WhatIsNoSessionIsBalancedAndBegunAnew) {
  StartSessions(2, {.name = "s", .strict = true});
  for (const std::string value : {"", "x", "%00", "OjgwCg==", "MTI3LjAuMC4xOjk5OTk5OQ=="}) {
    EXPECT_TRUE(Get("cookie: s=" + value + "\r\n").starts_with("app")) << value;
    EXPECT_NE(Told(), "") << value;
  }
  EXPECT_TRUE(Get("cookie: s=" + std::string(3000, 'a') + "\r\n").starts_with("app"));
}

TEST_F(Sessions, ASessionEndsAfterItsTime) {
  StartSessions(3, {.name = "s", .ttl = seconds(60), .attributes = "; Max-Age=60"});
  const std::string app = Begin();
  EXPECT_NE(answer_.find("; Max-Age=60\r\n"), std::string::npos) << answer_;
  PassAll(seconds(55));
  ASSERT_EQ(Next(), app);
  EXPECT_EQ(moves_, 0) << "its time is not made longer";
  PassAll(seconds(6));
  const std::string before = session_;
  Next();
  EXPECT_EQ(moves_, 1);
  EXPECT_NE(session_, before);
}

TEST_F(Sessions, ARetryGoesElsewhereAndTheSessionWithIt) {
  config::Route route;
  route.retry.emplace();
  route.retry->on = config::kRetry5xx;
  route.retry->backoff_base = route.retry->backoff_max = milliseconds(1);
  StartSessions(3, {.name = "s"}, {}, route);
  const std::string app = Begin();
  apps_[IndexOf(app)]->Answer(503);
  const std::string other = Next();
  EXPECT_TRUE(other.starts_with("app")) << other;
  EXPECT_NE(other, app);
  EXPECT_EQ(moves_, 1);
  apps_[IndexOf(app)]->Answer(200);
  EXPECT_EQ(Next(), other);
}

TEST_F(Sessions, ASessionLeavesAnAppThatIsGone) {
  StartSessions(3, {.name = "s"});
  const std::string app = Begin();
  const std::string lost = session_;
  apps_.erase(apps_.begin() + static_cast<ptrdiff_t>(IndexOf(app)));
  const std::string other = Next();
  EXPECT_TRUE(other.starts_with("app")) << other;
  EXPECT_EQ(moves_, 1);
  // While it is known that it cannot be reached nobody tries.
  EXPECT_TRUE(Get(lost + "x-pillion-explain: 1\r\n").starts_with("app"));
  EXPECT_NE(answer_.find("attempts=1"), std::string::npos) << answer_;
}

TEST_F(Sessions, AnEndpointThatDrainsKeepsItsSessionsWhereTheClusterSaysSo) {
  healths_ = {config::Health::kDraining, config::Health::kGood};
  StartSessions(2, {.name = "s"});
  EXPECT_EQ(Get(At(kFirstApp)), "app1") << "Envoy's default";
  config::Cluster keeps;
  keeps.session_health |= config::BitOf(config::Health::kDraining);
  Configure(2, keeps);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Get(At(kFirstApp)), "app0");
    EXPECT_EQ(Told(), "");
    EXPECT_EQ(Get(), "app1") << "new ones do not come";
  }
  // When its app has ended, the only other endpoint is one that can be tried.
  apps_.erase(apps_.begin());
  EXPECT_EQ(Get(At(kFirstApp)), "app1");
  EXPECT_NE(Told(), "");
}

TEST_F(Sessions, AnEndpointThatIsWorseThanOthersKeepsItsSessions) {
  healths_ = {config::Health::kDegraded};
  StartSessions(4, {.name = "s"});
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(Get(At(kFirstApp)), "app0");
    EXPECT_NE(Get(), "app0");
  }
}

TEST_F(Sessions, ASessionComesBeforeTheWeightsOfClusters) {
  config::Cluster other;
  other.name = "other";
  more_clusters_["other"] = Cluster(other, 1, 1);
  config::Cluster none;
  none.name = "none";
  more_clusters_["none"] = Cluster(none, 2, 1);
  config::Route route;
  route.clusters = {{"app", 1}, {"other", 1}, {"none", 0}};
  route.total_weight = 2;
  UseTerms({.name = "s"});
  Start(3, {}, route);
  Configure(1, {}, route);
  for (uint16_t app = 0; app < 3; ++app) {
    for (int i = 0; i < 6; ++i) {
      EXPECT_EQ(Get(At(kFirstApp + app)), "app" + std::to_string(app));
      EXPECT_EQ(Told(), "");
    }
  }
  // Those with a session take no turns: else they would take every second one here, and all of one cluster.
  Answers begun;
  for (int i = 0; i < 20; ++i) {
    ++begun[Get()];
    EXPECT_EQ(Get(At(kFirstApp)), "app0");
  }
  EXPECT_EQ(begun, (Answers{{"app0", 10}, {"app1", 10}}));
  Answers gone;
  for (int i = 0; i < 20; ++i) ++gone[Get(At(kFirstApp + 7))];
  EXPECT_EQ(gone, (Answers{{"app0", 10}, {"app1", 10}})) << "a session that is nowhere is one that begins";
}

TEST_F(Sessions, ASessionFindsItsClusterAlsoWhereTheOneWhoseTurnItIsIsNotKnown) {
  config::Route route;
  route.clusters = {{"app", 1}, {"unknown", 1}};
  route.total_weight = 2;
  UseTerms({.name = "s"});
  Start(1, {}, route);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Get(At(kFirstApp)), "app0");
  EXPECT_EQ(GetMany(10)["503"], 5) << "the others take their chance";
}

TEST_F(Sessions, WithoutTheFilterACookieIsTheAppsOwn) {
  Start(2, {});
  Answers answers;
  for (int i = 0; i < 10; ++i) {
    ++answers[Get(At(kFirstApp))];
    EXPECT_EQ(Told(), "");
  }
  EXPECT_EQ(answers, (Answers{{"app0", 5}, {"app1", 5}}));
}

}  // namespace
}  // namespace pillion::worker
