// Reading PEM, and what stands in a certificate. For the files of this folder only.
#ifndef PILLION_SIDECAR_TLS_CERTIFICATE_H_
#define PILLION_SIDECAR_TLS_CERTIFICATE_H_

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sidecar/net/security.h"
#include "sidecar/tls/openssl.h"
#include "sidecar/tls/settings.h"

namespace pillion::tls {

// All certificates of a PEM text, at least one, at most `limit`. `what` names the field in errors.
absl::StatusOr<std::vector<X509Ptr>> ReadCertificates(const std::string& pem, std::string_view what,
                                                      size_t limit);
absl::StatusOr<std::vector<CrlPtr>> ReadCrls(const std::string& pem, std::string_view what);
absl::StatusOr<KeyPtr> ReadKey(const std::string& pem, const std::string& password, std::string_view what);

struct LoadedCertificate {
  std::vector<X509Ptr> chain;  // the leaf first
  KeyPtr key;
};
// Checks that the key is the leaf's.
absl::StatusOr<LoadedCertificate> LoadCertificate(const Certificate& from, std::string_view what);

struct AlternativeNames {
  std::vector<std::string> dns;
  std::vector<std::string> uri;
  std::vector<std::string> email;
  std::vector<std::string> ip;  // as text
};
AlternativeNames NamesOf(const X509* certificate);
std::string SubjectOf(const X509* certificate);  // RFC 2253
std::string CommonNameOf(const X509* certificate);
std::string SerialOf(const X509* certificate);
std::string Sha256Of(const X509* certificate);      // lower-case hexadecimal
std::string SpkiSha256Of(const X509* certificate);  // base64
int64_t UnixTime(const ASN1_TIME* time);
net::PeerCertificate Describe(const X509* certificate);

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_CERTIFICATE_H_
