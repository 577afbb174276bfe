#include "tests/simulation/mesh_identity.h"

#include "sidecar/tls/credentials.h"
#include "sidecar/tls/test_certificates.h"

namespace pillion::simulation {
namespace {

constexpr char kName[] = "sidecar.mesh";

tls::Certificate Leaf(tls::TestAuthority& authority) {
  const tls::Issued issued = authority.Issue(
      {.common_name = "sidecar", .names = std::string("DNS:") + kName + ",URI:spiffe://mesh/sidecar"});
  return {.chain = issued.certificate, .key = issued.key, .password = ""};
}

}  // namespace

MeshIdentity::MeshIdentity(tls::Version version) {
  tls::TestAuthority authority("mesh", "", tls::KeyKind::kEd25519);
  tls::CommonSettings common;
  common.min_version = common.max_version = version;
  common.validation.trusted_ca = authority.pem();
  common.alpn = {"h2", "http/1.1"};
  tls::ServerSettings of_server;
  of_server.common = common;
  of_server.common.certificates = {Leaf(authority)};
  of_server.require_client_certificate = true;
  of_server.stateless_resumption = of_server.stateful_resumption = false;
  tls::ClientSettings of_client;
  of_client.common = common;
  of_client.common.certificates = {Leaf(authority)};
  of_client.common.validation.names = {
      {.kind = tls::NameMatcher::Kind::kUri, .text = "spiffe://mesh/sidecar"}};
  of_client.sni = kName;
  of_client.max_sessions = 0;
  // value() ends the test with the reason when they cannot be made.
  const auto ticket_keys = std::make_shared<tls::TicketKeys>(time::MonotonicTime());
  server->credentials->Set(tls::ServerCredentials::Make(of_server, ticket_keys).value());
  client->credentials->Set(tls::ClientCredentials::Make(of_client).value());
}

}  // namespace pillion::simulation
