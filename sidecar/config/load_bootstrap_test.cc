// A whole bootstrap file: what lies between its resources, and where errors are shown.
#include "sidecar/config/load_bootstrap.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <string>

#include "envoy/config/core/v3/core.pb.h"

namespace pillion::config {
namespace {

using Lines = std::vector<std::string>;

constexpr char kGood[] = R"(node: {id: me, cluster: mine, metadata: {a: b}}
static_resources:
  listeners:
  - name: out
    address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
    traffic_direction: OUTBOUND
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: out
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {prefix: /}
                route: {cluster: app}
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: app
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9000}}}
  - name: control
    http2_protocol_options: {}
    load_assignment: {cluster_name: control}
dynamic_resources:
  ads_config:
    api_type: GRPC
    transport_api_version: V3
    grpc_services: [{envoy_grpc: {cluster_name: control}}]
  lds_config: {ads: {}, resource_api_version: V3}
  cds_config: {ads: {}, initial_fetch_timeout: 0s}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
)";

Lines Errors(const std::string& text) { return ParseBootstrapText(text, "f").errors; }

// kGood with one piece changed.
Lines ErrorsWith(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return Errors(text.replace(at, from.size(), to));
}

TEST(LoadBootstrapTest, AGoodFileIsRead) {
  const LoadedBootstrap loaded = ParseBootstrapText(kGood, "f");
  ASSERT_EQ(loaded.errors, Lines{});
  const Bootstrap& bootstrap = *loaded.bootstrap;
  EXPECT_EQ(bootstrap.node_id, "me");
  EXPECT_EQ(bootstrap.node_cluster, "mine");
  envoy::config::core::v3::Node node;
  ASSERT_TRUE(node.ParseFromString(bootstrap.serialized_node));
  EXPECT_EQ(node.metadata().fields().at("a").string_value(), "b");
  ASSERT_EQ(bootstrap.listeners.size(), 1u);
  EXPECT_EQ(bootstrap.listeners[0]->direction, Direction::kOutbound);
  ASSERT_EQ(bootstrap.clusters.size(), 2u);
  EXPECT_EQ(bootstrap.ads_cluster, "control");
  EXPECT_TRUE(bootstrap.dynamic_listeners);
  EXPECT_TRUE(bootstrap.dynamic_clusters);
  EXPECT_EQ(bootstrap.admin_address->ToString(), "127.0.0.1:9901");
}

TEST(LoadBootstrapTest, AnEmptyBootstrapIsStatic) {
  const LoadedBootstrap loaded = ParseBootstrapText("{}", "f");
  ASSERT_EQ(loaded.errors, Lines{});
  EXPECT_EQ(loaded.bootstrap->ads_cluster, std::nullopt);
  EXPECT_FALSE(loaded.bootstrap->dynamic_listeners);
  EXPECT_FALSE(loaded.bootstrap->dynamic_clusters);
  EXPECT_EQ(loaded.bootstrap->admin_address, std::nullopt);
}

TEST(LoadBootstrapTest, ErrorsOfValidationHaveTheirLine) {
  EXPECT_EQ(
      ErrorsWith("stat_prefix: out", "stat_prefix: \"\""),
      Lines{"f:12:11: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.stat_prefix: "
            "expected at least 1 character"});
  EXPECT_EQ(
      ErrorsWith("port_value: 9000", "port_value: 0"),
      Lines{"f:29:69: "
            "static_resources.clusters[0].load_assignment.endpoints[0].lb_endpoints[0].endpoint.address."
            "socket_address.port_value: expected a port from 1 to 65535"});
}

TEST(LoadBootstrapTest, ErrorsOfBothKindsAreListedInFileOrder) {
  EXPECT_EQ(ErrorsWith("  listeners:\n  - name: out\n",
                       "  listners: []\n  listeners:\n  - name: out\n    drain_type: X\n"
                       "    per_connection_buffer_limit_bytes: 0\n"),
            (Lines{"f:3:3: static_resources.listners: unknown field of "
                   "envoy.config.bootstrap.v3.Bootstrap.StaticResources (did you mean listeners?)",
                   "f:6:5: static_resources.listeners[0].drain_type: field drain_type of "
                   "envoy.config.listener.v3.Listener is not implemented",
                   "f:7:5: static_resources.listeners[0].per_connection_buffer_limit_bytes: expected a "
                   "number from 1 to "
                   "2147483647"}));
}

TEST(LoadBootstrapTest, NothingIsSaidTwiceAboutOneField) {
  EXPECT_EQ(
      ErrorsWith("stat_prefix: out", "stat_prefix: 1"),
      Lines{"f:12:24: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.stat_prefix: "
            "expected a string; put quotes around it"});
}

