// Rules of access through a whole engine: what a client is told, and what comes before what.
//
//   client --HTTP/1.1--> engine
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/config/filters.h"
#include "sidecar/ledger/limiter.h"
#include "sidecar/net/cidr_range.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using config::AccessControl;
using config::AccessRules;
using config::FilterEntry;
using config::FilterKind;
using testing::SimPeer;

constexpr uint16_t kPort = 15006;

config::AccessCondition Path(const std::string& prefix) {
  config::access::Path path;
  path.text.kind = config::StringMatch::Kind::kPrefix;
  path.text.text = prefix;
  return {path};
}
config::AccessCondition From(const std::string& range) {
  return {
      config::access::Address{config::access::Address::Whose::kDirectPeer, *net::CidrRange::Parse(range)}};
}
AccessControl Allow(std::vector<config::AccessCondition> permissions,
                    std::vector<config::AccessCondition> principals) {
  AccessRules rules;
  rules.policies = {{{std::move(permissions)}, {std::move(principals)}}};
  return {.rules = rules, .shadow = {}};
}
FilterEntry Entry(const std::string& name, FilterKind kind, config::FilterOptions options) {
  return {name, false, kind, std::make_shared<const config::FilterOptions>(std::move(options))};
}

class RbacInEngine : public EngineFixture {
 protected:
  using Entries = std::vector<FilterEntry>;
  // The route answers itself requests for /here.
  void Push(const Entries& at_listener, const Entries& at_route = {},
            config::AccessJudged judged = config::AccessJudged::kAsTheyCome) {
    const ProxyConfig proxy(kPort, 1);
    config::HttpOptions& http = proxy.server->http;
    http.filters = std::make_shared<const Entries>(at_listener);
    http.access_judged = judged;
    http.allow_explain = true;
    http.policy.path.normalize = true;
    http.policy.plain = false;
    auto table = std::make_shared<config::RouteTable>(*proxy.snapshot->listeners["l"].routes[0]);
    config::Route& route = table->virtual_hosts[0].routes[0];
    route.match.text = "/here";
    route.clusters.clear();
    route.direct = config::DirectResponse{200, "ok"};
    if (!at_route.empty()) route.filters = std::make_shared<const Entries>(at_route);
    proxy.snapshot->listeners["l"].routes[0] = table;
    EXPECT_TRUE(engine_.Apply(Prepare(proxy.snapshot, nullptr, nullptr)).empty());
  }
  std::string Ask(const std::string& path, const std::string& fields = "") {
    SimPeer client(*peers_, At(kPort));
    Pass({});
    client.Send("GET " + path + " HTTP/1.1\r\nhost: a\r\n" + fields + "\r\n");
    Pass({});
    client.Read();
    return client.text;
  }
  std::string Status(const std::string& path) {
    const std::string text = Ask(path);
    return text.size() < 12 ? "none" : text.substr(9, 3);
  }
};

TEST_F(RbacInEngine, WhoMayNotAskIsToldSoAndTheExplanationSaysWhy) {
  Push({Entry("rbac", FilterKind::kRbac, Allow({Path("/here")}, {From("0.0.0.0/0")}))});
  EXPECT_EQ(Status("/here"), "200");
  const std::string denied = Ask("/else", "x-pillion-explain: 1\r\n");
  EXPECT_TRUE(denied.starts_with("HTTP/1.1 403 ")) << denied << ": before it is told that there is no route";
  EXPECT_TRUE(denied.ends_with("\r\n\r\nRBAC: access denied")) << denied;
  EXPECT_NE(denied.find("error=access_denied; side=local"), std::string::npos) << denied;
  EXPECT_NE(denied.find("reason=\"no policy allows it\""), std::string::npos) << denied;
  const std::string grpc = Ask("/else", "content-type: application/grpc\r\n");
  EXPECT_TRUE(grpc.starts_with("HTTP/1.1 200 ")) << grpc;
  EXPECT_NE(grpc.find("grpc-status: 7\r\n"), std::string::npos) << grpc;
  EXPECT_NE(grpc.find("grpc-message: RBAC: access denied\r\n"), std::string::npos) << grpc;
}

TEST_F(RbacInEngine, ItIsTheCanonicalPathThatIsJudged) {
  Push({Entry("rbac", FilterKind::kRbac, Allow({Path("/here/open")}, {From("0.0.0.0/0")}))});
  EXPECT_EQ(Status("/here/open/a"), "200");
  EXPECT_EQ(Status("/here/%6fpen"), "200");
  EXPECT_EQ(Status("/here/open/../secret"), "403");
  EXPECT_EQ(Status("/here/secret?/here/open"), "403");
  EXPECT_EQ(Status("/here?x=/here/open"), "403");
}

TEST_F(RbacInEngine, ThePeerIsTheConnections) {
  Push({Entry("rbac", FilterKind::kRbac, Allow({Path("/")}, {From("240.0.0.0/8")}))});
  EXPECT_EQ(Status("/here"), "403");
}

TEST_F(RbacInEngine, ARouteSaysOfItselfWhatHoldsThere) {
  const auto everything = Allow({Path("/")}, {From("0.0.0.0/0")});
  const AccessControl nothing{.rules = AccessRules(), .shadow = {}};
  Push({Entry("rbac", FilterKind::kRbac, everything)}, {Entry("rbac", FilterKind::kRbac, nothing)});
  EXPECT_EQ(Status("/here"), "403");
  EXPECT_EQ(Status("/else"), "404") << "the listener's rules, then that there is no route";
  FilterEntry off = Entry("rbac", FilterKind::kRbac, AccessControl());
  off.disabled = true;
  Push({Entry("rbac", FilterKind::kRbac, nothing)}, {off});
  EXPECT_EQ(Status("/here"), "200");
  EXPECT_EQ(Status("/else"), "403");
}

TEST_F(RbacInEngine, WhoMayNotAskTakesNoToken) {
  config::RateLimit limit;
  limit.limit = config::Limit{.max_tokens = 1, .token = std::chrono::hours(1)};
  limit.counted = limit.enforced = {1, 1};
  const Entries both = {Entry("limit", FilterKind::kLocalRateLimit, limit),
                        Entry("rbac", FilterKind::kRbac, Allow({Path("/here")}, {From("0.0.0.0/0")}))};
  limit.limit->holder->limiter = std::make_shared<ledger::Limiter>(
      ledger::BucketShape{.max_tokens = 1, .token = std::chrono::hours(1)}, 1);
  Push(both);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Status("/else"), "403");
  EXPECT_EQ(Status("/here"), "200");
  EXPECT_EQ(Status("/here"), "429");
  EXPECT_EQ(Status("/else"), "403");
}

TEST_F(RbacInEngine, WhatIsTranslatedIsJudgedWhereTheListSaysSo) {
  Push({Entry("rbac", FilterKind::kRbac, AccessControl{.rules = AccessRules(), .shadow = {}})}, {},
       config::AccessJudged::kAsTranslated);
  EXPECT_EQ(Status("/here"), "403");
}

}  // namespace
}  // namespace pillion::worker
