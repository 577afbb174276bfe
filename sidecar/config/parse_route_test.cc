#include "sidecar/config/parse_route.h"

#include <gtest/gtest.h>
#include <re2/re2.h>

#include <chrono>
#include <map>
#include <string>

#include "sidecar/config/parse_route_yaml.h"

namespace pillion::config {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
RouteMatch Match(const std::string& match) {
  return OneRoute("{match: " + match + ", route: {cluster: c}}").match;
}
Lines MatchErrors(const std::string& match) {
  return RouteErrors("{match: " + match + ", route: {cluster: c}}");
}
RetryPolicy Retry(const std::string& policy) {
  return OneRoute("{match: {prefix: /}, route: {cluster: c, retry_policy: " + policy + "}}").retry.value();
}
Lines RetryErrors(const std::string& policy) {
  return RouteErrors("{match: {prefix: /}, route: {cluster: c, retry_policy: " + policy + "}}");
}

TEST(ParseRouteTest, UnsetFieldsHaveTheirDefaults) {
  const Route route = OneRoute("{match: {prefix: \"\"}, route: {cluster: c}}");
  EXPECT_EQ(route.name, "v/0");
  EXPECT_EQ(route.match.kind, RouteMatch::Kind::kPrefix);
  EXPECT_EQ(route.match.text, "");
  EXPECT_TRUE(route.match.case_sensitive);
  ASSERT_EQ(route.clusters.size(), 1u);
  EXPECT_EQ(route.clusters[0].cluster, "c");
  EXPECT_EQ(route.total_weight, 1u);
  EXPECT_EQ(route.timeout, seconds(15));
  EXPECT_EQ(route.idle_timeout, std::nullopt);
  EXPECT_EQ(route.retry, std::nullopt);
  EXPECT_EQ(route.direct, std::nullopt);
}

TEST(ParseRouteTest, TimeoutsAreRead) {
  const Route route =
      OneRoute("{name: n, match: {prefix: /}, route: {cluster: c, timeout: 0s, idle_timeout: 2s}}");
  EXPECT_EQ(route.name, "n");
  EXPECT_EQ(route.timeout, seconds(0));
  EXPECT_EQ(route.idle_timeout, seconds(2));
  EXPECT_EQ(RouteErrors("{match: {prefix: /}, route: {cluster: c, timeout: -1s, idle_timeout: 3153600001s}}"),
            (Lines{"route.timeout: expected a duration of 0 or more",
                   "route.idle_timeout: expected a duration of at most 3153600000s"}));
}

TEST(ParseRouteTest, PathsAreMatchedInFourWays) {
  EXPECT_EQ(Match("{path: /a}").kind, RouteMatch::Kind::kPath);
  EXPECT_EQ(Match("{path: /a}").text, "/a");
  EXPECT_EQ(Match("{path_separated_prefix: /a/b}").kind, RouteMatch::Kind::kPathSeparatedPrefix);
  EXPECT_FALSE(Match("{prefix: /A, case_sensitive: false}").case_sensitive);
  const RouteMatch regex = Match("{safe_regex: {regex: \"/a+\"}}");
  EXPECT_EQ(regex.kind, RouteMatch::Kind::kRegex);
  EXPECT_TRUE(re2::RE2::FullMatch("/aa", *regex.regex));
  // Also bytes that are no UTF-8 (RFC 9110 section 5.5, obs-text): a rule must not fail open over them.
  const RouteMatch any = Match("{safe_regex: {regex: \".*admin.*\"}}");
  EXPECT_TRUE(
      re2::RE2::FullMatch("\xff\xfe"
                          "admin\x80",
                          *any.regex));
  EXPECT_TRUE(
      re2::RE2::FullMatch("\xc3\xa9"
                          "admin",
                          *any.regex));
}

TEST(ParseRouteTest, WrongPathsAreRefused) {
  EXPECT_EQ(MatchErrors("{}"), Lines{"match: expected prefix, path, safe_regex, path_separated_prefix, "
                                     "connect_matcher or path_match_policy"});
  for (const char* prefix : {"/", "/a/", "/a?", "/a#"}) {
    EXPECT_EQ(
        MatchErrors("{path_separated_prefix: '" + std::string(prefix) + "'}"),
        Lines{"match.path_separated_prefix: expected at least 2 characters, none of them ? or #, and no / at "
              "the end"})
        << prefix;
  }
  EXPECT_EQ(MatchErrors("{safe_regex: {regex: '('}}"),
            Lines{"match.safe_regex.regex: expected a regular expression of RE2: missing ): ("});
  EXPECT_EQ(MatchErrors("{safe_regex: {}}"), Lines{"match.safe_regex.regex: expected 1 to 4096 characters"});
  EXPECT_EQ(MatchErrors("{safe_regex: {regex: " + std::string(4097, 'a') + "}}").size(), 1u);
  EXPECT_EQ(MatchErrors("{safe_regex: {regex: a}, case_sensitive: false}"),
            Lines{"match.case_sensitive: expected true with safe_regex; write (?i) there"});
}

TEST(ParseRouteTest, HeadersAreMatchedInManyWays) {
  using Kind = StringMatch::Kind;
  const RouteMatch match = Match(R"({prefix: /, headers: [
    {name: X-A, string_match: {exact: a, ignore_case: true}}, {name: b, string_match: {prefix: p}},
    {name: c, string_match: {suffix: s}}, {name: d, string_match: {contains: m}},
    {name: e, string_match: {safe_regex: {regex: r}}}, {name: f, present_match: false, invert_match: true},
    {name: Host}, {name: ":method", exact_match: GET}, {name: g, prefix_match: p}, {name: h, suffix_match: s},
    {name: i, contains_match: m}, {name: j, safe_regex_match: {regex: "r+"}}, {name: k, exact_match: ""}]})");
  ASSERT_EQ(match.headers.size(), 13u);
  const auto kind = [&](size_t i) { return match.headers[i].value.value().kind; };
  EXPECT_EQ(match.headers[0].name, "x-a");
  EXPECT_EQ(kind(0), Kind::kExact);
  EXPECT_TRUE(match.headers[0].value->ignore_case);
  EXPECT_EQ(kind(1), Kind::kPrefix);
  EXPECT_EQ(match.headers[1].value->text, "p");
  EXPECT_EQ(kind(2), Kind::kSuffix);
  EXPECT_EQ(kind(3), Kind::kContains);
  EXPECT_EQ(kind(4), Kind::kRegex);
  EXPECT_NE(match.headers[4].value->regex, nullptr);
  EXPECT_EQ(match.headers[5].value, std::nullopt);
  EXPECT_FALSE(match.headers[5].present);
  EXPECT_TRUE(match.headers[5].invert);
  EXPECT_EQ(match.headers[6].name, ":authority");
  EXPECT_EQ(match.headers[6].value, std::nullopt);
  EXPECT_TRUE(match.headers[6].present);
  EXPECT_EQ(match.headers[7].name, ":method");
  EXPECT_EQ(match.headers[7].value->text, "GET");
  EXPECT_EQ(kind(8), Kind::kPrefix);
  EXPECT_EQ(kind(9), Kind::kSuffix);
  EXPECT_EQ(kind(10), Kind::kContains);
  EXPECT_EQ(kind(11), Kind::kRegex);
  EXPECT_TRUE(re2::RE2::FullMatch("rr", *match.headers[11].value->regex));
  EXPECT_EQ(match.headers[12].value->text, "");
}