TEST(LoadBootstrapTest, RoutesNameKnownClusters) {
  const std::string action =
      "static_resources.listeners[0].filter_chains[0].filters[0].typed_config.route_config.virtual_hosts[0]."
      "routes[0]"
      ".route.";
  EXPECT_EQ(ErrorsWith("route: {cluster: app}", "route: {cluster: ap}"),
            Lines{"f:19:25: " + action + "cluster: expected a known cluster; there is no ap"});
  EXPECT_EQ(
      ErrorsWith("route: {cluster: app}",
                 "route: {weighted_clusters: {clusters: [{name: app, weight: 1}, {name: x, weight: 0}]}}"),
      Lines{"f:19:81: " + action +
            "weighted_clusters.clusters[1].name: expected a known cluster; there is no x"});
  EXPECT_EQ(ErrorsWith("route: {cluster: app}", "route: {cluster: ap}\n          # by hand\n"),
            ErrorsWith("route: {cluster: app}", "route: {cluster: ap}"));
  std::string unchecked = kGood;
  unchecked.replace(unchecked.find("route: {cluster: app}"), 21, "route: {cluster: ap}");
  unchecked.replace(unchecked.find("route_config:\n"), 14,
                    "route_config:\n            validate_clusters: false\n");
  EXPECT_EQ(Errors(unchecked), Lines{});
}

TEST(LoadBootstrapTest, ACollectorIsKnownOrMayCome) {
  const std::string tracing =
      "stat_prefix: out\n          tracing: {provider: {typed_config: {\"@type\": "
      "a/envoy.config.trace.v3.OpenTelemetryConfig, grpc_service: {envoy_grpc: {cluster_name: otel}}}}}";
  EXPECT_EQ(ErrorsWith("stat_prefix: out", tracing), Lines{}) << "it may come by CDS";
  std::string text = kGood;
  text.replace(text.find("stat_prefix: out"), 16, tracing);
  text.replace(text.find("  cds_config"),
               std::string("  cds_config: {ads: {}, initial_fetch_timeout: 0s}").size(), "");
  const Lines errors = Errors(text);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_TRUE(errors[0].ends_with(
      "tracing.provider.typed_config.grpc_service.envoy_grpc.cluster_name: expected a known "
      "cluster; there is no otel"))
      << errors[0];
}

TEST(LoadBootstrapTest, NamesAndAddressesAreUnique) {
  EXPECT_EQ(ErrorsWith("- name: control", "- name: app").size(), 2u) << "the name, and the cluster of ADS";
  EXPECT_EQ(ErrorsWith("- name: control", "- name: app")[0],
            "f:30:5: static_resources.clusters[1].name: expected each name once");
  const std::string again = R"(
  - name: out
    address: {socket_address: {address: 127.0.0.1, port_value: 8080}}
    filter_chains: []
  clusters:)";
  EXPECT_EQ(
      ErrorsWith("\n  clusters:", again),
      (Lines{"f:23:5: static_resources.listeners[1].name: expected each name once",
             "f:24:5: static_resources.listeners[1].address: expected each address once; 127.0.0.1:8080 is "
             "there "
             "before",
             "f:25:5: static_resources.listeners[1].filter_chains: expected at least one, or a "
             "default_filter_chain"}));
}

TEST(LoadBootstrapTest, TheControlPlaneIsReachedThroughAStaticHttp2Cluster) {
  const std::string path = "dynamic_resources.ads_config.";
  const std::string name = path + "grpc_services[0].envoy_grpc.cluster_name: ";
  EXPECT_EQ(ErrorsWith("{cluster_name: control}}]", "{cluster_name: x}}]"),
            Lines{"f:37:35: " + name +
                  "expected the name of a cluster in static_resources.clusters that is neither EDS nor "
                  "ORIGINAL_DST"});
  EXPECT_EQ(ErrorsWith("{cluster_name: control}}]", "{cluster_name: app}}]"),
            Lines{"f:37:35: " + name + "expected a cluster that speaks HTTP/2 (http2_protocol_options)"});
  EXPECT_EQ(ErrorsWith("load_assignment: {cluster_name: control}",
                       "type: EDS\n    eds_cluster_config: {eds_config: {ads: {}}}"),
            Lines{"f:38:35: " + name +
                  "expected the name of a cluster in static_resources.clusters that is neither EDS nor "
                  "ORIGINAL_DST"});
  EXPECT_EQ(ErrorsWith("load_assignment: {cluster_name: control}",
                       "type: STRICT_DNS\n    load_assignment: {cluster_name: control}"),
            Lines{});
  EXPECT_EQ(ErrorsWith("api_type: GRPC", "api_type: REST"),
            Lines{"f:35:5: " + path + "api_type: expected GRPC; others are not implemented"});
  EXPECT_EQ(ErrorsWith("transport_api_version: V3", "transport_api_version: V2"),
            Lines{"f:36:5: " + path + "transport_api_version: expected V3"});
  EXPECT_EQ(ErrorsWith("[{envoy_grpc: {cluster_name: control}}]", "[]"),
            Lines{"f:37:5: " + path + "grpc_services: expected exactly one; others are not implemented"});
  EXPECT_EQ(ErrorsWith("{envoy_grpc: {cluster_name: control}}",
                       "{envoy_grpc: {cluster_name: control}, timeout: 1s}"),
            Lines{"f:37:59: " + path + "grpc_services[0].timeout: expected none; the stream stays open"});
}

