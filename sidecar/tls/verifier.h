// Judges a peer's certificate: chain, revocation, names, pins, and the rules of X509-SVID for SPIFFE
// identities. Immutable; any thread. For the files of this folder only.
#ifndef PILLION_SIDECAR_TLS_VERIFIER_H_
#define PILLION_SIDECAR_TLS_VERIFIER_H_

#include <re2/re2.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "sidecar/net/security.h"
#include "sidecar/tls/certificate.h"
#include "sidecar/tls/openssl.h"
#include "sidecar/tls/settings.h"

namespace pillion::tls {

struct Verdict {
  net::TlsFailure failure = net::TlsFailure::kNone;
  std::string_view detail;  // lives for ever
};

class Verifier {
 public:
  // Errors say which field of `from` is wrong.
  static absl::StatusOr<std::shared_ptr<const Verifier>> Make(const Validation& from);

  // Sets what is needed on `ctx` except the verify mode. The verifier outlives it.
  void Install(SSL_CTX* ctx) const;
  // `store` holds the peer's leaf and the chain it sent; verifies.
  Verdict Judge(X509_STORE_CTX* store) const;
  bool checks_chain() const { return store_ != nullptr; }
  const std::vector<X509Ptr>& trusted() const { return trusted_; }

 private:
  struct Matcher {
    NameMatcher how;
    std::unique_ptr<re2::RE2> regex;
    bool Matches(const std::string& name) const;
  };
  Verifier() = default;
  absl::Status ReadStore(const Validation& from);
  bool NameAllowed(const X509* leaf) const;
  bool Pinned(const X509* leaf) const;

  StorePtr store_;  // null: the chain is not looked at
  std::vector<X509Ptr> trusted_;
  std::vector<Matcher> matchers_;
  std::set<std::string, std::less<>> certificate_sha256_;
  std::set<std::string, std::less<>> spki_sha256_;
  bool check_time_ = true;
};

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_VERIFIER_H_