TEST(ParseRouteTest, WrongHeadersAreRefused) {
  const auto errors = [](const std::string& header) {
    return MatchErrors("{prefix: /, headers: [" + header + "]}");
  };
  const std::string path = "match.headers[0]";
  const std::string name = path + ".name: expected a field name, :authority, :method, :path or :scheme";
  EXPECT_EQ(errors("{}"), Lines{name});
  EXPECT_EQ(errors("{name: \"a b\"}"), Lines{name});
  EXPECT_EQ(errors("{name: \":status\"}"), Lines{name});
  EXPECT_EQ(
      errors("{name: Content-Length}"),
      Lines{path +
            ".name: expected a field that does not frame the message; content-length cannot be matched"});
  EXPECT_EQ(errors("{name: a, string_match: {}}"),
            Lines{path + ".string_match: expected exact, prefix, suffix, contains or safe_regex"});
  EXPECT_EQ(errors("{name: a, string_match: {prefix: \"\"}}"),
            Lines{path + ".string_match.prefix: expected at least 1 character"});
  EXPECT_EQ(errors("{name: a, contains_match: \"\"}"),
            Lines{path + ".contains_match: expected at least 1 character"});
  EXPECT_EQ(
      errors("{name: a, string_match: {ignore_case: true, safe_regex: {regex: '['}}}"),
      (Lines{path + ".string_match.safe_regex.regex: expected a regular expression of RE2: missing ]: [",
             path + ".string_match.ignore_case: expected false with safe_regex; write (?i) there"}));
}

