#include "sidecar/config/parse_listener.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb.h"
#include "sidecar/config/parse_test_yaml.h"

namespace pillion::config {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using Proto = envoy::config::listener::v3::Listener;

constexpr char kRouter[] =
    "{name: router, typed_config: {\"@type\": a/envoy.extensions.filters.http.router.v3.Router}}";
constexpr char kRoutes[] = "route_config: {virtual_hosts: []}";

// A listener whose connection manager has these fields beside its name.
std::string Listener(const std::string& http, const std::string& fields = "") {
  return "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 80}}, " + fields +
         "filter_chains: [{filters: [{name: h, typed_config: {\"@type\": "
         "a/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, " +
         http + "}}]}]}";
}
// The same with what is required.
std::string Whole(const std::string& http, const std::string& filters = kRouter) {
  return Listener("stat_prefix: s, " + std::string(kRoutes) + ", http_filters: [" + filters + "], " + http);
}
Validated<config::Listener> Parse(const std::string& yaml, Origin origin = Origin::kPushed) {
  return ParseListener(FromYaml<Proto>(yaml), "5", origin);
}
HttpOptions Http(const std::string& yaml) {
  const auto parsed = Parse(yaml);
  EXPECT_EQ(ToLines(parsed.errors), Lines{}) << yaml;
  return parsed.value == nullptr ? HttpOptions() : parsed.value->chain(0).http->http;
}
// Without the path of the connection manager.
Lines HttpErrors(const std::string& yaml) {
  Lines lines = ToLines(Parse(yaml).errors);
  const std::string common = "filter_chains[0].filters[0].typed_config.";
  for (std::string& line : lines) {
    if (line.starts_with(common)) line.erase(0, common.size());
  }
  return lines;
}

TEST(ParseListenerTest, UnsetFieldsHaveTheirDefaults) {
  const auto parsed = Parse(Whole(""));
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value->name, "l");
  EXPECT_EQ(parsed.value->version, "5");
  EXPECT_EQ(parsed.value->address.ToString(), "127.0.0.1:80");
  EXPECT_EQ(parsed.value->direction, Direction::kUnspecified);
  EXPECT_EQ(parsed.value->chain(0).http->stream_buffer_bytes, 256u * 1024);
  const HttpOptions& http = parsed.value->chain(0).http->http;
  EXPECT_EQ(http.stat_prefix, "s");
  EXPECT_EQ(http.codec, CodecType::kAuto);
  EXPECT_NE(http.inline_routes, nullptr);
  EXPECT_EQ(http.idle_timeout, std::chrono::hours(1));
  EXPECT_EQ(http.stream_idle_timeout, minutes(5));
  EXPECT_EQ(http.request_timeout, seconds(0));
  EXPECT_EQ(http.request_headers_timeout, seconds(0));
  EXPECT_EQ(http.drain_timeout, seconds(5));
  EXPECT_EQ(http.max_request_head_bytes, 60u * 1024);
  EXPECT_EQ(http.max_fields, 100u);
  EXPECT_EQ(http.max_concurrent_streams, 1024u);
  EXPECT_EQ(http.tracing, std::nullopt);
  EXPECT_EQ(http.access_log, std::nullopt);
  EXPECT_FALSE(http.accept_peer_headers);
  EXPECT_FALSE(http.allow_explain);
  EXPECT_TRUE(http.generate_request_id);
}

TEST(ParseListenerTest, FieldsOfTheListenerAreRead) {
  const auto parsed =
      Parse(Listener("stat_prefix: s, " + std::string(kRoutes) + ", http_filters: [" + kRouter + "]",
                     "traffic_direction: OUTBOUND, per_connection_buffer_limit_bytes: 1000, "));
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_EQ(parsed.value->direction, Direction::kOutbound);
  EXPECT_EQ(parsed.value->chain(0).http->stream_buffer_bytes, 1000u);
}

TEST(ParseListenerTest, FieldsOfTheConnectionManagerAreRead) {
  const HttpOptions http =
      Http(Whole("codec_type: HTTP2, drain_timeout: 1s, stream_idle_timeout: 2s, request_timeout: 3s, "
                 "request_headers_timeout: "
                 "0.5s, max_request_headers_kb: 8192, generate_request_id: false, "
                 "common_http_protocol_options: {idle_timeout: "
                 "0s, max_headers_count: 7}, http2_protocol_options: {max_concurrent_streams: 8, "
                 "initial_stream_window_size: "
                 "70000}, http_protocol_options: {accept_http_10: true}"));
  EXPECT_EQ(http.codec, CodecType::kHttp2);
  EXPECT_EQ(http.drain_timeout, seconds(1));
  EXPECT_EQ(http.stream_idle_timeout, seconds(2));
  EXPECT_EQ(http.request_timeout, seconds(3));
  EXPECT_EQ(http.request_headers_timeout, milliseconds(500));
  EXPECT_EQ(http.max_request_head_bytes, 8192u * 1024);
  EXPECT_FALSE(http.generate_request_id);
  EXPECT_EQ(http.idle_timeout, seconds(0));
  EXPECT_EQ(http.max_fields, 7u);
  EXPECT_EQ(http.max_concurrent_streams, 8u);
  EXPECT_EQ(http.stream_window_bytes, 70000u);
}

