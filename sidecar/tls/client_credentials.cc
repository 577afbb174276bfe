#include <algorithm>
#include <utility>

#include "sidecar/tls/credentials_parts.h"

namespace pillion::tls {
namespace {

int PartsIndex() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// A ticket came. 1: we keep the reference.
int KeepSession(SSL* ssl, SSL_SESSION* session) {
  const HandshakeNotes* notes = NotesOf(ssl);
  auto* parts =
      static_cast<const ClientCredentials::Parts*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), PartsIndex()));
  if (notes == nullptr || notes->endpoint.empty() || parts == nullptr) return 0;
  parts->sessions.Put(notes->endpoint, SessionPtr(session));
  return 1;
}

}  // namespace

void ResumableSessions::Put(const std::string& endpoint, SessionPtr session) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (entries_.size() >= kMaxResumableEndpoints && !entries_.contains(endpoint)) {
    entries_.erase(
        std::ranges::min_element(entries_, {}, [](const auto& entry) { return entry.second.used; }));
  }
  Entry& entry = entries_[endpoint];
  entry.used = ++uses_;
  entry.sessions.push_back(std::move(session));
  if (entry.sessions.size() > per_endpoint_) entry.sessions.pop_front();
}

SessionPtr ResumableSessions::Take(const std::string& endpoint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = entries_.find(endpoint);
  if (found == entries_.end()) return nullptr;
  Entry& entry = found->second;
  entry.used = ++uses_;
  while (!entry.sessions.empty()) {
    SessionPtr newest = std::move(entry.sessions.back());
    entry.sessions.pop_back();
    if (SSL_SESSION_is_resumable(newest.get()) != 1) continue;
    if (SSL_SESSION_get_protocol_version(newest.get()) < TLS1_3_VERSION) {
      SSL_SESSION_up_ref(newest.get());
      entry.sessions.emplace_back(newest.get());
    }
    return newest;
  }
  entries_.erase(found);
  return nullptr;
}

ClientCredentials::ClientCredentials() = default;
ClientCredentials::~ClientCredentials() = default;

absl::StatusOr<std::shared_ptr<const ClientCredentials>> ClientCredentials::Make(
    const ClientSettings& settings) {
  std::shared_ptr<ClientCredentials> made(new ClientCredentials());
  made->parts_ = std::make_unique<Parts>(settings.max_sessions);
  Parts& parts = *made->parts_;
  if (settings.common.certificates.size() > 1)
    return absl::InvalidArgumentError("tls_certificates: expected at most one");
  if (absl::Status common = MakeCommon(settings.common, false, parts.common); !common.ok()) return common;
  SSL_CTX* ctx = parts.common.ctx.get();
  SSL_CTX_set_verify(ctx, parts.common.verifier == nullptr ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  for (const LoadedCertificate& one : parts.common.certificates) {
    ERR_clear_error();
    STACK_OF(X509)* rest = sk_X509_new_null();
    for (size_t i = 1; i < one.chain.size(); ++i) sk_X509_push(rest, one.chain[i].get());
    const int used = SSL_CTX_use_cert_and_key(ctx, one.chain.front().get(), one.key.get(), rest, 1);
    sk_X509_free(rest);
    if (used != 1) return absl::InvalidArgumentError("tls_certificates[0]: " + std::string(TakeSslError()));
  }
  parts.sni = settings.sni;
  parts.alpn_names = settings.common.alpn;
  if (settings.max_sessions > 0) {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_set_ex_data(ctx, PartsIndex(), &parts);
    SSL_CTX_sess_set_new_cb(ctx, KeepSession);
  } else {
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  }
  return made;
}

std::vector<CertificateFacts> ClientCredentials::certificates() const { return FactsOf(parts_->common); }

}  // namespace pillion::tls