TEST(ParseRouteTest, HeadersMayBeNumbersOrMissing) {
  const RouteMatch match = Match(R"({prefix: /, headers: [
    {name: n, range_match: {start: -1, end: 10}, treat_missing_header_as_empty: true}, {name: m}]})");
  ASSERT_EQ(match.headers.size(), 2u);
  EXPECT_EQ(match.headers[0].range.value().start, -1);
  EXPECT_EQ(match.headers[0].range.value().end, 10);
  EXPECT_TRUE(match.headers[0].missing_is_empty);
  EXPECT_EQ(match.headers[1].range.has_value(), false);
  EXPECT_FALSE(match.headers[1].missing_is_empty);
  for (const char* range : {"{}", "{start: 2, end: 2}", "{start: 3, end: 2}"}) {
    EXPECT_EQ(MatchErrors("{prefix: /, headers: [{name: n, range_match: " + std::string(range) + "}]}"),
              Lines{"match.headers[0].range_match: expected a start less than its end, which is not in it"})
        << range;
  }
}

TEST(ParseRouteTest, QueriesAreMatched) {
  const RouteMatch match = Match(R"({prefix: /, query_parameters: [
    {name: a}, {name: b, present_match: false}, {name: c, string_match: {prefix: p, ignore_case: true}}]})");
  ASSERT_EQ(match.query.size(), 3u);
  EXPECT_EQ(match.query[0].name, "a");
  EXPECT_EQ(match.query[0].value.has_value(), false);
  EXPECT_TRUE(match.query[0].present);
  EXPECT_FALSE(match.query[1].present);
  EXPECT_EQ(match.query[2].value.value().kind, StringMatch::Kind::kPrefix);
  EXPECT_TRUE(match.query[2].value.value().ignore_case);
  EXPECT_EQ(MatchErrors("{prefix: /, query_parameters: [{string_match: {}}]}"),
            (Lines{"match.query_parameters[0].name: expected at least 1 character",
                   "match.query_parameters[0].string_match: expected exact, prefix, suffix, contains or "
                   "safe_regex"}));
}