TEST(ParseListenerTest, RoutesMayComeByRds) {
  const std::string rest = ", http_filters: [" + std::string(kRouter) + "]";
  const HttpOptions http =
      Http(Listener("stat_prefix: s, rds: {route_config_name: r, config_source: {ads: {}}}" + rest));
  EXPECT_EQ(http.inline_routes, nullptr);
  EXPECT_EQ(http.rds_name, "r");
  EXPECT_EQ(http.rds_timeout, seconds(15));
  EXPECT_EQ(HttpErrors(
                Listener("stat_prefix: s, rds: {config_source: {api_config_source: {}, resource_api_version: "
                         "V2, initial_fetch_timeout: -1s}}" +
                         rest)),
            (Lines{"rds.route_config_name: expected at least 1 character",
                   "rds.config_source.ads: expected ads; others are not implemented",
                   "rds.config_source.resource_api_version: expected V3",
                   "rds.config_source.initial_fetch_timeout: expected a duration of 0 or more"}));
}

TEST(ParseListenerTest, EveryErrorOfTheConnectionManagerIsListed) {
  EXPECT_EQ(
      ToLines(Parse(Listener("codec_type: HTTP3, drain_timeout: -1s, max_request_headers_kb: 8193, "
                             "common_http_protocol_options: {max_headers_count: 0}"))
                  .errors),
      (Lines{
          "filter_chains[0].filters[0].typed_config.stat_prefix: expected at least 1 character",
          "filter_chains[0].filters[0].typed_config.codec_type: expected AUTO, HTTP1 or HTTP2; others are "
          "not "
          "implemented",
          "filter_chains[0].filters[0].typed_config: expected rds or route_config",
          "filter_chains[0].filters[0].typed_config.drain_timeout: expected a duration of 0 or more",
          "filter_chains[0].filters[0].typed_config.max_request_headers_kb: expected a number from 1 to 8192",
          "filter_chains[0].filters[0].typed_config.common_http_protocol_options.max_headers_count: expected "
          "a number from 1 to 4294967295",
          "filter_chains[0].filters[0].typed_config.http_filters: expected at least the router"}));
}

TEST(ParseListenerTest, ErrorsInRoutesHaveTheirPath) {
  EXPECT_EQ(
      HttpErrors(Listener("stat_prefix: s, route_config: {virtual_hosts: [{name: v}]}, http_filters: [" +
                          std::string(kRouter) + "]")),
      Lines{"route_config.virtual_hosts[0].domains: expected at least one domain"});
}

TEST(ParseListenerTest, TheShapeIsChainsWithOneFilterEach) {
  EXPECT_EQ(ToLines(Parse("{}").errors),
            (Lines{"address.socket_address: expected an address", "name: expected at least 1 character",
                   "filter_chains: expected at least one, or a default_filter_chain"}));
  const std::string head = "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 80}}, ";
  EXPECT_EQ(
      ToLines(Parse(head + "filter_chains: [{}, {}]}").errors),
      (Lines{"filter_chains[0].filters: expected exactly one, an HTTP connection manager or a TCP proxy; "
             "others are not implemented",
             "filter_chains[1].filter_chain_match: expected no two chains for the same connections; "
             "filter_chains[0] has this match",
             "filter_chains[1].filters: expected exactly one, an HTTP connection manager or a TCP proxy; "
             "others are not implemented"}));
  EXPECT_EQ(
      ToLines(
          Parse(head + "filter_chains: [{filters: [{typed_config: {\"@type\": a/google.protobuf.Empty}}]}]}")
              .errors),
      Lines{"filter_chains[0].filters[0].typed_config: expected a envoy.extensions.filters.network."
            "http_connection_manager.v3.HttpConnectionManager"});
}

