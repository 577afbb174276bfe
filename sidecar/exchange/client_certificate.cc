#include "sidecar/exchange/client_certificate.h"

#include <string>
#include <string_view>

namespace pillion::exchange {
namespace {

using config::ForwardClientCertificates;
using http::Known;

// Names in certificates may hold any byte; those that would end the field or the element must not.
void AppendValue(std::string_view value, bool quoted, std::string& out) {
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    const bool apart = !quoted && (c == ',' || c == ';' || c == '=' || c == '"' || c == '%');
    if (byte < 0x20 || byte > 0x7e || apart) {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
}

void AppendPair(std::string_view key, std::string_view value, bool quoted, std::string& out) {
  if (!out.empty()) out += ';';
  out += key;
  out += quoted ? "=\"" : "=";
  AppendValue(value, quoted, out);
  if (quoted) out += '"';
}

// One hop's element.
std::string Describe(const config::ClientCertificatePolicy& policy, const net::Security& security) {
  const net::PeerCertificate& peer = security.peer_certificate;
  std::string out;
  for (const std::string& name : security.own_uri_names) AppendPair("By", name, false, out);
  AppendPair("Hash", peer.sha256, false, out);
  if (policy.subject) AppendPair("Subject", peer.subject, true, out);
  if (policy.uri) {
    for (const std::string& name : peer.uri_names) AppendPair("URI", name, false, out);
  }
  if (policy.dns) {
    for (const std::string& name : peer.dns_names) AppendPair("DNS", name, false, out);
  }
  return out;
}

}  // namespace

void ForwardClientCertificate(const config::ClientCertificatePolicy& policy, const net::Security* security,
                              http::HeaderList& headers) {
  if (policy.mode == ForwardClientCertificates::kAlwaysForward) return;
  const bool proven =
      security != nullptr && security->has_peer_certificate && security->peer_certificate.verified;
  if (!proven || policy.mode == ForwardClientCertificates::kSanitize) {
    headers.Remove(Known::kForwardedClientCert);
    return;
  }
  if (policy.mode == ForwardClientCertificates::kForward) return;
  std::string list;
  for (size_t i = 0; policy.mode == ForwardClientCertificates::kAppend && i < headers.size(); ++i) {
    if (headers[i].known != Known::kForwardedClientCert || headers[i].value.empty()) continue;
    list += headers[i].value;
    list += ',';
  }
  headers.Set(Known::kForwardedClientCert, list + Describe(policy, *security));
}

}  // namespace pillion::exchange
