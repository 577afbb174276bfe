#include <gtest/gtest.h>
#include <re2/re2.h>

#include <memory>
#include <string>

#include "sidecar/config/parse_route.h"
#include "sidecar/config/parse_route_yaml.h"

namespace pillion::config {
namespace {

using Proto = envoy::config::route::v3::RouteConfiguration;

// Of an action with those fields.
Route Action(const std::string& fields, const std::string& match = "{prefix: /a}") {
  return OneRoute("{match: " + match + ", route: {cluster: c, " + fields + "}}");
}
Lines ActionErrors(const std::string& fields, const std::string& match = "{prefix: /a}") {
  return RouteErrors("{match: " + match + ", route: {cluster: c, " + fields + "}}");
}
Redirect RedirectOf(const std::string& fields) {
  const Route route = OneRoute("{match: {prefix: /a}, redirect: {" + fields + "}}");
  return route.redirect == nullptr ? Redirect() : *route.redirect;
}
Lines RedirectErrors(const std::string& fields) {
  return RouteErrors("{match: {prefix: /a}, redirect: {" + fields + "}}");
}

// Edits as text, one per line's worth.
Lines Show(const std::shared_ptr<const HeaderEdits>& edits) {
  Lines lines;
  if (edits == nullptr) return lines;
  for (const HeaderEdit& edit : *edits) {
    const char* const sign = std::array{"-", "+", "?", "=", "!"}.at(static_cast<size_t>(edit.action));
    std::string line = sign + edit.name;
    for (const TextFormat::Piece& piece : edit.value.pieces) {
      line += piece.kind == TextFormat::Kind::kText
                  ? " '" + piece.text + "'"
                  : " <" + std::to_string(static_cast<int>(piece.kind)) + piece.text +
                        (piece.otherwise.empty() ? "" : "|" + piece.otherwise) +
                        (piece.most == std::string::npos ? "" : ":" + std::to_string(piece.most)) + ">";
    }
    if (edit.keep_empty) line += " keep";
    lines.push_back(std::move(line));
  }
  return lines;
}

constexpr const char* kByTemplate =
    "{path_match_policy: {name: t, typed_config: {'@type': "
    "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig, "
    "path_template: '/a/{one}/{rest=**}'}}}";

std::string TemplateRewrite(const std::string& text) {
  return "path_rewrite_policy: {name: t, typed_config: {'@type': "
         "type.googleapis.com/envoy.extensions.path.rewrite.uri_template.v3.UriTemplateRewriteConfig, "
         "path_template_rewrite: '" +
         text + "'}}";
}

TEST(ParseRouteAction, ARouteWithoutRewritesHasNone) {
  const Route route = Action("timeout: 0s");
  EXPECT_EQ(route.path_rewrite, nullptr);
  EXPECT_EQ(route.host_rewrite, nullptr);
  EXPECT_EQ(route.redirect, nullptr);
  EXPECT_FALSE(route.append_forwarded_host);
  EXPECT_EQ(route.edits.request, nullptr);
  EXPECT_EQ(route.clusters[0].edits.response, nullptr);
}

TEST(ParseRouteAction, PathsAreRewrittenInThreeWays) {
  using Kind = PathRewrite::Kind;
  const Route prefix = Action("prefix_rewrite: /b");
  EXPECT_EQ(prefix.path_rewrite->kind, Kind::kMatched);
  EXPECT_EQ(prefix.path_rewrite->text, "/b");
  const Route regex = Action("regex_rewrite: {pattern: {regex: '^/(.*)$'}, substitution: '/x/\\1'}");
  EXPECT_EQ(regex.path_rewrite->kind, Kind::kRegex);
  EXPECT_EQ(regex.path_rewrite->text, "/x/\\1");
  EXPECT_TRUE(re2::RE2::FullMatch("/any", *regex.path_rewrite->regex));
  const Route by_template = Action(TemplateRewrite("/b/{rest}/{one}.html"), kByTemplate);
  EXPECT_EQ(by_template.path_rewrite->kind, Kind::kTemplate);
  ASSERT_EQ(by_template.path_rewrite->parts.size(), 3u);
  EXPECT_EQ(by_template.path_rewrite->parts[0].text, "/b/");
  EXPECT_EQ(by_template.path_rewrite->parts[0].group, 2u);
  EXPECT_EQ(by_template.path_rewrite->parts[1].text, "/");
  EXPECT_EQ(by_template.path_rewrite->parts[1].group, 1u);
  EXPECT_EQ(by_template.path_rewrite->parts[2].text, ".html");
  EXPECT_EQ(by_template.path_rewrite->parts[2].group, 0u);
}

TEST(ParseRouteAction, WrongPathRewritesAreRefused) {
  constexpr const char* kPath = "expected a path: / and visible ASCII without #";
  for (const char* text : {"b", "'/b#c'", "'/b c'"})
    EXPECT_EQ(ActionErrors("prefix_rewrite: " + std::string(text)),
              Lines{std::string("route.prefix_rewrite: ") + kPath});
  EXPECT_EQ(ActionErrors("prefix_rewrite: /b, regex_rewrite: {pattern: {regex: a}, substitution: b}"),
            Lines{"route: expected one of prefix_rewrite, regex_rewrite and path_rewrite_policy"});
  EXPECT_EQ(ActionErrors("regex_rewrite: {pattern: {regex: '('}, substitution: b}"),
            Lines{"route.regex_rewrite.pattern.regex: expected a regular expression of RE2: missing ): ("});
  const Lines group = ActionErrors("regex_rewrite: {pattern: {regex: a}, substitution: '\\1'}");
  ASSERT_EQ(group.size(), 1u);
  EXPECT_TRUE(group[0].starts_with("route.regex_rewrite.substitution: expected text with groups as \\1: "));
  EXPECT_EQ(ActionErrors("regex_rewrite: {pattern: {regex: a}, substitution: \"b\\r\\nc\"}"),
            Lines{"route.regex_rewrite.substitution: expected visible ASCII without #"});
  EXPECT_EQ(ActionErrors(TemplateRewrite("/b")),
            Lines{"route.path_rewrite_policy: expected only with a path_match_policy"});
  const std::string text_path = "route.path_rewrite_policy.typed_config.path_template_rewrite: ";
  for (const char* text : {"/b/{two}", "/b/{one", "/b/one}"}) {
    EXPECT_EQ(ActionErrors(TemplateRewrite(text), kByTemplate),
              Lines{text_path + "expected only names of the path_match_policy between { and }"})
        << text;
  }
  EXPECT_EQ(ActionErrors(TemplateRewrite("{one}"), kByTemplate), Lines{text_path + kPath});
}

TEST(ParseRouteAction, WhatIsAnsweredWithoutTheClusterIsOneOfThree) {
  EXPECT_EQ(Action("").no_cluster_status, 503);
  EXPECT_EQ(Action("cluster_not_found_response_code: NOT_FOUND").no_cluster_status, 404);
  EXPECT_EQ(Action("cluster_not_found_response_code: INTERNAL_SERVER_ERROR").no_cluster_status, 500);
}

TEST(ParseRouteAction, HostsAreRewrittenInThreeWays) {
  using Kind = HostRewrite::Kind;
  const Route literal = Action("host_rewrite_literal: 'b.example:80', append_x_forwarded_host: true");
  EXPECT_EQ(literal.host_rewrite->kind, Kind::kLiteral);
  EXPECT_EQ(literal.host_rewrite->text, "b.example:80");
  EXPECT_TRUE(literal.append_forwarded_host);
  const Route header = Action("host_rewrite_header: X-Host");
  EXPECT_EQ(header.host_rewrite->kind, Kind::kHeader);
  EXPECT_EQ(header.host_rewrite->text, "x-host");
  const Route regex = Action("host_rewrite_path_regex: {pattern: {regex: '^/(.*)$'}, substitution: '\\1'}");
  EXPECT_EQ(regex.host_rewrite->kind, Kind::kPathRegex);
  EXPECT_EQ(regex.host_rewrite->text, "\\1");
  EXPECT_NE(regex.host_rewrite->regex, nullptr);
}

TEST(ParseRouteAction, WrongHostRewritesAreRefused) {
  EXPECT_EQ(ActionErrors("host_rewrite_literal: 'a b'"),
            Lines{"route.host_rewrite_literal: expected a host, maybe with a port"});
  EXPECT_EQ(ActionErrors("host_rewrite_header: 'a b'"),
            Lines{"route.host_rewrite_header: expected a field name"});
  EXPECT_EQ(
      ActionErrors("host_rewrite_path_regex: {pattern: {regex: '('}, substitution: b}"),
      Lines{"route.host_rewrite_path_regex.pattern.regex: expected a regular expression of RE2: missing "
            "): ("});
}

TEST(ParseRouteAction, RedirectsAreRead) {
  const Redirect plain = RedirectOf("");
  EXPECT_EQ(plain.status, 301);
  EXPECT_EQ(plain.scheme + plain.host, "");
  EXPECT_EQ(plain.port, 0);
  EXPECT_FALSE(plain.path || plain.rewrite || plain.strip_query);
  const Redirect all = RedirectOf(
      "scheme_redirect: https, host_redirect: b.example, port_redirect: 65535, path_redirect: '/b?c', "
      "strip_query: true, response_code: PERMANENT_REDIRECT");
  EXPECT_EQ(all.status, 308);
  EXPECT_EQ(all.scheme, "https");
  EXPECT_EQ(all.host, "b.example");
  EXPECT_EQ(all.port, 65535);
  EXPECT_EQ(all.path, "/b?c");
  EXPECT_TRUE(all.strip_query);
  EXPECT_EQ(RedirectOf("https_redirect: true, response_code: SEE_OTHER").scheme, "https");
  EXPECT_EQ(RedirectOf("https_redirect: false, response_code: SEE_OTHER").scheme, "");
  EXPECT_EQ(RedirectOf("response_code: FOUND").status, 302);
  EXPECT_EQ(RedirectOf("response_code: SEE_OTHER").status, 303);
  EXPECT_EQ(RedirectOf("response_code: TEMPORARY_REDIRECT").status, 307);
  EXPECT_EQ(RedirectOf("prefix_rewrite: /b").rewrite->text, "/b");
  const Redirect regex = RedirectOf("regex_rewrite: {pattern: {regex: a}, substitution: b}");
  EXPECT_EQ(regex.rewrite->kind, PathRewrite::Kind::kRegex);
  EXPECT_EQ(regex.rewrite->text, "b");
}

TEST(ParseRouteAction, WrongRedirectsAreRefused) {
  EXPECT_EQ(RedirectErrors("scheme_redirect: ftp, host_redirect: 'a/b', port_redirect: 65536, "
                           "path_redirect: b"),
            (Lines{"redirect.scheme_redirect: expected http or https",
                   "redirect.host_redirect: expected a host, maybe with a port",
                   "redirect.port_redirect: expected at most 65535",
                   "redirect.path_redirect: expected a path: / and visible ASCII without #"}));
  EXPECT_EQ(RedirectErrors("host_redirect: 'a:1', port_redirect: 2"),
            Lines{"redirect.port_redirect: expected a host_redirect without a port beside it"});
  EXPECT_EQ(RedirectErrors("prefix_rewrite: ''"),
            Lines{"redirect.prefix_rewrite: expected a path: / and visible ASCII without #"});
}

TEST(ParseRouteAction, FieldsAreEditedInFiveWays) {
  const Route route = OneRoute(R"({match: {prefix: /}, route: {cluster: c},
    request_headers_to_remove: [X-Gone],
    request_headers_to_add: [
      {header: {key: X-A, value: a}},
      {header: {key: b, value: b}, append_action: ADD_IF_ABSENT},
      {header: {key: c, value: c}, append_action: OVERWRITE_IF_EXISTS_OR_ADD},
      {header: {key: d, value: d}, append_action: OVERWRITE_IF_EXISTS},
      {header: {key: e, value: ""}, keep_empty_value: true},
      {header: {key: f, value: f}, append: false},
      {header: {key: g, raw_value: gP8=}, append: true}],
    response_headers_to_add: [{header: {key: h, value: h}}], response_headers_to_remove: [i, j]})");
  EXPECT_EQ(Show(route.edits.request), (Lines{"-x-gone", "+x-a 'a'", "?b 'b'", "=c 'c'", "!d 'd'", "+e keep",
                                              "=f 'f'", "+g '\x80\xff'"}));
  EXPECT_EQ(Show(route.edits.response), (Lines{"-i", "-j", "+h 'h'"}));
  EXPECT_EQ(route.clusters[0].edits.request, route.edits.request) << "shared";
}

TEST(ParseRouteAction, ValuesAreFilledIn) {
  const auto value = [](const std::string& text) {
    const Route route = OneRoute(
        "{match: {prefix: /}, route: {cluster: c}, response_headers_to_add: [{header: {key: x, value: '" +
        text + "'}}]}");
    return Show(route.edits.response).at(0);
  };
  EXPECT_EQ(value("100%%"), "+x '100%'");
  EXPECT_EQ(value("%REQ(Host?host)%%RESP(host)%"), "+x <1:authority|:authority> <2host>") << "as in matches";
  EXPECT_EQ(value("a%REQ(:Path)%b%RESP(X-Y?Z):12%"), "+x 'a' <1:path> 'b' <2x-y|z:12>");
  EXPECT_EQ(value("%DOWNSTREAM_REMOTE_ADDRESS%%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%"), "+x <3> <4>");
  EXPECT_EQ(value("%PROTOCOL% %ROUTE_NAME% %UPSTREAM_CLUSTER:3%"), "+x <5> ' ' <6> ' ' <7:3>");
}

TEST(ParseRouteAction, WrongEditsAreRefused) {
  const auto errors = [](const std::string& edit) {
    return RouteErrors("{match: {prefix: /}, route: {cluster: c}, request_headers_to_add: [" + edit + "]}");
  };
  const std::string at = "request_headers_to_add[0].";
  constexpr const char* kNot =
      "expected a field that does not belong to the connection, the framing or to sidecars";
  EXPECT_EQ(errors("{}"), Lines{at + "header.key: expected a field name"});
  EXPECT_EQ(errors("{header: {key: 'a b', value: c}}"), Lines{at + "header.key: expected a field name"});
  for (const char* name : {":path", "Host", ":x"}) {
    EXPECT_EQ(
        errors("{header: {key: '" + std::string(name) + "', value: c}}"),
        Lines{at +
              "header.key: expected a field; the target is changed by the route's rewrites and redirects"})
        << name;
  }
  for (const char* name : {"content-length", "Transfer-Encoding", "connection", "keep-alive",
                           "proxy-connection", "upgrade", "te", "trailer", "http2-settings", "pillion-h1"}) {
    EXPECT_EQ(errors("{header: {key: " + std::string(name) + ", value: c}}"),
              Lines{at + "header.key: " + kNot})
        << name;
  }
  EXPECT_EQ(errors("{header: {key: a, value: \"b\\r\\nc\"}}"),
            Lines{at + "header.value: expected no control bytes"});
  EXPECT_EQ(errors("{header: {key: a, value: " + std::string(16385, 'b') + "}}"),
            Lines{at + "header.value: expected at most 16384 bytes"});
  EXPECT_EQ(errors("{header: {key: a, value: '50%'}}"),
            Lines{at + "header.value: expected a second % (%% for a % itself)"});
  EXPECT_EQ(errors("{header: {key: a, value: '%REQ(b%'}}"),
            Lines{at + "header.value: expected a ) after %REQ(b"});
  EXPECT_EQ(errors("{header: {key: a, value: '%REQ%'}}"), Lines{at + "header.value: expected %REQ(FIELD)%"});
  EXPECT_EQ(errors("{header: {key: a, value: '%PROTOCOL(b)%'}}"),
            Lines{at + "header.value: expected %PROTOCOL% without (...)"});
  for (const char* length : {":", ":a", ":-1", ":99999999999999999999", "x"}) {
    EXPECT_EQ(errors("{header: {key: a, value: '%REQ(b)" + std::string(length) + "%'}}"),
              Lines{at + "header.value: expected :LENGTH behind %REQ"})
        << length;
  }
  const Lines unknown = errors("{header: {key: a, value: '%START_TIME%'}}");
  ASSERT_EQ(unknown.size(), 1u);
  EXPECT_TRUE(unknown[0].ends_with(", not %START_TIME%")) << unknown[0];
  EXPECT_EQ(errors("{header: {key: a, value: b}, append: true, append_action: ADD_IF_ABSENT}"),
            Lines{at + "append: expected append or append_action, not both"});
  EXPECT_EQ(
      RouteErrors("{match: {prefix: /}, route: {cluster: c}, response_headers_to_remove: [':status', '']}"),
      (Lines{"response_headers_to_remove[0]: expected a field; the target is changed by the route's "
             "rewrites and redirects",
             "response_headers_to_remove[1]: expected a field name"}));
}

// A control plane may know more of them than we do; YAML cannot say them.
TEST(ParseRouteAction, UnknownEnumsAreRefused) {
  auto proto =
      FromYaml<Proto>(Table("{match: {prefix: /}, redirect: {}, request_headers_to_add: [{header: "
                            "{key: a}}]}"));
  auto& route = *proto.mutable_virtual_hosts(0)->mutable_routes(0);
  using envoy::config::core::v3::HeaderValueOption;
  route.mutable_request_headers_to_add(0)->set_append_action(
      static_cast<HeaderValueOption::HeaderAppendAction>(4));
  using envoy::config::route::v3::RedirectAction;
  route.mutable_redirect()->set_response_code(static_cast<RedirectAction::RedirectResponseCode>(5));
  const std::string at = "virtual_hosts[0].routes[0].";
  EXPECT_EQ(ToLines(ParseRouteTable(proto, "3", Origin::kPushed).errors),
            (Lines{at + "request_headers_to_add[0].append_action: expected a HeaderAppendAction",
                   at + "redirect.response_code: expected a RedirectResponseCode"}));
  auto sent = FromYaml<Proto>(Table("{match: {prefix: /}, route: {cluster: a}}"));
  using envoy::config::route::v3::RouteAction;
  sent.mutable_virtual_hosts(0)->mutable_routes(0)->mutable_route()->set_cluster_not_found_response_code(
      static_cast<RouteAction::ClusterNotFoundResponseCode>(3));
  EXPECT_EQ(ToLines(ParseRouteTable(sent, "3", Origin::kPushed).errors),
            Lines{at + "route.cluster_not_found_response_code: expected SERVICE_UNAVAILABLE, NOT_FOUND or "
                       "INTERNAL_SERVER_ERROR"});
}

constexpr const char* kFourLevels = R"(
name: r
request_headers_to_add: [{header: {key: x, value: table}}]
response_headers_to_remove: [y]
virtual_hosts:
- name: v
  domains: ["*"]
  request_headers_to_add: [{header: {key: x, value: host}}]
  routes:
  - match: {prefix: /a}
    request_headers_to_remove: [x]
    request_headers_to_add: [{header: {key: x, value: route}}]
    route:
      weighted_clusters:
        clusters:
        - {name: c, weight: 1, request_headers_to_add: [{header: {key: x, value: cluster}}]}
        - {name: d, weight: 1, response_headers_to_add: [{header: {key: y, value: cluster}}]}
  - {match: {prefix: /b}, route: {cluster: c}}
)";

