#include "sidecar/filters/rbac/rbac.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include "sidecar/filter/filter_drive.h"

namespace pillion::filters {
namespace {

namespace access = config::access;
using config::AccessCondition;
using config::AccessControl;
using config::AccessJudged;
using config::AccessRules;
using Action = AccessRules::Action;

// Of requests for /open.
AccessRules OfOpen(Action action) {
  AccessRules rules;
  rules.action = action;
  access::Path open_path;
  open_path.text.text = "/open";
  const AccessCondition open{open_path};
  rules.policies = {{{{open}}, {{AccessCondition{access::Always{}}}}}};
  return rules;
}

class RbacTest : public ::testing::Test {
 protected:
  filter::FilterDrive Asked(AccessControl control, const std::string& path) {
    filter::FilterDrive drive(filter_, config::FilterKind::kRbac, std::move(control));
    drive.JudgeAccess(AccessJudged::kAsTheyCome);
    drive.head.path = path;
    drive.Request("body", 0);
    return drive;
  }
  Rbac filter_{AccessJudged::kAsTheyCome};
};

TEST_F(RbacTest, WhatNoPolicyAllowsIsDenied) {
  const AccessControl control{.rules = OfOpen(Action::kAllow), .shadow = std::nullopt};
  const auto open = Asked(control, "/open");
  EXPECT_FALSE(open.refused);
  EXPECT_EQ(open.sent, "body");
  EXPECT_EQ(open.stats->access_allowed.value(), 1u);
  EXPECT_EQ(open.stats->access_denied.value(), 0u);
  EXPECT_EQ(open.stats->access_logged.value(), 0u);
  const auto other = Asked(control, "/other");
  ASSERT_TRUE(other.refused);
  EXPECT_EQ(other.refusal->status, 403);
  EXPECT_EQ(other.refusal->grpc_status, 7);
  EXPECT_EQ(other.refusal->error.kind, ErrorKind::kAccessDenied);
  EXPECT_EQ(other.refusal->error.outcome, Outcome::kAnswered) << "nobody is told to try again";
  EXPECT_EQ(other.refusal->error.detail, "no policy allows it");
  EXPECT_EQ(other.refusal->fields.size(), 0u);
  EXPECT_EQ(other.stats->access_denied.value(), 1u);
  EXPECT_EQ(other.stats->access_allowed.value(), 0u);
}

TEST_F(RbacTest, WhatAPolicyDeniesIsDenied) {
  const AccessControl control{.rules = OfOpen(Action::kDeny), .shadow = std::nullopt};
  EXPECT_FALSE(Asked(control, "/other").refused);
  const auto open = Asked(control, "/open");
  ASSERT_TRUE(open.refused);
  EXPECT_EQ(open.refusal->error.detail, "a policy denies it");
}

TEST_F(RbacTest, LogRulesDenyNothing) {
  const AccessControl control{.rules = OfOpen(Action::kLog), .shadow = std::nullopt};
  const auto open = Asked(control, "/open");
  EXPECT_FALSE(open.refused);
  EXPECT_EQ(open.stats->access_logged.value(), 1u);
  const auto other = Asked(control, "/other");
  EXPECT_FALSE(other.refused);
  EXPECT_EQ(other.stats->access_logged.value(), 0u);
  EXPECT_EQ(other.stats->access_allowed.value(), 1u);
}

TEST_F(RbacTest, ShadowRulesOnlyCount) {
  const AccessControl control{.rules = std::nullopt, .shadow = OfOpen(Action::kAllow)};
  const auto open = Asked(control, "/open");
  EXPECT_EQ(open.stats->access_shadow_allowed.value(), 1u);
  const auto other = Asked(control, "/other");
  EXPECT_FALSE(other.refused);
  EXPECT_EQ(other.stats->access_shadow_denied.value(), 1u);
  EXPECT_EQ(other.stats->access_allowed.value(), 0u) << "there are no rules to be enforced";
  const AccessControl both{.rules = OfOpen(Action::kAllow), .shadow = OfOpen(Action::kDeny)};
  EXPECT_EQ(Asked(both, "/other").stats->access_shadow_allowed.value(), 1u);
}

TEST_F(RbacTest, EmptyRulesAllowNothingAndNoneDenyNothing) {
  EXPECT_TRUE(Asked({.rules = AccessRules(), .shadow = std::nullopt}, "/open").refused);
  EXPECT_FALSE(Asked({}, "/open").refused);
}

TEST_F(RbacTest, RequestsAreJudgedAtOnePlaceAlone) {
  const AccessControl control{.rules = AccessRules(), .shadow = std::nullopt};
  for (const auto place : {AccessJudged::kNowhere, AccessJudged::kAsTranslated}) {
    filter::FilterDrive drive(filter_, config::FilterKind::kRbac, control);
    drive.JudgeAccess(place);
    drive.Request("", 0);
    EXPECT_FALSE(drive.refused);
  }
}

TEST_F(RbacTest, WhoseConnectionIsGoneIsDeniedAlsoByRulesThatDenyOthers) {
  AccessRules rules;
  rules.action = AccessRules::Action::kDeny;
  const access::Address others{access::Address::Whose::kDirectPeer, *net::CidrRange::Parse("10.0.0.2")};
  rules.policies = {{{{AccessCondition{access::Always{}}}}, {{AccessCondition{others}}}}};
  filter::FilterDrive drive(filter_, config::FilterKind::kRbac, AccessControl{.rules = rules, .shadow = {}});
  drive.JudgeAccess(AccessJudged::kAsTheyCome);
  drive.Request("", 0);
  EXPECT_FALSE(drive.refused);
  drive.ends = {};
  drive.Request("", 0);
  EXPECT_TRUE(drive.refused);
}

TEST_F(RbacTest, WhatAddressesAreIsTakenFromTheConnection) {
  AccessRules rules;
  const auto one = [](access::Address::Whose whose, const char* ip) {
    return AccessCondition{access::Address{whose, *net::CidrRange::Parse(ip)}};
  };
  using Whose = access::Address::Whose;
  rules.policies = {{{{one(Whose::kDestination, "10.0.0.1")}}, {{one(Whose::kDirectPeer, "10.0.0.2")}}}};
  filter::FilterDrive drive(filter_, config::FilterKind::kRbac, AccessControl{.rules = rules, .shadow = {}});
  drive.JudgeAccess(AccessJudged::kAsTheyCome);
  drive.Request("", 0);
  EXPECT_TRUE(drive.refused);
  drive.ends = {*net::Address::Parse("10.0.0.1", 1), *net::Address::Parse("10.0.0.2", 2)};
  drive.refused = false;
  drive.Request("", 0);
  EXPECT_FALSE(drive.refused);
}

}  // namespace
}  // namespace pillion::filters