TEST(ParseRouteTest, GrpcAndSharesAreMatched) {
  EXPECT_TRUE(Match("{prefix: /, grpc: {}}").grpc);
  EXPECT_FALSE(Match("{prefix: /}").grpc);
  const auto share = [](const std::string& value) {
    return "{prefix: /, runtime_fraction: {runtime_key: k, default_value: " + value + "}}";
  };
  EXPECT_EQ(Match("{prefix: /}").share.has_value(), false);
  const Fraction some = Match(share("{numerator: 25, denominator: TEN_THOUSAND}")).share.value();
  EXPECT_EQ(some.numerator, 25u);
  EXPECT_EQ(some.denominator, 10'000u);
  EXPECT_EQ(Match(share("{numerator: 100}")).share.value().denominator, 100u);
  EXPECT_EQ(Match(share("{denominator: MILLION}")).share.value().denominator, 1'000'000u);
  const std::string path = "match.runtime_fraction.default_value";
  EXPECT_EQ(MatchErrors(share("{numerator: 101}")), Lines{path + ".numerator: expected at most 100"});
  EXPECT_EQ(MatchErrors("{prefix: /, runtime_fraction: {}}"), Lines{path + ": expected a share"});
}

std::string Template(const std::string& text) {
  return "{path_match_policy: {name: t, typed_config: {'@type': "
         "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig, "
         "path_template: '" +
         text + "'}}}";
}

TEST(ParseRouteTest, PathsAreMatchedByTemplate) {
  const auto matches = [](const std::string& text, const std::string& path) {
    const RouteMatch match = Match(Template(text));
    EXPECT_EQ(match.kind, RouteMatch::Kind::kRegex);
    return match.regex != nullptr && re2::RE2::FullMatch(path, *match.regex);
  };
  EXPECT_TRUE(matches("/a/*/c", "/a/b/c"));
  EXPECT_FALSE(matches("/a/*/c", "/a//c"));
  EXPECT_FALSE(matches("/a/*/c", "/a/b/b/c"));
  EXPECT_TRUE(matches("/a/**", "/a/b/c"));
  EXPECT_TRUE(matches("/a/**", "/a/"));
  EXPECT_FALSE(matches("/a/**", "/a"));
  EXPECT_TRUE(matches("/a.b/{x}", "/a.b/c"));
  EXPECT_FALSE(matches("/a.b/{x}", "/aXb/c")) << "text is no expression";
  EXPECT_TRUE(matches("/{lang}/{rest=**}", "/en/x/y"));
  EXPECT_TRUE(matches("/{lang=en}/*", "/en/x"));
  EXPECT_FALSE(matches("/{lang=en}/*", "/de/x"));
  const RouteMatch names = Match(Template("/{a}/x/{b=**}"));
  EXPECT_EQ(names.regex->NamedCapturingGroups(), (std::map<std::string, int>{{"a", 1}, {"b", 2}}));
}

TEST(ParseRouteTest, WrongTemplatesAreRefused) {
  const std::string path = "match.path_match_policy.typed_config";
  const std::string shape =
      path +
      ".path_template: expected elements between slashes: text, *, **, {name} or {name=*}; ** comes last";
  for (const char* text : {"", "a", "/**/a", "/{a", "/{}", "/{1a}", "/{a.b}", "/a*"})
    EXPECT_EQ(MatchErrors(Template(text)), Lines{shape}) << text;
  const std::string names = path + ".path_template: expected at most 5 names, each of them once";
  EXPECT_EQ(MatchErrors(Template("/{a}/{a}")), Lines{names});
  EXPECT_EQ(MatchErrors(Template("/{a}/{b}/{c}/{d}/{e}/{f}")), Lines{names});
  EXPECT_EQ(MatchErrors("{path_match_policy: {name: t}}"),
            Lines{path + ": expected a envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"});
  std::string cased = Template("/a");
  cased.insert(1, "case_sensitive: false, ");
  EXPECT_EQ(MatchErrors(cased), Lines{"match.case_sensitive: expected true with path_match_policy"});
}

TEST(ParseRouteTest, WeightsAreRead) {
  const Route route = OneRoute(
      "{match: {prefix: /}, route: {weighted_clusters: {clusters: [{name: a, weight: 3}, "
      "{name: b, weight: 0}, {name: c}]}}}");
  ASSERT_EQ(route.clusters.size(), 3u);
  EXPECT_EQ(route.clusters[0].weight, 3u);
  EXPECT_EQ(route.clusters[1].weight, 0u);
  EXPECT_EQ(route.clusters[2].weight, 0u);
  EXPECT_EQ(route.total_weight, 3u);
}

TEST(ParseRouteTest, WrongWeightsAreRefused) {
  const std::string sum =
      "route.weighted_clusters.clusters: expected clusters whose weights sum up to 1 to 4294967295";
  const auto errors = [](const std::string& clusters) {
    return RouteErrors("{match: {prefix: /}, route: {weighted_clusters: {clusters: [" + clusters + "]}}}");
  };
  EXPECT_EQ(errors(""), Lines{sum});
  EXPECT_EQ(errors("{name: a}"), Lines{sum});
  EXPECT_EQ(errors("{name: a, weight: 4294967295}, {name: b, weight: 1}"), Lines{sum});
  EXPECT_EQ(errors("{weight: 1}"),
            Lines{"route.weighted_clusters.clusters[0].name: expected at least 1 character"});
}

TEST(ParseRouteTest, ARouteNeedsAnAction) {
  EXPECT_EQ(ToLines(Parse(Table("{match: {prefix: /}}")).errors),
            Lines{"virtual_hosts[0].routes[0]: expected route, redirect or direct_response"});
  EXPECT_EQ(RouteErrors("{match: {prefix: /}, route: {}}"),
            Lines{"route.cluster: expected at least 1 character"});
}

TEST(ParseRouteTest, DirectResponsesAreRead) {
  const Route route =
      OneRoute("{match: {prefix: /}, direct_response: {status: 404, body: {inline_string: gone}}}");
  ASSERT_TRUE(route.direct.has_value());
  EXPECT_EQ(route.direct->status, 404);
  EXPECT_EQ(route.direct->body, "gone");
  EXPECT_EQ(OneRoute("{match: {prefix: /}, direct_response: {status: 200, body: {inline_bytes: aGk=}}}")
                .direct->body,
            "hi");
  EXPECT_EQ(RouteErrors("{match: {prefix: /}, direct_response: {status: 199, body: {}}}"),
            (Lines{"direct_response.status: expected a status from 200 to 599",
                   "direct_response.body: expected inline_string or inline_bytes"}));
  EXPECT_EQ(RouteErrors("{match: {prefix: /}, direct_response: {status: 600, body: {inline_string: " +
                        std::string(kMaxDirectBodyBytes + 1, 'a') + "}}}"),
            (Lines{"direct_response.status: expected a status from 200 to 599",
                   "direct_response.body: expected at most 4096 bytes"}));
}

TEST(ParseRouteTest, RetryPoliciesHaveDefaults) {
  const RetryPolicy policy = Retry("{}");
  EXPECT_EQ(policy.on, 0u);
  EXPECT_EQ(policy.max_retries, 1u);
  EXPECT_EQ(policy.per_try_timeout, seconds(0));
  EXPECT_EQ(policy.backoff_base, milliseconds(25));
  EXPECT_EQ(policy.backoff_max, milliseconds(250));
  EXPECT_FALSE(policy.non_idempotent);
}

TEST(ParseRouteTest, RetryPoliciesAreRead) {
  const RetryPolicy policy = Retry(
      "{retry_on: \"5xx, connect-failure,unavailable\", num_retries: 0, per_try_timeout: "
      "1s, retriable_status_codes: [503], retry_back_off: {base_interval: 0.1s}}");
  EXPECT_EQ(policy.on, kRetry5xx | kRetryConnectFailure | kRetryGrpcUnavailable);
  EXPECT_EQ(policy.max_retries, 0u);
  EXPECT_EQ(policy.per_try_timeout, seconds(1));
  EXPECT_EQ(policy.status_codes, std::vector<uint16_t>{503});
  EXPECT_EQ(policy.backoff_base, milliseconds(100));
  EXPECT_EQ(policy.backoff_max, seconds(1));
  EXPECT_EQ(Retry("{retry_back_off: {base_interval: 1s, max_interval: 2s}}").backoff_max, seconds(2));
  EXPECT_EQ(Retry("{retry_back_off: {base_interval: 3153600000s}}").backoff_max, seconds(3153600000))
      << "ten times as much would overflow";
}

TEST(ParseRouteTest, EveryConditionHasItsBit) {
  const std::vector<std::pair<std::string, uint32_t>> conditions = {
      {"5xx", kRetry5xx},
      {"gateway-error", kRetryGatewayError},
      {"reset", kRetryReset},
      {"reset-before-request", kRetryResetBeforeRequest},
      {"connect-failure", kRetryConnectFailure},
      {"refused-stream", kRetryRefusedStream},
      {"retriable-4xx", kRetryRetriable4xx},
      {"retriable-status-codes", kRetryStatusCodes},
      {"retriable-headers", kRetryHeaders},
      {"envoy-ratelimited", kRetryRateLimited},
      {"cancelled", kRetryGrpcCancelled},
      {"deadline-exceeded", kRetryGrpcDeadlineExceeded},
      {"internal", kRetryGrpcInternal},
      {"resource-exhausted", kRetryGrpcResourceExhausted},
      {"unavailable", kRetryGrpcUnavailable}};
  for (const auto& [name, bit] : conditions) EXPECT_EQ(Retry("{retry_on: " + name + "}").on, bit) << name;
}

TEST(ParseRouteTest, WrongRetryPoliciesAreRefused) {
  const Lines conditions = RetryErrors("{retry_on: \"5xx,http3-post-connect-failure\"}");
  ASSERT_EQ(conditions.size(), 1u);
  EXPECT_TRUE(conditions[0].starts_with("route.retry_policy.retry_on: expected conditions of 5xx, "))
      << conditions[0];
  EXPECT_TRUE(conditions[0].ends_with("; found http3-post-connect-failure")) << conditions[0];
  EXPECT_EQ(RetryErrors("{per_try_timeout: -1s, retriable_status_codes: [200, 99, 600]}"),
            (Lines{"route.retry_policy.per_try_timeout: expected a duration of 0 or more",
                   "route.retry_policy.retriable_status_codes[1]: expected a status from 100 to 599",
                   "route.retry_policy.retriable_status_codes[2]: expected a status from 100 to 599"}));
  EXPECT_EQ(RetryErrors("{retry_back_off: {}}"),
            Lines{"route.retry_policy.retry_back_off.base_interval: expected a duration of more than 0"});
  EXPECT_EQ(RetryErrors("{retry_back_off: {base_interval: 2s, max_interval: 1s}}"),
            Lines{"route.retry_policy.retry_back_off.max_interval: expected at least base_interval"});
}

TEST(ParseRouteTest, RetryPoliciesLookAtFields) {
  const RetryPolicy policy = Retry(R"({retriable_headers: [{name: X-Again}],
    retriable_request_headers: [{name: ":method", string_match: {exact: GET}}, {name: y}],
    rate_limited_retry_back_off: {reset_headers: [{name: X-Reset, format: UNIX_TIMESTAMP}, {name: retry-after}],
      max_interval: 5s}, per_try_idle_timeout: 0.5s, host_selection_retry_max_attempts: 3,
    retry_host_predicate: [{name: p, typed_config: {"@type":
      type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate}}]})");
  ASSERT_EQ(policy.response_headers.size(), 1u);
  EXPECT_EQ(policy.response_headers[0].name, "x-again");
  ASSERT_EQ(policy.request_headers.size(), 2u);
  EXPECT_EQ(policy.request_headers[0].name, ":method");
  ASSERT_EQ(policy.reset_headers.size(), 2u);
  EXPECT_EQ(policy.reset_headers[0].name, "x-reset");
  EXPECT_TRUE(policy.reset_headers[0].timestamp);
  EXPECT_FALSE(policy.reset_headers[1].timestamp);
  EXPECT_EQ(policy.reset_max, seconds(5));
  EXPECT_EQ(policy.per_try_idle_timeout, milliseconds(500));
  EXPECT_EQ(Retry("{}").reset_max, seconds(300));
  EXPECT_EQ(
      RetryErrors(R"({retriable_headers: [{name: ":method"}], retriable_request_headers: [{name: "a b"}],
    rate_limited_retry_back_off: {max_interval: 0s}, per_try_idle_timeout: -1s,
    retry_host_predicate: [{name: p, typed_config: {"@type": type.googleapis.com/google.protobuf.Empty}}]})"),
      (Lines{
          "route.retry_policy.per_try_idle_timeout: expected a duration of 0 or more",
          "route.retry_policy.retriable_headers[0].name: expected a field of the response",
          "route.retry_policy.retriable_request_headers[0].name: expected a field name, :authority, :method, "
          ":path "
          "or :scheme",
          "route.retry_policy.rate_limited_retry_back_off.reset_headers: expected at least one",
          "route.retry_policy.rate_limited_retry_back_off.max_interval: expected a duration of more than 0",
          "route.retry_policy.retry_host_predicate[0].typed_config: expected a "
          "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"}));
}

