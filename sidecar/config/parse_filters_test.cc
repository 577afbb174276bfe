#include "sidecar/config/parse_filters.h"

#include <gtest/gtest.h>

#include <string>

#include "sidecar/config/parse_filters_yaml.h"
#include "sidecar/config/parse_listener.h"

namespace pillion::config {
namespace {

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
