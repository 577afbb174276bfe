// The filters of routes, read from YAML as they come.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "control-plane/model/objects.h"
#include "control-plane/source/file/decode.h"

namespace pillion::control {
namespace {

using Lines = std::vector<std::string>;

DecodedFile DecodeRule(const std::string& rule) {
  return DecodeFile(
      "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: r}, spec: {parentRefs: "
      "[{group: "
      "'', kind: Service, name: a}], rules: [" +
          rule + "]}}",
      "f");
}
// Without the path of the rule.
Lines RuleProblems(const std::string& rule) {
  Lines lines;
  for (const Problem& problem : DecodeRule(rule).problems) {
    EXPECT_GT(problem.position.line, 0);
    std::string line = problem.path + ": " + problem.message;
    const std::string common = "spec.rules[0].";
    if (line.starts_with(common)) line.erase(0, common.size());
    lines.push_back(std::move(line));
  }
  return lines;
}
Lines Problems(const std::string& filters) { return RuleProblems("{filters: [" + filters + "]}"); }
HttpRule Rule(const std::string& rule) {
  const DecodedFile file = DecodeRule(rule);
  EXPECT_EQ(RuleProblems(rule), Lines{});
  return file.objects.empty() ? HttpRule() : std::get<HttpRoute>(*file.objects[0]).rules[0];
}
HttpFilters Filters(const std::string& filters) { return Rule("{filters: [" + filters + "]}").filters; }

Lines Show(const std::vector<NamedValue>& fields) {
  Lines lines;
  for (const NamedValue& field : fields) lines.push_back(field.name + "=" + field.value);
  return lines;
}

TEST(ReadFilters, HeaderModifiersAreRead) {
  const HttpFilters filters = Filters(
      "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-A, value: a}, {name: x-a, value: "
      "b}], "
      "add: [{name: b, value: '1 %'}], remove: [X-C]}}, "
      "{type: ResponseHeaderModifier, responseHeaderModifier: {add: [{name: d, value: d}]}}");
  EXPECT_EQ(Show(filters.request.set), Lines{"x-a=a"}) << "the first of one name counts";
  EXPECT_EQ(Show(filters.request.add), Lines{"b=1 %"});
  EXPECT_EQ(filters.request.remove, Lines{"x-c"});
  EXPECT_EQ(Show(filters.response.add), Lines{"d=d"});
  EXPECT_FALSE(filters.redirect || filters.rewrite);
}

TEST(ReadFilters, WhatIsRemovedIsNotWrittenFirst) {
  const HttpFilters filters = Filters(
      "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: a, value: a}], add: [{name: B, "
      "value: b}], "
      "remove: [A, b]}}");
  EXPECT_EQ(Show(filters.request.set), Lines{});
  EXPECT_EQ(Show(filters.request.add), Lines{});
  EXPECT_EQ(filters.request.remove, (Lines{"a", "b"}));
}

TEST(ReadFilters, WrongHeaderModifiersAreReported) {
  EXPECT_EQ(
      Problems("{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: 'a b', value: c}, {name: "
               "Host, value: c}, {name: te, value: c}, {name: d, value: ''}, {name: e, value: \"a\\nb\"}, "
               "{name: f, value: ' f'}], add: [{name: g, value: " +
               std::string(4097, 'g') + "}], remove: [Content-Length, '']}}"),
      (Lines{"filters[0].requestHeaderModifier.set[0].name: expected the name of a header",
             "filters[0].requestHeaderModifier.set[1].name: expected a field; the target is changed by the "
             "route's "
             "rewrites and redirects",
             "filters[0].requestHeaderModifier.set[2].name: expected a field that does not belong to the "
             "connection, the framing or to sidecars",
             "filters[0].requestHeaderModifier.set[3].value: expected 1 to 4096 bytes without control "
             "characters",
             "filters[0].requestHeaderModifier.set[4].value: expected 1 to 4096 bytes without control "
             "characters",
             "filters[0].requestHeaderModifier.set[5].value: expected 1 to 4096 bytes without control "
             "characters",
             "filters[0].requestHeaderModifier.add[0].value: expected 1 to 4096 bytes without control "
             "characters",
             "filters[0].requestHeaderModifier.remove[0]: expected a field that does not belong to the "
             "connection, the framing or to sidecars",
             "filters[0].requestHeaderModifier.remove[1]: expected the name of a header"}));
  std::string many;
  for (int i = 0; i < 17; ++i) many += "{name: a" + std::to_string(i) + ", value: b}, ";
  EXPECT_EQ(Problems("{type: RequestHeaderModifier, requestHeaderModifier: {add: [" + many + "]}}"),
            Lines{"filters[0].requestHeaderModifier.add: expected at most 16"});
}

TEST(ReadFilters, RedirectsAreRead) {
  const HttpFilters plain = Filters("{type: RequestRedirect, requestRedirect: {}}");
  EXPECT_EQ(plain.redirect->status, 302u);
  EXPECT_EQ(plain.redirect->scheme + plain.redirect->hostname, "");
  EXPECT_FALSE(plain.redirect->port || plain.redirect->path);
  const HttpFilters all = Filters(
      "{type: RequestRedirect, requestRedirect: {scheme: https, hostname: a.b, port: 65535, statusCode: 308, "
      "path: "
      "{type: ReplacePrefixMatch, replacePrefixMatch: /c/}}}");
  EXPECT_EQ(all.redirect->scheme, "https");
  EXPECT_EQ(all.redirect->hostname, "a.b");
  EXPECT_EQ(all.redirect->port, 65535);
  EXPECT_EQ(all.redirect->status, 308u);
  EXPECT_TRUE(all.redirect->path->prefix);
  EXPECT_EQ(all.redirect->path->path, "/c");
}

TEST(ReadFilters, WrongRedirectsAreReported) {
  EXPECT_EQ(
      Problems("{type: RequestRedirect, requestRedirect: {scheme: ftp, hostname: 'a:1', port: 0, statusCode: "
               "304, path: {}}}"),
      (Lines{"filters[0].requestRedirect.scheme: expected http or https",
             "filters[0].requestRedirect.hostname: expected a host name without a port",
             "filters[0].requestRedirect.path.type: expected ReplaceFullPath or ReplacePrefixMatch",
             "filters[0].requestRedirect.port: expected a port, 1 to 65535",
             "filters[0].requestRedirect.statusCode: expected 301, 302, 303, 307 or 308"}));
  EXPECT_EQ(
      RuleProblems("{filters: [{type: RequestRedirect, requestRedirect: {}}, {type: URLRewrite, urlRewrite: "
                   "{}}], backendRefs: [{name: a, port: 80}]}"),
      (Lines{"filters: expected RequestRedirect or URLRewrite, not both",
             "filters: expected no backendRefs beside RequestRedirect"}));
}

TEST(ReadFilters, RewritesAreRead) {
  const HttpFilters full = Filters(
      "{type: URLRewrite, urlRewrite: {hostname: a.b, path: {type: ReplaceFullPath, replaceFullPath: /c/}}}");
  EXPECT_EQ(full.rewrite->hostname, "a.b");
  EXPECT_FALSE(full.rewrite->path->prefix);
  EXPECT_EQ(full.rewrite->path->path, "/c/");
  const HttpFilters nothing =
      Filters("{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: ''}}}");
  EXPECT_TRUE(nothing.rewrite->path->prefix);
  EXPECT_EQ(nothing.rewrite->path->path, "/");
}

TEST(ReadFilters, WrongRewritesAreReported) {
  const auto path = [](const std::string& modifier) {
    return Problems("{type: URLRewrite, urlRewrite: {path: {" + modifier + "}}}");
  };
  const std::string at = "filters[0].urlRewrite.path";
  EXPECT_EQ(path("type: ReplaceFullPath, replacePrefixMatch: /a"),
            Lines{at + ": expected replaceFullPath or replacePrefixMatch, the one that type names"});
  EXPECT_EQ(path("type: ReplacePrefixMatch"),
            Lines{at + ": expected replaceFullPath or replacePrefixMatch, the one that type names"});
  for (const char* bad : {"a", "/a?b", "/a//b", "/a/../b", "/a#b"}) {
    EXPECT_EQ(
        path("type: ReplaceFullPath, replaceFullPath: '" + std::string(bad) + "'"),
        Lines{at + ".replaceFullPath: expected a path that starts with / and has no //, /./, /../, # or %2f"})
        << bad;
  }
  EXPECT_EQ(Problems("{type: URLRewrite, urlRewrite: {hostname: '*.a'}}"),
            Lines{"filters[0].urlRewrite.hostname: expected a host name without a port"});
  for (const char* match :
       {"{path: {type: Exact, value: /a}}", "{}, {path: {type: RegularExpression, value: a}}"}) {
    EXPECT_EQ(RuleProblems("{matches: [" + std::string(match) +
                           "], filters: [{type: URLRewrite, urlRewrite: {path: {type: "
                           "ReplacePrefixMatch, replacePrefixMatch: /b}}}]}"),
              Lines{"filters: expected matches by PathPrefix only, beside ReplacePrefixMatch"});
  }
}

// The Gateway API's own limit; the sidecar's expression for a prefix that is taken away could not hold more.
TEST(ReadFilters, PathsAreOfALimitedLength) {
  const std::string longest = "/" + std::string(1023, 'a');
  const auto rule = [](const std::string& match, const std::string& path) {
    return RuleProblems("{matches: [{path: {value: " + match +
                        "}}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, "
                        "replacePrefixMatch: " +
                        path + "}}}]}");
  };
  EXPECT_EQ(rule(longest, longest), Lines{});
  EXPECT_EQ(rule(longest + "a", longest + "a"),
            (Lines{"matches[0].path.value: expected at most 1024 bytes",
                   "filters[0].urlRewrite.path.replacePrefixMatch: expected at most 1024 bytes"}));
}

TEST(ReadFilters, TypeAndFieldBelongTogether) {
  EXPECT_EQ(Problems("{}"), Lines{"filters[0].type: expected a type"});
  EXPECT_EQ(Problems("{type: RequestHeaderModifier}"),
            Lines{"filters[0]: expected the field of type RequestHeaderModifier and no other"});
  EXPECT_EQ(Problems("{type: URLRewrite, urlRewrite: {}, requestRedirect: {}}"),
            Lines{"filters[0]: expected the field of type URLRewrite and no other"});
  EXPECT_EQ(Problems("{type: URLRewrite, urlRewrite: {}}, {type: URLRewrite, urlRewrite: {}}"),
            Lines{"filters[1].type: expected each type once"});
  EXPECT_EQ(Problems("{type: ExternalAuth}"), Lines{"filters[0].type: ExternalAuth is not implemented yet"});
  EXPECT_EQ(Problems("{type: ExtensionRef}"),
            Lines{"filters[0]: expected the field of type ExtensionRef and no other"});
}

TEST(ReadFilters, ADirectResponseIsNamedInsteadOfBackends) {
  const std::string good =
      "{type: ExtensionRef, extensionRef: {group: policy.pillion.dev, kind: DirectResponse, name: d}}";
  const HttpFilters filters = Filters(good);
  ASSERT_TRUE(filters.direct.has_value());
  EXPECT_EQ(filters.direct->name, "d");
  EXPECT_EQ(Problems("{type: ExtensionRef, extensionRef: {group: a.b, kind: DirectResponse, name: d}}"),
            Lines{"filters[0].extensionRef: expected group: policy.pillion.dev and kind: DirectResponse"});
  EXPECT_EQ(Problems("{type: ExtensionRef, extensionRef: {group: policy.pillion.dev, kind: DirectResponse}}"),
            Lines{"filters[0].extensionRef: expected a name"});
  EXPECT_EQ(Problems(good + ", {type: RequestRedirect, requestRedirect: {}}"),
            Lines{"filters: expected no RequestRedirect and no URLRewrite beside ExtensionRef"});
  EXPECT_EQ(Problems(good + ", {type: RequestMirror, requestMirror: {backendRef: {name: a, port: 80}}}"),
            Lines{"filters: expected no RequestMirror beside ExtensionRef"});
}

TEST(ReadFilters, CorsIsRead) {
  const auto cors = [](const std::string& fields) {
    return Filters("{type: CORS, cors: {" + fields + "}}").cors.value_or(CorsRule());
  };
  const CorsRule plain = cors("allowOrigins: ['*']");
  ASSERT_EQ(plain.origins.size(), 1u);
  EXPECT_EQ(plain.origins[0].text, "*");
  EXPECT_FALSE(plain.origins[0].any_host || plain.credentials);
  EXPECT_EQ(plain.max_age_s, 5u);
  const CorsRule all = cors(
      "allowOrigins: ['HTTPS://Shop.example:443', 'http://a:8080', 'https://*.b.c', 'http://*:80'], "
      "allowCredentials: "
      "true, allowMethods: [GET, PATCH], allowHeaders: ['*'], exposeHeaders: [X-A, b], maxAge: 3600");
  Lines origins;
  for (const CorsOrigin& origin : all.origins)
    origins.push_back(origin.text + (origin.any_host ? " any" : ""));
  EXPECT_EQ(origins, (Lines{"https://shop.example", "http://a:8080", "https://*.b.c any", "http://* any"}));
  EXPECT_EQ(all.methods, (Lines{"GET", "PATCH"}));
  EXPECT_EQ(all.headers, Lines{"*"});
  EXPECT_EQ(all.exposed, (Lines{"x-a", "b"}));
  EXPECT_TRUE(all.credentials);
  EXPECT_EQ(all.max_age_s, 3600u);
}

TEST(ReadFilters, WrongCorsIsReported) {
  const auto problems = [](const std::string& fields) {
    return Problems("{type: CORS, cors: {" + fields + "}}");
  };
  EXPECT_EQ(problems(""), Lines{"filters[0].cors: expected allowOrigins, * for all"});
  for (const char* origin : {"shop.example", "https://", "https://a b", "ftp://a", "https://a/",
                             "https://a:0", "https://a:65536", "https://a:", "https://a:+1", "https://a*.b",
                             "https://a.*", "https://*.", "https://*a.b", "null", "https://a:1:2"}) {
    EXPECT_EQ(
        problems("allowOrigins: ['" + std::string(origin) + "']"),
        Lines{
            "filters[0].cors.allowOrigins[0]: expected http:// or https://, a host, maybe with *. in front, "
            "and maybe a port; or *"})
        << origin;
  }
  const std::string all = "allowOrigins: ['*'], ";
  EXPECT_EQ(
      problems(all + "allowMethods: [GET, 'a b'], allowHeaders: ['*', x], exposeHeaders: ['a:'], maxAge: 0"),
      (Lines{"filters[0].cors.allowMethods[1]: expected a method, or *",
             "filters[0].cors.allowHeaders: expected * alone, or none",
             "filters[0].cors.exposeHeaders[0]: expected the name of a header, or *",
             "filters[0].cors.maxAge: expected at least 1"}));
  EXPECT_EQ(
      problems(all + "allowCredentials: true, exposeHeaders: ['*']"),
      Lines{
          "filters[0].cors.exposeHeaders: expected names beside allowCredentials: a browser takes * as one"});
  std::string many;
  for (int i = 0; i < 65; ++i) many += "x" + std::to_string(i) + ", ";
  EXPECT_EQ(problems(all + "allowMethods: [" + many + "], allowHeaders: [" + many + "]"),
            (Lines{"filters[0].cors.allowMethods: expected at most 16",
                   "filters[0].cors.allowHeaders: expected at most 64"}));
  EXPECT_EQ(Problems("{type: CORS}"), (Lines{"filters[0].cors: expected allowOrigins, * for all",
                                             "filters[0]: expected the field of type CORS and no other"}));
  EXPECT_EQ(
      RuleProblems(
          "{backendRefs: [{name: a, port: 80, filters: [{type: CORS, cors: {allowOrigins: ['*']}}]}]}"),
      Lines{"backendRefs[0].filters[0].type: expected RequestHeaderModifier or ResponseHeaderModifier at a "
            "backend"});
}

TEST(ReadFilters, MirrorsAreRead) {
  const HttpFilters filters = Filters(
      "{type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}}}, "
      "{type: RequestMirror, requestMirror: {backendRef: {name: c, namespace: other, port: 81}, percent: "
      "25}}, "
      "{type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}, fraction: {numerator: 1, "
      "denominator: 1000}}}, "
      "{type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}, fraction: {numerator: 5}}}");
  ASSERT_EQ(filters.mirrors.size(), 4u);
  EXPECT_EQ(filters.mirrors[0].service.name, "b");
  EXPECT_EQ(filters.mirrors[0].port, 80);
  EXPECT_EQ(filters.mirrors[0].millionths, 1'000'000u);
  EXPECT_EQ(filters.mirrors[1].service.ns, "other");
  EXPECT_EQ(filters.mirrors[1].millionths, 250'000u);
  EXPECT_EQ(filters.mirrors[2].millionths, 1000u);
  EXPECT_EQ(filters.mirrors[3].millionths, 50'000u);
}

TEST(ReadFilters, WhatIsWrongWithAMirrorIsTold) {
  const auto mirror = [](const std::string& fields) {
    return Problems("{type: RequestMirror, requestMirror: {" + fields + "}}");
  };
  EXPECT_EQ(Problems("{type: RequestMirror}").size(), 2u);
  EXPECT_EQ(mirror("backendRef: {name: b}"), Lines{"filters[0].requestMirror.backendRef: expected a port"});
  EXPECT_EQ(mirror("backendRef: {port: 80}"),
            Lines{"filters[0].requestMirror.backendRef: expected a backendRef with a name"});
  EXPECT_EQ(mirror("backendRef: {kind: Pod, name: b, port: 80}"),
            Lines{"filters[0].requestMirror.backendRef: expected kind: Service, other backends are not "
                  "implemented yet"});
  const std::string to = "backendRef: {name: b, port: 80}, ";
  EXPECT_EQ(mirror(to + "percent: 101"), Lines{"filters[0].requestMirror.percent: expected 0 to 100"});
  EXPECT_EQ(mirror(to + "percent: 1, fraction: {numerator: 1}"),
            Lines{"filters[0].requestMirror: expected percent or fraction, not both"});
  EXPECT_EQ(mirror(to + "fraction: {numerator: 1, denominator: 0}"),
            Lines{"filters[0].requestMirror.fraction.denominator: expected at least 1"});
  EXPECT_EQ(mirror(to + "fraction: {numerator: 101}"),
            Lines{"filters[0].requestMirror.fraction.numerator: expected 0 to the denominator"});
  std::string nine;
  for (int i = 0; i < 9; ++i)
    nine += "{type: RequestMirror, requestMirror: {backendRef: {name: b, port: 80}}}, ";
  EXPECT_EQ(Problems(nine), Lines{"filters: expected at most 8 of type RequestMirror"});
}

TEST(ReadFilters, ABackendMayEditFieldsOnly) {
  const HttpRule rule = Rule(
      "{backendRefs: [{name: a, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: "
      "{remove: "
      "[a]}}]}]}");
  EXPECT_EQ(rule.backends[0].filters.request.remove, Lines{"a"});
  EXPECT_TRUE(rule.filters.request.empty());
  EXPECT_EQ(
      RuleProblems("{backendRefs: [{name: a, port: 80, filters: [{type: URLRewrite, urlRewrite: {}}]}]}"),
      Lines{"backendRefs[0].filters[0].type: expected RequestHeaderModifier or ResponseHeaderModifier at a "
            "backend"});
}

SessionRule Session(const std::string& fields) {
  return Rule("{sessionPersistence: {" + fields + "}}").session.value_or(SessionRule{.name = "none"});
}

TEST(ReadSession, FieldsAreRead) {
  EXPECT_FALSE(Rule("{}").session.has_value());
  const SessionRule unset = Session("");
  EXPECT_EQ(unset.name, "");
  EXPECT_FALSE(unset.header);
  EXPECT_EQ(unset.lifetime.count(), 0);
  const SessionRule cookie = Session(
      "sessionName: Mine, type: Cookie, absoluteTimeout: 1h, cookieConfig: {lifetimeType: Permanent}");
  EXPECT_EQ(cookie.name, "Mine");
  EXPECT_FALSE(cookie.header);
  EXPECT_EQ(cookie.lifetime, std::chrono::hours(1));
  EXPECT_EQ(Session("cookieConfig: {lifetimeType: Session}").lifetime.count(), 0);
  const SessionRule header = Session("sessionName: X-Mine, type: Header");
  EXPECT_EQ(header.name, "x-mine");
  EXPECT_TRUE(header.header);
}

TEST(ReadSession, WhatIsWrongIsReported) {
  const auto problems = [](const std::string& fields) {
    return RuleProblems("{sessionPersistence: {" + fields + "}}");
  };
  const std::string at = "sessionPersistence";
  EXPECT_EQ(problems("idleTimeout: 1h"), Lines{at + ".idleTimeout: not implemented yet"});
  const std::string permanent = "cookieConfig: {lifetimeType: Permanent}";
  EXPECT_EQ(problems(permanent), Lines{at + ": expected absoluteTimeout beside lifetimeType: Permanent"});
  const std::string only = at +
                           ".absoluteTimeout: expected cookieConfig.lifetimeType: Permanent beside it; of "
                           "other sessions the age is not kept yet";
  EXPECT_EQ(problems("absoluteTimeout: 1h"), Lines{only});
  EXPECT_EQ(problems("absoluteTimeout: 1h, cookieConfig: {lifetimeType: Session}"), Lines{only});
  EXPECT_EQ(problems("type: Header, absoluteTimeout: 1h"), Lines{only});
  EXPECT_EQ(problems("absoluteTimeout: 999ms, " + permanent),
            Lines{at + ".absoluteTimeout: expected at least 1s"});
  EXPECT_EQ(problems("absoluteTimeout: 0s, " + permanent),
            Lines{at + ".absoluteTimeout: expected more than 0"});
  EXPECT_EQ(problems("absoluteTimeout: 1d, " + permanent),
            Lines{at + ".absoluteTimeout: expected a duration such as 500ms, 10s or 1m30s"});
  EXPECT_EQ(problems("type: Header, cookieConfig: {}"),
            Lines{at + ".cookieConfig: expected none beside type: Header"});
  EXPECT_EQ(problems("sessionName: 'a b'"), Lines{at + ".sessionName: expected the name of a cookie"});
  EXPECT_EQ(problems("type: Header, sessionName: 'a:b'"),
            Lines{at + ".sessionName: expected the name of a header"});
  EXPECT_EQ(problems("type: Header, sessionName: Transfer-Encoding").size(), 1u);
  EXPECT_EQ(problems("sessionName: Transfer-Encoding"), Lines{});
  EXPECT_EQ(problems("sessionName: " + std::string(128, 'a')), Lines{});
  EXPECT_EQ(problems("sessionName: " + std::string(129, 'a')),
            Lines{at + ".sessionName: expected at most 128 bytes"});
  for (const char* unknown : {"type: Url", "cookieConfig: {lifetimeType: Long}", "sessionname: a"})
    EXPECT_EQ(problems(unknown).size(), 1u) << unknown;
  EXPECT_EQ(RuleProblems("{sessionPersistence: {}, filters: [{type: RequestRedirect, requestRedirect: "
                         "{hostname: a}}]}"),
            Lines{"filters: expected no sessionPersistence beside RequestRedirect"});
}

TEST(ReadSession, CallsHaveThemToo) {
  const DecodedFile file = DecodeFile(
      "{apiVersion: gateway.networking.k8s.io/v1, kind: GRPCRoute, metadata: {name: r}, spec: {parentRefs: "
      "[{group: '', kind: Service, name: a}], rules: [{sessionPersistence: {sessionName: s}}, "
      "{sessionPersistence: {idleTimeout: 1h}}]}}",
      "f");
  ASSERT_EQ(file.problems.size(), 1u);
  EXPECT_EQ(file.problems[0].path, "spec.rules[1].sessionPersistence.idleTimeout");
}

}  // namespace
}  // namespace pillion::control