TEST(ParseRouteTest, ARetryPolicyMayAvoidEndpointsByTheirLabels) {
  const auto one = [](const std::string& type, const std::string& fields = "") {
    return "{retry_host_predicate: [{name: p, typed_config: {'@type': a/envoy.extensions.retry.host." + type +
           fields + "}}]}";
  };
  const auto by_metadata = [&](const std::string& fields) {
    return one("omit_host_metadata.v3.OmitHostMetadataConfig", fields);
  };
  EXPECT_TRUE(Retry("{}").avoided.empty());
  EXPECT_EQ(Retry(one("omit_canary_hosts.v3.OmitCanaryHostsPredicate")).avoided,
            (std::vector<Labels>{{{"canary", "true"}}}));
  EXPECT_EQ(Retry(by_metadata(", metadata_match: {filter_metadata: {envoy.lb: {version: '2', old: true}}}"))
                .avoided,
            (std::vector<Labels>{{{"version", "2"}, {"old", "true"}}}));
  const std::string path = "route.retry_policy.retry_host_predicate[0].typed_config.metadata_match";
  EXPECT_EQ(RetryErrors(by_metadata("")), Lines{path + ": expected fields of envoy.lb"});
  EXPECT_EQ(RetryErrors(by_metadata(", metadata_match: {filter_metadata: {a: {b: c}}}")),
            (Lines{path + ".filter_metadata[\"a\"]: expected no key but envoy.lb",
                   path + ": expected fields of envoy.lb"}));
}

