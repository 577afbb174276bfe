// Keys that sign JWT for tests, made on the spot.
#ifndef PILLION_SIDECAR_JWT_TEST_SIGNER_H_
#define PILLION_SIDECAR_JWT_TEST_SIGNER_H_

#include <memory>
#include <string>
#include <string_view>

#include "sidecar/jwt/key_set.h"

namespace pillion::jwt {

std::string EncodeBase64Url(std::string_view bytes);

class TestSigner {
 public:
  explicit TestSigner(KeyKind kind, int rsa_bits = 2048);
  // Its public key; `more`: further members, `"kid":"a"`.
  std::string Jwk(const std::string& more = "") const;
  // A set with that one alone.
  std::string Set(const std::string& more = "") const { return "{\"keys\":[" + Jwk(more) + "]}"; }
  // As JWS has it.
  std::string Signature(Algorithm algorithm, const std::string& text) const;
  // Both texts are JSON.
  std::string Token(Algorithm algorithm, const std::string& header, const std::string& claims) const {
    const std::string text = EncodeBase64Url(header) + '.' + EncodeBase64Url(claims);
    return text + '.' + EncodeBase64Url(Signature(algorithm, text));
  }

 private:
  // Big-endian, of `bytes` at least; of a parameter that OpenSSL knows by this name.
  std::string Number(const char* name, size_t bytes) const;
  KeyKind kind_;
  Key::Native native_;
};

}  // namespace pillion::jwt

#endif  // PILLION_SIDECAR_JWT_TEST_SIGNER_H_