TEST(ParseRouteAction, TheMostGeneralLevelHasTheLastWord) {
  const auto parsed = Parse(kFourLevels);
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  const std::vector<Route>& routes = parsed.value->virtual_hosts[0].routes;
  EXPECT_EQ(Show(routes[0].clusters[0].edits.request),
            (Lines{"+x 'cluster'", "-x", "+x 'route'", "+x 'host'", "+x 'table'"}));
  EXPECT_EQ(Show(routes[0].clusters[1].edits.request),
            (Lines{"-x", "+x 'route'", "+x 'host'", "+x 'table'"}));
  EXPECT_EQ(Show(routes[0].clusters[1].edits.response), (Lines{"+y 'cluster'", "-y"}));
  EXPECT_EQ(Show(routes[1].clusters[0].edits.request), (Lines{"+x 'host'", "+x 'table'"}));
  EXPECT_EQ(Show(routes[1].clusters[0].edits.response), Lines{"-y"});
}

TEST(ParseRouteAction, OrTheMostSpecialOne) {
  const auto parsed = Parse(std::string(kFourLevels) + "most_specific_header_mutations_wins: true\n");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  const std::vector<Route>& routes = parsed.value->virtual_hosts[0].routes;
  EXPECT_EQ(Show(routes[0].clusters[0].edits.request),
            (Lines{"+x 'table'", "+x 'host'", "-x", "+x 'route'", "+x 'cluster'"}));
  EXPECT_EQ(Show(routes[0].clusters[1].edits.response), (Lines{"-y", "+y 'cluster'"}));
  EXPECT_EQ(Show(routes[1].clusters[0].edits.request), (Lines{"+x 'table'", "+x 'host'"}));
}

