#include <algorithm>
#include <utility>

#include "sidecar/tls/credentials_parts.h"

namespace pillion::tls {
namespace {

// TLS 1.2 with forward secrecy and AEAD only (RFC 9325 section 4.2).
constexpr char kCiphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    "ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
constexpr char kCurves[] = "X25519:P-256";
constexpr size_t kMaxAlpnNameBytes = 255;

int NotesIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

std::string JoinNames(const std::vector<std::string>& names) {
  std::string joined;
  for (const std::string& name : names) {
    if (!joined.empty()) joined += ':';
    joined += name;
  }
  return joined;
}

// "[A|B]", equal preference, is an order like any other here.
std::string CipherList(const std::vector<std::string>& names) {
  std::string list = JoinNames(names);
  std::erase_if(list, [](char c) { return c == '[' || c == ']'; });
  std::ranges::replace(list, '|', ':');
  return list;
}

absl::Status SetParameters(const CommonSettings& settings, SSL_CTX* ctx) {
  const auto number = [](Version version) {
    return version == Version::k12 ? TLS1_2_VERSION : TLS1_3_VERSION;
  };
  SSL_CTX_set_min_proto_version(ctx, number(settings.min_version));
  SSL_CTX_set_max_proto_version(ctx, number(settings.max_version));
  ERR_clear_error();
  const std::string ciphers = settings.ciphers.empty() ? kCiphers : CipherList(settings.ciphers);
  if (SSL_CTX_set_cipher_list(ctx, ciphers.c_str()) != 1) {
    return absl::InvalidArgumentError("tls_params.cipher_suites: expected names of ciphers of TLS 1.2: " +
                                      std::string(TakeSslError()));
  }
  const std::string curves = settings.curves.empty() ? kCurves : JoinNames(settings.curves);
  if (SSL_CTX_set1_groups_list(ctx, curves.c_str()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        "tls_params.ecdh_curves: expected names of curves, for example X25519 or P-256");
  }
  const std::string signatures = JoinNames(settings.signature_algorithms);
  if (!signatures.empty() && SSL_CTX_set1_sigalgs_list(ctx, signatures.c_str()) != 1) {
    ERR_clear_error();
    return absl::InvalidArgumentError(
        "tls_params.signature_algorithms: expected names, for example ecdsa_secp256r1_sha256");
  }
  return absl::OkStatus();
}

// OpenSSL's verification, replaced by the verifier's. Called for each certificate that a peer sends.
int VerifyPeer(X509_STORE_CTX* store, void* arg) {
  const auto& verifier = *static_cast<const Verifier*>(arg);
  auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  HandshakeNotes* notes = NotesOf(ssl);
  const Verdict verdict = verifier.Judge(store);
  if (notes != nullptr) notes->verdict = verdict;
  if (verdict.failure == net::TlsFailure::kNone) {
    if (notes != nullptr) notes->peer_verified = true;
    // A resumed session is not verified again: it must not outlive the certificate that it rests on.
    const X509* leaf = X509_STORE_CTX_get0_cert(store);
    int days = 0;
    int seconds = 0;
    SSL_SESSION* session = SSL_get_session(ssl);
    if (session != nullptr && ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(leaf)) == 1) {
      const long left = static_cast<long>(days) * 86400 + seconds;
      if (left < SSL_SESSION_get_timeout(session))
        SSL_SESSION_set_timeout(session, std::max(left, 1L));  // 0 cannot be written into a ticket
    }
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  // What the alert says is made from this.
  if (X509_STORE_CTX_get_error(store) == X509_V_OK) X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

absl::Status LoadCertificates(const CommonSettings& settings, CommonParts& parts) {
  if (settings.certificates.size() > kMaxCertificates)
    return absl::InvalidArgumentError("tls_certificates: expected at most " +
                                      std::to_string(kMaxCertificates));
  for (size_t i = 0; i < settings.certificates.size(); ++i) {
    auto loaded = LoadCertificate(settings.certificates[i], "tls_certificates[" + std::to_string(i) + "]");
    if (!loaded.ok()) return loaded.status();
    parts.certificates.push_back(std::move(*loaded));
  }
  return absl::OkStatus();
}

}  // namespace

void SetNotes(SSL* ssl, HandshakeNotes* notes) { SSL_set_ex_data(ssl, NotesIndex(), notes); }
HandshakeNotes* NotesOf(const SSL* ssl) {
  return ssl == nullptr ? nullptr : static_cast<HandshakeNotes*>(SSL_get_ex_data(ssl, NotesIndex()));
}

std::string AlpnOnWire(const std::vector<std::string>& names) {
  std::string wire;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > kMaxAlpnNameBytes) return {};
    wire += static_cast<char>(name.size());
    wire += name;
  }
  return wire;
}

absl::Status MakeCommon(const CommonSettings& settings, bool server, CommonParts& parts) {
  parts.ctx = SslCtxPtr(SSL_CTX_new(server ? TLS_server_method() : TLS_client_method()));
  if (parts.ctx == nullptr) return absl::ResourceExhaustedError("OpenSSL: " + std::string(TakeSslError()));
  SSL_CTX* ctx = parts.ctx.get();
  SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(ctx, 1);  // one read for many records
  if (absl::Status set = SetParameters(settings, ctx); !set.ok()) return set;
  if (absl::Status loaded = LoadCertificates(settings, parts); !loaded.ok()) return loaded;
  parts.alpn = AlpnOnWire(settings.alpn);
  if (parts.alpn.empty() != settings.alpn.empty())
    return absl::InvalidArgumentError("alpn_protocols: expected names of 1 to 255 bytes");
  if (settings.validation.empty() && settings.validation.names.empty() && settings.validation.crl.empty())
    return absl::OkStatus();
  auto verifier = Verifier::Make(settings.validation);
  if (!verifier.ok()) return verifier.status();
  parts.verifier = std::move(*verifier);
  parts.verifier->Install(ctx);
  SSL_CTX_set_cert_verify_callback(ctx, VerifyPeer, const_cast<Verifier*>(parts.verifier.get()));
  return absl::OkStatus();
}

absl::Status CheckSettings(const CommonSettings& settings) {
  CommonParts parts;
  return MakeCommon(settings, true, parts);
}

void AddFacts(const X509* certificate, bool ca, std::vector<CertificateFacts>& facts) {
  CertificateFacts& one = facts.emplace_back();
  one.ca = ca;
  one.subject = SubjectOf(certificate);
  one.serial = SerialOf(certificate);
  one.not_before_s = UnixTime(X509_get0_notBefore(certificate));
  one.not_after_s = UnixTime(X509_get0_notAfter(certificate));
  const AlternativeNames names = NamesOf(certificate);
  for (const std::string& name : names.dns) one.names.push_back("DNS:" + name);
  for (const std::string& name : names.uri) one.names.push_back("URI:" + name);
  for (const std::string& name : names.ip) one.names.push_back("IP:" + name);
  for (const std::string& name : names.email) one.names.push_back("EMAIL:" + name);
}

std::vector<CertificateFacts> FactsOf(const CommonParts& parts) {
  std::vector<CertificateFacts> facts;
  for (const LoadedCertificate& shown : parts.certificates) AddFacts(shown.chain.front().get(), false, facts);
  if (parts.verifier == nullptr) return facts;
  for (const X509Ptr& trusted : parts.verifier->trusted()) AddFacts(trusted.get(), true, facts);
  return facts;
}

}  // namespace pillion::tls
