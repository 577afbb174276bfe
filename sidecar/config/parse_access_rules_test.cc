#include "sidecar/config/parse_access_rules.h"

#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "sidecar/config/parse_test_yaml.h"

namespace pillion::config {
namespace {

using envoy::extensions::filters::http::rbac::v3::RBAC;
using envoy::extensions::filters::http::rbac::v3::RBACPerRoute;

google::protobuf::Any Pack(const google::protobuf::Message& message) {
  google::protobuf::Any any;
  any.PackFrom(message);
  return any;
}
AccessControl Read(const google::protobuf::Message& message, ConfigErrors& errors) {
  return ReadAccessControl(Pack(message), "c", errors);
}
AccessControl Read(const std::string& yaml) {
  ConfigErrors errors;
  AccessControl control = Read(FromYaml<RBAC>(yaml), errors);
  EXPECT_EQ(ToLines(errors), Lines{}) << yaml;
  return control;
}
Lines Errors(const std::string& yaml) {
  ConfigErrors errors;
  Read(FromYaml<RBAC>(yaml), errors);
  return ToLines(errors);
}
// One policy of these.
std::string Policy(const std::string& permission, const std::string& principal = "{any: true}") {
  return "{rules: {policies: {p: {permissions: [" + permission + "], principals: [" + principal + "]}}}}";
}
const AccessCondition& Permission(const AccessControl& control) {
  return control.rules->policies.at(0).permissions.of.at(0);
}
const AccessCondition& Principal(const AccessControl& control) {
  return control.rules->policies.at(0).principals.of.at(0);
}
template <typename T>
T As(const AccessCondition& condition) {
  const T* const one = std::get_if<T>(&condition.what);
  EXPECT_NE(one, nullptr) << condition.what.index();
  return one == nullptr ? T() : *one;
}

TEST(ParseAccessRules, WithoutRulesNothingIsSaidAndWithEmptyOnesNothingIsAllowed) {
  EXPECT_FALSE(Read("{}").rules.has_value());
  EXPECT_FALSE(Read("{rules_stat_prefix: a, shadow_rules_stat_prefix: b}").shadow.has_value());
  const AccessControl empty = Read("{rules: {}}");
  ASSERT_TRUE(empty.rules.has_value());
  EXPECT_EQ(empty.rules->action, AccessRules::Action::kAllow);
  EXPECT_TRUE(empty.rules->policies.empty());
}

TEST(ParseAccessRules, ActionsAndShadowRulesAreRead) {
  EXPECT_EQ(Read("{rules: {action: DENY}}").rules->action, AccessRules::Action::kDeny);
  const AccessControl shadow = Read("{shadow_rules: {action: LOG}}");
  EXPECT_FALSE(shadow.rules.has_value());
  EXPECT_EQ(shadow.shadow->action, AccessRules::Action::kLog);
  RBAC other;
  other.mutable_rules()->set_action(static_cast<envoy::config::rbac::v3::RBAC::Action>(7));
  ConfigErrors errors;
  Read(other, errors);
  EXPECT_EQ(ToLines(errors), Lines{"c.rules.action: expected ALLOW, DENY or LOG"});
}

TEST(ParseAccessRules, PermissionsAreRead) {
  As<access::Always>(Permission(Read(Policy("{any: true}"))));
  const auto field = As<HeaderMatch>(Permission(Read(Policy("{header: {name: X-A, present_match: true}}"))));
  EXPECT_EQ(field.name, "x-a");
  const auto path =
      As<access::Path>(Permission(Read(Policy("{url_path: {path: {prefix: /a, ignore_case: true}}}"))));
  EXPECT_EQ(path.text.text, "/a");
  EXPECT_EQ(path.text.kind, StringMatch::Kind::kPrefix);
  EXPECT_TRUE(path.text.ignore_case);
  const auto address = As<access::Address>(
      Permission(Read(Policy("{destination_ip: {address_prefix: 10.1.0.0, prefix_len: 16}}"))));
  EXPECT_EQ(address.whose, access::Address::Whose::kDestination);
  EXPECT_EQ(address.range, *net::CidrRange::Parse("10.1.0.0/16"));
  const auto port = As<access::Ports>(Permission(Read(Policy("{destination_port: 443}"))));
  EXPECT_EQ(port.range.start, 443);
  EXPECT_EQ(port.range.end, 444);
  const auto ports =
      As<access::Ports>(Permission(Read(Policy("{destination_port_range: {start: 80, end: 90}}"))));
  EXPECT_EQ(ports.range.end, 90);
  const auto name =
      As<access::ServerName>(Permission(Read(Policy("{requested_server_name: {exact: a.example}}"))));
  EXPECT_TRUE(name.text.ignore_case) << "hosts have no case";
}

TEST(ParseAccessRules, PrincipalsAreRead) {
  const auto read = [](const std::string& principal) { return Read(Policy("{any: true}", principal)); };
  EXPECT_FALSE(As<access::Identity>(Principal(read("{authenticated: {}}"))).name.has_value());
  const auto named =
      As<access::Identity>(Principal(read("{authenticated: {principal_name: {exact: spiffe://a/b}}}")));
  EXPECT_EQ(named.name->text, "spiffe://a/b");
  using Whose = access::Address::Whose;
  const std::pair<const char*, Whose> addresses[] = {
      {"source_ip", Whose::kPeer}, {"direct_remote_ip", Whose::kDirectPeer}, {"remote_ip", Whose::kClient}};
  for (const auto& [field, whose] : addresses) {
    const auto control = read("{" + std::string(field) + ": {address_prefix: '::1', prefix_len: 128}}");
    EXPECT_EQ(As<access::Address>(Principal(control)).whose, whose) << field;
  }
  As<HeaderMatch>(Principal(read("{header: {name: a}}")));
  As<access::Path>(Principal(read("{url_path: {path: {exact: /}}}")));
}

TEST(ParseAccessRules, SetsAndNegationsNest) {
  const auto all = As<access::All>(Permission(
      Read(Policy("{and_rules: {rules: [{any: true}, {or_rules: {rules: [{not_rule: {any: true}}]}}]}}"))));
  ASSERT_EQ(all.of.size(), 2u);
  As<access::Not>(As<access::Any>(all.of[1]).of.at(0));
  const auto any = As<access::Any>(
      Principal(Read(Policy("{any: true}", "{or_ids: {ids: [{and_ids: {ids: [{not_id: {any: true}}]}}]}}"))));
  As<access::Not>(As<access::All>(any.of.at(0)).of.at(0));
}

TEST(ParseAccessRules, WhatIsWrongIsSaidWithItsPlace) {
  EXPECT_EQ(Errors("{rules: {policies: {p: {}}}}"),
            (Lines{"c.rules.policies[\"p\"].permissions: expected at least one",
                   "c.rules.policies[\"p\"].principals: expected at least one"}));
  const std::string permission = "c.rules.policies[\"p\"].permissions[0]";
  EXPECT_EQ(Errors(Policy("{any: false}")), Lines{permission + ".any: expected true"});
  EXPECT_EQ(Errors(Policy("{and_rules: {}}")), Lines{permission + ".and_rules.rules: expected at least one"});
  EXPECT_EQ(Errors(Policy("{destination_port: 0}")),
            Lines{permission + ".destination_port: expected a port from 1 to 65535"});
  EXPECT_EQ(Errors(Policy("{destination_port: 65536}")),
            Lines{permission + ".destination_port: expected a port from 1 to 65535"});
  EXPECT_EQ(Errors(Policy("{destination_port_range: {start: 9, end: 9}}")),
            Lines{permission +
                  ".destination_port_range: expected a start of at least 0, and less than its end of at most "
                  "65536"});
  EXPECT_EQ(Errors(Policy("{url_path: {}}")), Lines{permission + ".url_path: expected path"});
  EXPECT_EQ(Errors(Policy("{requested_server_name: {safe_regex: {regex: '('}}}")).size(), 1u);
  EXPECT_EQ(Errors(Policy("{not_rule: {}}")),
            Lines{permission +
                  ".not_rule: expected any, and_rules, or_rules, not_rule, header, url_path, destination_ip, "
                  "destination_port, destination_port_range or requested_server_name"});
  const std::string principal = "c.rules.policies[\"p\"].principals[0]";
  EXPECT_EQ(Errors(Policy("{any: true}", "{or_ids: {ids: [{}]}}")),
            Lines{principal +
                  ".or_ids.ids[0]: expected any, and_ids, or_ids, not_id, authenticated, header, url_path, "
                  "source_ip, remote_ip or direct_remote_ip"});
  EXPECT_EQ(
      Errors(Policy("{any: true}", "{source_ip: {address_prefix: '::ffff:10.0.0.0', prefix_len: 104}}")),
      Lines{principal +
            ".source_ip.address_prefix: expected an IPv4 address as such, which is how clients are "
            "known"});
}

// Of the field `number` of `message`, with a message in it.
template <typename M>
void AddUnknown(M& message, int number) {
  message.GetReflection()->MutableUnknownFields(&message)->AddLengthDelimited(number, "");
}

TEST(ParseAccessRules, WhatIsNotImplementedIsAnErrorWhereverItStands) {
  using envoy::config::rbac::v3::Policy;
  const auto errors_with = [](int number, auto at) {
    RBAC proto = FromYaml<RBAC>(
        "{rules: {policies: {p: {permissions: [{any: true}], principals: [{not_id: {any: true}}]}}}}");
    AddUnknown(at(proto), number);
    ConfigErrors errors;
    Read(proto, errors);
    return ToLines(errors);
  };
  const auto policy = [](RBAC& proto) -> Policy& {
    return (*proto.mutable_rules()->mutable_policies())["p"];
  };
  EXPECT_EQ(errors_with(3, policy), Lines{"c.rules.policies[\"p\"].3: field condition of "
                                          "envoy.config.rbac.v3.Policy is not implemented"});
  EXPECT_EQ(errors_with(4, [](RBAC& proto) -> RBAC& { return proto; }),
            Lines{"c.4: field matcher of envoy.extensions.filters.http.rbac.v3.RBAC is not implemented"});
  EXPECT_EQ(errors_with(3, [](RBAC& proto) -> auto& { return *proto.mutable_rules(); }),
            Lines{"c.rules.3: field audit_logging_options of envoy.config.rbac.v3.RBAC is not implemented"});
  EXPECT_EQ(errors_with(12,
                        [&](RBAC& proto) -> auto& {
                          auto& inner = *policy(proto).mutable_principals(0)->mutable_not_id();
                          inner.clear_any();
                          return inner;
                        }),
            Lines{"c.rules.policies[\"p\"].principals[0].not_id.12: field filter_state of "
                  "envoy.config.rbac.v3.Principal is not implemented"});
  EXPECT_EQ(errors_with(7,
                        [&](RBAC& proto) -> auto& {
                          auto& permission = *policy(proto).mutable_permissions(0);
                          permission.clear_any();
                          return permission;
                        }),
            Lines{"c.rules.policies[\"p\"].permissions[0].7: field metadata of "
                  "envoy.config.rbac.v3.Permission is not implemented"});
}

TEST(ParseAccessRules, ARouteMaySayThatNothingIsDenied) {
  ConfigErrors errors;
  bool disabled = false;
  ReadAccessControlPerRoute(Pack(RBACPerRoute()), "c", disabled, errors);
  EXPECT_TRUE(disabled);
  const auto said =
      ReadAccessControlPerRoute(Pack(FromYaml<RBACPerRoute>("{rbac: {rules: {}}}")), "c", disabled, errors);
  EXPECT_FALSE(disabled);
  EXPECT_TRUE(said.rules.has_value());
  EXPECT_EQ(ToLines(errors), Lines{});
  ReadAccessControlPerRoute(Pack(FromYaml<RBACPerRoute>("{rbac: {rules: {policies: {p: {}}}}}")), "c",
                            disabled, errors);
  EXPECT_EQ(ToLines(errors).at(0), "c.rbac.rules.policies[\"p\"].permissions: expected at least one");
}

// A principal under so many negations.
RBAC Nested(int levels) {
  RBAC proto;
  auto& policy = (*proto.mutable_rules()->mutable_policies())["p"];
  policy.add_permissions()->set_any(true);
  auto* one = policy.add_principals();
  for (int i = 0; i < levels; ++i) one = one->mutable_not_id();
  one->set_any(true);
  return proto;
}

TEST(ParseAccessRules, DepthAndNumberHaveLimits) {
  ConfigErrors errors;
  Read(Nested(kMaxAccessDepth - 1), errors);
  EXPECT_EQ(ToLines(errors), Lines{});
  Read(Nested(kMaxAccessDepth), errors);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].message, "expected at most 32 levels");
  errors.clear();
  RBAC proto = Nested(0);
  auto& policy = (*proto.mutable_rules()->mutable_policies())["p"];
  while (policy.permissions_size() + policy.principals_size() < static_cast<int>(kMaxAccessConditions) - 1)
    policy.add_permissions()->set_any(true);
  Read(proto, errors);
  EXPECT_EQ(ToLines(errors), Lines{});
  for (int i = 0; i < 3; ++i) policy.add_permissions()->set_any(true);
  Read(proto, errors);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].message, "expected less than 16384 permissions and principals");
}

}  // namespace
}  // namespace pillion::config
