#include "sidecar/filter/peer_identity.h"

namespace pillion::filter {

std::string_view PeerIdentity(const net::Security* security) {
  if (security == nullptr || !security->has_peer_certificate) return {};
  const net::PeerCertificate& peer = security->peer_certificate;
  if (!peer.verified) return {};
  if (!peer.uri_names.empty()) return peer.uri_names.front();
  return peer.dns_names.empty() ? peer.subject : peer.dns_names.front();
}

}  // namespace pillion::filter