TEST(ParseListenerTest, RelaysMayHashTheirClients) {
  const auto parse = [](const std::string& policies) {
    return ParseListener(
        FromYaml<Proto>("{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 1}}, "
                        "filter_chains: [{filters: [{typed_config: {\"@type\": "
                        "a/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: x, cluster: "
                        "a, hash_policy: [" +
                        policies + "]}}]}]}"),
        "1", Origin::kPushed, nullptr);
  };
  EXPECT_FALSE(parse("").value->chain(0).tcp->hash_client);
  EXPECT_TRUE(parse("{source_ip: {}}").value->chain(0).tcp->hash_client);
  const std::string path = "filter_chains[0].filters[0].typed_config.hash_policy";
  EXPECT_EQ(ToLines(parse("{}").errors), Lines{path + "[0]: expected source_ip"});
  EXPECT_EQ(ToLines(parse("{source_ip: {}}, {source_ip: {}}").errors),
            Lines{path + ": expected at most one"});
  Proto unknown =
      FromYaml<Proto>("{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 1}}}");
  envoy::extensions::filters::network::tcp_proxy::v3::TcpProxy tcp;
  tcp.set_stat_prefix("x");
  tcp.set_cluster("a");
  envoy::type::v3::HashPolicy& policy = *tcp.add_hash_policy();
  policy.GetReflection()->MutableUnknownFields(&policy)->AddLengthDelimited(2, "");
  unknown.add_filter_chains()->add_filters()->mutable_typed_config()->PackFrom(tcp);
  const auto refused = ParseListener(unknown, "1", Origin::kPushed, nullptr);
  EXPECT_FALSE(refused.ok());
  ASSERT_EQ(refused.unsupported.size(), 1u);
  EXPECT_EQ(refused.unsupported[0].path, path + "[0].2");
  EXPECT_NE(refused.unsupported[0].message.find("filter_state"), std::string::npos)
      << refused.unsupported[0].message;
}

TEST(ParseListenerTest, ChainsThatDidNotChangeAreShared) {
  const auto chain = [](const std::string& port, const std::string& cluster) {
    return "{filter_chain_match: {destination_port: " + port +
           "}, filters: [{typed_config: {\"@type\": "
           "a/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: x, cluster: " +
           cluster + "}}]}";
  };
  const auto parse = [](const std::string& chains, const std::string& more,
                        const config::Listener* previous) {
    const auto parsed = ParseListener(
        FromYaml<Proto>("{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 1}}, " + more +
                        "filter_chains: [" + chains + "]}"),
        "1", Origin::kPushed, previous);
    EXPECT_EQ(ToLines(parsed.errors), Lines{});
    return parsed.value;
  };
  const auto first = parse(chain("1", "a") + ", " + chain("2", "b"), "", nullptr);
  const auto second = parse(chain("2", "b") + ", " + chain("1", "c"), "", first.get());
  EXPECT_TRUE(SameChain(second->chain(0), first->chain(1)));
  EXPECT_EQ(second->chain(0).match.destination_port, 2);
  EXPECT_FALSE(SameChain(second->chain(1), first->chain(0)));
  EXPECT_EQ(second->chain(1).tcp->clusters[0].cluster, "c");
  const auto third = parse(chain("2", "b"), "per_connection_buffer_limit_bytes: 7, ", second.get());
  EXPECT_FALSE(SameChain(third->chain(0), second->chain(0)))
      << "what it takes over from its listener changed";
}

TEST(ParseListenerTest, AFileMayLeaveNameAndPortOpen) {
  Proto proto = FromYaml<Proto>(Whole(""));
  proto.clear_name();
  proto.mutable_address()->mutable_socket_address()->set_port_value(0);
  EXPECT_EQ(ToLines(ParseListener(proto, "", Origin::kPushed).errors),
            (Lines{"address.socket_address.port_value: expected a port from 1 to 65535",
                   "name: expected at least 1 character"}));
  const auto parsed = ParseListener(proto, "", Origin::kFile);
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_EQ(parsed.value->name, "127.0.0.1:0");
}

TEST(ParseListenerTest, PeeringIsRead) {
  const std::string peering =
      "{name: pillion.peering, typed_config: {\"@type\": a/pillion.sidecar.v1.Peering, ";
  const HttpOptions http = Http(Whole("", peering + "accept_peer_headers: true}}, " + kRouter));
  EXPECT_TRUE(http.accept_peer_headers);
  EXPECT_FALSE(http.allow_explain);
  EXPECT_TRUE(Http(Whole("", peering + "allow_explain: true}}, " + kRouter)).allow_explain);
}

