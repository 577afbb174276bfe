#include "sidecar/config/parse_access_rules.h"

#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "envoy/config/rbac/v3/rbac.pb.h"
#include "envoy/extensions/filters/http/rbac/v3/rbac.pb.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_route.h"

namespace pillion::config {
namespace {

namespace rbac = envoy::config::rbac::v3;
using envoy::extensions::filters::http::rbac::v3::RBAC;
using envoy::extensions::filters::http::rbac::v3::RBACPerRoute;
using rbac::Permission;
using rbac::Principal;
using Whose = access::Address::Whose;

// What is left to be read of one RBAC.
struct Room {
  size_t conditions = kMaxAccessConditions;
  int levels = kMaxAccessDepth;
};

// True: one more. Said once, where it is too many.
bool Takes(Room& room, const std::string& path, ConfigErrors& errors) {
  if (room.levels == 0) {
    Add(errors, path, "expected at most " + std::to_string(kMaxAccessDepth) + " levels");
    return false;
  }
  if (room.conditions == 0) return false;
  if (--room.conditions == 0) {
    Add(errors, path,
        "expected less than " + std::to_string(kMaxAccessConditions) + " permissions and principals");
    return false;
  }
  return true;
}

// The proto says `true` and nothing else.
AccessCondition ReadAny(bool value, const std::string& path, ConfigErrors& errors) {
  if (!value) Add(errors, FieldPath(path, "any"), "expected true");
  return {access::Always{}};
}

AccessCondition ReadRange(Whose whose, const envoy::config::core::v3::CidrRange& proto,
                          const std::string& path, ConfigErrors& errors) {
  access::Address result{whose, ReadCidr(proto, path, errors)};
  if (result.range.base.Unmapped() != result.range.base) {
    Add(errors, FieldPath(path, "address_prefix"),
        "expected an IPv4 address as such, which is how clients are known");
  }
  return {result};
}

AccessCondition ReadPath(const envoy::type::matcher::v3::PathMatcher& proto, const std::string& path,
                         ConfigErrors& errors) {
  if (!proto.has_path()) {
    if (UnknownFields(proto).empty()) Add(errors, path, "expected path");
    return {};
  }
  return {access::Path{ReadStringMatch(proto.path(), FieldPath(path, "path"), errors)}};
}

// Names of hosts have no case (RFC 4343); who asks for another one must not become another one.
AccessCondition ReadServerName(envoy::type::matcher::v3::StringMatcher proto, const std::string& path,
                               ConfigErrors& errors) {
  if (proto.has_safe_regex()) {
    ConfigErrors said;
    ReadStringMatch(proto, path, said);
    proto.mutable_safe_regex()->set_regex("(?i:" + proto.safe_regex().regex() + ")");
    ConfigErrors folded;
    config::StringMatch match = ReadStringMatch(proto, path, folded);
    if (said.empty() && !folded.empty()) {
      Add(errors, FieldPath(FieldPath(path, "safe_regex"), "regex"),
          "expected an expression that is one within (?i:...) too: for host names case does not matter");
    }
    errors.insert(errors.end(), said.begin(), said.end());
    return {access::ServerName{std::move(match)}};
  }
  proto.set_ignore_case(true);
  return {access::ServerName{ReadStringMatch(proto, path, errors)}};
}

constexpr int32_t kPortsEnd = 65536;

AccessCondition ReadPort(uint32_t port, const std::string& path, ConfigErrors& errors) {
  if (port < 1 || port >= kPortsEnd) Add(errors, path, "expected a port from 1 to 65535");
  return {access::Ports{{.start = port, .end = int64_t{port} + 1}}};
}

AccessCondition ReadPorts(const envoy::type::v3::Int32Range& proto, const std::string& path,
                          ConfigErrors& errors) {
  if (proto.start() < 0 || proto.end() > kPortsEnd || proto.start() >= proto.end()) {
    Add(errors, path, "expected a start of at least 0, and less than its end of at most 65536");
  }
  return {access::Ports{{.start = proto.start(), .end = proto.end()}}};
}

AccessCondition Read(const Permission& proto, const std::string& path, Room& room, ConfigErrors& errors);
AccessCondition Read(const Principal& proto, const std::string& path, Room& room, ConfigErrors& errors);

template <typename Protos>
std::vector<AccessCondition> ReadAll(const Protos& protos, const std::string& path, Room& room,
                                     ConfigErrors& errors) {
  std::vector<AccessCondition> result;
  if (protos.empty()) Add(errors, path, "expected at least one");
  result.reserve(static_cast<size_t>(protos.size()));
  for (int i = 0; i < protos.size() && room.conditions > 0; ++i)
    result.push_back(Read(protos[i], ElementPath(path, static_cast<size_t>(i)), room, errors));
  return result;
}

// One level deeper.
template <typename Protos>
std::vector<AccessCondition> ReadSet(const Protos& protos, const std::string& path, Room& room,
                                     ConfigErrors& errors) {
  --room.levels;
  auto result = ReadAll(protos, path, room, errors);
  ++room.levels;
  return result;
}

template <typename Proto>
AccessCondition ReadNot(const Proto& proto, const std::string& path, Room& room, ConfigErrors& errors) {
  --room.levels;
  access::Not result;
  result.of.push_back(Read(proto, path, room, errors));
  ++room.levels;
  return {std::move(result)};
}

AccessCondition Read(const Permission& proto, const std::string& path, Room& room, ConfigErrors& errors) {
  if (!Takes(room, path, errors)) return {};
  const auto at = [&path](std::string_view field) { return FieldPath(path, field); };
  const auto set = [&](const Permission::Set& of, std::string_view field) {
    return ReadSet(of.rules(), FieldPath(at(field), "rules"), room, errors);
  };
  switch (proto.rule_case()) {
    case Permission::kAndRules:
      return {access::All{set(proto.and_rules(), "and_rules")}};
    case Permission::kOrRules:
      return {access::Any{set(proto.or_rules(), "or_rules")}};
    case Permission::kAny:
      return ReadAny(proto.any(), path, errors);
    case Permission::kHeader:
      return {ReadHeaderMatch(proto.header(), at("header"), errors)};
    case Permission::kDestinationIp:
      return ReadRange(Whose::kDestination, proto.destination_ip(), at("destination_ip"), errors);
    case Permission::kDestinationPort:
      return ReadPort(proto.destination_port(), at("destination_port"), errors);
    case Permission::kNotRule:
      return ReadNot(proto.not_rule(), at("not_rule"), room, errors);
    case Permission::kRequestedServerName:
      return ReadServerName(proto.requested_server_name(), at("requested_server_name"), errors);
    case Permission::kUrlPath:
      return ReadPath(proto.url_path(), at("url_path"), errors);
    case Permission::kDestinationPortRange:
      return ReadPorts(proto.destination_port_range(), at("destination_port_range"), errors);
    case Permission::RULE_NOT_SET:
      break;
  }
  // What it has that we do not is listed with the other such fields.
  if (UnknownFields(proto).empty()) {
    Add(errors, path,
        "expected any, and_rules, or_rules, not_rule, header, url_path, destination_ip, destination_port, "
        "destination_port_range or requested_server_name");
  }
  return {};
}

AccessCondition Read(const Principal& proto, const std::string& path, Room& room, ConfigErrors& errors) {
  if (!Takes(room, path, errors)) return {};
  const auto at = [&path](std::string_view field) { return FieldPath(path, field); };
  const auto set = [&](const Principal::Set& of, std::string_view field) {
    return ReadSet(of.ids(), FieldPath(at(field), "ids"), room, errors);
  };
  switch (proto.identifier_case()) {
    case Principal::kAndIds:
      return {access::All{set(proto.and_ids(), "and_ids")}};
    case Principal::kOrIds:
      return {access::Any{set(proto.or_ids(), "or_ids")}};
    case Principal::kAny:
      return ReadAny(proto.any(), path, errors);
    case Principal::kAuthenticated: {
      access::Identity identity;
      if (proto.authenticated().has_principal_name()) {
        identity.name = ReadStringMatch(proto.authenticated().principal_name(),
                                        FieldPath(at("authenticated"), "principal_name"), errors);
      }
      return {std::move(identity)};
    }
    case Principal::kSourceIp:
      return ReadRange(Whose::kPeer, proto.source_ip(), at("source_ip"), errors);
    case Principal::kHeader:
      return {ReadHeaderMatch(proto.header(), at("header"), errors)};
    case Principal::kNotId:
      return ReadNot(proto.not_id(), at("not_id"), room, errors);
    case Principal::kUrlPath:
      return ReadPath(proto.url_path(), at("url_path"), errors);
    case Principal::kDirectRemoteIp:
      return ReadRange(Whose::kDirectPeer, proto.direct_remote_ip(), at("direct_remote_ip"), errors);
    case Principal::kRemoteIp:
      return ReadRange(Whose::kClient, proto.remote_ip(), at("remote_ip"), errors);
    case Principal::IDENTIFIER_NOT_SET:
      break;
  }
  if (UnknownFields(proto).empty()) {
    Add(errors, path,
        "expected any, and_ids, or_ids, not_id, authenticated, header, url_path, source_ip, remote_ip or "
        "direct_remote_ip");
  }
  return {};
}

AccessRules ReadRules(const rbac::RBAC& proto, const std::string& path, ConfigErrors& errors) {
  AccessRules result;
  switch (proto.action()) {
    case rbac::RBAC::ALLOW:
      result.action = AccessRules::Action::kAllow;
      break;
    case rbac::RBAC::DENY:
      result.action = AccessRules::Action::kDeny;
      break;
    case rbac::RBAC::LOG:
      result.action = AccessRules::Action::kLog;
      break;
    default:
      Add(errors, FieldPath(path, "action"), "expected ALLOW, DENY or LOG");
  }
  Room room;
  const std::string policies_path = FieldPath(path, "policies");
  // Sorted, so that errors come in one order.
  std::map<std::string, const rbac::Policy*> sorted;
  for (const auto& [name, policy] : proto.policies()) sorted.emplace(name, &policy);
  for (const auto& [name, policy] : sorted) {
    const std::string policy_path = EntryPath(policies_path, name);
    AccessPolicy& one = result.policies.emplace_back();
    one.permissions.of = ReadAll(policy->permissions(), FieldPath(policy_path, "permissions"), room, errors);
    one.principals.of = ReadAll(policy->principals(), FieldPath(policy_path, "principals"), room, errors);
  }
  return result;
}

AccessControl ReadControl(const RBAC& proto, const std::string& path, ConfigErrors& errors) {
  AccessControl result;
  if (proto.has_rules()) result.rules = ReadRules(proto.rules(), FieldPath(path, "rules"), errors);
  if (proto.has_shadow_rules())
    result.shadow = ReadRules(proto.shadow_rules(), FieldPath(path, "shadow_rules"), errors);
  return result;
}

// Anywhere in it.
void RefuseUnknown(const google::protobuf::Message& proto, const std::string& path, ConfigErrors& errors) {
  for (UnknownField& field : UnknownFields(proto))
    Add(errors, FieldPath(path, field.path), std::move(field.message));
}

}  // namespace

AccessControl ReadAccessControl(const google::protobuf::Any& any, const std::string& path,
                                ConfigErrors& errors) {
  const auto proto = Unpack<RBAC>(any, path, errors);
  if (proto == nullptr) return {};
  RefuseUnknown(*proto, path, errors);
  return ReadControl(*proto, path, errors);
}

AccessControl ReadAccessControlPerRoute(const google::protobuf::Any& any, const std::string& path,
                                        bool& disabled, ConfigErrors& errors) {
  const auto proto = Unpack<RBACPerRoute>(any, path, errors);
  if (proto == nullptr) return {};
  RefuseUnknown(*proto, path, errors);
  disabled = !proto->has_rbac();
  return ReadControl(proto->rbac(), FieldPath(path, "rbac"), errors);
}

}  // namespace pillion::config