TEST(ParseRouteTest, ARetryPolicyMaySayThatItsRequestsMayRunTwice) {
  const auto policy = [](const std::string& type) {
    return "{retry_options_predicates: [{name: p, typed_config: {'@type': type.googleapis.com/" + type +
           "}}]}";
  };
  EXPECT_TRUE(Retry(policy("pillion.sidecar.v1.Idempotent")).non_idempotent);
  EXPECT_EQ(RetryErrors(policy("google.protobuf.Empty")),
            Lines{"route.retry_policy.retry_options_predicates[0].typed_config: expected a "
                  "pillion.sidecar.v1.Idempotent"});
}

TEST(ParseRouteTest, ARetryPolicyMayNameGrpcMethodsThatMayRunTwice) {
  const auto policy = [](const std::string& paths) {
    return "{retry_options_predicates: [{name: p, typed_config: {'@type': "
           "type.googleapis.com/pillion.sidecar.v1.IdempotentMethods, paths: [" +
           paths + "]}}]}";
  };
  const RetryPolicy some = Retry(policy("/p.S/Get, /p.S/List"));
  EXPECT_FALSE(some.non_idempotent);
  EXPECT_TRUE(some.TakesAsIdempotent("/p.S/List"));
  EXPECT_FALSE(some.TakesAsIdempotent("/p.S/Put"));
  EXPECT_FALSE(Retry("{}").TakesAsIdempotent("/p.S/Get"));
  const std::string at = "route.retry_policy.retry_options_predicates[0].typed_config.paths";
  EXPECT_EQ(RetryErrors(policy("")), Lines{at + ": expected at least one"});
  EXPECT_EQ(RetryErrors(policy("/p.S/Get, p.S/Put")),
            Lines{at + "[1]: expected a path: /package.Service/Method"});
}

