#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "sidecar/base/text.h"
#include "sidecar/tls/credentials_parts.h"

namespace pillion::tls {
namespace {

// Early data that is thrown away unread. Attack: any amount of it.
constexpr uint32_t kMaxSkippedEarlyBytes = 16384;

int PartsIndex() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

const ServerCredentials::Parts& PartsOf(SSL* ssl) {
  return *static_cast<const ServerCredentials::Parts*>(
      SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), PartsIndex()));
}

// Our order decides. Without overlap none is agreed, as the field does it.
int ChooseAlpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
               unsigned in_size, void* arg) {
  const auto& parts = *static_cast<const ServerCredentials::Parts*>(arg);
  unsigned char* chosen = nullptr;
  const auto* ours = reinterpret_cast<const unsigned char*>(parts.common.alpn.data());
  if (SSL_select_next_proto(&chosen, out_size, ours, static_cast<unsigned>(parts.common.alpn.size()), in,
                            in_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

int CheckServerName(SSL* ssl, int* alert, void* arg) {
  const auto& parts = *static_cast<const ServerCredentials::Parts*>(arg);
  if (SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) != nullptr) return SSL_TLSEXT_ERR_OK;
  if (!parts.require_sni) return SSL_TLSEXT_ERR_NOACK;
  *alert = SSL_AD_UNRECOGNIZED_NAME;
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

bool Covers(std::string_view pattern, std::string_view name) {
  if (EqualsIgnoreCase(pattern, name)) return true;
  const size_t dot = name.find('.');
  return pattern.starts_with("*.") && dot != std::string_view::npos && dot > 0 &&
         EqualsIgnoreCase(pattern.substr(1), name.substr(dot));
}

bool IsFor(const LoadedCertificate& certificate, std::string_view name, bool exactly) {
  const X509* leaf = certificate.chain.front().get();
  std::vector<std::string> names = NamesOf(leaf).dns;
  if (names.empty()) names.push_back(CommonNameOf(leaf));
  return std::ranges::any_of(names, [&](const std::string& held) {
    return exactly ? EqualsIgnoreCase(held, name) : Covers(held, name);
  });
}

bool Use(SSL* ssl, const LoadedCertificate& certificate) {
  STACK_OF(X509)* rest = sk_X509_new_null();
  for (size_t i = 1; i < certificate.chain.size(); ++i) sk_X509_push(rest, certificate.chain[i].get());
  const int used = SSL_use_cert_and_key(ssl, certificate.chain.front().get(), certificate.key.get(), rest, 1);
  sk_X509_free(rest);
  return used == 1;
}

// How many were used; -1: OpenSSL refused one.
int UseAllFor(SSL* ssl, const std::vector<LoadedCertificate>& all, std::string_view name, bool exactly) {
  int count = 0;
  for (const LoadedCertificate& one : all) {
    if (!IsFor(one, name, exactly)) continue;
    if (!Use(ssl, one)) return -1;
    ++count;
  }
  return count;
}

// By SNI: all certificates for that very name (OpenSSL then takes the key type that the client can do), else
// all by wildcard, else the first.
int ChooseCertificate(SSL* ssl, void* arg) {
  const auto& parts = *static_cast<const ServerCredentials::Parts*>(arg);
  const std::vector<LoadedCertificate>& all = parts.common.certificates;
  const char* asked = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  SSL_certs_clear(ssl);
  int used = 0;
  if (asked != nullptr) {
    used = UseAllFor(ssl, all, asked, true);
    if (used == 0) used = UseAllFor(ssl, all, asked, false);
  }
  if (used == 0) used = Use(ssl, all.front()) ? 1 : -1;
  return used > 0 ? 1 : 0;
}

// RFC 5077 section 4: AES-256-CBC, HMAC-SHA-256. 0: unknown key; 2: opened, and a new ticket is due.
int SealOrOpenTicket(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                     EVP_MAC_CTX* mac, int seal) {
  const std::shared_ptr<const TicketKeys::Keys> keys = PartsOf(ssl).keys->keys();
  size_t at = 0;
  if (seal == 1) {
    std::memcpy(name, keys->front().name.data(), keys->front().name.size());
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
  } else {
    while (at < keys->size() && std::memcmp(name, (*keys)[at].name.data(), (*keys)[at].name.size()) != 0)
      ++at;
    if (at == keys->size()) return 0;
  }
  TicketKey key = (*keys)[at];
  std::array<char, 7> digest = {'S', 'H', 'A', '2', '5', '6', '\0'};
  const std::array<OSSL_PARAM, 3> params = {
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.hmac.data(), key.hmac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0), OSSL_PARAM_construct_end()};
  if (EVP_MAC_CTX_set_params(mac, params.data()) != 1) return -1;
  if (EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.aes.data(), iv, seal) != 1) return -1;
  // A TLS 1.3 ticket is used once, so its user gets a new one (RFC 8446 appendix C.4).
  return seal == 1 || (at == 0 && SSL_version(ssl) < TLS1_3_VERSION) ? 1 : 2;
}

// A session may be resumed where the same is asked of the client and the same is shown to it, also by a later
// context with new certificates; nowhere else.
void SetSessionDomain(const ServerSettings& settings, const CommonParts& common, SSL_CTX* ctx) {
  std::string text;
  const auto add = [&text](std::string_view part) {
    text.append(std::to_string(part.size())).append(":").append(part);
  };
  const Validation& validation = settings.common.validation;
  add(validation.trusted_ca);
  add(validation.crl);
  for (const NameMatcher& name : validation.names)
    add(std::to_string(static_cast<int>(name.kind)) + std::to_string(static_cast<int>(name.match)) +
        (name.ignore_case ? "i" : "") + name.text);
  for (const std::string& pin : validation.certificate_sha256) add(pin);
  for (const std::string& pin : validation.spki_sha256) add(pin);
  add(settings.require_client_certificate ? "required" : "optional");
  add(common.alpn);
  for (const LoadedCertificate& one : common.certificates) {
    const AlternativeNames names = NamesOf(one.chain.front().get());
    add(SubjectOf(one.chain.front().get()));
    for (const std::string& name : names.dns) add(name);
    for (const std::string& name : names.uri) add(name);
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
  SSL_CTX_set_session_id_context(ctx, digest.data(), size);
}

void SetResumption(const ServerSettings& settings, const ServerCredentials::Parts& parts, SSL_CTX* ctx) {
  SetSessionDomain(settings, parts.common, ctx);
  SSL_CTX_set_timeout(ctx, static_cast<long>(settings.session_timeout.count()));
  // A ticket carries the client's certificate, and opening it costs more than looking a session up. Keys that
  // were configured are there to be shared with other processes, so then it is tickets.
  const bool certificates_asked = parts.common.verifier != nullptr;
  const bool tickets =
      settings.stateless_resumption &&
      (!certificates_asked || !settings.ticket_keys.empty() || !settings.stateful_resumption);
  const bool cache = settings.stateful_resumption && (!tickets || settings.max_early_data_bytes > 0);
  if (tickets) {
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, SealOrOpenTicket);
  } else {
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
  }
  SSL_CTX_set_session_cache_mode(ctx, cache ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
  SSL_CTX_sess_set_cache_size(ctx, kMaxStatefulSessions);
  // TLS 1.3 sends them without being asked; ones that could not be used again would be wasted.
  if (!tickets && !cache) SSL_CTX_set_num_tickets(ctx, 0);
  // OpenSSL lets each such session be used once (RFC 8446 section 8.1): it keeps them in the cache, and all
  // workers share it.
  SSL_CTX_set_max_early_data(ctx, cache ? settings.max_early_data_bytes : 0);
  // What is not taken has to be read past, also by a server that took some until a moment ago.
  SSL_CTX_set_recv_max_early_data(ctx, std::max(settings.max_early_data_bytes, kMaxSkippedEarlyBytes));
}

absl::Status SetCertificates(const ServerCredentials::Parts& parts, SSL_CTX* ctx) {
  const std::vector<LoadedCertificate>& all = parts.common.certificates;
  if (all.empty()) return absl::InvalidArgumentError("tls_certificates: expected at least one");
  if (all.size() > 1) {
    SSL_CTX_set_cert_cb(ctx, ChooseCertificate, const_cast<ServerCredentials::Parts*>(&parts));
  }
  const LoadedCertificate& first = all.front();
  ERR_clear_error();
  STACK_OF(X509)* rest = sk_X509_new_null();
  for (size_t i = 1; i < first.chain.size(); ++i) sk_X509_push(rest, first.chain[i].get());
  const int used = SSL_CTX_use_cert_and_key(ctx, first.chain.front().get(), first.key.get(), rest, 1);
  sk_X509_free(rest);
  if (used != 1) return absl::InvalidArgumentError("tls_certificates[0]: " + std::string(TakeSslError()));
  return absl::OkStatus();
}

void AskForCertificate(const ServerSettings& settings, const CommonParts& common, SSL_CTX* ctx) {
  if (common.verifier == nullptr) return;
  int mode = SSL_VERIFY_PEER;
  if (settings.require_client_certificate) mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(ctx, mode, nullptr);
  if (!settings.offer_ca_names) return;
  for (const X509Ptr& one : common.verifier->trusted()) SSL_CTX_add_client_CA(ctx, one.get());
}

}  // namespace

ServerCredentials::ServerCredentials() = default;
ServerCredentials::~ServerCredentials() = default;

absl::StatusOr<std::shared_ptr<const ServerCredentials>> ServerCredentials::Make(
    const ServerSettings& settings, std::shared_ptr<const TicketKeys> process_keys) {
  std::shared_ptr<ServerCredentials> made(new ServerCredentials());
  made->parts_ = std::make_unique<Parts>();
  Parts& parts = *made->parts_;
  if (absl::Status common = MakeCommon(settings.common, true, parts.common); !common.ok()) return common;
  if (settings.require_client_certificate && parts.common.verifier == nullptr) {
    return absl::InvalidArgumentError(
        "require_client_certificate: expected something to check it with: validation_context.trusted_ca or "
        "hashes");
  }
  parts.require_sni = settings.require_sni;
  parts.max_early_data_bytes = settings.max_early_data_bytes;
  for (const std::string& key : settings.ticket_keys) {
    if (key.size() != TicketKey::kBytes)
      return absl::InvalidArgumentError("session_ticket_keys: expected keys of 80 bytes");
  }
  parts.keys = settings.ticket_keys.empty() ? std::move(process_keys)
                                            : std::make_shared<const TicketKeys>(settings.ticket_keys);
  SSL_CTX* ctx = parts.common.ctx.get();
  SSL_CTX_set_ex_data(ctx, PartsIndex(), &parts);
  if (!settings.prefer_client_ciphers) SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (absl::Status set = SetCertificates(parts, ctx); !set.ok()) return set;
  AskForCertificate(settings, parts.common, ctx);
  SetResumption(settings, parts, ctx);
  if (!parts.common.alpn.empty()) SSL_CTX_set_alpn_select_cb(ctx, ChooseAlpn, &parts);
  SSL_CTX_set_tlsext_servername_callback(ctx, CheckServerName);
  SSL_CTX_set_tlsext_servername_arg(ctx, &parts);
  return made;
}

std::vector<CertificateFacts> ServerCredentials::certificates() const { return FactsOf(parts_->common); }

}  // namespace pillion::tls
