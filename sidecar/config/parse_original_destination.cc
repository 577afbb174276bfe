#include "sidecar/config/parse_original_destination.h"

#include <memory>

#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"

namespace pillion::config {
namespace {

namespace cluster = envoy::config::cluster::v3;

constexpr char kDefaultField[] = "x-envoy-original-dst-host";
constexpr char kNoEndpoints[] = "expected none with type ORIGINAL_DST, which has no endpoints of its own";

void ReadLbConfig(const cluster::Cluster::OriginalDstLbConfig& proto, const std::string& path,
                  OriginalDestination& result, ConfigErrors& errors) {
  const std::string field_path = FieldPath(path, "http_header_name");
  if (proto.use_http_header()) {
    result.field = proto.http_header_name();
    if (result.field.empty()) result.field = kDefaultField;
    if (!IsFieldName(result.field)) Add(errors, field_path, "expected a field name");
  } else if (!proto.http_header_name().empty()) {
    Add(errors, field_path, "expected only with use_http_header");
  }
  if (proto.has_upstream_port_override()) {
    result.port = static_cast<uint16_t>(ReadNumber(
        proto.upstream_port_override(), FieldPath(path, "upstream_port_override"), errors, 1, UINT16_MAX));
  }
}

// Nothing is chosen, so nothing may be said of how.
void RefuseChoice(const cluster::Cluster& proto, const std::string& path, ConfigErrors& errors) {
  const auto refuse = [&](bool there, const char* field) {
    if (there) Add(errors, FieldPath(path, field), kNoEndpoints);
  };
  refuse(proto.has_load_assignment(), "load_assignment");
  refuse(proto.has_eds_cluster_config(), "eds_cluster_config");
  refuse(proto.has_lb_subset_config(), "lb_subset_config");
  refuse(!proto.health_checks().empty(), "health_checks");
  refuse(proto.has_outlier_detection(), "outlier_detection");
  refuse(proto.has_round_robin_lb_config(), "round_robin_lb_config");  // the others go with their policies
  if (proto.has_load_balancing_policy())
    Add(errors, FieldPath(path, "load_balancing_policy"), "expected none with type ORIGINAL_DST");
  const auto& common = proto.common_lb_config();
  const std::string common_path = FieldPath(path, "common_lb_config");
  if (common.has_healthy_panic_threshold())
    Add(errors, FieldPath(common_path, "healthy_panic_threshold"), kNoEndpoints);
  if (common.has_locality_weighted_lb_config())
    Add(errors, FieldPath(common_path, "locality_weighted_lb_config"), kNoEndpoints);
  if (common.has_zone_aware_lb_config())
    Add(errors, FieldPath(common_path, "zone_aware_lb_config"), kNoEndpoints);
  if (common.has_consistent_hashing_lb_config())
    Add(errors, FieldPath(common_path, "consistent_hashing_lb_config"), kNoEndpoints);
}

}  // namespace

void ReadOriginalDestination(const cluster::Cluster& proto, const std::string& path, Cluster& result,
                             ConfigErrors& errors) {
  const bool provided = proto.lb_policy() == cluster::Cluster::CLUSTER_PROVIDED;
  const std::string policy_path = FieldPath(path, "lb_policy");
  const std::string config_path = FieldPath(path, "original_dst_lb_config");
  const std::string interval_path = FieldPath(path, "cleanup_interval");
  if (proto.type() != cluster::Cluster::ORIGINAL_DST) {
    if (provided) Add(errors, policy_path, "expected CLUSTER_PROVIDED only with type ORIGINAL_DST");
    if (proto.has_original_dst_lb_config()) Add(errors, config_path, "expected only with type ORIGINAL_DST");
    if (proto.has_cleanup_interval()) Add(errors, interval_path, "expected only with type ORIGINAL_DST");
    return;
  }
  result.discovery = Cluster::Discovery::kOriginalDestination;
  result.load_assignment = std::make_shared<const Assignment>();
  OriginalDestination& read = result.original_destination.emplace();
  if (!provided) Add(errors, policy_path, "expected CLUSTER_PROVIDED with type ORIGINAL_DST");
  ReadLbConfig(proto.original_dst_lb_config(), config_path, read, errors);
  if (proto.has_cleanup_interval())
    read.forget_after = ReadDuration(proto.cleanup_interval(), interval_path, errors, true);
  RefuseChoice(proto, path, errors);
}

}  // namespace pillion::config
