// What TLS found out about a connection and its peer, in plain values: for choosing the protocol, for
// policies, headers, logs and metrics.
#ifndef PILLION_SIDECAR_NET_SECURITY_H_
#define PILLION_SIDECAR_NET_SECURITY_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pillion::net {

// Classes of handshake failures, one counter each.
enum class TlsFailure : uint8_t {
  kNone,
  kProtocol,       // not TLS, no common version, cipher or curve, a message that is broken or too large
  kAlert,          // the peer gave up and said so
  kClosed,         // the connection ended before the handshake did
  kTimeout,        // it was not over in time (set by whoever holds the timer)
  kNoCertificate,  // the peer must prove who it is, and sent nothing
  kUntrusted,      // no chain to a trusted CA
  kExpired,        // or not valid yet
  kRevoked,        // or the revocation list is not usable
  kWrongName,      // no subject alternative name is allowed
  kSpiffe,         // a SPIFFE identity against the rules of X509-SVID
  kPin,            // neither hash is pinned
  kNotReady,       // our own certificates are not here, or cannot be used
  kAlpn,           // the application protocol that was agreed is not the one to be spoken
};
inline constexpr size_t kTlsFailures = 14;
std::string_view ToString(TlsFailure failure);

// What the peer's certificate says. Its names are the peer's word until `verified`.
struct PeerCertificate {
  std::string subject;  // RFC 2253
  std::vector<std::string> uri_names;
  std::vector<std::string> dns_names;
  std::string sha256;  // of the DER, lower-case hexadecimal
  std::string serial;  // hexadecimal
  bool verified = false;
};

struct Security {
  TlsFailure failure = TlsFailure::kNone;
  std::string_view detail;  // why it failed, in words; a text that lives for ever
  // Facts of the handshake; valid once it is over (or, at a server, early data is being read).
  bool established = false;
  bool resumed = false;
  bool early_data_offered = false;
  bool early_data_accepted = false;
  // At a server: what was read so far may be a replay; false once the handshake is over (RFC 8446 section 8).
  bool early = false;
  std::string_view version;  // "TLSv1.3"
  std::string_view cipher;
  std::string alpn;         // "": none was agreed
  std::string server_name;  // SNI, as asked for
  bool has_peer_certificate = false;
  PeerCertificate peer_certificate;
  // At a server whose client showed a certificate: the URI names of the one that it was shown.
  std::vector<std::string> own_uri_names;
};

}  // namespace pillion::net

#endif  // PILLION_SIDECAR_NET_SECURITY_H_
