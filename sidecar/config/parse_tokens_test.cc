// pillion.sidecar.v1's TokenDomain and TokenPolicy.
#include <gtest/gtest.h>

#include <string>

#include "sidecar/config/filters.h"
#include "sidecar/config/parse_filters_yaml.h"
#include "sidecar/config/parse_route.h"
#include "sidecar/jwt/key_set.h"

namespace pillion::config {
namespace {

std::string Tokens(const std::string& domains) {
  return "{\"@type\": a/pillion.sidecar.v1.Idempotency, domains: [" + domains + "]}";
}
std::string TokenPolicyYaml(const std::string& fields) {
  return "t: {\"@type\": a/pillion.sidecar.v1.TokenPolicy, " + fields + "}";
}

TEST(ParseTokens, DomainsOfTokensAreRead) {
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

TEST(ParseTokens, WhereRecordsAreSharedIsRead) {
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

TEST(ParseTokens, WhoseKeysAreOneIsRead) {
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

TEST(ParseTokens, WhatSaysNotWhoseKeysAreOneIsRefused) {
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

TEST(ParseTokens, WhatIsNoStoreIsRefused) {
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

TEST(ParseTokens, WhatIsNoDomainIsRefused) {
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

TEST(ParseTokens, WhichRequestsGetATokenIsRead) {
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

TEST(ParseTokens, WhatIsSaidOfOneOfARoutesClustersComesBeforeTheRoute) {
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

TEST(ParseTokens, WhatAFilterDoesNotAskOfAClusterIsRefusedThere) {
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

}  // namespace
}  // namespace pillion::config
