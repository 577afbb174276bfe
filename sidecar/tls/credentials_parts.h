// What credentials are made of. For the files of this folder only.
#ifndef PILLION_SIDECAR_TLS_CREDENTIALS_PARTS_H_
#define PILLION_SIDECAR_TLS_CREDENTIALS_PARTS_H_

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "sidecar/tls/certificate.h"
#include "sidecar/tls/credentials.h"
#include "sidecar/tls/openssl.h"
#include "sidecar/tls/verifier.h"

namespace pillion::tls {

// How a handshake tells why it failed; hung on its SSL.
struct HandshakeNotes {
  Verdict verdict;
  bool peer_verified = false;
  std::string endpoint;  // client: what its session can be used for again
};
void SetNotes(SSL* ssl, HandshakeNotes* notes);
HandshakeNotes* NotesOf(const SSL* ssl);

// What both ends share.
struct CommonParts {
  SslCtxPtr ctx;
  std::vector<LoadedCertificate> certificates;
  std::shared_ptr<const Verifier> verifier;
  std::string alpn;  // as on the wire: length, name, length, name ...
};
absl::Status MakeCommon(const CommonSettings& settings, bool server, CommonParts& parts);
// "" for a name that cannot stand in a list.
std::string AlpnOnWire(const std::vector<std::string>& names);
void AddFacts(const X509* certificate, bool ca, std::vector<CertificateFacts>& facts);
std::vector<CertificateFacts> FactsOf(const CommonParts& parts);

struct ServerCredentials::Parts {
  CommonParts common;
  std::shared_ptr<const TicketKeys> keys;
  bool require_sni = false;
  uint32_t max_early_data_bytes = 0;
};

// Sessions that may be resumed, by endpoint; the endpoint used least recently is forgotten first.
class ResumableSessions {
 public:
  explicit ResumableSessions(size_t per_endpoint) : per_endpoint_(per_endpoint) {}
  void Put(const std::string& endpoint, SessionPtr session);
  // A TLS 1.3 session is given away once (RFC 8446 appendix C.4); null: none.
  SessionPtr Take(const std::string& endpoint);

 private:
  struct Entry {
    std::deque<SessionPtr> sessions;  // the newest last
    uint64_t used = 0;
  };
  const size_t per_endpoint_;
  std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  uint64_t uses_ = 0;
};

struct ClientCredentials::Parts {
  explicit Parts(size_t sessions_per_endpoint) : sessions(sessions_per_endpoint) {}
  CommonParts common;
  std::string sni;
  std::vector<std::string> alpn_names;
  mutable ResumableSessions sessions;
};

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_CREDENTIALS_PARTS_H_
