#include "sidecar/config/parse_filters.h"

#include <gtest/gtest.h>

#include <string>

#include "sidecar/config/parse_listener.h"
#include "sidecar/config/parse_route.h"
#include "sidecar/config/parse_test_yaml.h"
#include "sidecar/jwt/key_set.h"

namespace pillion::config {
namespace {

constexpr char kHttp[] = "a/envoy.extensions.filters.http.";

std::string Typed(const std::string& type, const std::string& fields = "") {
  return "{\"@type\": " + std::string(kHttp) + type + (fields.empty() ? "" : ", " + fields) + "}";
}
std::string Filter(const std::string& name, const std::string& config, const std::string& more = "") {
  return "{name: " + name + ", typed_config: " + config + more + "}, ";
}
// A listener with these filters before the router, and these fields of its table, host and route.
Validated<Listener> Parse(const std::string& filters, const std::string& table = "",
                          const std::string& host = "", const std::string& route = "") {
  const auto also = [](const std::string& fields) {
    return fields.empty() ? "" : ", typed_per_filter_config: {" + fields + "}";
  };
  const std::string yaml =
      "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 80}}, "
      "filter_chains: [{filters: [{name: h, typed_config: {\"@type\": "
      "a/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: s, "
      "http_filters: [" +
      filters + "{name: router, typed_config: " + Typed("router.v3.Router") +
      "}], route_config: {name: t, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, "
      "route: "
      "{cluster: c}" +
      also(route) + "}]" + also(host) + "}]" + also(table) + "}}}]}]}";
  return ParseListener(FromYaml<envoy::config::listener::v3::Listener>(yaml), "1", Origin::kPushed);
}
Lines Errors(const Validated<Listener>& parsed) {
  Lines lines = ToLines(parsed.errors);
  const std::string common = "filter_chains[0].filters[0].typed_config.";
  for (std::string& line : lines) {
    if (line.starts_with(common)) line.erase(0, common.size());
  }
  return lines;
}
const Route& FirstRoute(const Listener& listener) {
  return listener.chain(0).http->http.inline_routes->virtual_hosts[0].routes[0];
}

TEST(ParseFilters, AListenerWithoutFiltersHasNone) {
  const auto parsed = Parse("");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed.value->chain(0).http->http.filters, nullptr);
  EXPECT_EQ(FirstRoute(*parsed.value).filters, nullptr);
}

TEST(ParseFilters, OptionsAreRead) {
  const auto parsed =
      Parse(Filter("web", Typed("grpc_web.v3.GrpcWeb")) +
            Filter("bridge", Typed("grpc_http1_bridge.v3.Config",
                                   "upgrade_protobuf_to_grpc: true, ignore_query_parameters: true")) +
            Filter("reverse",
                   Typed("grpc_http1_reverse_bridge.v3.FilterConfig",
                         "content_type: a/b, withhold_grpc_frames: true, response_size_header: x-size"),
                   ", disabled: true"));
  ASSERT_EQ(Errors(parsed), Lines{});
  const HttpOptions& http = parsed.value->chain(0).http->http;
  EXPECT_NE(OptionsOf(FilterKind::kGrpcWeb, http, nullptr), nullptr);
  const auto* const bridge =
      std::get_if<GrpcHttp1Bridge>(OptionsOf(FilterKind::kGrpcHttp1Bridge, http, nullptr));
  ASSERT_NE(bridge, nullptr);
  EXPECT_TRUE(bridge->upgrade_protobuf && bridge->ignore_query);
  EXPECT_EQ(OptionsOf(FilterKind::kGrpcHttp1ReverseBridge, http, nullptr), nullptr) << "disabled";
  EXPECT_EQ(OptionsOf(FilterKind::kCors, http, nullptr), nullptr) << "not in the list";
  ASSERT_EQ(http.filters->size(), 3u);
  const auto& reverse = std::get<GrpcHttp1ReverseBridge>(*http.filters->at(2).options);
  EXPECT_EQ(reverse.content_type, "a/b");
  EXPECT_EQ(reverse.size_header, "x-size");
  EXPECT_TRUE(reverse.withhold_frames);
}

TEST(ParseFilters, TheMostSpecificLevelWins) {
  const auto policy = [](const std::string& age) {
    return Typed("cors.v3.CorsPolicy", "max_age: '" + age + "'");
  };
  const auto config = [](const std::string& fields) {
    return "{\"@type\": a/envoy.config.route.v3.FilterConfig, " + fields + "}";
  };
  const auto age = [](const Validated<Listener>& parsed) -> std::string {
    EXPECT_EQ(Errors(parsed), Lines{});
    if (parsed.value == nullptr) return "error";
    const auto* const options =
        OptionsOf(FilterKind::kCors, parsed.value->chain(0).http->http, &FirstRoute(*parsed.value));
    if (options == nullptr) return "off";
    const auto* const cors = std::get_if<CorsPolicy>(options);
    return cors == nullptr ? "present" : cors->max_age;
  };
  const std::string cors = Filter("cors", Typed("cors.v3.Cors"));
  EXPECT_EQ(age(Parse(cors)), "present");
  EXPECT_EQ(age(Parse(cors, "cors: " + policy("1"))), "1");
  EXPECT_EQ(age(Parse(cors, "cors: " + policy("1"), "cors: " + policy("2"))), "2");
  EXPECT_EQ(age(Parse(cors, "cors: " + policy("1"), "cors: " + policy("2"), "cors: " + policy("3"))), "3");
  EXPECT_EQ(age(Parse(cors, "", "cors: " + config("config: " + policy("2")))), "2");
  EXPECT_EQ(age(Parse(cors, "cors: " + policy("1"), "", "cors: " + config("disabled: true"))), "off");
  EXPECT_EQ(age(Parse(cors, "cors: " + config("disabled: true"), "", "cors: " + policy("3"))), "3");
  // Another filter's name, or another's type under this name.
  EXPECT_EQ(age(Parse(cors, "other: " + policy("1"))), "present");
  EXPECT_EQ(age(Parse(cors, "cors: " + Typed("grpc_web.v3.GrpcWeb"))), "present");
  EXPECT_EQ(age(Parse(Filter("cors", Typed("cors.v3.Cors"), ", disabled: true"), "", "cors: " + policy("2"))),
            "2");
}

TEST(ParseFilters, WhatIsWrongIsToldWithItsPath) {
  EXPECT_EQ(
      Errors(Parse(Filter("a", Typed("grpc_web.v3.GrpcWeb")) + Filter("b", Typed("grpc_web.v3.GrpcWeb")))),
      Lines{"http_filters[1].typed_config: expected each type of filter once in the list"});
  EXPECT_EQ(Errors(Parse(Filter("r", Typed("grpc_http1_reverse_bridge.v3.FilterConfig")))),
            Lines{"http_filters[0].typed_config.content_type: expected at least 1 character"});
  EXPECT_EQ(Errors(Parse(Filter("c", Typed("cors.v3.CorsPolicy")))),
            Lines{"http_filters[0].typed_config: expected a filter that is implemented, found "
                  "envoy.extensions.filters.http.cors.v3.CorsPolicy"});
  EXPECT_EQ(Errors(Parse("", "", "",
                         "c: " + Typed("cors.v3.CorsPolicy",
                                       "allow_origin_string_match: [{prefix: ''}], max_age: \"a\\nb\""))),
            (Lines{"route_config.virtual_hosts[0].routes[0].typed_per_filter_config[\"c\"]."
                   "allow_origin_string_match[0].prefix: expected at least 1 character",
                   "route_config.virtual_hosts[0].routes[0].typed_per_filter_config[\"c\"].max_age: expected "
                   "printable ASCII characters"}));
  EXPECT_EQ(
      Errors(Parse("", "c: " + Typed("cors.v3.Cors"))),
      Lines{"route_config.typed_per_filter_config[\"c\"]: expected options that are implemented at this "
            "level, found envoy.extensions.filters.http.cors.v3.Cors"});
  EXPECT_EQ(Errors(Parse("", "c: {\"@type\": a/envoy.config.route.v3.FilterConfig}")),
            Lines{"route_config.typed_per_filter_config[\"c\"].config: expected options, or disabled"});
  // A type that we do not know, where it may be skipped.
  EXPECT_EQ(
      Errors(Parse("", "c: {\"@type\": a/envoy.config.route.v3.FilterConfig, is_optional: true, config: " +
                           Typed("cors.v3.Cors") + "}")),
      Lines{});
}

TEST(ParseFilters, AFaultIsRead) {
  const std::string fault =
      Typed("fault.v3.HTTPFault",
            "delay: {fixed_delay: 1.5s, percentage: {numerator: 3, denominator: TEN_THOUSAND}}, "
            "abort: {grpc_status: 14, percentage: {numerator: 50}}, headers: [{name: X-User, present_match: "
            "true}], "
            "max_active_faults: 7");
  const auto parsed =
      Parse(Filter("f", fault), "", "", "f: " + Typed("fault.v3.HTTPFault", "abort: {header_abort: {}}"));
  ASSERT_EQ(Errors(parsed), Lines{});
  const HttpOptions& http = parsed.value->chain(0).http->http;
  const auto& all = std::get<Fault>(*OptionsOf(FilterKind::kFault, http, nullptr));
  ASSERT_TRUE(all.delay && all.abort);
  EXPECT_EQ(all.delay->time, std::chrono::milliseconds(1500));
  EXPECT_EQ(all.delay->share.numerator, 3u);
  EXPECT_EQ(all.delay->share.denominator, 10'000u);
  EXPECT_EQ(all.abort->kind, Fault::Abort::Kind::kGrpc);
  EXPECT_EQ(all.abort->status, 14);
  EXPECT_EQ(all.abort->share.numerator, 50u);
  ASSERT_EQ(all.headers.size(), 1u);
  EXPECT_EQ(all.headers[0].name, "x-user");
  EXPECT_EQ(all.max_active, 7u);
  const auto& one = std::get<Fault>(*OptionsOf(FilterKind::kFault, http, &FirstRoute(*parsed.value)));
  EXPECT_FALSE(one.delay.has_value());
  ASSERT_TRUE(one.abort.has_value());
  EXPECT_EQ(one.abort->kind, Fault::Abort::Kind::kByRequest);
  EXPECT_EQ(one.abort->share.numerator, 0u);
  EXPECT_EQ(one.max_active, UINT32_MAX);
}

TEST(ParseFilters, WhatIsWrongWithAFaultIsTold) {
  const auto fault = [](const std::string& fields) {
    return Errors(Parse(Filter("f", Typed("fault.v3.HTTPFault", fields))));
  };
  const std::string at = "http_filters[0].typed_config.";
  EXPECT_EQ(fault("delay: {}"), Lines{at + "delay: expected fixed_delay or header_delay"});
  EXPECT_EQ(fault("delay: {fixed_delay: 0s}"),
            Lines{at + "delay.fixed_delay: expected a duration of more than 0"});
  EXPECT_EQ(fault("delay: {header_delay: {}, percentage: {numerator: 101}}"),
            Lines{at + "delay.percentage.numerator: expected at most 100"});
  EXPECT_EQ(fault("abort: {}"), Lines{at + "abort: expected http_status, grpc_status or header_abort"});
  EXPECT_EQ(fault("abort: {http_status: 199}"),
            Lines{at + "abort.http_status: expected a status from 200 to 599"});
  EXPECT_EQ(fault("abort: {http_status: 600}"),
            Lines{at + "abort.http_status: expected a status from 200 to 599"});
  EXPECT_EQ(fault("abort: {grpc_status: 0}"),
            Lines{at + "abort.grpc_status: expected a status from 1 to 16"});
  EXPECT_EQ(fault("abort: {grpc_status: 17}"),
            Lines{at + "abort.grpc_status: expected a status from 1 to 16"});
  EXPECT_EQ(fault("abort: {header_abort: {}, percentage: {numerator: 200}}"),
            Lines{at + "abort.percentage.numerator: expected at most 100"});
  EXPECT_EQ(fault("headers: [{name: ''}]"),
            Lines{at + "headers[0].name: expected a field name, :authority, :method, :path or :scheme"});
}

const std::string kEverybody =
    "rules: {policies: {p: {permissions: [{any: true}], principals: [{any: true}]}}}";

TEST(ParseFilters, RulesOfAccessAreTheListenersOrInTheirPlaceTheRoutes) {
  const auto control = [](const Validated<Listener>& parsed) -> const AccessControl* {
    EXPECT_EQ(Errors(parsed), Lines{});
    if (parsed.value == nullptr) return nullptr;
    const auto* const options =
        OptionsOf(FilterKind::kRbac, parsed.value->chain(0).http->http, &FirstRoute(*parsed.value));
    return options == nullptr ? nullptr : std::get_if<AccessControl>(options);
  };
  const std::string rbac = Filter("r", Typed("rbac.v3.RBAC", kEverybody));
  const auto listeners = Parse(rbac);
  ASSERT_NE(control(listeners), nullptr);
  EXPECT_EQ(control(listeners)->rules->policies.size(), 1u);
  const auto per_route = [](const std::string& fields) {
    return "r: " + Typed("rbac.v3.RBACPerRoute", fields);
  };
  const auto routes =
      Parse(rbac, "", per_route("rbac: {" + kEverybody + "}"), per_route("rbac: {rules: {}}"));
  ASSERT_NE(control(routes), nullptr);
  EXPECT_TRUE(control(routes)->rules->policies.empty());
  EXPECT_EQ(control(Parse(rbac, "", "", per_route(""))), nullptr) << "nothing is denied there";
  EXPECT_EQ(Errors(Parse(rbac, "", "", "r: " + Typed("rbac.v3.RBAC", kEverybody))).size(), 1u)
      << "of a listener";
}

TEST(ParseFilters, WhereAccessIsJudgedIsSaidByTheOrder) {
  const auto judged = [](const std::string& filters) {
    const auto parsed = Parse(filters);
    EXPECT_EQ(Errors(parsed), Lines{});
    return parsed.value == nullptr ? AccessJudged::kNowhere : parsed.value->chain(0).http->http.access_judged;
  };
  const std::string rbac = Filter("r", Typed("rbac.v3.RBAC"));
  const std::string web = Filter("w", Typed("grpc_web.v3.GrpcWeb"));
  // Of one file, which is empty.
  const std::string transcoder =
      Filter("t", Typed("grpc_json_transcoder.v3.GrpcJsonTranscoder", "proto_descriptor_bin: CgMKAWE="));
  EXPECT_EQ(judged(web), AccessJudged::kNowhere);
  EXPECT_EQ(judged(rbac), AccessJudged::kAsTheyCome);
  EXPECT_EQ(judged(web + rbac), AccessJudged::kAsTheyCome);
  EXPECT_EQ(judged(rbac + transcoder), AccessJudged::kAsTheyCome);
  EXPECT_EQ(judged(transcoder + rbac), AccessJudged::kAsTranslated);
  EXPECT_EQ(Errors(Parse(rbac + Filter("r2", Typed("rbac.v3.RBAC")))),
            Lines{"http_filters[1].typed_config: expected each type of filter once in the list"});
}

constexpr char kBucket[] = "{max_tokens: 10, tokens_per_fill: 3, fill_interval: 1s}";

TEST(ParseFilters, ARateLimitIsRead) {
  const std::string limit = Typed(
      "local_ratelimit.v3.LocalRateLimit",
      "stat_prefix: s, status: {code: 503}, token_bucket: " + std::string(kBucket) +
          ", filter_enabled: {default_value: {numerator: 50}}, filter_enforced: {default_value: {numerator: "
          "7, "
          "denominator: MILLION}}, enable_x_ratelimit_headers: DRAFT_VERSION_03, enable_retry_after_header: "
          "true, "
          "rate_limited_as_resource_exhausted: true, always_consume_default_token_bucket: false, "
          "max_dynamic_descriptors: 5, descriptors: [{entries: [{key: user, value: ann}, {key: "
          "remote_address}], "
          "token_bucket: {max_tokens: 1, fill_interval: 60s}}], rate_limits: [{actions: [{request_headers: "
          "{header_name: X-User, descriptor_key: user, skip_if_absent: true}}, {remote_address: {}}, "
          "{generic_key: "
          "{descriptor_value: a}}, {extension: {name: i, typed_config: {\"@type\": "
          "a/pillion.sidecar.v1.PeerIdentity}}}]}]");
  const auto parsed =
      Parse(Filter("l", limit), "", "", "l: " + Typed("local_ratelimit.v3.LocalRateLimit", "stat_prefix: s"));
  ASSERT_EQ(Errors(parsed), Lines{});
  const HttpOptions& http = parsed.value->chain(0).http->http;
  const auto& all = std::get<RateLimit>(*OptionsOf(FilterKind::kLocalRateLimit, http, nullptr));
  ASSERT_TRUE(all.limit.has_value());
  EXPECT_EQ(all.limit->max_tokens, 10u);
  EXPECT_EQ(all.limit->token, std::chrono::nanoseconds(333'333'334)) << "rounded up";
  EXPECT_EQ(all.counted.numerator, 50u);
  EXPECT_EQ(all.enforced.denominator, 1'000'000u);
  EXPECT_EQ(all.status, 503);
  EXPECT_EQ(all.grpc_status, 8);
  EXPECT_EQ(all.max_clients, 5u);
  EXPECT_TRUE(all.tell_left && all.tell_retry_after && !all.always_common);
  ASSERT_EQ(all.descriptors.size(), 1u);
  EXPECT_EQ(all.descriptors[0].entries[0].value, "ann");
  EXPECT_EQ(all.descriptors[0].entries[1].key, "remote_address");
  EXPECT_EQ(all.descriptors[0].limit.token, std::chrono::seconds(60));
  using Kind = RateLimit::Action::Kind;
  ASSERT_EQ(all.rules.size(), 1u);
  ASSERT_EQ(all.rules[0].size(), 4u);
  EXPECT_EQ(all.rules[0][0].kind, Kind::kField);
  EXPECT_EQ(all.rules[0][0].text, "x-user");
  EXPECT_TRUE(all.rules[0][0].skip_if_absent);
  EXPECT_EQ(all.rules[0][1].kind, Kind::kClientAddress);
  EXPECT_EQ(all.rules[0][2].key, "generic_key");
  EXPECT_EQ(all.rules[0][3].kind, Kind::kPeerIdentity);
  // Envoy's defaults: no limit, nobody is counted.
  const auto& one =
      std::get<RateLimit>(*OptionsOf(FilterKind::kLocalRateLimit, http, &FirstRoute(*parsed.value)));
  EXPECT_FALSE(one.limit.has_value());
  EXPECT_EQ(one.counted.numerator + one.enforced.numerator, 0u);
  EXPECT_EQ(one.status, 429);
  EXPECT_EQ(one.grpc_status, 14);
  EXPECT_TRUE(one.always_common && !one.tell_left && !one.tell_retry_after);
  EXPECT_EQ(one.max_clients, 16384u);
}

std::string Tokens(const std::string& domains) {
  return "{\"@type\": a/pillion.sidecar.v1.Idempotency, domains: [" + domains + "]}";
}
std::string TokenPolicyYaml(const std::string& fields) {
  return "t: {\"@type\": a/pillion.sidecar.v1.TokenPolicy, " + fields + "}";
}

TEST(ParseFilters, DomainsOfTokensAreRead) {
  const auto parsed = Parse(Filter(
      "t", Tokens("{id: 7}, {id: 8, validity: 90.0005s, skew: 0s, max_execution: 60s, on_concurrent: "
                  "CONFLICT, release_on: [503], retain: TOMBSTONE, unknown_status: 504, "
                  "max_request_bytes: 1, max_response_bytes: 0, max_waiters: 0, max_records: 1, "
                  "max_bytes: 65536, caller_percent: 100, max_detached: 3}, {id: 9, key_source: APP, keys: "
                  "10, require: true, app_validity: 3600s, methods: [PUT], grpc_methods: [/a.B/C], "
                  "keys_elsewhere: true, fingerprint: HEAD}, {id: 11, key_source: APP_OR_MINT, keys: 12, "
                  "on_unknown: RUN_AGAIN}")));
  ASSERT_EQ(Errors(parsed), Lines{});
  const TokenDomains& domains = *TokenDomainsOf(parsed.value->chain(0).http->http);
  ASSERT_EQ(domains.all.size(), 4u);
  const TokenDomain& usual = domains.all[0];
  EXPECT_EQ(usual.id, 7u);
  EXPECT_EQ(usual.terms, idempotency::TableTerms());
  EXPECT_TRUE(usual.keeps_answers && !usual.conflict && usual.release_on.empty());
  EXPECT_EQ(usual.unknown_status, 500);
  EXPECT_EQ(usual.max_request_bytes, 65'536u);
  EXPECT_EQ(usual.max_response_bytes, 262'144u);
  EXPECT_EQ(usual.max_detached, 1000u);
  const TokenDomain& other = domains.all[1];
  EXPECT_EQ(other.terms.validity.count(), 90'001) << "in whole milliseconds, rounded up";
  EXPECT_EQ(other.terms.skew.count(), 0);
  EXPECT_EQ(other.terms.max_execution.count(), 60'000);
  EXPECT_TRUE(other.conflict && !other.keeps_answers);
  EXPECT_EQ(other.release_on, std::vector<uint16_t>{503});
  EXPECT_EQ(other.unknown_status, 504);
  EXPECT_EQ(other.max_request_bytes + other.max_response_bytes + other.terms.waiters, 1u);
  EXPECT_EQ(other.terms.room.records, 1u);
  EXPECT_EQ(other.terms.room.bytes, 65'536u);
  EXPECT_EQ(other.terms.room.caller_percent, 100u);
  EXPECT_EQ(other.max_detached, 3u);
  EXPECT_TRUE(!usual.keys.counts() && !usual.keys.required && !usual.keys.elsewhere);
  const KeyTerms& keys = domains.all[2].keys;
  EXPECT_TRUE(keys.source == KeySource::kApp && keys.required && keys.elsewhere);
  EXPECT_EQ(keys.records, 10u);
  EXPECT_EQ(keys.of.methods, std::vector<std::string>{"PUT"});
  EXPECT_TRUE(keys.of.grpc_methods.contains("/a.B/C"));
  EXPECT_EQ(domains.all[2].terms.app_validity.count(), 3'600'000);
  const KeyTerms& either = domains.all[3].keys;
  EXPECT_TRUE(either.source == KeySource::kAppOrMint && !either.required && !either.elsewhere);
  EXPECT_EQ(either.of.methods, (std::vector<std::string>{"POST", "PATCH"}));
  EXPECT_EQ(domains.all[3].terms.app_validity, std::chrono::hours(24));
  EXPECT_TRUE(!usual.runs_unknown_again && usual.compares_key_contents);
  EXPECT_TRUE(!domains.all[2].runs_unknown_again && !domains.all[2].compares_key_contents);
  EXPECT_TRUE(domains.all[3].runs_unknown_again && domains.all[3].compares_key_contents);
  const auto minted = Parse(Filter("t", Tokens("{id: 7, fingerprint: HEAD}")));
  EXPECT_EQ(Errors(minted).size(), 1u) << ::testing::PrintToString(Errors(minted));
}

const char kStoreKey[] = "{inline_string: 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f}";

TEST(ParseFilters, WhereRecordsAreSharedIsRead) {
  const auto parsed = Parse(Filter(
      "t", Tokens("{id: 7, store: {cluster: c, service: a/b, key: " + std::string(kStoreKey) +
                  "}}, {id: 8, store: {cluster: d, service: e, user: u, password: {filename: /p}, key: "
                  "{filename: /k}, lease: 60s, replicas: 0, replica_wait: 0.001s, unconfirmed_doubt: 0s, "
                  "on_down: BYPASS, trust_unseen_settings: true}}, {id: 9}")));
  ASSERT_EQ(Errors(parsed), Lines{});
  const TokenDomains& domains = *TokenDomainsOf(parsed.value->chain(0).http->http);
  const TokenStore& usual = *domains.all[0].store;
  EXPECT_EQ(usual.cluster, "c");
  EXPECT_EQ(usual.terms.service, "a/b");
  EXPECT_EQ(usual.key.text.size(), 64u);
  EXPECT_TRUE(usual.password.empty() && !usual.runs_when_down && !usual.trusts_unseen);
  EXPECT_EQ(usual.terms.lease.count(), 10'000);
  EXPECT_EQ(usual.terms.replicas, 1u);
  EXPECT_EQ(usual.terms.replica_wait.count(), 50);
  EXPECT_EQ(usual.terms.unconfirmed_doubt.count(), 15'000);
  const TokenStore& other = *domains.all[1].store;
  EXPECT_EQ(other.user, "u");
  EXPECT_EQ(other.password.file + other.key.file, "/p/k");
  EXPECT_TRUE(other.runs_when_down && other.trusts_unseen);
  EXPECT_EQ(other.terms.lease.count(), 60'000);
  EXPECT_EQ(other.terms.replicas, 0u);
  EXPECT_EQ(other.terms.replica_wait.count() + other.terms.unconfirmed_doubt.count(), 1);
  EXPECT_EQ(domains.all[2].store, nullptr);
}

// RFC 8037 appendix A.2.
const char kJwks[] =
    R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]})";

TEST(ParseFilters, WhoseKeysAreOneIsRead) {
  const auto parsed = Parse(Filter(
      "t",
      Tokens(
          "{id: 7, key_source: APP, keys: 8, principal: {claim: sub, issuer: 'https://a', audiences: [b, c], "
          "jwks: {inline_string: '" +
          std::string(kJwks) +
          "'}}}, {id: 9, key_source: APP_OR_MINT, keys: 10, principal: {claim: oid, issuer: i, jwks: "
          "{filename: "
          "/j}}}, {id: 11, key_source: APP, keys: 12}")));
  ASSERT_EQ(Errors(parsed), Lines{});
  const TokenDomains& domains = *TokenDomainsOf(parsed.value->chain(0).http->http);
  const KeyPrincipal& inlined = *domains.all[0].keys.principal;
  EXPECT_EQ(inlined.terms.claim, "sub");
  EXPECT_EQ(inlined.terms.issuer, "https://a");
  EXPECT_EQ(inlined.terms.audiences, (std::vector<std::string>{"b", "c"}));
  ASSERT_NE(inlined.keys->Get(), nullptr);
  EXPECT_EQ(inlined.keys->Get()->size(), 1u);
  const KeyPrincipal& file = *domains.all[1].keys.principal;
  EXPECT_EQ(file.jwks.file, "/j");
  EXPECT_TRUE(file.terms.audiences.empty());
  EXPECT_EQ(file.keys->Get(), nullptr) << "it is the main loop's to read";
  EXPECT_EQ(domains.all[2].keys.principal, nullptr);
}

TEST(ParseFilters, WhatSaysNotWhoseKeysAreOneIsRefused) {
  const auto errors = [](const std::string& principal,
                         const std::string& source = "key_source: APP, keys: 2") {
    Lines lines =
        Errors(Parse(Filter("t", Tokens("{id: 1, " + source + ", principal: {" + principal + "}}"))));
    for (std::string& line : lines) {
      const std::string common = "http_filters[0].typed_config.domains[0].principal";
      if (line.starts_with(common)) line.erase(0, common.size());
    }
    return lines;
  };
  const std::string good = "claim: sub, issuer: i, jwks: {filename: /j}";
  EXPECT_EQ(errors(good), Lines{});
  EXPECT_EQ(errors(good, "key_source: MINT"),
            Lines{": expected none where key_source is MINT: it has no keys"});
  EXPECT_EQ(errors("").size(), 3u);
  EXPECT_EQ(errors("issuer: i, jwks: {filename: /j}"), Lines{".claim: expected 1 to 256 bytes"});
  EXPECT_EQ(errors("claim: " + std::string(257, 'c') + ", issuer: i, jwks: {filename: /j}"),
            Lines{".claim: expected 1 to 256 bytes"});
  EXPECT_EQ(errors("claim: sub, jwks: {filename: /j}"), Lines{".issuer: expected 1 to 1024 bytes"});
  EXPECT_EQ(errors(good + ", audiences: [a, '']"), Lines{".audiences[1]: expected a name"});
  EXPECT_EQ(errors("claim: sub, issuer: i, jwks: {inline_string: '{\"keys\":[{\"kty\":\"oct\"}]}'}"),
            Lines{".jwks: keys[0]: expected a public key: this is a secret, and signs"});
  EXPECT_EQ(errors("claim: sub, issuer: i, jwks: {inline_string: 'https://a/keys'}"),
            Lines{".jwks: expected a JWK set: a JSON object with no member twice in it"});
}

TEST(ParseFilters, WhatIsNoStoreIsRefused) {
  const auto errors = [](const std::string& domain) {
    Lines lines = Errors(Parse(Filter("t", Tokens("{id: 1, " + domain + "}"))));
    for (std::string& line : lines) {
      const std::string common = "http_filters[0].typed_config.domains[0].";
      if (line.starts_with(common)) line.erase(0, common.size());
    }
    return lines;
  };
  const std::string good = "cluster: c, service: s, key: " + std::string(kStoreKey);
  EXPECT_EQ(errors("store: {" + good + "}, max_response_bytes: 3145728"), Lines{});
  EXPECT_EQ(errors("store: {" + good + "}, max_response_bytes: 3145729"),
            Lines{"max_response_bytes: expected at most 3145728 with a store"});
  EXPECT_EQ(errors("store: {}").size(), 3u);
  EXPECT_EQ(errors("keys_elsewhere: true, store: {" + good + "}"),
            Lines{"keys_elsewhere: expected false where records are shared"});
  EXPECT_EQ(errors("store: {cluster: c, service: s, key: {inline_string: short}}"),
            Lines{"store.key: expected 32 bytes, or 64 hexadecimal digits in lower case"});
  EXPECT_EQ(errors("store: {cluster: c, service: " + std::string(254, 's') + ", key: " + kStoreKey + "}"),
            Lines{"store.service: expected 1 to 253 bytes"});
  EXPECT_EQ(errors("store: {user: u, " + good + "}"),
            Lines{"store.password: expected one where there is a user"});
  EXPECT_EQ(
      errors("store: {lease: 0.5s, replicas: 9, replica_wait: 2s, unconfirmed_doubt: 61s, " + good + "}"),
      (Lines{"store.lease: expected 1 to 60 seconds", "store.replica_wait: expected 1 to 1000 milliseconds",
             "store.unconfirmed_doubt: expected 0 to 60 seconds",
             "store.replicas: expected a number from 0 to 8"}));
}

TEST(ParseFilters, WhatIsNoDomainIsRefused) {
  const auto errors = [](const std::string& domain) {
    Lines lines = Errors(Parse(Filter("t", Tokens(domain))));
    for (std::string& line : lines) {
      const std::string common = "http_filters[0].typed_config.domains";
      if (line.starts_with(common)) line.erase(0, common.size());
    }
    return lines;
  };
  EXPECT_EQ(errors("{}"), Lines{"[0].id: expected a number other than 0"});
  EXPECT_EQ(errors("{id: 1}, {id: 1}"), Lines{"[1].id: expected one that no other domain has"});
  EXPECT_EQ(errors("{id: 1, validity: 0.5s, skew: 61s, max_execution: 0s}"),
            (Lines{"[0].validity: expected 1 to 3600 seconds", "[0].skew: expected 0 to 60 seconds",
                   "[0].max_execution: expected 1 to 60 seconds"}));
  EXPECT_EQ(errors("{id: 1, release_on: [200], unknown_status: 600}"),
            (Lines{"[0].release_on[0]: expected a status from 400 to 599",
                   "[0].unknown_status: expected a status from 400 to 599"}));
  EXPECT_EQ(errors("{id: 1, release_on: [501, 501, 501, 501, 501, 501, 501, 501, 501]}"),
            Lines{"[0].release_on: expected at most 8 elements"});
  EXPECT_EQ(errors("{id: 1, max_request_bytes: 0, max_response_bytes: 16777217, max_waiters: 1001, "
                   "max_records: 0, max_bytes: 65535, caller_percent: 101, max_detached: 0}")
                .size(),
            7u);
  EXPECT_EQ(errors("{id: 1, require: true, app_validity: 59s, methods: [GET], grpc_methods: [a]}"),
            (Lines{"[0].require: expected false where key_source is MINT",
                   "[0].app_validity: expected 60 to 604800 seconds",
                   "[0].methods[0]: expected a method that may change something",
                   "[0].grpc_methods[0]: expected /package.Service/Method"}));
  EXPECT_EQ(
      errors("{id: 1, key_source: APP}, {id: 2, key_source: APP, keys: 2}, {id: 3, key_source: APP, keys: "
             "1}"),
      (Lines{"[0].keys: expected a number of its own, other than 0",
             "[1].keys: expected a number of its own, other than 0",
             "[1].keys: expected one that no other domain has",
             "[2].keys: expected one that no other domain has"}));
  EXPECT_EQ(errors("{id: 1, key_source: PASSTHROUGH, keys: 2}"),
            Lines{"[0].key_source: expected MINT, APP or APP_OR_MINT: this has no records"});
}

TEST(ParseFilters, WhichRequestsGetATokenIsRead) {
  const auto parsed =
      Parse(Filter("t", Tokens("")), "", "",
            TokenPolicyYaml("domain: 7, methods: [PUT], grpc_methods: [/a.B/C], max_request_bytes: 5, "
                            "max_retries: 0, paused: true, runs_unknown_again: true"));
  ASSERT_EQ(Errors(parsed), Lines{});
  const HttpOptions& http = parsed.value->chain(0).http->http;
  const auto& policy =
      std::get<TokenPolicy>(*OptionsOf(FilterKind::kIdempotency, http, &FirstRoute(*parsed.value)));
  EXPECT_EQ(policy.domain, 7u);
  EXPECT_EQ(policy.of.methods, std::vector<std::string>{"PUT"});
  EXPECT_TRUE(policy.of.grpc_methods.contains("/a.B/C"));
  EXPECT_EQ(policy.max_request_bytes, 5u);
  EXPECT_EQ(policy.retry.max_retries, 0u);
  EXPECT_TRUE(policy.paused && policy.runs_unknown_again);
  const auto usual = Parse(Filter("t", Tokens("")), "", "", TokenPolicyYaml("domain: 7"));
  const auto& defaults = std::get<TokenPolicy>(
      *OptionsOf(FilterKind::kIdempotency, usual.value->chain(0).http->http, &FirstRoute(*usual.value)));
  EXPECT_EQ(defaults.of.methods, (std::vector<std::string>{"POST", "PATCH"}));
  EXPECT_EQ(defaults.retry.max_retries, 2u);
  EXPECT_FALSE(defaults.paused || defaults.runs_unknown_again);
  const auto bad = Parse(Filter("t", Tokens("")), "", "",
                         TokenPolicyYaml("methods: [GET, POST], grpc_methods: [a], max_request_bytes: 0, "
                                         "max_retries: 11"));
  EXPECT_EQ(Errors(bad).size(), 5u) << ::testing::PrintToString(Errors(bad));
  const auto passes = Parse(Filter("t", Tokens("")), "", "", TokenPolicyYaml("key_source: PASSTHROUGH"));
  ASSERT_EQ(Errors(passes), Lines{});
  const auto& through = std::get<TokenPolicy>(
      *OptionsOf(FilterKind::kIdempotency, passes.value->chain(0).http->http, &FirstRoute(*passes.value)));
  EXPECT_TRUE(through.passes_through());
  EXPECT_NE(through.retry.on & kRetryReset, 0u);
  const auto both =
      Parse(Filter("t", Tokens("")), "", "", TokenPolicyYaml("key_source: PASSTHROUGH, domain: 7"));
  EXPECT_EQ(Errors(both).size(), 1u) << ::testing::PrintToString(Errors(both));
}

// A table whose first route leads to two clusters; what it says of filters, and the second cluster.
Validated<RouteTable> ParseWeighted(const std::string& route, const std::string& cluster) {
  const auto also = [](const std::string& fields) {
    return fields.empty() ? "" : ", typed_per_filter_config: {" + fields + "}";
  };
  return ParseRouteTable(
      FromYaml<envoy::config::route::v3::RouteConfiguration>(
          "{name: t, virtual_hosts: [{name: v, domains: ['*'], routes: [{name: r, match: {prefix: /}, route: "
          "{weighted_clusters: {clusters: [{name: a, weight: 1}, {name: b, weight: 1" +
          also(cluster) + "}]}}" + also(route) + "}]}]}"),
      "1", Origin::kPushed);
}

TEST(ParseFilters, WhatIsSaidOfOneOfARoutesClustersComesBeforeTheRoute) {
  const auto listener = Parse(Filter("t", Tokens("")));
  const HttpOptions& http = listener.value->chain(0).http->http;
  const auto domain = [&](const Route& route, size_t cluster) -> uint64_t {
    const FilterOptions* const options =
        OptionsOf(FilterKind::kIdempotency, http, &route, route.clusters.at(cluster).filters.get());
    const auto* const policy = std::get_if<TokenPolicy>(options);
    return policy == nullptr ? 0 : policy->domain;
  };
  const auto both = ParseWeighted(TokenPolicyYaml("domain: 7"), TokenPolicyYaml("domain: 8"));
  ASSERT_TRUE(both.ok()) << ::testing::PrintToString(ToLines(both.errors));
  const Route& route = both.value->virtual_hosts[0].routes[0];
  EXPECT_EQ(domain(route, 0), 7u);
  EXPECT_EQ(domain(route, 1), 8u);
  EXPECT_EQ(route.clusters[1].filters->front().place, "t/v/r/0/b");
  const auto more = ParseWeighted("c: " + Typed("cors.v3.CorsPolicy") + ", " + TokenPolicyYaml("domain: 7"),
                                  TokenPolicyYaml("domain: 8"));
  ASSERT_TRUE(more.ok()) << ::testing::PrintToString(ToLines(more.errors));
  EXPECT_EQ(more.value->virtual_hosts[0].routes[0].clusters[1].filters->size(), 2u) << "and the rest stays";
  const auto one = ParseWeighted("", "t: {\"@type\": a/envoy.config.route.v3.FilterConfig, config: " +
                                         TokenPolicyYaml("domain: 8").substr(3) + "}");
  ASSERT_TRUE(one.ok()) << ::testing::PrintToString(ToLines(one.errors));
  EXPECT_EQ(one.value->virtual_hosts[0].routes[0].clusters[0].filters, nullptr);
  EXPECT_EQ(domain(one.value->virtual_hosts[0].routes[0], 0), 0u);
  EXPECT_EQ(domain(one.value->virtual_hosts[0].routes[0], 1), 8u);
}

TEST(ParseFilters, WhatAFilterDoesNotAskOfAClusterIsRefusedThere) {
  const std::string path =
      "virtual_hosts[0].routes[0].route.weighted_clusters.clusters[1].typed_per_filter_config[\"t\"]";
  EXPECT_EQ(ToLines(ParseWeighted("", "t: " + Typed("cors.v3.CorsPolicy")).errors),
            Lines{path + ": expected options that are implemented at this level, found "
                         "envoy.extensions.filters.http.cors.v3.CorsPolicy"});
  EXPECT_EQ(
      ToLines(
          ParseWeighted("", "t: {\"@type\": a/envoy.config.route.v3.FilterConfig, disabled: true}").errors),
      Lines{path + ".disabled: expected false for one of a route's clusters"});
  EXPECT_EQ(ToLines(ParseWeighted("", TokenPolicyYaml("methods: [PUT]")).errors),
            Lines{path + ".domain: expected a number other than 0"});
}

TEST(ParseFilters, ALimitKnowsWhereItIsStated) {
  const std::string limit = "l: " + Typed("local_ratelimit.v3.LocalRateLimit", "stat_prefix: s");
  const auto place = [](const Validated<Listener>& parsed) {
    EXPECT_EQ(Errors(parsed), Lines{});
    return FirstRoute(*parsed.value).filters->front().place;
  };
  EXPECT_EQ(place(Parse("", limit)), "t");
  EXPECT_EQ(place(Parse("", "", limit)), "t/v");
  EXPECT_EQ(place(Parse("", limit, "", limit)), "t/v//0");
}

TEST(ParseFilters, WhatIsWrongWithARateLimitIsTold) {
  const auto limit = [](const std::string& fields) {
    return Errors(Parse(Filter("l", Typed("local_ratelimit.v3.LocalRateLimit", fields))));
  };
  const std::string at = "http_filters[0].typed_config.";
  EXPECT_EQ(limit("status: {code: 0}"), Lines{at + "stat_prefix: expected at least 1 character"});
  EXPECT_EQ(limit("stat_prefix: s, token_bucket: {}"),
            (Lines{at + "token_bucket.max_tokens: expected at least 1",
                   at + "token_bucket.fill_interval: expected at least 50 ms, and 1 ns for each token"}));
  const auto bucket = [&](const std::string& fields) {
    return limit("stat_prefix: s, token_bucket: {" + fields + "}");
  };
  EXPECT_EQ(bucket("max_tokens: 1, fill_interval: 0.049s"),
            Lines{at + "token_bucket.fill_interval: expected at least 50 ms, and 1 ns for each token"});
  EXPECT_EQ(bucket("max_tokens: 1, fill_interval: 0.05s, tokens_per_fill: 50000001"),
            Lines{at + "token_bucket.fill_interval: expected at least 50 ms, and 1 ns for each token"});
  EXPECT_EQ(bucket("max_tokens: 1, fill_interval: 1s, tokens_per_fill: 0"),
            Lines{at + "token_bucket.tokens_per_fill: expected a number from 1 to 4294967295"});
  EXPECT_EQ(bucket("max_tokens: 4000000000, fill_interval: 1000s"),
            Lines{at + "token_bucket: expected a bucket that is full after 100 years"});
  const std::string fine = "stat_prefix: s, token_bucket: " + std::string(kBucket) + ", ";
  EXPECT_EQ(limit(fine + "filter_enabled: {default_value: {numerator: 101}}").size(), 1u);
  EXPECT_EQ(limit(fine + "filter_enforced: {default_value: {numerator: 101}}").size(), 1u);
  EXPECT_EQ(limit(fine + "max_dynamic_descriptors: 0"),
            Lines{at + "max_dynamic_descriptors: expected a number from 1 to 1000000"});
  EXPECT_EQ(limit("stat_prefix: s, descriptors: [{entries: [{key: a}], token_bucket: " +
                  std::string(kBucket) + "}]"),
            Lines{at + "token_bucket: expected a limit of all requests beside descriptors"});
  EXPECT_EQ(limit(fine + "descriptors: [{token_bucket: " + kBucket + "}]"),
            Lines{at + "descriptors[0].entries: expected 1 to 8 elements"});
  EXPECT_EQ(limit(fine + "descriptors: [{entries: [{value: a}], token_bucket: " + kBucket + "}]"),
            Lines{at + "descriptors[0].entries[0].key: expected at least 1 character"});
  EXPECT_EQ(limit(fine + "rate_limits: [{}]"),
            Lines{at + "rate_limits[0].actions: expected 1 to 8 elements"});
  const auto action = [&](const std::string& one) {
    return limit(fine + "rate_limits: [{actions: [{" + one + "}]}]");
  };
  const std::string here = at + "rate_limits[0].actions[0]";
  EXPECT_EQ(action(""), Lines{here + ": expected request_headers, remote_address, generic_key or extension"});
  EXPECT_EQ(action("request_headers: {}"),
            (Lines{here + ".request_headers.header_name: expected a field name",
                   here + ".request_headers.descriptor_key: expected at least 1 character"}));
  EXPECT_EQ(action("generic_key: {}"),
            Lines{here + ".generic_key.descriptor_value: expected at least 1 character"});
  EXPECT_EQ(action("extension: {name: x, typed_config: {\"@type\": a/pillion.sidecar.v1.Idempotent}}"),
            Lines{here + ".extension.typed_config: expected a pillion.sidecar.v1.PeerIdentity"});
}

TEST(ParseFilters, ATranscoderNeedsADescriptorSet) {
  const auto transcoder = [](const std::string& fields) {
    return Errors(Parse(Filter("j", Typed("grpc_json_transcoder.v3.GrpcJsonTranscoder", fields))));
  };
  EXPECT_EQ(transcoder("services: [a.B]"),
            Lines{"http_filters[0].typed_config: expected proto_descriptor or proto_descriptor_bin"});
  EXPECT_EQ(transcoder("services: [a.B], proto_descriptor: /no/such/file"),
            Lines{"http_filters[0].typed_config.proto_descriptor: expected a file that can be read"});
  EXPECT_EQ(transcoder("services: [a.B], proto_descriptor_bin: '////'"),
            Lines{"http_filters[0].typed_config.proto_descriptor_bin: expected a serialized "
                  "google.protobuf.FileDescriptorSet"});
  EXPECT_EQ(transcoder("services: [a.B], proto_descriptor_bin: CgMKAWE="),
            Lines{"http_filters[0].typed_config.services[0]: expected a service of the descriptor set"});
  EXPECT_EQ(
      transcoder("proto_descriptor_bin: CgMKAWE=, max_request_body_size: 0"),
      Lines{"http_filters[0].typed_config.max_request_body_size: expected a number from 1 to 1073741824"});
}

// What a listener's list has where routes say what is to be done.
const std::string kSessions = Filter("s", Typed("stateful_session.v3.StatefulSession"));

std::string CookieState(const std::string& fields) {
  return "session_state: {name: n, typed_config: {\"@type\": "
         "a/envoy.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState, cookie: {" +
         fields + "}}}";
}
std::string HeaderState(const std::string& name) {
  return "session_state: {name: n, typed_config: {\"@type\": "
         "a/envoy.extensions.http.stateful_session.header.v3.HeaderBasedSessionState, name: '" +
         name + "'}}";
}
std::string OnRoute(const std::string& fields) {
  return "s: " + Typed("stateful_session.v3.StatefulSessionPerRoute", fields);
}
// Null: there is none, which the first route of the listener's table has.
const StickySession* SessionOf(const Validated<Listener>& parsed) {
  EXPECT_EQ(Errors(parsed), Lines{});
  EXPECT_EQ(ToLines(parsed.unsupported), Lines{});
  if (parsed.value == nullptr) return nullptr;
  const FilterOptions* const options =
      OptionsOf(FilterKind::kStatefulSession, parsed.value->chain(0).http->http, &FirstRoute(*parsed.value));
  return options == nullptr ? nullptr : std::get_if<StickySession>(options);
}
Lines RouteErrors(const std::string& fields) {
  Lines lines = Errors(Parse(kSessions, "", "", OnRoute(fields)));
  const std::string common = "route_config.virtual_hosts[0].routes[0].typed_per_filter_config[\"s\"]";
  for (std::string& line : lines) {
    EXPECT_TRUE(line.starts_with(common)) << line;
    line.erase(0, common.size());
    if (line.starts_with(".")) line.erase(0, 1);
  }
  return lines;
}

TEST(ParseSessions, ACookieIsRead) {
  const auto parsed =
      Parse(Filter("s", Typed("stateful_session.v3.StatefulSession",
                              "strict: true, " +
                                  CookieState("name: c, ttl: 3600s, path: /p, attributes: [{name: SameSite, "
                                              "value: Lax}, {name: Partitioned}]"))));
  const StickySession* const session = SessionOf(parsed);
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(session->kind, StickySession::Kind::kCookie);
  EXPECT_EQ(session->name, "c");
  EXPECT_EQ(session->ttl, std::chrono::seconds(3600));
  EXPECT_EQ(session->attributes, "; Max-Age=3600; Path=/p; HttpOnly; SameSite=Lax; Partitioned");
  EXPECT_TRUE(session->strict);
}

TEST(ParseSessions, UnsetFieldsHaveTheirDefaults) {
  for (const char* cookie : {"name: c", "name: c, ttl: 0s"}) {
    const auto parsed = Parse(Filter("s", Typed("stateful_session.v3.StatefulSession", CookieState(cookie))));
    const StickySession* const session = SessionOf(parsed);
    ASSERT_NE(session, nullptr);
    EXPECT_EQ(session->ttl.count(), 0);
    EXPECT_EQ(session->attributes, "; HttpOnly");
    EXPECT_FALSE(session->strict);
  }
}

TEST(ParseSessions, AFieldIsRead) {
  const auto parsed =
      Parse(kSessions, "", "", OnRoute("stateful_session: {" + HeaderState("X-Session") + ", strict: true}"));
  const StickySession* const session = SessionOf(parsed);
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(session->kind, StickySession::Kind::kHeader);
  EXPECT_EQ(session->name, "x-session");
  EXPECT_TRUE(session->strict);
}

TEST(ParseSessions, ARouteHasTheLastWord) {
  const std::string at_listener =
      Filter("s", Typed("stateful_session.v3.StatefulSession", CookieState("name: l")));
  const auto name = [](const Validated<Listener>& parsed) {
    const StickySession* const session = SessionOf(parsed);
    return session == nullptr ? "none" : session->name;
  };
  const std::string own = OnRoute("stateful_session: {" + CookieState("name: r") + "}");
  EXPECT_EQ(name(Parse(at_listener)), "l");
  EXPECT_EQ(name(Parse(at_listener, "", "", own)), "r");
  EXPECT_EQ(name(Parse(at_listener, own)), "r");
  EXPECT_EQ(name(Parse(at_listener, "", "", OnRoute("disabled: true"))), "none");
  EXPECT_EQ(name(Parse(at_listener, "", "", OnRoute("stateful_session: {}"))), "none");
  EXPECT_EQ(name(Parse(kSessions)), "none");
  EXPECT_EQ(name(Parse(kSessions, "", "", own)), "r");
}

TEST(ParseSessions, WhatIsWrongIsToldWithItsPath) {
  EXPECT_EQ(RouteErrors(""), Lines{": expected disabled or stateful_session"});
  EXPECT_EQ(RouteErrors("disabled: false"), Lines{"disabled: expected true; it says nothing otherwise"});
  const auto state = [](const std::string& fields) {
    return RouteErrors("stateful_session: {" + fields + "}");
  };
  const std::string config = "stateful_session.session_state.typed_config";
  const std::string types = ": expected a CookieBasedSessionState or a HeaderBasedSessionState";
  EXPECT_EQ(state("session_state: {name: n}"), Lines{config + types});
  EXPECT_EQ(state("session_state: {name: n, typed_config: " + Typed("cors.v3.Cors") + "}"),
            Lines{config + types});
  const auto cookie = [&](const std::string& fields) { return state(CookieState(fields)); };
  const std::string path = config + ".cookie.";
  EXPECT_EQ(cookie(""), Lines{path + "name: expected a cookie's name"});
  EXPECT_EQ(cookie("name: 'a;b'"), Lines{path + "name: expected a cookie's name"});
  EXPECT_EQ(cookie("name: a, ttl: -1s").size(), 1u);
  EXPECT_EQ(cookie("name: a, ttl: 0.5s"), Lines{path + "ttl: expected 0, or at least 1s"});
  for (const char* bad : {"a", "'/a;b'", "'/a b'", "/\u00e9"})
    EXPECT_EQ(cookie(std::string("name: a, path: ") + bad), Lines{path + "path: expected a path without ;"})
        << bad;
  EXPECT_EQ(cookie("name: a, attributes: [{name: ok}, {value: x}, {name: 'a b', value: 'c;d'}]"),
            (Lines{path + "attributes[1].name: expected an attribute's name",
                   path + "attributes[2].name: expected an attribute's name",
                   path + "attributes[2].value: expected printable ASCII characters without ;"}));
  const auto header = [&](const std::string& name) { return state(HeaderState(name)); };
  EXPECT_EQ(header(""), Lines{config + ".name: expected a field's name"});
  EXPECT_EQ(header(":path"), Lines{config + ".name: expected a field's name"});
  for (const char* bad : {"Host", "Content-Length", "te", "pillion-h1"})
    EXPECT_EQ(header(bad).size(), 1u) << bad;
  EXPECT_EQ(Errors(Parse("", "", "", "s: " + Typed("stateful_session.v3.StatefulSession"))).size(), 1u)
      << "a route has a type of its own";
}

}  // namespace
}  // namespace pillion::config
