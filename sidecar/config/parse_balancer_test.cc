#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_test_yaml.h"

namespace pillion::config {
namespace {

using ClusterProto = envoy::config::cluster::v3::Cluster;
using Kind = Balancer::Kind;
using std::chrono::seconds;

Validated<Cluster> Parse(const std::string& fields) {
  return ParseCluster(FromYaml<ClusterProto>("{name: a, load_assignment: {cluster_name: a}, " + fields + "}"),
                      "");
}

std::shared_ptr<const Cluster> Read(const std::string& fields) {
  const auto parsed = Parse(fields);
  EXPECT_EQ(ToLines(parsed.errors), Lines{}) << fields;
  EXPECT_TRUE(parsed.unsupported.empty()) << fields;
  return parsed.value == nullptr ? std::make_shared<const Cluster>() : parsed.value;
}

Lines Errors(const std::string& fields) { return ToLines(Parse(fields).errors); }

// A policy of Envoy's, by its folder and name.
std::string Policy(const std::string& type, const std::string& fields = "") {
  return "{typed_extension_config: {name: x, typed_config: {\"@type\": "
         "a/envoy.extensions.load_balancing_policies." +
         type + (fields.empty() ? "" : ", " + fields) + "}}}";
}

std::string Policies(const std::string& list) { return "load_balancing_policy: {policies: [" + list + "]}"; }

const char* const kPolicy = "load_balancing_policy.policies[0].typed_extension_config.typed_config";

TEST(OldPolicies, AreReadWithTheirOptions) {
  EXPECT_EQ(Read("lb_policy: RING_HASH")->balancer.kind, Kind::kRingHash);
  const auto ring =
      Read("lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 5, maximum_ring_size: 6}");
  EXPECT_EQ(ring->balancer.least_ring, 5u);
  EXPECT_EQ(ring->balancer.most_ring, 6u);
  EXPECT_EQ(Read("lb_policy: MAGLEV")->balancer.table_size, 65537u);
  const auto maglev = Read(
      "lb_policy: MAGLEV, maglev_lb_config: {table_size: 7}, "
      "common_lb_config: {consistent_hashing_lb_config: {use_hostname_for_hashing: true, "
      "hash_balance_factor: 150}}");
  EXPECT_EQ(maglev->balancer.hash_balance_percent, 150u);
  EXPECT_EQ(maglev->balancer.kind, Kind::kMaglev);
  EXPECT_EQ(maglev->balancer.table_size, 7u);
  EXPECT_TRUE(maglev->balancer.hash_hostnames);
  EXPECT_EQ(
      Read("lb_policy: LOAD_BALANCING_POLICY_CONFIG, " + Policies(Policy("random.v3.Random")))->balancer.kind,
      Kind::kRandom);
}

TEST(OldPolicies, SlowStartAndLocalitiesAreRead) {
  const auto usual = Read("");
  EXPECT_FALSE(usual->balancer.slow_start);
  EXPECT_FALSE(usual->balancer.localities_by_weight);
  EXPECT_EQ(usual->balancer.panic_percent, 50);
  const auto slow = Read(
      "round_robin_lb_config: {slow_start_config: {slow_start_window: 30s}}, common_lb_config: "
      "{healthy_panic_threshold: {value: 12.5}, locality_weighted_lb_config: {}, "
      "update_merge_window: 1s}");
  ASSERT_TRUE(slow->balancer.slow_start);
  EXPECT_EQ(slow->balancer.slow_start.value_or(SlowStart()).window, seconds(30));
  EXPECT_EQ(slow->balancer.slow_start.value_or(SlowStart()).aggression, 1);
  EXPECT_EQ(slow->balancer.slow_start.value_or(SlowStart()).least, 0.1);
  EXPECT_EQ(slow->balancer.panic_percent, 12.5);
  EXPECT_TRUE(slow->balancer.localities_by_weight);
  const auto least = Read(
      "lb_policy: LEAST_REQUEST, least_request_lb_config: {slow_start_config: {slow_start_window: "
      "1s, aggression: {default_value: 2}, min_weight_percent: {value: 20}}}");
  ASSERT_TRUE(least->balancer.slow_start);
  EXPECT_EQ(least->balancer.slow_start.value_or(SlowStart()).aggression, 2);
  EXPECT_EQ(least->balancer.slow_start.value_or(SlowStart()).least, 0.2);
  EXPECT_FALSE(Read("round_robin_lb_config: {slow_start_config: {}}")->balancer.slow_start);
}

TEST(OldPolicies, WhatDoesNotFitIsRefused) {
  EXPECT_EQ(Errors("lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 10, maximum_ring_size: 5, "
                   "hash_function: MURMUR_HASH_2}"),
            (Lines{"ring_hash_lb_config.maximum_ring_size: expected at least the minimum, which is 10",
                   "ring_hash_lb_config.hash_function: expected XX_HASH; others are not implemented"}));
  EXPECT_EQ(Errors("lb_policy: RING_HASH, ring_hash_lb_config: {minimum_ring_size: 8388609}"),
            Lines{"ring_hash_lb_config.minimum_ring_size: expected 1 to 8388608"});
  for (const std::string size : {"0", "4", "65536", "5000013"}) {
    EXPECT_EQ(Errors("lb_policy: MAGLEV, maglev_lb_config: {table_size: " + size + "}"),
              Lines{"maglev_lb_config.table_size: expected a prime from 3 to 5000011"});
  }
  EXPECT_EQ(
      Errors("lb_policy: MAGLEV, common_lb_config: {consistent_hashing_lb_config: "
             "{hash_balance_factor: 99}}"),
      Lines{"common_lb_config.consistent_hashing_lb_config.hash_balance_factor: expected 0, or 100 or more"});
  EXPECT_EQ(Errors("maglev_lb_config: {}"), Lines{"maglev_lb_config: expected only with MAGLEV"});
  EXPECT_EQ(Errors("ring_hash_lb_config: {}"), Lines{"ring_hash_lb_config: expected only with RING_HASH"});
  EXPECT_EQ(
      Errors("lb_policy: RANDOM, round_robin_lb_config: {slow_start_config: {slow_start_window: -1s, "
             "aggression: {}, min_weight_percent: {value: 101}}}"),
      (Lines{"round_robin_lb_config: expected only with ROUND_ROBIN",
             "round_robin_lb_config.slow_start_config.slow_start_window: expected a duration of 0 or more",
             "round_robin_lb_config.slow_start_config.aggression.default_value: expected more than 0",
             "round_robin_lb_config.slow_start_config.min_weight_percent: expected 0 to 100"}));
  EXPECT_EQ(Errors("common_lb_config: {healthy_panic_threshold: {value: -1}}"),
            Lines{"common_lb_config.healthy_panic_threshold: expected 0 to 100"});
}

TEST(TypedPolicies, EachIsRead) {
  const std::string slow = "slow_start_config: {slow_start_window: 2s}";
  const std::string weighted = "locality_lb_config: {locality_weighted_lb_config: {}}";
  const auto robin = Read(Policies(Policy("round_robin.v3.RoundRobin", slow + ", " + weighted)));
  EXPECT_EQ(robin->balancer.kind, Kind::kRoundRobin);
  EXPECT_TRUE(robin->balancer.localities_by_weight);
  EXPECT_EQ(robin->balancer.slow_start.value_or(SlowStart()).window, seconds(2));
  const auto least = Read(Policies(Policy("least_request.v3.LeastRequest", "choice_count: 3, " + slow)));
  EXPECT_EQ(least->balancer.kind, Kind::kLeastRequest);
  EXPECT_EQ(least->balancer.choices, 3u);
  EXPECT_FALSE(least->balancer.localities_by_weight);
  EXPECT_TRUE(least->balancer.slow_start);
  EXPECT_TRUE(Read(Policies(Policy("random.v3.Random", weighted)))->balancer.localities_by_weight);
  const auto ring =
      Read(Policies(Policy("ring_hash.v3.RingHash",
                           "hash_function: XX_HASH, minimum_ring_size: 3, maximum_ring_size: 4, "
                           "consistent_hashing_lb_config: {use_hostname_for_hashing: true, "
                           "hash_balance_factor: 100}, "
                           "locality_weighted_lb_config: {}")));
  EXPECT_EQ(ring->balancer.kind, Kind::kRingHash);
  EXPECT_EQ(ring->balancer.least_ring, 3u);
  EXPECT_TRUE(ring->balancer.hash_hostnames);
  EXPECT_EQ(ring->balancer.hash_balance_percent, 100u);
  EXPECT_TRUE(ring->balancer.localities_by_weight);
  EXPECT_EQ(Read(Policies(Policy("maglev.v3.Maglev", "table_size: 11")))->balancer.table_size, 11u);
  const std::string ours =
      "{typed_extension_config: {name: x, typed_config: {\"@type\": a/pillion.sidecar.v1.PeakEwma, decay: "
      "3s}}}";
  const auto ewma = Read(Policies(ours));
  EXPECT_EQ(ewma->balancer.kind, Kind::kPeakEwma);
  EXPECT_EQ(ewma->balancer.decay, seconds(3));
  const auto outer = Read(
      Policies(Policy("wrr_locality.v3.WrrLocality", "endpoint_picking_policy: {policies: [" + ours + "]}")));
  EXPECT_EQ(outer->balancer.kind, Kind::kPeakEwma);
  EXPECT_TRUE(outer->balancer.localities_by_weight);
}

TEST(TypedPolicies, TheFirstThatIsKnownCounts) {
  const std::string unknown =
      "{typed_extension_config: {name: x, typed_config: {\"@type\": a/google.protobuf.Empty}}}";
  const auto read =
      Read(Policies(unknown + ", " + Policy("maglev.v3.Maglev") + ", " + Policy("random.v3.Random")));
  EXPECT_EQ(read->balancer.kind, Kind::kMaglev);
  EXPECT_EQ(Errors(Policies(unknown)),
            Lines{"load_balancing_policy.policies: expected a balancer that is known"});
  EXPECT_EQ(Errors(Policies("")), Lines{"load_balancing_policy.policies: expected a balancer that is known"});
  EXPECT_EQ(
      Errors(Policies(Policy("wrr_locality.v3.WrrLocality"))),
      Lines{std::string(kPolicy) + ".endpoint_picking_policy.policies: expected a balancer that is known"});
}

TEST(TypedPolicies, WhatDoesNotFitIsRefused) {
  EXPECT_EQ(Errors("round_robin_lb_config: {}, " + Policies(Policy("random.v3.Random"))),
            Lines{"load_balancing_policy: expected no ..._lb_config, and no locality or hashing choice of "
                  "common_lb_config, beside it"});
  EXPECT_EQ(
      Errors("common_lb_config: {locality_weighted_lb_config: {}}, " + Policies(Policy("random.v3.Random")))
          .size(),
      1u);
  EXPECT_EQ(Errors(Policies(Policy("least_request.v3.LeastRequest", "choice_count: 1"))),
            Lines{std::string(kPolicy) + ".choice_count: expected 2 to 100"});
  EXPECT_EQ(Errors(Policies("{typed_extension_config: {name: x, typed_config: {\"@type\": "
                            "a/pillion.sidecar.v1.PeakEwma, decay: 0s}}}")),
            Lines{std::string(kPolicy) + ".decay: expected a duration of more than 0"});
  EXPECT_EQ(
      Errors(Policies(Policy(
          "wrr_locality.v3.WrrLocality",
          "endpoint_picking_policy: {policies: [" +
              Policy("random.v3.Random", "locality_lb_config: {locality_weighted_lb_config: {}}") + "]}"))),
      Lines{std::string(kPolicy) +
            ".endpoint_picking_policy.policies[0].typed_extension_config.typed_config: expected no choice of "
            "localities of its own"});
}

TEST(SubsetOptions, AreRead) {
  EXPECT_FALSE(Read("")->subsets);
  const auto read = Read(
      "lb_subset_config: {fallback_policy: DEFAULT_SUBSET, default_subset: {v: 1.5, x: true, s: "
      "\"\"}, subset_selectors: [{keys: [b, a]}, {keys: [a], fallback_policy: ANY_ENDPOINT}, "
      "{keys: [b], fallback_policy: NO_FALLBACK}, {keys: [c], fallback_policy: DEFAULT_SUBSET}]}");
  ASSERT_TRUE(read->subsets);
  const Subsets subsets = read->subsets.value_or(Subsets());
  EXPECT_EQ(subsets.fallback, Subsets::Fallback::kDefault);
  EXPECT_EQ(subsets.default_labels, (Labels{{"v", "1.5"}, {"x", "true"}, {"s", ""}}));
  ASSERT_EQ(subsets.selectors.size(), 4u);
  EXPECT_EQ(subsets.selectors[0].keys, (Lines{"a", "b"}));
  EXPECT_FALSE(subsets.selectors[0].fallback);
  EXPECT_EQ(subsets.selectors[1].fallback, Subsets::Fallback::kAny);
  EXPECT_EQ(subsets.selectors[2].fallback, Subsets::Fallback::kNone);
  EXPECT_EQ(subsets.selectors[3].fallback, Subsets::Fallback::kDefault);
}

TEST(SubsetOptions, WhatDoesNotFitIsRefused) {
  EXPECT_EQ(
      Errors(
          "lb_subset_config: {fallback_policy: DEFAULT_SUBSET, subset_selectors: [{}, {keys: [a, a]}, {keys: "
          "[b]}, {keys: [b], fallback_policy: KEYS_SUBSET}]}"),
      (Lines{"lb_subset_config.subset_selectors[0].keys: expected one or more keys, each once",
             "lb_subset_config.subset_selectors[1].keys: expected one or more keys, each once",
             "lb_subset_config.subset_selectors[3].keys: expected other keys than those of a selector before",
             std::string("lb_subset_config.subset_selectors[3].fallback_policy: expected NOT_DEFINED, ") +
                 "NO_FALLBACK, ANY_ENDPOINT or DEFAULT_SUBSET",
             "lb_subset_config.default_subset: expected labels, with DEFAULT_SUBSET"}));
  EXPECT_EQ(Errors("lb_subset_config: {default_subset: {a: [1]}}"),
            Lines{"lb_subset_config.default_subset.fields[\"a\"]: expected a string, a number or a boolean"});
}

// What a balancer says of zones, as text; "": they do not count.
std::string Zones(const std::string& fields) {
  const std::optional<ZoneAware> zones = Read(fields)->balancer.zone_aware;
  if (!zones) return "";
  return std::to_string(std::lround(zones->percent * 10)) + " " + std::to_string(zones->least_endpoints) +
         (zones->fails_in_panic ? " fails" : "");
}

TEST(ZoneAware, CountsUnlessTheClusterChoosesOtherwise) {
  for (const std::string policy : {"round_robin", "least_request", "random"}) {
    const std::string type = policy + ".v3." +
                             (policy == "random"          ? "Random"
                              : policy == "least_request" ? "LeastRequest"
                                                          : "RoundRobin");
    EXPECT_EQ(Zones(Policies(Policy(type))), "1000 6") << policy;
    EXPECT_EQ(Zones(Policies(Policy(type, "locality_lb_config: {locality_weighted_lb_config: {}}"))), "");
    EXPECT_EQ(Zones(Policies(Policy(type,
                                    "locality_lb_config: {zone_aware_lb_config: {routing_enabled: "
                                    "{value: 12.5}, min_cluster_size: 4294967296, "
                                    "fail_traffic_on_panic: true}}"))),
              "125 4294967296 fails");
    EXPECT_EQ(Errors(Policies(Policy(
                  type, "locality_lb_config: {zone_aware_lb_config: {routing_enabled: {value: -1}}}"))),
              Lines{std::string(kPolicy) +
                    ".locality_lb_config.zone_aware_lb_config.routing_enabled: expected 0 to 100"});
  }
  for (const std::string policy : {"ROUND_ROBIN", "LEAST_REQUEST", "RANDOM"}) {
    EXPECT_EQ(Zones("lb_policy: " + policy), "1000 6");
    EXPECT_EQ(Zones("common_lb_config: {zone_aware_lb_config: {min_cluster_size: 0, routing_enabled: {}}}, "
                    "lb_policy: " +
                    policy),
              "0 0");
    EXPECT_EQ(Zones("common_lb_config: {locality_weighted_lb_config: {}}, lb_policy: " + policy), "");
  }
  EXPECT_EQ(Zones("lb_policy: MAGLEV"), "");
  EXPECT_EQ(Zones(Policies(Policy("ring_hash.v3.RingHash"))), "");
  EXPECT_EQ(Zones(Policies("{typed_extension_config: {name: x, typed_config: {\"@type\": "
                           "a/pillion.sidecar.v1.PeakEwma}}}")),
            "");
}

TEST(ZoneAware, WhatDoesNotFitIsRefused) {
  const std::string common = "common_lb_config: {zone_aware_lb_config: {routing_enabled: {value: 100.5}}}";
  EXPECT_EQ(Errors(common + ", lb_policy: RING_HASH"),
            (Lines{"common_lb_config.zone_aware_lb_config.routing_enabled: expected 0 to 100",
                   "common_lb_config.zone_aware_lb_config: expected only with ROUND_ROBIN, LEAST_REQUEST or "
                   "RANDOM"}));
  EXPECT_EQ(Errors("common_lb_config: {zone_aware_lb_config: {}}, " + Policies(Policy("random.v3.Random"))),
            Lines{"load_balancing_policy: expected no ..._lb_config, and no locality or hashing choice of "
                  "common_lb_config, beside it"});
  EXPECT_EQ(
      Errors(Policies(
          Policy("wrr_locality.v3.WrrLocality",
                 "endpoint_picking_policy: {policies: [" +
                     Policy("random.v3.Random", "locality_lb_config: {zone_aware_lb_config: {}}") + "]}"))),
      Lines{std::string(kPolicy) +
            ".endpoint_picking_policy.policies[0].typed_extension_config.typed_config: expected no choice of "
            "localities of its own"});
  EXPECT_EQ(Zones(Policies(Policy("wrr_locality.v3.WrrLocality", "endpoint_picking_policy: {policies: [" +
                                                                     Policy("random.v3.Random") + "]}"))),
            "");
}

}  // namespace
}  // namespace pillion::config
