// What each rule of a listener's policy makes of a head.
#include "sidecar/exchange/http_policy.h"

#include <gtest/gtest.h>

#include "sidecar/filter/client_address.h"

namespace pillion::exchange {
namespace {

const net::Address kPeer = net::Address::Parse("192.0.2.7", 1234).value_or(net::Address());

http::RequestHead Get(const std::string& path = "/") {
  http::RequestHead head;
  head.path = path;
  head.authority = "a";
  head.has_authority = true;
  head.scheme = "http";
  return head;
}

config::HttpPolicy Rules() {
  config::HttpPolicy policy;
  policy.plain = false;
  return policy;
}

TEST(HttpPolicy, TheDefaultChangesNothing) {
  http::RequestHead head = Get("/a/../%41_b");
  head.headers.Add("x_y", "z");
  head.headers.Add("Expect", "100-continue");
  const RequestVerdict verdict = ApplyToRequest({}, {kPeer}, head);
  EXPECT_FALSE(verdict.error || verdict.redirect || verdict.send_continue);
  EXPECT_EQ(head.path, "/a/../%41_b");
  EXPECT_EQ(head.headers.size(), 2u);
  http::ResponseHead answer;
  answer.headers.Add("Server", "app");
  ApplyToResponse({}, true, answer);
  EXPECT_EQ(answer.headers.Find(http::Known::kServer), "app");
  EXPECT_EQ(answer.headers.size(), 1u);
}

TEST(HttpPolicy, PathsAreMadeCanonicalRefusedOrSentBack) {
  config::HttpPolicy policy = Rules();
  policy.path = {
      .normalize = true, .merge_slashes = true, .escaped_slashes = http::EscapedSlashes::kRedirect};
  http::RequestHead head = Get("/public/../admin//x?q");
  EXPECT_FALSE(ApplyToRequest(policy, {kPeer}, head).error);
  EXPECT_EQ(head.path, "/admin/x?q");
  head = Get("/a/..;/b");
  EXPECT_EQ(ApplyToRequest(policy, {kPeer}, head).error.kind, ErrorKind::kPathRefused);
  head = Get("/a%2fb");
  EXPECT_TRUE(ApplyToRequest(policy, {kPeer}, head).redirect);
  EXPECT_EQ(head.path, "/a/b");
}

TEST(HttpPolicy, NamesWithUnderscoresAreRefusedOrDropped) {
  config::HttpPolicy policy = Rules();
  policy.underscore_names = config::UnderscoreNames::kReject;
  http::RequestHead head = Get();
  head.headers.Add("Content_Length", "5");
  head.headers.Add("x", "y_z");
  EXPECT_EQ(ApplyToRequest(policy, {kPeer}, head).error.kind, ErrorKind::kMalformed);
  policy.underscore_names = config::UnderscoreNames::kDrop;
  EXPECT_FALSE(ApplyToRequest(policy, {kPeer}, head).error);
  EXPECT_EQ(head.headers.size(), 1u);
}

TEST(HttpPolicy, ForwardingFieldsAreForThoseWhoMeetClientsFirst) {
  config::HttpPolicy policy = Rules();
  policy.use_remote_address = true;
  http::RequestHead head = Get();
  head.headers.Add("X-Forwarded-For", "10.0.0.1");
  head.headers.Add("x-forwarded-for", "10.0.0.2");
  head.headers.Add("X-Forwarded-Proto", "https");
  ApplyToRequest(policy, {kPeer}, head);
  EXPECT_EQ(head.headers.Find("x-forwarded-for"), "10.0.0.1, 10.0.0.2, 192.0.2.7");
  EXPECT_EQ(head.headers.Find("x-forwarded-proto"), "http");
  EXPECT_EQ(filter::ClientAddress(policy, kPeer, head.headers), "192.0.2.7:1234");
  policy.trusted_hops = 1;
  EXPECT_EQ(filter::ClientAddress(policy, kPeer, head.headers), "10.0.0.2");
  policy.skip_xff_append = true;
  head = Get();
  head.headers.Add("X-Forwarded-For", "10.0.0.1, 10.0.0.2");
  head.headers.Add("X-Forwarded-Proto", "https");
  ApplyToRequest(policy, {kPeer}, head);
  EXPECT_EQ(head.headers.Find("x-forwarded-for"), "10.0.0.1, 10.0.0.2");
  EXPECT_EQ(head.headers.Find("x-forwarded-proto"), "https");
  EXPECT_EQ(filter::ClientAddress(policy, kPeer, head.headers), "10.0.0.2");
}

TEST(HttpPolicy, TheForwardedProtocolIsWhatTheConnectionWasNotWhatTheClientSays) {
  config::HttpPolicy policy = Rules();
  policy.use_remote_address = true;
  http::RequestHead head = Get();
  head.scheme = "https";  // the client's word for it
  ApplyToRequest(policy, {kPeer}, head);
  EXPECT_EQ(head.headers.Find("x-forwarded-proto"), "http");
  head.scheme = "http";
  const net::Security encrypted;
  ApplyToRequest(policy, {.peer = kPeer, .security = &encrypted}, head);
  EXPECT_EQ(head.headers.Find("x-forwarded-proto"), "https");
}

TEST(HttpPolicy, ViaIsAddedToWhatPasses) {
  config::HttpPolicy policy = Rules();
  policy.via = "1.1 pillion";
  http::RequestHead head = Get();
  head.headers.Add("Via", "1.0 other");
  ApplyToRequest(policy, {kPeer}, head);
  EXPECT_EQ(head.headers.size(), 2u);
  http::ResponseHead answer;
  ApplyToResponse(policy, true, answer);
  EXPECT_EQ(answer.headers.Find(http::Known::kVia), "1.1 pillion");
  http::ResponseHead local;
  ApplyToResponse(policy, false, local);
  EXPECT_FALSE(local.headers.Has(http::Known::kVia));
}

TEST(HttpPolicy, TheServerFieldIsTheAppsOrOurs) {
  config::HttpPolicy policy;
  policy.server_name = "envoy";
  http::ResponseHead answer;
  policy.server = config::ServerField::kAddIfAbsent;
  ApplyToResponse(policy, true, answer);
  EXPECT_EQ(answer.headers.Find(http::Known::kServer), "envoy");
  answer.headers.Set(http::Known::kServer, "app");
  ApplyToResponse(policy, true, answer);
  EXPECT_EQ(answer.headers.Find(http::Known::kServer), "app");
  policy.server = config::ServerField::kOverwrite;
  ApplyToResponse(policy, true, answer);
  EXPECT_EQ(answer.headers.Find(http::Known::kServer), "envoy");
}

TEST(HttpPolicy, ExpectationsAreMetHereOrByTheUpstream) {
  config::HttpPolicy policy;
  policy.answer_100_continue = true;
  http::RequestHead head = Get();
  head.headers.Add("Expect", "100-Continue");
  EXPECT_TRUE(ApplyToRequest(policy, {kPeer}, head).send_continue);
  EXPECT_FALSE(head.headers.Has(http::Known::kExpect));
  head.headers.Add("Expect", "");
  EXPECT_FALSE(ApplyToRequest(policy, {kPeer}, head).send_continue);
  head.headers.Set(http::Known::kExpect, "100-continue, 100-continue");
  EXPECT_TRUE(ApplyToRequest(policy, {kPeer}, head).send_continue);
  head.headers.Add("Expect", "100-continue, tea");
  EXPECT_EQ(ApplyToRequest(policy, {kPeer}, head).error.kind, ErrorKind::kExpectation);
}

TEST(HttpPolicy, Http10IsTakenWhenTheListenerSaysSo) {
  config::HttpPolicy policy;
  policy.accept_http10 = false;
  http::RequestHead head = Get();
  head.version = http::Version::kHttp10;
  EXPECT_EQ(ApplyToRequest(policy, {kPeer}, head).error.kind, ErrorKind::kHttp10);
  EXPECT_FALSE(ApplyToRequest(policy, {.peer = kPeer, .restored = true}, head)
                   .error);  // the sidecar before us took it
  policy.accept_http10 = true;
  policy.default_host_for_http10 = "default.example";
  EXPECT_FALSE(ApplyToRequest(policy, {kPeer}, head).error);
  EXPECT_EQ(head.authority, "a");
  head.has_authority = false;
  head.authority.clear();
  EXPECT_FALSE(ApplyToRequest(policy, {kPeer}, head).error);
  EXPECT_EQ(head.authority, "default.example");
}

// x-forwarded-client-cert.

std::string ClientCertificate(config::ForwardClientCertificates mode, const net::Security* security,
                              std::initializer_list<std::string_view> before) {
  config::HttpPolicy policy;
  policy.client_certificate = {.mode = mode, .subject = true, .uri = true, .dns = true};
  http::RequestHead head = Get();
  for (const std::string_view value : before) head.headers.Add("X-Forwarded-Client-Cert", value);
  EXPECT_FALSE(ApplyToRequest(policy, {kPeer, security}, head).error);
  std::string all;
  for (size_t i = 0; i < head.headers.size(); ++i) all += std::string(head.headers[i].value) + "|";
  return all;
}

net::Security Proven() {
  net::Security security;
  security.has_peer_certificate = true;
  security.peer_certificate = {.subject = "CN=a\\, b,O=\"c\"",
                               .uri_names = {"spiffe://td/a"},
                               .dns_names = {"a", "b"},
                               .sha256 = "00ff",
                               .serial = {},
                               .verified = true};
  security.own_uri_names = {"spiffe://td/own"};
  return security;
}

TEST(ClientCertificate, IsToldAsThePolicySays) {
  using Mode = config::ForwardClientCertificates;
  const net::Security proven = Proven();
  const std::string element =
      "By=spiffe://td/own;Hash=00ff;Subject=\"CN=a\\\\, b,O=\\\"c\\\"\";URI=spiffe://td/a;DNS=a;DNS=b";
  EXPECT_EQ(ClientCertificate(Mode::kSanitize, &proven, {"x", "y"}), "");
  EXPECT_EQ(ClientCertificate(Mode::kForward, &proven, {"x", "y"}), "x|y|");
  EXPECT_EQ(ClientCertificate(Mode::kAppend, &proven, {"x", "y"}), "x,y," + element + "|");
  EXPECT_EQ(ClientCertificate(Mode::kAppend, &proven, {}), element + "|");
  EXPECT_EQ(ClientCertificate(Mode::kSanitizeSet, &proven, {"x", "y"}), element + "|");
  EXPECT_EQ(ClientCertificate(Mode::kAlwaysForward, &proven, {"x"}), "x|");
}

TEST(ClientCertificate, IsTakenOffWhereNothingIsProven) {
  using Mode = config::ForwardClientCertificates;
  net::Security unproven = Proven();
  unproven.peer_certificate.verified = false;
  const net::Security without;
  for (const net::Security* const security :
       std::initializer_list<const net::Security*>{nullptr, &without, &unproven}) {
    for (const Mode mode : {Mode::kSanitize, Mode::kForward, Mode::kAppend, Mode::kSanitizeSet})
      EXPECT_EQ(ClientCertificate(mode, security, {"x", "y"}), "");
    EXPECT_EQ(ClientCertificate(Mode::kAlwaysForward, security, {"x"}), "x|");
  }
}

// A certificate may name anything.
TEST(ClientCertificate, NoNameEndsItsElementOrTheField) {
  net::Security security = Proven();
  security.peer_certificate.subject = "a\r\nx: y\"";
  security.peer_certificate.uri_names = {"u;By=z,Hash=1"};
  security.peer_certificate.dns_names = {std::string("a\0\xff", 3)};
  EXPECT_EQ(
      ClientCertificate(config::ForwardClientCertificates::kSanitizeSet, &security, {}),
      "By=spiffe://td/own;Hash=00ff;Subject=\"a%0D%0Ax: y\\\"\";URI=u%3BBy%3Dz%2CHash%3D1;DNS=a%00%FF|");
}

}  // namespace
}  // namespace pillion::exchange
