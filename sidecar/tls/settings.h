// What credentials are built from: plain values, already read from wherever they come. Texts are PEM.
#ifndef PILLION_SIDECAR_TLS_SETTINGS_H_
#define PILLION_SIDECAR_TLS_SETTINGS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pillion::tls {

// Attack, by whoever writes configuration or certificates: work per handshake that grows without end.
inline constexpr size_t kMaxCertificates = 64;       // of one server, to choose from by SNI
inline constexpr size_t kMaxTrustedCas = 1024;       // in one bundle
inline constexpr size_t kMaxChainCertificates = 16;  // sent with a leaf
inline constexpr size_t kMaxPemBytes = size_t{4} * 1024 * 1024;
// Sessions that a server keeps instead of giving out tickets; the oldest goes first. Attack: handshakes that
// are never resumed.
inline constexpr long kMaxStatefulSessions = 4096;
// Endpoints whose sessions a client keeps.
inline constexpr size_t kMaxResumableEndpoints = 1024;

enum class Version : uint8_t { k12, k13 };

struct Certificate {
  std::string chain;  // the leaf first
  std::string key;
  std::string password;
  friend bool operator==(const Certificate&, const Certificate&) = default;
};

// A subject alternative name that is allowed.
struct NameMatcher {
  enum class Kind : uint8_t { kDns, kUri, kIp, kEmail };
  enum class Match : uint8_t { kExact, kPrefix, kSuffix, kContains, kRegex };  // regex: RE2, the whole name
  Kind kind = Kind::kDns;
  Match match = Match::kExact;
  std::string text;
  bool ignore_case = false;
  friend bool operator==(const NameMatcher&, const NameMatcher&) = default;
};

// How the peer proves who it is. Nothing set: it does not have to.
struct Validation {
  std::string trusted_ca;
  std::string crl;
  std::vector<NameMatcher> names;  // any of them; needs a CA
  std::vector<std::string>
      certificate_sha256;                // of the DER, 64 lower-case hexadecimal digits; any of them, or
  std::vector<std::string> spki_sha256;  // any of these, base64
  bool allow_expired = false;
  bool only_leaf_crl = false;
  std::optional<uint32_t> max_depth;
  bool empty() const { return trusted_ca.empty() && certificate_sha256.empty() && spki_sha256.empty(); }
  friend bool operator==(const Validation&, const Validation&) = default;
};

struct CommonSettings {
  Version min_version = Version::k12;
  Version max_version = Version::k13;
  std::vector<std::string>
      ciphers;                      // of TLS 1.2, OpenSSL's names; empty: those with forward secrecy and AEAD
  std::vector<std::string> curves;  // empty: X25519, P-256
  std::vector<std::string> signature_algorithms;
  std::vector<Certificate> certificates;
  Validation validation;
  std::vector<std::string> alpn;  // in the order of preference; empty: none
  friend bool operator==(const CommonSettings&, const CommonSettings&) = default;
};

struct ServerSettings {
  CommonSettings common;
  bool require_client_certificate = false;
  bool require_sni = false;
  bool offer_ca_names = true;  // the names of the trusted CAs go to the client
  bool prefer_client_ciphers = false;
  // Resumption. Tickets are sealed with `ticket_keys` (80 bytes each; the first seals, all open), else with
  // the process's own keys.
  std::vector<std::string> ticket_keys;
  bool stateless_resumption = true;
  bool stateful_resumption = true;
  std::chrono::seconds session_timeout{7200};
  uint32_t max_early_data_bytes = 0;  // 0: no 0-RTT
  friend bool operator==(const ServerSettings&, const ServerSettings&) = default;
};

struct ClientSettings {
  CommonSettings common;
  std::string sni;
  uint32_t max_sessions = 1;  // kept per endpoint; 0: no resumption
  friend bool operator==(const ClientSettings&, const ClientSettings&) = default;
};

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_SETTINGS_H_
