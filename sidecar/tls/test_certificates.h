// Keys and certificates for tests, made on the spot.
#ifndef PILLION_SIDECAR_TLS_TEST_CERTIFICATES_H_
#define PILLION_SIDECAR_TLS_TEST_CERTIFICATES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pillion::tls {

struct Issued {
  std::string certificate;  // PEM
  std::string key;          // PEM
};

struct LeafOptions {
  std::string common_name = "leaf";  // "": an empty subject
  std::string names = {};            // "DNS:a.example,URI:spiffe://td/x,IP:127.0.0.1"; "": none
  std::string raw_dns_name = {};     // instead of `names`: these bytes, whatever they are
  std::string key_usage = "critical,digitalSignature";  // "": none
  std::string extended_key_usage = "serverAuth,clientAuth";
  std::string basic_constraints = "CA:FALSE";
  bool critical_names = false;
  int64_t begins_s = -3600;  // from now
  int64_t ends_s = 86400;
  int64_t serial = 0;  // 0: the next
};

// Of an authority and of all that it issues. Ed25519 signs in 64 bytes; the length of what P-256 signs
// varies.
enum class KeyKind : uint8_t { kP256, kEd25519 };

class TestAuthority {
 public:
  explicit TestAuthority(const std::string& name, const std::string& names = "",
                         KeyKind keys = KeyKind::kP256);
  ~TestAuthority();
  TestAuthority(const TestAuthority&) = delete;
  TestAuthority& operator=(const TestAuthority&) = delete;
  const std::string& pem() const { return pem_; }
  Issued Issue(const LeafOptions& options);
  // A revocation list that is good for a day, or was until an hour ago.
  std::string RevocationList(const std::vector<int64_t>& serials, bool expired = false) const;

 private:
  struct Native;
  std::unique_ptr<Native> native_;
  std::string pem_;
  const KeyKind keys_;
  int64_t next_serial_ = 100;
};

// For pins.
std::string CertificateSha256(const std::string& pem);
std::string CertificateSpkiSha256(const std::string& pem);

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_TEST_CERTIFICATES_H_