TEST(ParseRouteTest, HedgingIsByLatencyOrByThePerTryTimeout) {
  const auto policy = [](const std::string& fields) {
    return "{retry_options_predicates: [{name: p, typed_config: {'@type': "
           "type.googleapis.com/pillion.sidecar.v1.HedgeByLatency, " +
           fields + "}}]}";
  };
  const RetryPolicy::Hedge hedge = Retry(policy("percentile: 95, at_least: 0.02s")).hedge;
  EXPECT_DOUBLE_EQ(hedge.quantile, 0.95);
  EXPECT_EQ(hedge.at_least, milliseconds(20));
  EXPECT_FALSE(hedge.on_per_try_timeout);
  EXPECT_EQ(Retry("{}").hedge, RetryPolicy::Hedge());
  const std::string at = "route.retry_policy.retry_options_predicates[0].typed_config.";
  EXPECT_EQ(RetryErrors(policy("percentile: 49.9")), Lines{at + "percentile: expected 50 to 99.9"});
  EXPECT_EQ(RetryErrors(policy("percentile: 99.95")), Lines{at + "percentile: expected 50 to 99.9"});
  EXPECT_EQ(RetryErrors(policy("percentile: NaN")), Lines{at + "percentile: expected 50 to 99.9"});
  EXPECT_EQ(RetryErrors(policy("percentile: 90, at_least: -1s")),
            Lines{at + "at_least: expected a duration of 0 or more"});
  const auto parsed = Parse(R"(
name: r
virtual_hosts:
- name: v
  domains: ["*"]
  retry_policy: {retry_on: 5xx}
  hedge_policy: {hedge_on_per_try_timeout: true}
  routes:
  - {match: {path: /a}, route: {cluster: c}}
  - {match: {path: /b}, route: {cluster: c, hedge_policy: {}}}
- name: w
  domains: [w]
  routes:
  - {match: {path: /a}, route: {cluster: c, retry_policy: {}, hedge_policy: {hedge_on_per_try_timeout: true}}}
  - {match: {path: /b}, route: {cluster: c, hedge_policy: {hedge_on_per_try_timeout: true}}})");
  ASSERT_TRUE(parsed.ok()) << testing::PrintToString(parsed.errors);
  const auto& hosts = parsed.value->virtual_hosts;
  EXPECT_TRUE(hosts[0].routes[0].retry.value().hedge.on_per_try_timeout);
  EXPECT_FALSE(hosts[0].routes[1].retry.value().hedge.on_per_try_timeout);
  EXPECT_TRUE(hosts[1].routes[0].retry.value().hedge.on_per_try_timeout);
  EXPECT_FALSE(hosts[1].routes[1].retry.has_value());
}

