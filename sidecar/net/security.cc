#include "sidecar/net/security.h"

namespace pillion::net {

std::string_view ToString(TlsFailure failure) {
  switch (failure) {
    case TlsFailure::kNone:
      return "none";
    case TlsFailure::kProtocol:
      return "protocol";
    case TlsFailure::kAlert:
      return "alert";
    case TlsFailure::kClosed:
      return "closed";
    case TlsFailure::kTimeout:
      return "timeout";
    case TlsFailure::kNoCertificate:
      return "no_certificate";
    case TlsFailure::kUntrusted:
      return "untrusted";
    case TlsFailure::kExpired:
      return "expired";
    case TlsFailure::kRevoked:
      return "revoked";
    case TlsFailure::kWrongName:
      return "wrong_name";
    case TlsFailure::kSpiffe:
      return "spiffe";
    case TlsFailure::kPin:
      return "pin";
    case TlsFailure::kNotReady:
      return "not_ready";
    case TlsFailure::kAlpn:
      return "alpn";
  }
  return "unknown";
}

}  // namespace pillion::net
