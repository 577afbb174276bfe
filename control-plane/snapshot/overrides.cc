#include "control-plane/snapshot/overrides.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <vector>

#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_endpoints.h"
#include "sidecar/config/parse_route.h"

namespace pillion::control {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::config::endpoint::v3::LbEndpoint;
using envoy::config::endpoint::v3::LocalityLbEndpoints;
using envoy::config::route::v3::Route;
using envoy::config::route::v3::RouteConfiguration;
using envoy::config::route::v3::VirtualHost;
using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Values, though they are messages.
bool IsValue(const Descriptor& type) {
  const std::string& name = type.full_name();
  return name.starts_with("google.protobuf.") || name == "envoy.type.v3.FractionalPercent" ||
         name == "envoy.type.v3.Percent";
}

// Takes the values out of `to` that `from` has: 2s and 500ms, merged, would be 2.5s.
void MakeWay(const Message& from, Message& to) {
  const Reflection& reflection = *from.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(from, &fields);
  for (const FieldDescriptor* const field : fields) {
    if (field->is_repeated() || field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (IsValue(*field->message_type())) {
      reflection.ClearField(&to, field);
    } else if (reflection.HasField(to, field)) {
      MakeWay(reflection.GetMessage(from, field), *reflection.MutableMessage(&to, field));
    }
  }
}

void Merge(const Message& from, Message& to) {
  MakeWay(from, to);
  to.MergeFrom(from);
}

template <typename Validated>
std::string FirstError(const Validated& validated) {
  for (const auto& errors : {validated.errors, validated.unsupported}) {
    if (!errors.empty()) return errors.front().path + ": " + errors.front().message;
  }
  return "";
}

std::string CheckHost(const VirtualHost& host) {
  RouteConfiguration table;
  table.set_name("a");
  table.mutable_validate_clusters()->set_value(false);
  VirtualHost& only = *table.add_virtual_hosts() = host;
  if (only.domains().empty()) only.add_domains("*");
  std::string error = FirstError(config::ParseRouteTable(table, "", config::Origin::kPushed));
  constexpr std::string_view kHost = "virtual_hosts[0].";
  if (error.starts_with(kHost)) error.erase(0, kHost.size());
  return error;
}

}  // namespace

std::string Override(const OverrideRule& rule, Cluster& cluster) {
  if (rule.cluster == nullptr) return "";
  Cluster merged = cluster;
  Merge(*rule.cluster, merged);
  std::string error = FirstError(config::ParseCluster(merged, ""));
  if (error.empty()) cluster = std::move(merged);
  return error;
}

std::string Override(const OverrideRule& rule, Route& route) {
  if (rule.route == nullptr) return "";
  Route own = *rule.route;
  if (!route.has_route()) own.clear_route();  // it is for those that lead to backends
  VirtualHost host;
  host.set_name("a");
  Route& merged = *host.add_routes() = route;
  Merge(own, merged);
  std::string error = CheckHost(host);
  if (error.empty()) route = std::move(merged);
  return error;
}

std::string Override(const OverrideRule& rule, VirtualHost& host) {
  if (rule.host == nullptr) return "";
  VirtualHost merged = host;
  Merge(*rule.host, merged);
  std::string error = CheckHost(merged);
  if (error.empty()) host = std::move(merged);
  return error;
}

void Override(const AssignmentOverride& rule, const MeshEndpoint& endpoint, LocalityLbEndpoints& place,
              LbEndpoint& made) {
  for (const EndpointOverride& one : rule.endpoints) {
    if (!one.IsOf(endpoint.host, endpoint.zone)) continue;
    Merge(one.locality, place);
    const auto before = made.metadata().filter_metadata();
    Merge(one.endpoint, made);
    // Under one key too: those of several entries are of one endpoint.
    for (const auto& [key, labels] : before) {
      auto& merged = *(*made.mutable_metadata()->mutable_filter_metadata())[key].mutable_fields();
      merged.insert(labels.fields().begin(), labels.fields().end());
    }
  }
  // Nobody can make a pod ready that says it is not.
  if (endpoint.health == Health::kNotReady) made.set_health_status(envoy::config::core::v3::UNHEALTHY);
  if (endpoint.health == Health::kDraining) made.set_health_status(envoy::config::core::v3::DRAINING);
}

std::string Override(const AssignmentOverride& rule, ClusterLoadAssignment& assignment) {
  ClusterLoadAssignment merged = assignment;
  Merge(rule.assignment, merged);
  config::ConfigErrors errors;
  config::ReadAssignment(merged, "", errors, config::Hosts::kAlsoNames);
  if (!errors.empty()) return errors.front().path + ": " + errors.front().message;
  assignment = std::move(merged);
  return "";
}

void Override(const OverrideRule& rule, RouteConfiguration& table) {
  if (rule.table != nullptr) Merge(*rule.table, table);
}

}  // namespace pillion::control
