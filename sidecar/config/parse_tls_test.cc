#include "sidecar/config/parse_tls.h"

#include <chrono>
#include <string>

#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_listener.h"
#include "sidecar/config/parse_test_yaml.h"

namespace pillion::config {
namespace {

using ClusterProto = envoy::config::cluster::v3::Cluster;
using ListenerProto = envoy::config::listener::v3::Listener;
using SecretProto = envoy::extensions::transport_sockets::tls::v3::Secret;
using NameKind = tls::NameMatcher::Kind;
using Match = tls::NameMatcher::Match;

constexpr char kTls[] = "envoy.extensions.transport_sockets.tls.v3.";
constexpr char kCertificate[] = "{certificate_chain: {filename: /c}, private_key: {inline_string: k}}";

Validated<Cluster> OfCluster(const std::string& fields) {
  return ParseCluster(
      FromYaml<ClusterProto>("{name: a, load_assignment: {cluster_name: a}, transport_socket: {name: tls, "
                             "typed_config: {\"@type\": a/" +
                             std::string(kTls) + "UpstreamTlsContext, " + fields + "}}}"),
      "1");
}
Validated<Listener> OfListener(const std::string& fields) {
  return ParseListener(
      FromYaml<ListenerProto>(
          "{name: l, address: {socket_address: {address: 127.0.0.1, port_value: 80}}, filter_chains: "
          "[{transport_socket: {typed_config: {\"@type\": a/" +
          std::string(kTls) + std::string("Down") + "streamTlsContext, " + fields +
          "}}, filters: [{typed_config: {\"@type\": "
          "a/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, "
          "stat_prefix: x, route_config: {name: r}, http_filters: [{name: router, typed_config: {\"@type\": "
          "a/envoy.extensions.filters.http.router.v3.Router}}]}}]}]}"),
      "1", Origin::kPushed);
}
// The end of what is wrong, as the beginning is always the same.
std::string ClusterError(const std::string& fields) {
  const Lines lines = ToLines(OfCluster(fields).errors);
  EXPECT_EQ(lines.size(), 1u) << fields;
  const std::string prefix = "transport_socket.typed_config.";
  EXPECT_TRUE(!lines.empty() && lines[0].starts_with(prefix)) << (lines.empty() ? "" : lines[0]);
  return lines.empty() ? "" : lines[0].substr(prefix.size());
}
std::string ListenerError(const std::string& fields) {
  const Lines lines = ToLines(OfListener(fields).errors);
  EXPECT_EQ(lines.size(), 1u) << fields;
  const std::string prefix = "filter_chains[0].transport_socket.typed_config.";
  EXPECT_TRUE(!lines.empty() && lines[0].starts_with(prefix)) << (lines.empty() ? "" : lines[0]);
  return lines.empty() ? "" : lines[0].substr(prefix.size());
}
std::string Common(const std::string& fields) { return "common_tls_context: {" + fields + "}"; }
std::string Certified(const std::string& fields = "") {
  return Common("tls_certificates: [" + std::string(kCertificate) + "]" +
                (fields.empty() ? "" : ", " + fields));
}

TEST(ParseTlsTest, AClientsDefaultsAreEnvoys) {
  const auto parsed = OfCluster("sni: a.example");
  ASSERT_TRUE(parsed.ok()) << ToLines(parsed.errors).size();
  const ClientTls& tls = *parsed.value->tls;
  EXPECT_EQ(tls.settings.sni, "a.example");
  EXPECT_EQ(tls.settings.max_sessions, 1u);
  EXPECT_EQ(tls.common.settings.min_version, tls::Version::k12);
  EXPECT_EQ(tls.common.settings.max_version, tls::Version::k12);
  EXPECT_TRUE(tls.common.settings.alpn.empty());
  EXPECT_TRUE(tls.common.validation.settings.empty());
  EXPECT_EQ(tls.credentials->Get(), nullptr);
}

TEST(ParseTlsTest, AServersDefaultsAreEnvoys) {
  const auto parsed = OfListener(Certified());
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  const ServerTls& tls = *parsed.value->chains[0].tls;
  EXPECT_EQ(tls.common.settings.min_version, tls::Version::k12);
  EXPECT_EQ(tls.common.settings.max_version, tls::Version::k13);
  ASSERT_EQ(tls.common.certificates.size(), 1u);
  EXPECT_EQ(tls.common.certificates[0].chain.file, "/c");
  EXPECT_EQ(tls.common.certificates[0].key.text, "k");
  EXPECT_FALSE(tls.settings.require_client_certificate);
  EXPECT_FALSE(tls.settings.require_sni);
  EXPECT_TRUE(tls.settings.stateless_resumption);
  EXPECT_TRUE(tls.settings.stateful_resumption);
  EXPECT_EQ(tls.settings.max_early_data_bytes, 0u);
}

TEST(ParseTlsTest, WithoutTransportSocketItIsPlain) {
  const auto parsed =
      ParseCluster(FromYaml<ClusterProto>("{name: a, load_assignment: {cluster_name: a}}"), "1");
  EXPECT_EQ(parsed.value->tls, nullptr);
}

TEST(ParseTlsTest, AllOfAValidationIsRead) {
  const std::string hash(64, 'A');
  const auto parsed = OfCluster(Common(
      "tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3, "
      "ecdh_curves: [P-256]}, "
      "alpn_protocols: [h2, http/1.1], validation_context: {trusted_ca: {inline_bytes: aGk=}, crl: "
      "{filename: /crl}, "
      "verify_certificate_hash: ['" +
      hash +
      "'], verify_certificate_spki: ['AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='], max_verify_depth: 2, "
      "allow_expired_certificate: true, only_verify_leaf_cert_crl: true, watched_directory: {path: /d}, "
      "match_typed_subject_alt_names: [{san_type: URI, matcher: {prefix: 'spiffe://td/'}}, {san_type: DNS, "
      "matcher: "
      "{exact: a, ignore_case: true}}, {san_type: IP_ADDRESS, matcher: {safe_regex: {regex: '10.*'}}}]}"));
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  const CommonTls& tls = parsed.value->tls->common;
  EXPECT_EQ(tls.settings.min_version, tls::Version::k13);
  EXPECT_EQ(tls.settings.alpn, (Lines{"h2", "http/1.1"}));
  EXPECT_EQ(tls.validation.trusted_ca.text, "hi");
  EXPECT_EQ(tls.validation.crl.file, "/crl");
  const tls::Validation& settings = tls.validation.settings;
  EXPECT_EQ(settings.certificate_sha256, (Lines{std::string(64, 'a')}));
  EXPECT_EQ(settings.spki_sha256.size(), 1u);
  EXPECT_EQ(settings.max_depth, 2u);
  EXPECT_TRUE(settings.allow_expired);
  EXPECT_TRUE(settings.only_leaf_crl);
  ASSERT_EQ(settings.names.size(), 3u);
  EXPECT_EQ(settings.names[0], (tls::NameMatcher{NameKind::kUri, Match::kPrefix, "spiffe://td/", false}));
  EXPECT_EQ(settings.names[1], (tls::NameMatcher{NameKind::kDns, Match::kExact, "a", true}));
  EXPECT_EQ(settings.names[2], (tls::NameMatcher{NameKind::kIp, Match::kRegex, "10.*", false}));
}

TEST(ParseTlsTest, SecretsAreNamed) {
  const auto parsed = OfListener(
      Common("tls_certificate_sds_secret_configs: [{name: own, sds_config: {ads: {}, resource_api_version: "
             "V3}}], "
             "combined_validation_context: {default_validation_context: {match_typed_subject_alt_names: "
             "[{san_type: DNS, "
             "matcher: {exact: a}}]}, validation_context_sds_secret_config: {name: ca, sds_config: {ads: {}, "
             "initial_fetch_timeout: 0s}}}") +
      ", session_ticket_keys_sds_secret_config: {name: keys}, require_client_certificate: true");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  const ServerTls& tls = *parsed.value->chains[0].tls;
  Lines names;
  ForEachSecret(tls, [&](const SecretName& secret) {
    names.push_back((secret.pushed ? "ads " : "static ") + secret.name);
  });
  EXPECT_EQ(names, (Lines{"ads own", "ads ca", "static keys"}));
  EXPECT_EQ(tls.common.validation_secret->timeout, std::chrono::seconds(0));
  EXPECT_EQ(tls.common.validation.settings.names.size(), 1u);
}

TEST(ParseTlsTest, ServerOptionsAreRead) {
  const auto parsed =
      OfListener(Certified("validation_context: {trusted_ca: {filename: /ca}, suppress_client_ca_list: "
                           "true}, custom_handshaker: {name: "
                           "e, typed_config: {\"@type\": a/pillion.sidecar.v1.EarlyData, max_bytes: 1000}}") +
                 ", require_client_certificate: true, require_sni: true, session_timeout: 60s, "
                 "prefer_client_ciphers: true, "
                 "session_ticket_keys: {keys: [{filename: /k}]}");
  ASSERT_EQ(ToLines(parsed.errors), Lines{});
  const ServerTls& tls = *parsed.value->chains[0].tls;
  EXPECT_TRUE(tls.settings.require_client_certificate);
  EXPECT_TRUE(tls.settings.require_sni);
  EXPECT_TRUE(tls.settings.prefer_client_ciphers);
  EXPECT_FALSE(tls.settings.offer_ca_names);
  EXPECT_EQ(tls.settings.session_timeout, std::chrono::seconds(60));
  EXPECT_EQ(tls.settings.max_early_data_bytes, 1000u);
  EXPECT_EQ(tls.ticket_keys.size(), 1u);
}

TEST(ParseTlsTest, WhatIsWrongIsNamedByItsPath) {
  const std::string common = "common_tls_context.";
  EXPECT_EQ(ListenerError("require_sni: true"), common +
                                                    "tls_certificates: expected at least one, here or in "
                                                    "tls_certificate_sds_secret_configs");
  EXPECT_EQ(ListenerError(Common("tls_certificates: [{certificate_chain: {filename: /c}}]")),
            common +
                "tls_certificates[0].private_key: expected a filename, inline_string or inline_bytes that is "
                "not empty");
  EXPECT_EQ(
      ListenerError(Certified() + ", require_client_certificate: true"),
      "require_client_certificate: expected false, or something to check it with: trusted_ca or hashes in "
      "common_tls_context");
  EXPECT_EQ(ListenerError(Certified() + ", session_timeout: 50000s"),
            "session_timeout: expected whole seconds, at most 43200s");
  EXPECT_EQ(ListenerError(Certified() + ", session_ticket_keys: {keys: [{inline_string: short}]}"),
            "session_ticket_keys.keys[0]: expected 80 bytes");
  EXPECT_EQ(ListenerError(Certified() + ", session_ticket_keys: {}"),
            "session_ticket_keys.keys: expected at least one");
  EXPECT_EQ(ListenerError(
                Certified("custom_handshaker: {typed_config: {\"@type\": a/pillion.sidecar.v1.EarlyData}}")),
            common + "custom_handshaker.typed_config.max_bytes: expected a number from 1 to 65536");
  EXPECT_EQ(
      ClusterError(Common("custom_handshaker: {typed_config: {\"@type\": a/pillion.sidecar.v1.EarlyData}}")),
      common + "custom_handshaker: not implemented for clusters");
  EXPECT_EQ(
      ClusterError(Common("tls_certificates: [" + std::string(kCertificate) + ", " + kCertificate + "]")),
      common + "tls_certificates: expected at most one");
  EXPECT_EQ(ClusterError(Common("tls_params: {tls_minimum_protocol_version: TLSv1_1}")),
            common + "tls_params.tls_minimum_protocol_version: expected TLS_AUTO, TLSv1_2 or TLSv1_3");
  EXPECT_EQ(
      ClusterError(Common("tls_params: {tls_minimum_protocol_version: TLSv1_3}")),
      common +
          "tls_params.tls_maximum_protocol_version: expected no less than tls_minimum_protocol_version; a "
          "client's default is TLSv1_2");
  EXPECT_EQ(ClusterError(Common("alpn_protocols: ['']")),
            common + "alpn_protocols[0]: expected 1 to 255 bytes");
  EXPECT_EQ(
      ClusterError(Common(
          "validation_context: {match_typed_subject_alt_names: [{san_type: DNS, matcher: {exact: a}}]}")),
      common + "validation_context.trusted_ca: expected one beside match_typed_subject_alt_names and crl");
  const std::string ca = "trusted_ca: {filename: /ca}";
  EXPECT_EQ(ClusterError(Common("validation_context: {" + ca +
                                ", match_typed_subject_alt_names: [{matcher: {exact: a}}]}")),
            common +
                "validation_context.match_typed_subject_alt_names[0].san_type: expected EMAIL, DNS, URI or "
                "IP_ADDRESS; "
                "others are not implemented");
  EXPECT_EQ(ClusterError(Common("validation_context: {verify_certificate_hash: [abc]}")),
            common +
                "validation_context.verify_certificate_hash[0]: expected the SHA-256 of a certificate, 64 "
                "hexadecimal "
                "digits");
  EXPECT_EQ(
      ClusterError(Common("validation_context: {verify_certificate_spki: [abc]}")),
      common +
          "validation_context.verify_certificate_spki[0]: expected the SHA-256 of a public key in base64, 44 "
          "characters");
  EXPECT_EQ(ClusterError(Common("validation_context_sds_secret_config: {sds_config: {ads: {}}}")),
            common + "validation_context_sds_secret_config.name: expected at least 1 character");
  EXPECT_EQ(ClusterError("max_session_keys: 100"), "max_session_keys: expected a number from 0 to 64");
}

TEST(ParseTlsTest, AnotherTransportSocketIsRefused) {
  const auto parsed = ParseCluster(
      FromYaml<ClusterProto>(
          "{name: a, load_assignment: {cluster_name: a}, transport_socket: {typed_config: {\"@type\": "
          "a/pillion.sidecar.v1.EarlyData}}}"),
      "1");
  EXPECT_EQ(ToLines(parsed.errors), (Lines{"transport_socket.typed_config: expected a "
                                           "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext, a "
                                           "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer or a "
                                           "envoy.extensions.transport_sockets.proxy_protocol.v3."
                                           "ProxyProtocolUpstreamTransport"}));
}

TEST(ParseTlsTest, ASecretIsOneThing) {
  const auto parse = [](const std::string& yaml) { return ParseSecret(FromYaml<SecretProto>(yaml), "3"); };
  const auto certificate = parse("{name: a, tls_certificate: " + std::string(kCertificate) + "}");
  ASSERT_TRUE(certificate.ok());
  EXPECT_EQ(certificate.value->version, "3");
  EXPECT_TRUE(certificate.value->certificate.has_value());
  EXPECT_TRUE(
      parse("{name: a, validation_context: {trusted_ca: {inline_string: x}}}").value->validation.has_value());
  EXPECT_EQ(parse("{name: a, session_ticket_keys: {keys: [{filename: /k}]}}").value->ticket_keys.size(), 1u);
  EXPECT_EQ(ToLines(parse("{name: a}").errors),
            (Lines{": expected tls_certificate, validation_context or session_ticket_keys"}));
  EXPECT_EQ(ToLines(parse("{validation_context: {}}").errors),
            (Lines{"name: expected at least 1 character"}));
}

}  // namespace
}  // namespace pillion::config
