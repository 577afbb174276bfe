// Keys of OpenSSL, made of the numbers of a JWK. For the files of this folder only.
#ifndef PILLION_SIDECAR_JWT_NATIVE_KEY_H_
#define PILLION_SIDECAR_JWT_NATIVE_KEY_H_

#include <cstddef>
#include <string>
#include <string_view>

#include "sidecar/jwt/key_set.h"

namespace pillion::jwt {

// RFC 7518 section 3.3 wants 2048 bits. Attack: a key that takes seconds to verify with.
inline constexpr size_t kMinRsaBits = 2048;
inline constexpr size_t kMaxRsaBits = 8192;
inline constexpr size_t kMaxExponentBytes = 8;

// Numbers are big-endian. Null: there is no such key.
Key::Native MakeRsaKey(const std::string& modulus, const std::string& exponent);
// The point (x, y); each is of the curve's length (RFC 7518 section 6.2.1.2).
struct Point {
  std::string x;
  std::string y;
};
Key::Native MakeEcKey(KeyKind curve, const Point& point);
Key::Native MakeEd25519Key(const std::string& point);

}  // namespace pillion::jwt

#endif  // PILLION_SIDECAR_JWT_NATIVE_KEY_H_
