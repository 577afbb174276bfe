// TLS of a listener's filter chain or of a cluster, as configured: immutable and validated, but for what
// stands in files and secrets. Those the main loop reads, and puts the credentials made of all of it into the
// holder.
#ifndef PILLION_SIDECAR_CONFIG_TLS_H_
#define PILLION_SIDECAR_CONFIG_TLS_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/tls/holder.h"
#include "sidecar/tls/settings.h"

namespace pillion::config {

// At most one of the two.
struct DataSource {
  std::string text;
  std::string file;
  bool empty() const { return text.empty() && file.empty(); }
};

struct TlsCertificate {
  DataSource chain;
  DataSource key;
  DataSource password;
};

struct TlsValidation {
  DataSource trusted_ca;
  DataSource crl;
  tls::Validation settings;  // the rest
  bool offer_ca_names = true;
};

// One that comes by SDS, or from the bootstrap.
struct SecretName {
  std::string name;
  bool pushed = false;
  std::chrono::nanoseconds timeout = std::chrono::seconds(15);  // warming waits so long for it; 0: for ever
};

// What one is; exactly one is set.
struct Secret {
  std::string name;
  std::string version;
  std::optional<TlsCertificate> certificate;
  std::optional<TlsValidation> validation;
  std::vector<DataSource> ticket_keys;
};

struct CommonTls {
  tls::CommonSettings settings;  // without certificates and validation
  std::vector<TlsCertificate> certificates;
  TlsValidation validation;
  std::vector<SecretName> certificate_secrets;  // beside `certificates`
  std::optional<SecretName> validation_secret;  // added to `validation`
};

struct ServerTls {
  CommonTls common;
  tls::ServerSettings settings;  // without `common` and ticket keys
  std::vector<DataSource> ticket_keys;
  std::optional<SecretName> ticket_keys_secret;
  std::shared_ptr<tls::Holder<tls::ServerCredentials>> credentials =
      std::make_shared<tls::Holder<tls::ServerCredentials>>();
};

struct ClientTls {
  CommonTls common;
  tls::ClientSettings settings;  // without `common`
  std::shared_ptr<tls::Holder<tls::ClientCredentials>> credentials =
      std::make_shared<tls::Holder<tls::ClientCredentials>>();
};

// Calls use(SecretName) for each that is named.
template <typename Use>
void ForEachSecret(const CommonTls& tls, Use use) {
  for (const SecretName& secret : tls.certificate_secrets) use(secret);
  if (tls.validation_secret) use(*tls.validation_secret);
}
template <typename Use>
void ForEachSecret(const ClientTls& tls, Use use) {
  ForEachSecret(tls.common, use);
}
template <typename Use>
void ForEachSecret(const ServerTls& tls, Use use) {
  ForEachSecret(tls.common, use);
  if (tls.ticket_keys_secret) use(*tls.ticket_keys_secret);
}

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_TLS_H_