TEST(HashPolicies, AreRead) {
  using Kind = HashPolicy::Kind;
  EXPECT_TRUE(Action("timeout: 1s").hash_policy.empty());
  const Route route = Action(
      "hash_policy: [{header: {header_name: X-User}, terminal: true}, {cookie: {name: c, ttl: 60s, path: "
      "/p}}, {cookie: "
      "{name: d}}, {connection_properties: {source_ip: true}}, {query_parameter: {name: q}}]");
  ASSERT_EQ(route.hash_policy.size(), 5u);
  EXPECT_EQ(route.hash_policy[0].kind, Kind::kHeader);
  EXPECT_EQ(route.hash_policy[0].name, "x-user");
  EXPECT_TRUE(route.hash_policy[0].terminal);
  EXPECT_EQ(route.hash_policy[1].kind, Kind::kCookie);
  EXPECT_EQ(route.hash_policy[1].ttl, std::chrono::seconds(60));
  EXPECT_EQ(route.hash_policy[1].path, "/p");
  EXPECT_FALSE(route.hash_policy[1].terminal);
  EXPECT_FALSE(route.hash_policy[2].ttl);
  EXPECT_EQ(route.hash_policy[3].kind, Kind::kSourceIp);
  EXPECT_EQ(route.hash_policy[4].kind, Kind::kQuery);
  EXPECT_EQ(Action("hash_policy: [{header: {header_name: Host}}]").hash_policy[0].name, ":authority");
  EXPECT_EQ(
      ActionErrors(
          "hash_policy: [{header: {header_name: ' '}}, {cookie: {name: '', ttl: -1s, path: '/a;b'}}, "
          "{connection_properties: {}}, {query_parameter: {}}, {}]"),
      (Lines{"route.hash_policy[0].header.header_name: expected a field name, :authority, :method, :path or "
             ":scheme",
             "route.hash_policy[1].cookie.name: expected a cookie's name",
             "route.hash_policy[1].cookie.path: expected a path without ;",
             "route.hash_policy[1].cookie.ttl: expected a duration of 0 or more",
             "route.hash_policy[2].connection_properties.source_ip: expected true",
             "route.hash_policy[3].query_parameter.name: expected at least 1 character",
             "route.hash_policy[4]: expected header, cookie, connection_properties or query_parameter"}));
}