TEST(ParseRouteTest, TheHostsRetryPolicyIsForRoutesWithoutOne) {
  const auto parsed = Parse(R"(
name: r
virtual_hosts:
- name: v
  domains: ["*"]
  retry_policy: {num_retries: 5, retry_on: 5xx}
  routes:
  - {match: {path: /a}, route: {cluster: c}}
  - {match: {path: /b}, route: {cluster: c, retry_policy: {retry_on: reset}}}
  - {match: {path: /c}, direct_response: {status: 200}}
)");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  const auto& routes = parsed.value->virtual_hosts[0].routes;
  EXPECT_EQ(routes[0].retry->max_retries, 5u);
  EXPECT_EQ(routes[1].retry->max_retries, 1u) << "as a whole, not field by field";
  EXPECT_EQ(routes[2].retry, std::nullopt);
}

TEST(ParseRouteTest, DomainsAreLowerCaseAndUnique) {
  const auto parsed = Parse("{name: r, virtual_hosts: [{name: a, domains: [A.b, '*.b', 'a.*', '*']}]}");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  EXPECT_EQ(parsed.value->virtual_hosts[0].domains, (std::vector<std::string>{"a.b", "*.b", "a.*", "*"}));
  EXPECT_EQ(
      ToLines(
          Parse("{name: r, virtual_hosts: [{name: a, domains: [a.b]}, {name: a, domains: [A.B]}]}").errors),
      (Lines{"virtual_hosts[1].name: expected each name once in the table",
             "virtual_hosts[1].domains[0]: expected each domain once in the table; a.b is there before"}));
}

TEST(ParseRouteTest, WrongDomainsAreRefused) {
  EXPECT_EQ(ToLines(Parse("{name: r, virtual_hosts: [{}]}").errors),
            (Lines{"virtual_hosts[0].name: expected at least 1 character",
                   "virtual_hosts[0].domains: expected at least one domain"}));
  for (const char* domain : {"", "a.*.b", "*.*", "**"}) {
    EXPECT_EQ(
        ToLines(
            Parse("{name: r, virtual_hosts: [{name: v, domains: ['" + std::string(domain) + "']}]}").errors),
        Lines{"virtual_hosts[0].domains[0]: expected a host, *suffix, prefix* or *"})
        << domain;
  }
}

TEST(ParseRouteTest, APushedTableHasANameAndIsNotChecked) {
  EXPECT_EQ(ToLines(Parse("{validate_clusters: true}").errors),
            (Lines{"validate_clusters: expected false; clusters may come after their routes",
                   "name: expected at least 1 character"}));
  EXPECT_EQ(ToLines(Parse("{name: r, validate_clusters: true}", Origin::kFile).errors), Lines{});
  EXPECT_EQ(Parse("{name: r}").value->version, "3");
}

}  // namespace
}  // namespace pillion::config