TEST(ParseListenerTest, FiltersOfUnknownTypeAreRefusedUnlessOptional) {
  const std::string unknown = "typed_config: {\"@type\": a/google.protobuf.Empty}";
  EXPECT_EQ(HttpErrors(Whole("", "{name: x, " + unknown + "}, " + kRouter)),
            Lines{"http_filters[0].typed_config: expected a filter that is implemented, found "
                  "google.protobuf.Empty"});
  Http(Whole("", "{name: x, is_optional: true, " + unknown + "}, " + kRouter));
  EXPECT_EQ(HttpErrors(Whole("", "{name: x}, " + std::string(kRouter))),
            Lines{"http_filters[0].typed_config: expected a filter that is implemented, found none"});
}

TEST(ParseListenerTest, TheRouterIsLastAndNamesAreUnique) {
  EXPECT_EQ(HttpErrors(Whole("", std::string(kRouter) + ", " + kRouter)),
            (Lines{"http_filters[0]: expected the router as the last filter",
                   "http_filters[1].name: expected each name once in the list"}));
  EXPECT_EQ(HttpErrors(Whole("", "{name: x, is_optional: true}")),
            Lines{"http_filters[0]: expected the router as the last filter"});
  EXPECT_EQ(
      HttpErrors(Whole("", "{typed_config: {\"@type\": a/envoy.extensions.filters.http.router.v3.Router}}")),
      Lines{"http_filters[0].name: expected at least 1 character"});
}

std::string Tracing(const std::string& fields, const std::string& grpc) {
  return "tracing: {" + fields +
         "provider: {name: p, typed_config: {\"@type\": a/envoy.config.trace.v3.OpenTelemetryConfig, "
         "grpc_service: " +
         grpc + "}}}";
}

TEST(ParseListenerTest, TracingIsRead) {
  const auto tracing = Http(Whole(Tracing("client_sampling: {value: 100}, random_sampling: {value: 0.5}, "
                                          "overall_sampling: {value: 50}, ",
                                          "{envoy_grpc: {cluster_name: c}, timeout: 1s}, service_name: n")))
                           .tracing.value();
  EXPECT_EQ(tracing.collector_cluster, "c");
  EXPECT_EQ(tracing.service_name, "n");
  EXPECT_EQ(tracing.random_sampling, 0.5);
  EXPECT_EQ(tracing.overall_sampling, 50);
  EXPECT_EQ(tracing.export_timeout, seconds(1));
  const auto defaults = Http(Whole(Tracing("", "{envoy_grpc: {cluster_name: c}}"))).tracing.value();
  EXPECT_EQ(defaults.random_sampling, 100);
  EXPECT_EQ(defaults.overall_sampling, 100);
  EXPECT_EQ(defaults.export_timeout, seconds(10));
}

TEST(ParseListenerTest, WrongTracingIsRefused) {
  EXPECT_EQ(
      HttpErrors(Whole(Tracing("client_sampling: {value: 99}, random_sampling: {value: 101}, "
                               "overall_sampling: {value: NaN}, ",
                               "{timeout: 0s}"))),
      (Lines{
          "tracing.client_sampling: expected 100; others are not implemented",
          "tracing.random_sampling.value: expected a percentage from 0 to 100",
          "tracing.overall_sampling.value: expected a percentage from 0 to 100",
          "tracing.provider.typed_config.grpc_service.envoy_grpc.cluster_name: expected at least 1 character",
          "tracing.provider.typed_config.grpc_service.timeout: expected a duration of more than 0"}));
  EXPECT_EQ(HttpErrors(Whole("tracing: {}")), Lines{"tracing.provider: expected a provider"});
  EXPECT_EQ(HttpErrors(Whole("tracing: {provider: {}}")),
            Lines{"tracing.provider.typed_config: expected a envoy.config.trace.v3.OpenTelemetryConfig"});
}

TEST(ParseListenerTest, AccessLogsAreRead) {
  const auto log = [](const std::string& type) {
    return Whole("access_log: [{name: a, typed_config: {\"@type\": a/envoy.extensions.access_loggers." +
                 type + "}}]");
  };
  EXPECT_EQ(Http(log("stream.v3.StdoutAccessLog")).access_log->path, "/dev/stdout");
  EXPECT_EQ(Http(log("file.v3.FileAccessLog, path: /tmp/x")).access_log->path, "/tmp/x");
  EXPECT_EQ(HttpErrors(log("file.v3.FileAccessLog")),
            Lines{"access_log[0].typed_config.path: expected at least 1 character"});
  EXPECT_EQ(HttpErrors(Whole("access_log: [{}, {}]")),
            (Lines{"access_log: expected at most one; others are not implemented",
                   "access_log[0].typed_config: expected a StdoutAccessLog or FileAccessLog; others are not "
                   "implemented"}));
}

}  // namespace
}  // namespace pillion::config