TEST(Priority, IsRead) {
  EXPECT_EQ(Action("priority: DEFAULT").priority, 0);
  EXPECT_EQ(Action("priority: HIGH").priority, 1);
  Proto proto = FromYaml<Proto>(Table("{match: {prefix: /a}, route: {cluster: c}}"));
  auto& action = *proto.mutable_virtual_hosts(0)->mutable_routes(0)->mutable_route();
  action.set_priority(static_cast<envoy::config::core::v3::RoutingPriority>(2));
  EXPECT_EQ(ToLines(ParseRouteTable(proto, "", Origin::kPushed).errors),
            Lines{"virtual_hosts[0].routes[0].route.priority: expected DEFAULT or HIGH"});
}

TEST(MetadataMatch, OfAClusterIsOverThatOfItsRoute) {
  EXPECT_EQ(Action("timeout: 1s").clusters[0].labels, nullptr);
  const Route route = Action("metadata_match: {filter_metadata: {envoy.lb: {v: 1, stage: prod}}}");
  ASSERT_NE(route.clusters[0].labels, nullptr);
  EXPECT_EQ(route.clusters[0].labels->labels, (Labels{{"v", "1"}, {"stage", "prod"}}));
  const Route weighted = OneRoute(
      "{match: {prefix: /}, route: {metadata_match: {filter_metadata: {envoy.lb: {v: 1, stage: prod}}}, "
      "weighted_clusters: {clusters: [{name: a, weight: 1, metadata_match: {filter_metadata: {envoy.lb: {v: "
      "2}}}}, {name: b, weight: 1}]}}}");
  ASSERT_NE(weighted.clusters[0].labels, nullptr);
  ASSERT_NE(weighted.clusters[1].labels, nullptr);
  EXPECT_EQ(weighted.clusters[0].labels->labels, (Labels{{"v", "2"}, {"stage", "prod"}}));
  EXPECT_EQ(weighted.clusters[1].labels->labels, (Labels{{"v", "1"}, {"stage", "prod"}}));
  EXPECT_EQ(ActionErrors("metadata_match: {filter_metadata: {other: {v: 1}}}"),
            Lines{"route.metadata_match.filter_metadata[\"other\"]: expected no key but envoy.lb"});
}

