#include <string>
#include <vector>

#include "sidecar/tls/test_pair.h"

namespace pillion::tls {
namespace {

using net::TlsFailure;
using NameKind = NameMatcher::Kind;
using Match = NameMatcher::Match;

class VerifyTest : public TlsTest {
 protected:
  struct Ends {
    TlsFailure client;
    TlsFailure server;
  };
  Ends Shake() {
    TestPair pair(Client(), Server());
    pair.Handshake();
    // The last word of a server that refuses is an alert.
    if (pair.client_error == 0) ReadAll(*pair.client, *pair.client_below);
    return {pair.client_failure(), pair.server_failure()};
  }
  TlsFailure ClientSays(const LeafOptions& server) {
    server_settings.common.certificates = {Leaf(server)};
    return Shake().client;
  }
  TlsFailure ServerSays(const LeafOptions& client) {
    Mutual(client);
    return Shake().server;
  }
  TestAuthority other_{"other authority"};
};

TEST_F(VerifyTest, AGoodCertificateIsTaken) {
  EXPECT_EQ(ClientSays({.names = "DNS:a.example"}), TlsFailure::kNone);
}

// Who reads a name as C does sees only what stands before the NUL.
TEST_F(VerifyTest, ANameDoesNotEndAtANul) {
  using std::string_literals::operator""s;
  client_settings.common.validation.names = {{.kind = NameKind::kDns, .text = "a.example"}};
  EXPECT_EQ(ClientSays({.raw_dns_name = "a.example"}), TlsFailure::kNone);
  EXPECT_EQ(ClientSays({.raw_dns_name = "a.example\0.evil.example"s}), TlsFailure::kWrongName);
  EXPECT_EQ(ClientSays({.raw_dns_name = "a.example\0"s}), TlsFailure::kWrongName);
  client_settings.common.validation.names[0].match = Match::kSuffix;
  client_settings.common.validation.names[0].text = ".example";
  EXPECT_EQ(ClientSays({.raw_dns_name = "a.example\0.evil"s}), TlsFailure::kWrongName);
}

TEST_F(VerifyTest, WithoutTrustedCaTheServerIsNotVerified) {
  client_settings.common.validation = {};
  server_settings.common.certificates = {Leaf(other_, {})};
  EXPECT_EQ(Shake().client, TlsFailure::kNone);
}

TEST_F(VerifyTest, AnotherAuthorityIsNotTrustedByEitherEnd) {
  server_settings.common.certificates = {Leaf(other_, {.names = "DNS:a.example"})};
  const Ends ends = Shake();
  EXPECT_EQ(ends.client, TlsFailure::kUntrusted);
  EXPECT_EQ(ends.server, TlsFailure::kAlert);
  Mutual();
  server_settings.common.certificates = {Leaf({})};
  client_settings.common.certificates = {Leaf(other_, {})};
  EXPECT_EQ(Shake().server, TlsFailure::kUntrusted);
  EXPECT_EQ(Shake().client, TlsFailure::kAlert);
}

TEST_F(VerifyTest, ExpiredAndFutureCertificatesAreRefusedUnlessAllowed) {
  const LeafOptions expired = {.names = "DNS:a.example", .begins_s = -7200, .ends_s = -60};
  EXPECT_EQ(ClientSays(expired), TlsFailure::kExpired);
  EXPECT_EQ(ClientSays({.names = "DNS:a.example", .begins_s = 3600}), TlsFailure::kExpired);
  client_settings.common.validation.allow_expired = true;
  EXPECT_EQ(ClientSays(expired), TlsFailure::kNone);
}

TEST_F(VerifyTest, TheUsageOfACertificateIsLookedAt) {
  EXPECT_EQ(ClientSays({.names = "DNS:a.example", .extended_key_usage = "clientAuth"}),
            TlsFailure::kUntrusted);
  server_settings.common.certificates = {Leaf({})};
  EXPECT_EQ(ServerSays({.extended_key_usage = "serverAuth"}), TlsFailure::kUntrusted);
}

TEST_F(VerifyTest, OneOfTheNamesHasToMatch) {
  const std::string names =
      "DNS:a.example,DNS:*.b.example,URI:spiffe://td/ns/x,IP:10.1.2.3,email:me@a.example";
  struct Case {
    NameMatcher matcher;
    bool ok;
  };
  const std::vector<Case> cases = {
      {{NameKind::kDns, Match::kExact, "A.EXAMPLE"}, true},
      {{NameKind::kDns, Match::kExact, "one.b.example"}, true},
      {{NameKind::kDns, Match::kExact, "one.two.b.example"}, false},
      {{NameKind::kDns, Match::kExact, "b.example"}, false},
      {{NameKind::kDns, Match::kExact, "spiffe://td/ns/x"}, false},
      {{NameKind::kDns, Match::kSuffix, ".example"}, true},
      {{NameKind::kUri, Match::kExact, "spiffe://td/ns/x"}, true},
      {{NameKind::kUri, Match::kExact, "spiffe://TD/ns/x"}, false},
      {{NameKind::kUri, Match::kPrefix, "spiffe://td/"}, true},
      {{NameKind::kUri, Match::kPrefix, "spiffe://tdx/"}, false},
      {{NameKind::kUri, Match::kContains, "/ns/"}, true},
      {{NameKind::kUri, Match::kRegex, "spiffe://td/.*"}, true},
      {{NameKind::kUri, Match::kRegex, "spiffe://td"}, false},
      {{NameKind::kUri, Match::kExact, "SPIFFE://td/ns/X", true}, true},
      {{NameKind::kIp, Match::kExact, "10.1.2.3"}, true},
      {{NameKind::kIp, Match::kExact, "10.1.2.4"}, false},
      {{NameKind::kEmail, Match::kExact, "me@a.example"}, true},
      {{NameKind::kEmail, Match::kExact, "a.example"}, false},
  };
  for (const Case& one : cases) {
    client_settings.common.validation.names = {one.matcher};
    EXPECT_EQ(ClientSays({.names = names}), one.ok ? TlsFailure::kNone : TlsFailure::kWrongName)
        << one.matcher.text;
  }
  client_settings.common.validation.names = {{NameKind::kDns, Match::kExact, "no"},
                                             {NameKind::kDns, Match::kExact, "a.example"}};
  EXPECT_EQ(ClientSays({.names = names}), TlsFailure::kNone);
  EXPECT_EQ(ClientSays({.names = ""}), TlsFailure::kWrongName);
}

TEST_F(VerifyTest, ARevokedCertificateIsRefused) {
  client_settings.common.validation.crl = authority.RevocationList({7});
  EXPECT_EQ(ClientSays({.serial = 7}), TlsFailure::kRevoked);
  EXPECT_EQ(ClientSays({.serial = 8}), TlsFailure::kNone);
  client_settings.common.validation.crl = authority.RevocationList({7}, true);
  EXPECT_EQ(ClientSays({.serial = 8}), TlsFailure::kRevoked);
  client_settings.common.validation.crl = other_.RevocationList({7});
  EXPECT_EQ(ClientSays({.serial = 8}), TlsFailure::kRevoked);
}

TEST_F(VerifyTest, EitherPinIsEnoughAndOneIsNeeded) {
  const Certificate leaf = Leaf({.names = "DNS:a.example"});
  server_settings.common.certificates = {leaf};
  Validation& validation = client_settings.common.validation;
  validation.certificate_sha256 = {CertificateSha256(leaf.chain)};
  EXPECT_EQ(Shake().client, TlsFailure::kNone);
  validation.certificate_sha256 = {std::string(64, '0')};
  EXPECT_EQ(Shake().client, TlsFailure::kPin);
  validation.spki_sha256 = {CertificateSpkiSha256(leaf.chain)};
  EXPECT_EQ(Shake().client, TlsFailure::kNone);
  // Without a CA the pin alone decides.
  validation.trusted_ca.clear();
  EXPECT_EQ(Shake().client, TlsFailure::kNone);
  validation.spki_sha256 = {"AAAA"};
  EXPECT_EQ(Shake().client, TlsFailure::kPin);
  validation.trusted_ca = other_.pem();
  validation.spki_sha256 = {CertificateSpkiSha256(leaf.chain)};
  EXPECT_EQ(Shake().client, TlsFailure::kUntrusted);
}

TEST_F(VerifyTest, ASpiffeIdentityKeepsTheRulesOfX509Svid) {
  const std::string id = "URI:spiffe://td/a";
  EXPECT_EQ(ServerSays({.names = id}), TlsFailure::kNone);
  EXPECT_EQ(ServerSays({.names = id, .extended_key_usage = ""}), TlsFailure::kNone);
  EXPECT_EQ(ServerSays({.common_name = "", .names = id, .critical_names = true}), TlsFailure::kNone);
  const std::vector<LeafOptions> bad = {
      {.names = id + ",URI:spiffe://td/b"},
      {.names = id + ",URI:https://td/b"},
      {.names = "URI:spiffe://td"},
      {.names = "URI:spiffe://TD/a"},
      {.names = "URI:SPIFFE://td/a"},
      {.names = "URI:spiffe://td/a//b"},
      {.names = "URI:spiffe://td/a/"},
      {.names = "URI:spiffe://td/../a"},
      {.names = "URI:spiffe://td:80/a"},
      {.names = "URI:spiffe:///a"},
      {.names = "URI:spiffe://td/" + std::string(2048, 'a')},
      {.names = id, .key_usage = ""},
      {.names = id, .key_usage = "digitalSignature"},
      {.names = id, .key_usage = "critical,digitalSignature,cRLSign"},
      {.names = id, .extended_key_usage = "clientAuth"},
      {.common_name = "", .names = id},
  };
  for (const LeafOptions& one : bad) {
    EXPECT_EQ(ServerSays(one), TlsFailure::kSpiffe)
        << one.names << " " << one.key_usage << " " << one.extended_key_usage;
  }
  // What OpenSSL itself says first.
  EXPECT_NE(ServerSays({.names = id, .key_usage = "critical,keyEncipherment"}), TlsFailure::kNone);
  EXPECT_NE(ServerSays({.names = id,
                        .key_usage = "critical,digitalSignature,keyCertSign",
                        .basic_constraints = "CA:TRUE"}),
            TlsFailure::kNone);
}

TEST_F(VerifyTest, ASigningCertificateWithASpiffePathSignsNobody) {
  TestAuthority bad("bad", "URI:spiffe://td/not/a/ca");
  server_settings.common.certificates = {Leaf(bad, {})};
  client_settings.common.validation.trusted_ca = bad.pem();
  EXPECT_EQ(Shake().client, TlsFailure::kSpiffe);
  TestAuthority good("good", "URI:spiffe://td");
  server_settings.common.certificates = {Leaf(good, {})};
  client_settings.common.validation.trusted_ca = good.pem();
  EXPECT_EQ(Shake().client, TlsFailure::kNone);
}

TEST_F(VerifyTest, AClientWithoutCertificateIsRefusedWhereOneIsRequiredOnly) {
  Mutual();
  client_settings.common.certificates.clear();
  EXPECT_EQ(Shake().server, TlsFailure::kNoCertificate);
  EXPECT_EQ(Shake().client, TlsFailure::kAlert);
  server_settings.require_client_certificate = false;
  EXPECT_EQ(Shake().server, TlsFailure::kNone);
  client_settings.common.certificates = {Leaf(other_, {})};
  EXPECT_EQ(Shake().server, TlsFailure::kUntrusted);
}

TEST_F(VerifyTest, VersionsHaveToOverlap) {
  client_settings.common.max_version = Version::k12;
  EXPECT_EQ(Shake().server, TlsFailure::kNone);
  server_settings.common.min_version = Version::k13;
  EXPECT_EQ(Shake().server, TlsFailure::kProtocol);
  EXPECT_EQ(Shake().client, TlsFailure::kAlert);
}

TEST_F(VerifyTest, TheCertificateIsChosenBySni) {
  server_settings.common.certificates = {Leaf({.names = "DNS:a.example"}), Leaf({.names = "DNS:*.b.example"}),
                                         Leaf({.names = "DNS:x.b.example"}),
                                         Leaf({.common_name = "c.example"})};
  const auto server = Server();
  const auto shown = [&](const std::string& sni) {
    client_settings.sni = sni;
    TestPair pair(Client(), server);
    pair.Handshake();
    EXPECT_EQ(pair.client_error, 0);
    const net::PeerCertificate& peer = pair.client->security()->peer_certificate;
    return peer.dns_names.empty() ? peer.subject : peer.dns_names.front();
  };
  EXPECT_EQ(shown("a.example"), "a.example");
  EXPECT_EQ(shown("X.b.example"), "x.b.example");
  EXPECT_EQ(shown("y.b.example"), "*.b.example");
  EXPECT_EQ(shown("c.example"), "CN=c.example");
  EXPECT_EQ(shown("nobody.example"), "a.example");
  EXPECT_EQ(shown(""), "a.example");
}

TEST_F(VerifyTest, WhereSniIsRequiredNobodyComesInWithout) {
  server_settings.require_sni = true;
  EXPECT_EQ(Shake().server, TlsFailure::kNone);
  client_settings.sni = "";
  EXPECT_EQ(Shake().server, TlsFailure::kProtocol);
}

TEST_F(VerifyTest, AlpnIsChosenInTheServersOrderAndCanBeNarrowed) {
  server_settings.common.alpn = {"h2", "http/1.1"};
  client_settings.common.alpn = {"http/1.1", "h2"};
  const auto agreed = [&](const std::string& only) {
    TestPair pair(Client(), Server(), {.only_alpn = only});
    pair.Handshake();
    EXPECT_EQ(pair.client->security()->alpn, pair.server->security()->alpn);
    return pair.server->security()->alpn;
  };
  EXPECT_EQ(agreed(""), "h2");
  EXPECT_EQ(agreed("http/1.1"), "http/1.1");
  EXPECT_EQ(agreed("other"), "h2");
  client_settings.common.alpn = {"spdy"};
  EXPECT_EQ(agreed(""), "");
}

TEST_F(VerifyTest, WrongSettingsAreToldByField) {
  const auto problem = [&] {
    const auto made = ServerCredentials::Make(server_settings, keys);
    return made.ok() ? std::string() : std::string(made.status().message());
  };
  const ServerSettings good = server_settings;
  server_settings.common.certificates[0].key = Leaf({}).key;
  EXPECT_EQ(
      problem(),
      "tls_certificates[0].private_key: expected the key of the first certificate of certificate_chain");
  server_settings.common.certificates[0].key = "no";
  EXPECT_TRUE(problem().starts_with("tls_certificates[0].private_key: expected a PEM private key"))
      << problem();
  server_settings.common.certificates[0].chain = "no";
  EXPECT_EQ(problem(), "tls_certificates[0].certificate_chain: expected at least one PEM certificate");
  server_settings.common.certificates[0].chain = good.common.certificates[0].chain.substr(0, 200);
  EXPECT_TRUE(problem().starts_with("tls_certificates[0].certificate_chain: expected PEM certificates"))
      << problem();
  std::string encrypted = good.common.certificates[0].chain;
  encrypted.insert(encrypted.find('\n') + 1,
                   "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n");
  server_settings.common.certificates[0].chain = encrypted;
  EXPECT_TRUE(problem().starts_with("tls_certificates[0].certificate_chain: expected PEM certificates"))
      << problem();
  server_settings.common.certificates.clear();
  EXPECT_EQ(problem(), "tls_certificates: expected at least one");
  server_settings = good;
  server_settings.common.validation.trusted_ca = "-----BEGIN";
  EXPECT_TRUE(problem().starts_with("validation_context.trusted_ca: ")) << problem();
  server_settings = good;
  server_settings.common.validation.crl = authority.RevocationList({});
  EXPECT_TRUE(problem().starts_with("validation_context.trusted_ca: ")) << problem();
  server_settings.common.validation.trusted_ca = authority.pem();
  server_settings.common.validation.crl = "x";
  EXPECT_TRUE(problem().starts_with("validation_context.crl: ")) << problem();
  server_settings = good;
  server_settings.common.curves = {"no-such-curve"};
  EXPECT_TRUE(problem().starts_with("tls_params.ecdh_curves: ")) << problem();
  server_settings = good;
  server_settings.common.ciphers = {"NONE"};
  EXPECT_TRUE(problem().starts_with("tls_params.cipher_suites: ")) << problem();
  server_settings = good;
  server_settings.common.alpn = {""};
  EXPECT_TRUE(problem().starts_with("alpn_protocols: ")) << problem();
  server_settings = good;
  server_settings.require_client_certificate = true;
  EXPECT_TRUE(problem().starts_with("require_client_certificate: ")) << problem();
  server_settings = good;
  server_settings.ticket_keys = {"short"};
  EXPECT_TRUE(problem().starts_with("session_ticket_keys: ")) << problem();
}

TEST_F(VerifyTest, WhatIsShownAndTrustedCanBeListed) {
  server_settings.common.validation.trusted_ca = authority.pem();
  const std::vector<CertificateFacts> facts = Server()->certificates();
  ASSERT_EQ(facts.size(), 2u);
  EXPECT_EQ(facts[0].subject, "CN=leaf");
  EXPECT_EQ(facts[0].names, (std::vector<std::string>{"DNS:a.example"}));
  EXPECT_FALSE(facts[0].ca);
  EXPECT_TRUE(facts[1].ca);
  EXPECT_NEAR(static_cast<double>(facts[0].not_after_s - facts[0].not_before_s), 86400 + 3600, 5);
}

}  // namespace
}  // namespace pillion::tls
