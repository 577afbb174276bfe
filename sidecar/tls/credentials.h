// Who we are and whom we trust, at one end: made once on the main loop from plain settings, immutable, shared
// by all workers and connections (one OpenSSL context per identity). Any thread.
#ifndef PILLION_SIDECAR_TLS_CREDENTIALS_H_
#define PILLION_SIDECAR_TLS_CREDENTIALS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "sidecar/tls/settings.h"
#include "sidecar/tls/ticket_keys.h"

namespace pillion::tls {

// For people; no keys.
struct CertificateFacts {
  bool ca = false;  // one that is trusted; else one that is shown
  std::string subject;
  std::vector<std::string> names;  // "DNS:a", "URI:spiffe://..."
  std::string serial;
  int64_t not_before_s = 0;  // since 1970
  int64_t not_after_s = 0;
};

// Whether credentials can be made of what there is; the same errors.
absl::Status CheckSettings(const CommonSettings& settings);

class ServerCredentials {
 public:
  // Errors begin with the field that is wrong: "tls_certificates[1].private_key: expected ...".
  static absl::StatusOr<std::shared_ptr<const ServerCredentials>> Make(
      const ServerSettings& settings, std::shared_ptr<const TicketKeys> process_keys);
  ~ServerCredentials();
  ServerCredentials(const ServerCredentials&) = delete;
  ServerCredentials& operator=(const ServerCredentials&) = delete;
  std::vector<CertificateFacts> certificates() const;

  struct Parts;
  const Parts& parts() const { return *parts_; }

 private:
  ServerCredentials();
  std::unique_ptr<Parts> parts_;
};

class ClientCredentials {
 public:
  static absl::StatusOr<std::shared_ptr<const ClientCredentials>> Make(const ClientSettings& settings);
  ~ClientCredentials();
  ClientCredentials(const ClientCredentials&) = delete;
  ClientCredentials& operator=(const ClientCredentials&) = delete;
  std::vector<CertificateFacts> certificates() const;

  struct Parts;
  const Parts& parts() const { return *parts_; }

 private:
  ClientCredentials();
  std::unique_ptr<Parts> parts_;
};

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_CREDENTIALS_H_
