#include "sidecar/config/parse_balancer.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "envoy/extensions/load_balancing_policies/common/v3/common.pb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb.h"
#include "envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.pb.h"
#include "envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb.h"
#include "envoy/extensions/load_balancing_policies/wrr_locality/v3/wrr_locality.pb.h"
#include "pillion/sidecar/v1/peak_ewma.pb.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_endpoints.h"

namespace pillion::config {
namespace {

namespace cluster = envoy::config::cluster::v3;
namespace policies = envoy::extensions::load_balancing_policies;
using Kind = Balancer::Kind;

constexpr uint64_t kLargestRing = uint64_t{8} * 1024 * 1024;
constexpr uint64_t kLargestTable = 5000011;
constexpr int kMostSelectors = 32;

uint32_t ReadChoices(const google::protobuf::UInt32Value& value, const std::string& path,
                     ConfigErrors& errors) {
  constexpr uint32_t kMostChoices = 100;
  if (value.value() < 2 || value.value() > kMostChoices) Add(errors, path, "expected 2 to 100");
  return value.value();
}

bool IsPrime(uint64_t number) {
  if (number < 2) return false;
  for (uint64_t i = 2; i * i <= number; ++i) {
    if (number % i == 0) return false;
  }
  return true;
}

// The messages of `lb_policy` and of `load_balancing_policy` have the same fields.
template <typename SlowStartConfig>
std::optional<SlowStart> ReadSlowStart(const SlowStartConfig& proto, const std::string& path,
                                       ConfigErrors& errors) {
  SlowStart result;
  result.window = ReadDuration(proto.slow_start_window(), FieldPath(path, "slow_start_window"), errors);
  if (proto.has_aggression()) {
    result.aggression = proto.aggression().default_value();
    if (!(result.aggression > 0))
      Add(errors, FieldPath(path, "aggression.default_value"), "expected more than 0");
  }
  if (proto.has_min_weight_percent()) {
    const double percent = proto.min_weight_percent().value();
    if (!(percent >= 0 && percent <= 100))
      Add(errors, FieldPath(path, "min_weight_percent"), "expected 0 to 100");
    result.least = percent / 100;
  }
  if (result.window.count() == 0) return std::nullopt;
  return result;
}

// Likewise.
template <typename ZoneAwareConfig>
ZoneAware ReadZoneAware(const ZoneAwareConfig& proto, const std::string& path, ConfigErrors& errors) {
  ZoneAware result;
  if (proto.has_routing_enabled()) {
    result.percent = proto.routing_enabled().value();
    if (!(result.percent >= 0 && result.percent <= 100))
      Add(errors, FieldPath(path, "routing_enabled"), "expected 0 to 100");
  }
  if (proto.has_min_cluster_size()) result.least_endpoints = proto.min_cluster_size().value();
  result.fails_in_panic = proto.fail_traffic_on_panic();
  return result;
}

void ReadLocalities(const policies::common::v3::LocalityLbConfig& proto, const std::string& path,
                    Balancer& result, ConfigErrors& errors) {
  result.localities_by_weight = proto.has_locality_weighted_lb_config();
  if (proto.has_zone_aware_lb_config())
    result.zone_aware =
        ReadZoneAware(proto.zone_aware_lb_config(),
                      FieldPath(FieldPath(path, "locality_lb_config"), "zone_aware_lb_config"), errors);
}

// Who hashes has a place for each request already; peak EWMA looks at what is near by itself.
bool MayBeZoneAware(Kind kind) {
  return kind == Kind::kRoundRobin || kind == Kind::kLeastRequest || kind == Kind::kRandom;
}

constexpr std::string_view kHashing = "consistent_hashing_lb_config";

template <typename Message>
void ReadHashing(const Message& proto, const std::string& path, Balancer& result, ConfigErrors& errors) {
  result.hash_hostnames = proto.use_hostname_for_hashing();
  result.hash_balance_percent = proto.hash_balance_factor().value();
  if (result.hash_balance_percent > 0 && result.hash_balance_percent < 100)
    Add(errors, FieldPath(path, "hash_balance_factor"), "expected 0, or 100 or more");
}

template <typename RingConfig>
void ReadRing(const RingConfig& proto, const std::string& path, Balancer& result, ConfigErrors& errors) {
  result.kind = Kind::kRingHash;
  const auto read = [&](const google::protobuf::UInt64Value& value, const char* name) {
    if (value.value() < 1 || value.value() > kLargestRing)
      Add(errors, FieldPath(path, name), absl::StrCat("expected 1 to ", kLargestRing));
    return static_cast<uint32_t>(std::min(value.value(), kLargestRing));
  };
  if (proto.has_minimum_ring_size()) result.least_ring = read(proto.minimum_ring_size(), "minimum_ring_size");
  if (proto.has_maximum_ring_size()) result.most_ring = read(proto.maximum_ring_size(), "maximum_ring_size");
  if (result.least_ring > result.most_ring) {
    Add(errors, FieldPath(path, "maximum_ring_size"),
        absl::StrCat("expected at least the minimum, which is ", result.least_ring));
  }
  if (proto.hash_function() == RingConfig::MURMUR_HASH_2 ||
      !RingConfig::HashFunction_IsValid(proto.hash_function()))
    Add(errors, FieldPath(path, "hash_function"), "expected XX_HASH; others are not implemented");
}

template <typename MaglevConfig>
void ReadMaglev(const MaglevConfig& proto, const std::string& path, Balancer& result, ConfigErrors& errors) {
  result.kind = Kind::kMaglev;
  if (!proto.has_table_size()) return;
  const uint64_t size = proto.table_size().value();
  if (size > kLargestTable || size < 3 || !IsPrime(size)) {
    Add(errors, FieldPath(path, "table_size"), absl::StrCat("expected a prime from 3 to ", kLargestTable));
    return;
  }
  result.table_size = static_cast<uint32_t>(size);
}

// Of what the cluster says in the old way.
void ReadOldConfig(const cluster::Cluster& proto, const std::string& path, Balancer& result,
                   ConfigErrors& errors) {
  const auto only_with = [&](const char* field, Kind kind, const char* policy) {
    if (result.kind != kind) Add(errors, FieldPath(path, field), absl::StrCat("expected only with ", policy));
    return FieldPath(path, field);
  };
  switch (proto.lb_config_case()) {
    case cluster::Cluster::kRoundRobinLbConfig: {
      const std::string at = only_with("round_robin_lb_config", Kind::kRoundRobin, "ROUND_ROBIN");
      result.slow_start = ReadSlowStart(proto.round_robin_lb_config().slow_start_config(),
                                        FieldPath(at, "slow_start_config"), errors);
      break;
    }
    case cluster::Cluster::kLeastRequestLbConfig: {
      const std::string at = only_with("least_request_lb_config", Kind::kLeastRequest, "LEAST_REQUEST");
      const auto& config = proto.least_request_lb_config();
      if (config.has_choice_count())
        result.choices = ReadChoices(config.choice_count(), FieldPath(at, "choice_count"), errors);
      result.slow_start =
          ReadSlowStart(config.slow_start_config(), FieldPath(at, "slow_start_config"), errors);
      break;
    }
    case cluster::Cluster::kRingHashLbConfig: {
      const std::string at = only_with("ring_hash_lb_config", Kind::kRingHash, "RING_HASH");
      const Kind kind = result.kind;
      ReadRing(proto.ring_hash_lb_config(), at, result, errors);
      result.kind = kind;
      break;
    }
    case cluster::Cluster::kMaglevLbConfig: {
      const std::string at = only_with("maglev_lb_config", Kind::kMaglev, "MAGLEV");
      const Kind kind = result.kind;
      ReadMaglev(proto.maglev_lb_config(), at, result, errors);
      result.kind = kind;
      break;
    }
    case cluster::Cluster::kOriginalDstLbConfig:  // parse_original_destination.cc
    case cluster::Cluster::LB_CONFIG_NOT_SET:
      break;
  }
}

void ReadOldPolicy(const cluster::Cluster& proto, const std::string& path, Balancer& result,
                   ConfigErrors& errors) {
  switch (proto.lb_policy()) {
    case cluster::Cluster::ROUND_ROBIN:
      break;
    case cluster::Cluster::LEAST_REQUEST:
      result.kind = Kind::kLeastRequest;
      break;
    case cluster::Cluster::RANDOM:
      result.kind = Kind::kRandom;
      break;
    case cluster::Cluster::RING_HASH:
      result.kind = Kind::kRingHash;
      break;
    case cluster::Cluster::MAGLEV:
      result.kind = Kind::kMaglev;
      break;
    case cluster::Cluster::CLUSTER_PROVIDED:  // parse_original_destination.cc
      break;
    default:
      Add(errors, FieldPath(path, "lb_policy"),
          "expected ROUND_ROBIN, LEAST_REQUEST, RING_HASH, RANDOM or MAGLEV, or a load_balancing_policy");
      break;
  }
  ReadOldConfig(proto, path, result, errors);
  const auto& common = proto.common_lb_config();
  result.localities_by_weight = common.has_locality_weighted_lb_config();
  if (!common.has_zone_aware_lb_config()) return;
  const std::string zone_path = FieldPath(FieldPath(path, "common_lb_config"), "zone_aware_lb_config");
  result.zone_aware = ReadZoneAware(common.zone_aware_lb_config(), zone_path, errors);
  if (!MayBeZoneAware(result.kind))
    Add(errors, zone_path, "expected only with ROUND_ROBIN, LEAST_REQUEST or RANDOM");
}

// False: the type is not known.
bool ReadTypedPolicy(const google::protobuf::Any& any, const std::string& path, Balancer& result,
                     ConfigErrors& errors) {
  const std::string type = TypeName(any);
  const auto is = [&](const google::protobuf::Descriptor* descriptor) {
    return type == descriptor->full_name();
  };
  if (is(policies::round_robin::v3::RoundRobin::descriptor())) {
    if (const auto config = Unpack<policies::round_robin::v3::RoundRobin>(any, path, errors)) {
      result.slow_start =
          ReadSlowStart(config->slow_start_config(), FieldPath(path, "slow_start_config"), errors);
      ReadLocalities(config->locality_lb_config(), path, result, errors);
    }
  } else if (is(policies::least_request::v3::LeastRequest::descriptor())) {
    result.kind = Kind::kLeastRequest;
    if (const auto config = Unpack<policies::least_request::v3::LeastRequest>(any, path, errors)) {
      if (config->has_choice_count())
        result.choices = ReadChoices(config->choice_count(), FieldPath(path, "choice_count"), errors);
      result.slow_start =
          ReadSlowStart(config->slow_start_config(), FieldPath(path, "slow_start_config"), errors);
      ReadLocalities(config->locality_lb_config(), path, result, errors);
    }
  } else if (is(policies::random::v3::Random::descriptor())) {
    result.kind = Kind::kRandom;
    if (const auto config = Unpack<policies::random::v3::Random>(any, path, errors))
      ReadLocalities(config->locality_lb_config(), path, result, errors);
  } else if (is(policies::ring_hash::v3::RingHash::descriptor())) {
    if (const auto config = Unpack<policies::ring_hash::v3::RingHash>(any, path, errors)) {
      ReadRing(*config, path, result, errors);
      ReadHashing(config->consistent_hashing_lb_config(), FieldPath(path, kHashing), result, errors);
      result.localities_by_weight = config->has_locality_weighted_lb_config();
    }
  } else if (is(policies::maglev::v3::Maglev::descriptor())) {
    if (const auto config = Unpack<policies::maglev::v3::Maglev>(any, path, errors)) {
      ReadMaglev(*config, path, result, errors);
      ReadHashing(config->consistent_hashing_lb_config(), FieldPath(path, kHashing), result, errors);
      result.localities_by_weight = config->has_locality_weighted_lb_config();
    }
  } else if (is(pillion::sidecar::v1::PeakEwma::descriptor())) {
    result.kind = Kind::kPeakEwma;
    const auto config = Unpack<pillion::sidecar::v1::PeakEwma>(any, path, errors);
    if (config != nullptr && config->has_decay())
      result.decay = ReadDuration(config->decay(), FieldPath(path, "decay"), errors, true);
  } else {
    return false;
  }
  return true;
}

void ReadPolicies(const cluster::LoadBalancingPolicy& proto, const std::string& path, Balancer& result,
                  ConfigErrors& errors) {
  const std::string policies_path = FieldPath(path, "policies");
  for (int i = 0; i < proto.policies_size(); ++i) {
    const auto& any = proto.policies(i).typed_extension_config().typed_config();
    const std::string any_path =
        FieldPath(FieldPath(ElementPath(policies_path, static_cast<size_t>(i)), "typed_extension_config"),
                  "typed_config");
    if (TypeName(any) != policies::wrr_locality::v3::WrrLocality::descriptor()->full_name()) {
      if (ReadTypedPolicy(any, any_path, result, errors)) return;
      continue;
    }
    const auto outer = Unpack<policies::wrr_locality::v3::WrrLocality>(any, any_path, errors);
    if (outer == nullptr) return;
    // One level: a choice of localities within a locality is none.
    const std::string inner_path = FieldPath(any_path, "endpoint_picking_policy");
    const std::string list_path = FieldPath(inner_path, "policies");
    for (int k = 0; k < outer->endpoint_picking_policy().policies_size(); ++k) {
      const auto& inner =
          outer->endpoint_picking_policy().policies(k).typed_extension_config().typed_config();
      const std::string path_of_inner =
          FieldPath(FieldPath(ElementPath(list_path, static_cast<size_t>(k)), "typed_extension_config"),
                    "typed_config");
      if (!ReadTypedPolicy(inner, path_of_inner, result, errors)) continue;
      if (result.localities_by_weight || result.zone_aware)
        Add(errors, path_of_inner, "expected no choice of localities of its own");
      result.localities_by_weight = true;
      return;
    }
    Add(errors, list_path, "expected a balancer that is known");
    return;
  }
  Add(errors, policies_path, "expected a balancer that is known");
}

std::optional<Subsets::Fallback> ReadSelectorFallback(
    cluster::Cluster::LbSubsetConfig::LbSubsetSelector::LbSubsetSelectorFallbackPolicy proto,
    const std::string& path, ConfigErrors& errors) {
  using Selector = cluster::Cluster::LbSubsetConfig::LbSubsetSelector;
  switch (proto) {
    case Selector::NOT_DEFINED:
      return std::nullopt;
    case Selector::NO_FALLBACK:
      return Subsets::Fallback::kNone;
    case Selector::ANY_ENDPOINT:
      return Subsets::Fallback::kAny;
    case Selector::DEFAULT_SUBSET:
      return Subsets::Fallback::kDefault;
    default:
      Add(errors, path, "expected NOT_DEFINED, NO_FALLBACK, ANY_ENDPOINT or DEFAULT_SUBSET");
      return std::nullopt;
  }
}

}  // namespace

Balancer ReadBalancer(const cluster::Cluster& proto, const std::string& path, ConfigErrors& errors) {
  using Common = cluster::Cluster::CommonLbConfig;
  Balancer result;
  const Common& common = proto.common_lb_config();
  const std::string common_path = FieldPath(path, "common_lb_config");
  if (proto.has_load_balancing_policy()) {
    const std::string policy_path = FieldPath(path, "load_balancing_policy");
    if (proto.lb_config_case() != cluster::Cluster::LB_CONFIG_NOT_SET ||
        common.locality_config_specifier_case() != Common::LOCALITY_CONFIG_SPECIFIER_NOT_SET ||
        common.has_consistent_hashing_lb_config()) {
      Add(errors, policy_path,
          "expected no ..._lb_config, and no locality or hashing choice of common_lb_config, beside it");
    }
    ReadPolicies(proto.load_balancing_policy(), policy_path, result, errors);
  } else {
    ReadOldPolicy(proto, path, result, errors);
    ReadHashing(common.consistent_hashing_lb_config(), FieldPath(common_path, kHashing), result, errors);
  }
  if (MayBeZoneAware(result.kind) && !result.localities_by_weight && !result.zone_aware)
    result.zone_aware.emplace();
  if (common.has_healthy_panic_threshold()) {
    result.panic_percent = common.healthy_panic_threshold().value();
    if (!(result.panic_percent >= 0 && result.panic_percent <= 100))
      Add(errors, FieldPath(common_path, "healthy_panic_threshold"), "expected 0 to 100");
  }
  return result;
}

Labels ReadLabels(const google::protobuf::Struct& proto, const std::string& path, ConfigErrors& errors) {
  Labels result;
  for (const auto& [name, value] : proto.fields()) {
    std::string& text = result[name];
    switch (value.kind_case()) {
      case google::protobuf::Value::kStringValue:
        text = value.string_value();
        break;
      case google::protobuf::Value::kNumberValue:
        text = absl::StrCat(value.number_value());
        break;
      case google::protobuf::Value::kBoolValue:
        text = value.bool_value() ? "true" : "false";
        break;
      default:
        Add(errors, EntryPath(FieldPath(path, "fields"), name), "expected a string, a number or a boolean");
        break;
    }
  }
  return result;
}

std::optional<Labels> ReadLabelMatch(const envoy::config::core::v3::Metadata& proto, const std::string& path,
                                     ConfigErrors& errors) {
  std::optional<Labels> result;
  for (const auto& [key, fields] : proto.filter_metadata()) {
    const std::string key_path = EntryPath(FieldPath(path, "filter_metadata"), key);
    if (key == kLabelsKey) {
      result = ReadLabels(fields, key_path, errors);
    } else {
      Add(errors, key_path, absl::StrCat("expected no key but ", kLabelsKey));
    }
  }
  return result;
}

std::optional<Subsets> ReadSubsets(const cluster::Cluster& proto, const std::string& path,
                                   ConfigErrors& errors) {
  using Proto = cluster::Cluster::LbSubsetConfig;
  if (!proto.has_lb_subset_config()) return std::nullopt;
  const std::string subsets_path = FieldPath(path, "lb_subset_config");
  const Proto& config = proto.lb_subset_config();
  Subsets result;
  bool defaults = false;
  switch (config.fallback_policy()) {
    case Proto::NO_FALLBACK:
      break;
    case Proto::ANY_ENDPOINT:
      result.fallback = Subsets::Fallback::kAny;
      break;
    case Proto::DEFAULT_SUBSET:
      result.fallback = Subsets::Fallback::kDefault;
      defaults = true;
      break;
    default:
      Add(errors, FieldPath(subsets_path, "fallback_policy"),
          "expected NO_FALLBACK, ANY_ENDPOINT or DEFAULT_SUBSET");
  }
  const std::string selectors_path = FieldPath(subsets_path, "subset_selectors");
  if (config.subset_selectors_size() > kMostSelectors)
    Add(errors, selectors_path, absl::StrCat("expected at most ", kMostSelectors));
  std::set<std::vector<std::string>> seen;
  for (int i = 0; i < config.subset_selectors_size() && i < kMostSelectors; ++i) {
    const auto& one = config.subset_selectors(i);
    const std::string one_path = ElementPath(selectors_path, static_cast<size_t>(i));
    Subsets::Selector selector;
    selector.keys.assign(one.keys().begin(), one.keys().end());
    std::ranges::sort(selector.keys);
    if (selector.keys.empty() || std::ranges::adjacent_find(selector.keys) != selector.keys.end())
      Add(errors, FieldPath(one_path, "keys"), "expected one or more keys, each once");
    if (!seen.insert(selector.keys).second)
      Add(errors, FieldPath(one_path, "keys"), "expected other keys than those of a selector before");
    selector.fallback =
        ReadSelectorFallback(one.fallback_policy(), FieldPath(one_path, "fallback_policy"), errors);
    defaults = defaults || selector.fallback == Subsets::Fallback::kDefault;
    result.selectors.push_back(std::move(selector));
  }
  result.default_labels =
      ReadLabels(config.default_subset(), FieldPath(subsets_path, "default_subset"), errors);
  if (defaults && result.default_labels.empty())
    Add(errors, FieldPath(subsets_path, "default_subset"), "expected labels, with DEFAULT_SUBSET");
  return result;
}

}  // namespace pillion::config
