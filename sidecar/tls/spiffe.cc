#include "sidecar/tls/spiffe.h"

#include <algorithm>

#include "sidecar/base/text.h"
#include "sidecar/tls/certificate.h"

namespace pillion::tls {
namespace {

constexpr std::string_view kScheme = "spiffe://";
constexpr size_t kMaxIdBytes = 2048;
constexpr size_t kMaxTrustDomainBytes = 255;

bool TrustDomainCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
}

bool PathCharacter(char c) { return TrustDomainCharacter(c) || (c >= 'A' && c <= 'Z'); }

// Segments that are neither empty nor relative.
bool GoodPath(std::string_view path) {
  while (!path.empty()) {
    path.remove_prefix(1);  // '/'
    const std::string_view segment = path.substr(0, path.find('/'));
    if (segment.empty() || segment == "." || segment == ".." || !std::ranges::all_of(segment, PathCharacter))
      return false;
    path.remove_prefix(segment.size());
  }
  return true;
}

bool Critical(const X509* certificate, int nid) {
  const int at = X509_get_ext_by_NID(certificate, nid, -1);
  return at >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate, at)) != 0;
}

}  // namespace

bool LooksLikeSpiffe(std::string_view uri) {
  return uri.size() >= 7 && EqualsIgnoreCase(uri.substr(0, 7), "spiffe:");
}

std::string_view SpiffeIdProblem(std::string_view uri, bool path_wanted) {
  if (!uri.starts_with(kScheme)) return "the SPIFFE ID does not begin with spiffe://";
  if (uri.size() > kMaxIdBytes) return "the SPIFFE ID is longer than 2048 bytes";
  uri.remove_prefix(kScheme.size());
  const std::string_view domain = uri.substr(0, uri.find('/'));
  if (domain.empty() || domain.size() > kMaxTrustDomainBytes ||
      !std::ranges::all_of(domain, TrustDomainCharacter))
    return "the trust domain of the SPIFFE ID is not made of a-z, 0-9, '.', '-' and '_'";
  uri.remove_prefix(domain.size());
  if (path_wanted && uri.empty()) return "the SPIFFE ID of a leaf has no path";
  if (!path_wanted && !uri.empty()) return "the SPIFFE ID of a signing certificate has a path";
  return GoodPath(uri) ? ""
                       : "the path of the SPIFFE ID has an empty or relative segment, or a character that is "
                         "not allowed";
}

std::string_view SvidLeafProblem(X509* leaf) {
  const AlternativeNames names = NamesOf(leaf);
  if (std::ranges::none_of(names.uri, LooksLikeSpiffe)) return "";
  if (names.uri.size() != 1) return "a SPIFFE certificate has more than one URI name";
  if (const std::string_view problem = SpiffeIdProblem(names.uri.front(), true); !problem.empty())
    return problem;
  // X509_check_ca fills what the getters below answer from.
  if (X509_check_ca(leaf) != 0) return "a SPIFFE leaf must not be a CA";
  if (X509_get_ext_by_NID(leaf, NID_key_usage, -1) < 0 || !Critical(leaf, NID_key_usage))
    return "the key usage of a SPIFFE leaf is not there or not critical";
  const uint32_t usage = X509_get_key_usage(leaf);
  if ((usage & KU_DIGITAL_SIGNATURE) == 0) return "the key usage of a SPIFFE leaf lacks digitalSignature";
  if ((usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0)
    return "the key usage of a SPIFFE leaf has keyCertSign or cRLSign";
  if (X509_get_ext_by_NID(leaf, NID_ext_key_usage, -1) >= 0) {
    const uint32_t extended = X509_get_extended_key_usage(leaf);
    if ((extended & XKU_SSL_SERVER) == 0 || (extended & XKU_SSL_CLIENT) == 0)
      return "the extended key usage of a SPIFFE leaf lacks serverAuth or clientAuth";
  }
  if (X509_NAME_entry_count(X509_get_subject_name(leaf)) == 0 && !Critical(leaf, NID_subject_alt_name))
    return "the names of a SPIFFE leaf without subject are not critical";
  return "";
}

std::string_view SvidSignerProblem(const X509* signer) {
  const AlternativeNames names = NamesOf(signer);
  for (const std::string& uri : names.uri) {
    if (!LooksLikeSpiffe(uri)) continue;
    if (const std::string_view problem = SpiffeIdProblem(uri, false); !problem.empty()) return problem;
  }
  return "";
}

}  // namespace pillion::tls
