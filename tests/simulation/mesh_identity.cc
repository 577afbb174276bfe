#include "tests/simulation/mesh_identity.h"

#include "sidecar/tls/test_certificates.h"

namespace pillion::simulation {
namespace {

constexpr char kName[] = "sidecar.mesh";
constexpr char kUri[] = "spiffe://mesh/sidecar";
constexpr uint32_t kSessionsKept = 4;

tls::Certificate Leaf(tls::TestAuthority& authority) {
  const tls::Issued issued =
      authority.Issue({.common_name = "sidecar", .names = std::string("DNS:") + kName + ",URI:" + kUri});
  return {.chain = issued.certificate, .key = issued.key, .password = ""};
}

}  // namespace

MeshIdentity::MeshIdentity(tls::Version version)
    : ticket_keys_(std::make_shared<tls::TicketKeys>(time::MonotonicTime())) {
  common_.min_version = common_.max_version = version;
  for (const Proof proof : {Proof::kFirst, Proof::kSecond, Proof::kUntrusted}) {
    const auto number = static_cast<size_t>(proof);
    tls::TestAuthority authority("mesh" + std::to_string(number), "", tls::KeyKind::kEd25519);
    leaves_[number] = Leaf(authority);
    if (proof != Proof::kUntrusted) common_.validation.trusted_ca += authority.pem();
  }
}

tls::CommonSettings MeshIdentity::Common(Proof proof) const {
  tls::CommonSettings common = common_;
  common.certificates = {leaves_[static_cast<size_t>(proof)]};
  return common;
}

// value() ends the test with the reason when they cannot be made.
std::shared_ptr<const tls::ServerCredentials> MeshIdentity::Server(Proof proof, bool resume) const {
  tls::ServerSettings settings;
  settings.common = Common(proof);
  settings.common.alpn = {"h2", "http/1.1"};
  settings.require_client_certificate = true;
  settings.stateless_resumption = false;
  settings.stateful_resumption = resume;
  return tls::ServerCredentials::Make(settings, ticket_keys_).value();
}

std::shared_ptr<const tls::ClientCredentials> MeshIdentity::Client(Proof proof, bool resume,
                                                                   bool alpn) const {
  tls::ClientSettings settings;
  settings.common = Common(proof);
  if (alpn) settings.common.alpn = {"h2", "http/1.1"};
  settings.common.validation.names = {{.kind = tls::NameMatcher::Kind::kUri, .text = kUri}};
  settings.sni = kName;
  settings.max_sessions = resume ? kSessionsKept : 0;
  return tls::ClientCredentials::Make(settings).value();
}

}  // namespace pillion::simulation