TEST(ParseRouteAction, MirrorsAreRead) {
  const Route route = OneRoute(
      "{match: {prefix: /}, route: {cluster: c, request_mirror_policies: [{cluster: a}, {cluster: b, "
      "runtime_fraction: "
      "{default_value: {numerator: 1, denominator: MILLION}}, disable_shadow_host_suffix_append: true}]}}");
  ASSERT_NE(route.mirrors, nullptr);
  ASSERT_EQ(route.mirrors->size(), 2u);
  EXPECT_EQ(route.mirrors->at(0).cluster, "a");
  EXPECT_EQ(route.mirrors->at(0).share.numerator, route.mirrors->at(0).share.denominator);
  EXPECT_TRUE(route.mirrors->at(0).add_suffix);
  EXPECT_EQ(route.mirrors->at(1).share.denominator, 1'000'000u);
  EXPECT_FALSE(route.mirrors->at(1).add_suffix);
}

TEST(ParseRouteAction, TheMostSpecificListOfMirrorsHolds) {
  const auto first = [](const std::string& table, const std::string& host, const std::string& route) {
    const auto policies = [](const std::string& cluster) {
      return cluster.empty() ? "" : ", request_mirror_policies: [{cluster: " + cluster + "}]";
    };
    const auto parsed = Parse(
        "{name: r, virtual_hosts: [{name: v, domains: ['*'], routes: [{match: {prefix: /}, route: "
        "{cluster: c" +
        policies(route) + "}}, {match: {prefix: /}, direct_response: {status: 200}}]" + policies(host) +
        "}]" + policies(table) + "}");
    EXPECT_EQ(ToLines(parsed.errors), Lines{});
    EXPECT_EQ(parsed.value->virtual_hosts[0].routes[1].mirrors, nullptr) << "it goes nowhere";
    const auto& mirrors = parsed.value->virtual_hosts[0].routes[0].mirrors;
    return mirrors == nullptr ? "none" : mirrors->front().cluster;
  };
  EXPECT_EQ(first("", "", ""), "none");
  EXPECT_EQ(first("t", "", ""), "t");
  EXPECT_EQ(first("t", "h", ""), "h");
  EXPECT_EQ(first("t", "h", "r"), "r");
}

TEST(ParseRouteAction, WhatIsWrongWithAMirrorIsTold) {
  const auto mirrors = [](const std::string& policies) {
    return RouteErrors("{match: {prefix: /}, route: {cluster: c, request_mirror_policies: [" + policies +
                       "]}}");
  };
  EXPECT_EQ(mirrors("{}"), Lines{"route.request_mirror_policies[0].cluster: expected at least 1 character"});
  EXPECT_EQ(mirrors("{cluster: a, runtime_fraction: {default_value: {numerator: 101}}}").size(), 1u);
  std::string nine;
  for (int i = 0; i < 9; ++i) nine += "{cluster: a}, ";
  EXPECT_EQ(mirrors(nine), Lines{"route.request_mirror_policies: expected at most 8 elements"});
}

}  // namespace
}  // namespace pillion::config
