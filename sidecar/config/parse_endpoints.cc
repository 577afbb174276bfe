#include "sidecar/config/parse_endpoints.h"

#include <set>

#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_balancer.h"
#include "sidecar/config/parse_dns.h"
#include "sidecar/http/target.h"

namespace pillion::config {
namespace {

namespace core = envoy::config::core::v3;
namespace endpoint = envoy::config::endpoint::v3;

constexpr uint32_t kMostPriority = 127;

bool SaysSidecar(const core::Metadata& metadata, const std::string& path, ConfigErrors& errors) {
  const auto ours = metadata.filter_metadata().find(kMetadataKey);
  if (ours == metadata.filter_metadata().end()) return false;
  const std::string our_path = EntryPath(FieldPath(path, "filter_metadata"), kMetadataKey);
  bool sidecar = false;
  for (const auto& [name, value] : ours->second.fields()) {
    if (name != kSidecarField) {
      Add(errors, EntryPath(our_path, name), std::string("expected no field but ") + kSidecarField);
    } else if (value.kind_case() != google::protobuf::Value::kBoolValue) {
      Add(errors, EntryPath(our_path, name), "expected true or false");
    } else {
      sidecar = value.bool_value();
    }
  }
  return sidecar;
}

void ReadCheckConfig(const endpoint::Endpoint& proto, const std::string& path, Endpoint& result,
                     ConfigErrors& errors) {
  const auto& check = proto.health_check_config();
  result.checked = !check.disable_active_health_check();
  result.check_host = check.hostname();
  if (!result.check_host.empty() && !http::IsAuthority(result.check_host))
    Add(errors, FieldPath(path, "hostname"), "expected a host, maybe with a port");
  if (check.port_value() > UINT16_MAX) Add(errors, FieldPath(path, "port_value"), "expected at most 65535");
  result.check_port = static_cast<uint16_t>(check.port_value());
}

// But for its address.
Endpoint ReadEndpoint(const endpoint::LbEndpoint& proto, const std::string& path, ConfigErrors& errors) {
  Endpoint result;
  result.hostname = proto.endpoint().hostname();
  ReadCheckConfig(proto.endpoint(), FieldPath(FieldPath(path, "endpoint"), "health_check_config"), result,
                  errors);
  result.health = ReadHealth(proto.health_status(), FieldPath(path, "health_status"), errors);
  result.pillion_sidecar = SaysSidecar(proto.metadata(), FieldPath(path, "metadata"), errors);
  const auto labels = proto.metadata().filter_metadata().find(kLabelsKey);
  if (labels != proto.metadata().filter_metadata().end()) {
    result.labels =
        ReadLabels(labels->second,
                   EntryPath(FieldPath(FieldPath(path, "metadata"), "filter_metadata"), kLabelsKey), errors);
  }
  if (proto.has_load_balancing_weight()) {
    result.weight = ReadNumber(proto.load_balancing_weight(), FieldPath(path, "load_balancing_weight"),
                               errors, 1, UINT32_MAX);
  }
  return result;
}

}  // namespace

Health ReadHealth(core::HealthStatus status, const std::string& path, ConfigErrors& errors) {
  switch (status) {
    case core::UNKNOWN:
    case core::HEALTHY:
      return Health::kGood;
    case core::DEGRADED:
      return Health::kDegraded;
    case core::DRAINING:
      return Health::kDraining;
    case core::UNHEALTHY:
    case core::TIMEOUT:
      return Health::kBad;
    default:
      Add(errors, path, "expected UNKNOWN, HEALTHY, UNHEALTHY, DRAINING, TIMEOUT or DEGRADED");
      return Health::kBad;
  }
}

Assignment ReadAssignment(const endpoint::ClusterLoadAssignment& proto, const std::string& path,
                          ConfigErrors& errors, Hosts hosts) {
  Assignment result;
  result.name = proto.cluster_name();
  RequireText(proto.cluster_name(), FieldPath(path, "cluster_name"), errors);
  const std::string localities = FieldPath(path, "endpoints");
  std::set<net::Address> seen;
  uint64_t total_weight = 0;
  for (int i = 0; i < proto.endpoints_size(); ++i) {
    const auto& locality = proto.endpoints(i);
    const std::string locality_path = ElementPath(localities, static_cast<size_t>(i));
    if (locality.priority() > kMostPriority) {
      Add(errors, FieldPath(locality_path, "priority"), "expected at most " + std::to_string(kMostPriority));
    }
    Locality& place = result.localities.emplace_back();
    place.region = locality.locality().region();
    place.zone = locality.locality().zone();
    place.sub_zone = locality.locality().sub_zone();
    place.priority = locality.priority();
    if (locality.has_load_balancing_weight()) {
      place.weight = ReadNumber(locality.load_balancing_weight(),
                                FieldPath(locality_path, "load_balancing_weight"), errors, 1, UINT32_MAX);
    }
    for (int k = 0; k < locality.lb_endpoints_size(); ++k) {
      const std::string endpoint_path =
          ElementPath(FieldPath(locality_path, "lb_endpoints"), static_cast<size_t>(k));
      Endpoint one = ReadEndpoint(locality.lb_endpoints(k), endpoint_path, errors);
      one.locality = static_cast<uint32_t>(i);
      const auto& address = locality.lb_endpoints(k).endpoint().address();
      const std::string address_path = FieldPath(FieldPath(endpoint_path, "endpoint"), "address");
      if (hosts == Hosts::kAlsoNames && IsHostName(address)) {
        total_weight += uint64_t{one.weight} * net::kMaxAddressesPerName;
        result.names.push_back(ReadNamed(address, address_path, std::move(one), errors));
        continue;
      }
      one.address = ReadAddress(address, address_path, errors, false);
      // Worker tables are keyed by address.
      if (one.address.port() != 0 && !seen.insert(one.address).second) {
        Add(errors, endpoint_path,
            "expected each address once; " + one.address.ToString() + " is there before");
      }
      total_weight += one.weight;
      result.endpoints.push_back(std::move(one));
    }
  }
  if (proto.policy().has_overprovisioning_factor()) {
    result.overprovisioning_percent =
        ReadNumber(proto.policy().overprovisioning_factor(),
                   FieldPath(FieldPath(path, "policy"), "overprovisioning_factor"), errors, 100, UINT32_MAX);
  }
  if (total_weight > UINT32_MAX) {
    Add(errors, localities, "expected weights that sum up to at most 4294967295");
  }
  return result;
}

Validated<Assignment> ParseAssignment(const endpoint::ClusterLoadAssignment& proto,
                                      const std::string& version) {
  ConfigErrors errors;
  Assignment assignment = ReadAssignment(proto, "", errors);
  assignment.version = version;
  return Finish(std::move(assignment), std::move(errors), proto);
}

}  // namespace pillion::config