TEST(LoadBootstrapTest, TheControlPlaneIsGivenUpSoonAndOthersAreNot) {
  const auto bootstrap = ParseBootstrapText(kGood, "f").bootstrap;
  ASSERT_NE(bootstrap, nullptr);
  ASSERT_EQ(bootstrap->clusters.size(), 2u);
  const Cluster& app = *bootstrap->clusters[0];
  EXPECT_FALSE(app.silent_peer_timeout.has_value());
  EXPECT_EQ(app.connect_timeout, std::chrono::seconds(5));
  const Cluster& control = *bootstrap->clusters[1];
  EXPECT_EQ(control.name, "control");
  EXPECT_EQ(control.silent_peer_timeout, std::chrono::seconds(3));
  EXPECT_EQ(control.connect_timeout, std::chrono::milliseconds(1500));
}

TEST(LoadBootstrapTest, DynamicConfigurationNeedsANodeAndAStream) {
  EXPECT_EQ(ErrorsWith("id: me, ", ""), Lines{"f:1:1: node.id: expected at least 1 character"});
  EXPECT_EQ(Errors("dynamic_resources: {lds_config: {ads: {}}}"),
            Lines{"f:1:1: dynamic_resources.ads_config: expected the stream that lds_config and cds_config "
                  "speak of"});
  EXPECT_EQ(
      ErrorsWith("initial_fetch_timeout: 0s", "initial_fetch_timeout: 5s"),
      Lines{"f:39:25: dynamic_resources.cds_config.initial_fetch_timeout: expected 0s here; others are not "
            "implemented"});
  EXPECT_EQ(
      Errors("static_resources: {clusters: [{name: a, type: EDS, eds_cluster_config: {eds_config: {ads: "
             "{}}}}]}"),
      Lines{"f:1:52: static_resources.clusters[0].eds_cluster_config: expected dynamic_resources.ads_config "
            "beside this"});
}

TEST(LoadBootstrapTest, RdsNeedsAStream) {
  std::string text = kGood;
  text.erase(text.find("dynamic_resources"), text.find("admin:") - text.find("dynamic_resources"));
  const size_t start = text.find("          route_config:");
  text.replace(start, text.find("          http_filters:") - start,
               "          rds: {route_config_name: r, config_source: {ads: {}}}\n");
  EXPECT_EQ(Errors(text),
            Lines{"f:13:11: static_resources.listeners[0].filter_chains[0].filters[0].typed_config.rds: "
                  "expected dynamic_resources.ads_config beside this"});
}

TEST(LoadBootstrapTest, WhereTheSidecarIsAndWhoCallsAsItDoesIsRead) {
  const std::string head =
      "{node: {id: a, locality: {region: r, zone: z, sub_zone: s}}, cluster_manager: {local_cluster_name: ";
  const auto loaded = ParseBootstrapText(
      head + "b}, static_resources: {clusters: [{name: b, load_assignment: {cluster_name: b}}]}}", "f");
  ASSERT_EQ(loaded.errors, Lines{});
  EXPECT_EQ(loaded.bootstrap->own.place, (Place{"r", "z", "s"}));
  EXPECT_EQ(loaded.bootstrap->own.cluster, "b");
  EXPECT_EQ(Errors(head + "c}}"),
            Lines{"f:1:80: cluster_manager.local_cluster_name: expected a known cluster; there is no c"});
  std::string dynamic = kGood;
  EXPECT_EQ(Errors(dynamic + "cluster_manager: {local_cluster_name: c}\n"), Lines{}) << "it may come by CDS";
  EXPECT_EQ(Errors("cluster_manager: {}").size(), 0u);
}

TEST(LoadBootstrapTest, FilesAreOpened) {
  const std::string path = std::string(std::getenv("TEST_TMPDIR")) + "/bootstrap.yaml";
  std::ofstream(path) << kGood;
  EXPECT_EQ(LoadBootstrap(path).errors, Lines{});
  EXPECT_NE(LoadBootstrap(path).bootstrap, nullptr);
  EXPECT_EQ(LoadBootstrap("/no/such/file").errors,
            Lines{"/no/such/file: cannot be opened: No such file or directory"});
  EXPECT_EQ(LoadBootstrap("/no/such/file").bootstrap, nullptr);
  const std::string folder = std::getenv("TEST_TMPDIR");
  EXPECT_EQ(LoadBootstrap(folder).errors, Lines{folder + ": cannot be read"});
  EXPECT_EQ(LoadBootstrap("/dev/zero").errors, Lines{"/dev/zero: expected at most 16777216 bytes"});
}

}  // namespace
}  // namespace pillion::config
