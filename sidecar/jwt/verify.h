// JSON Web Tokens (RFC 7519) signed as compact JWS (RFC 7515): who signed one, and what it says of whom.
// Pure: the time is told. RFC 8725 has what others got wrong: which algorithm counts is the keys' to say, and
// no key that a token brings along is looked at.
#ifndef PILLION_SIDECAR_JWT_VERIFY_H_
#define PILLION_SIDECAR_JWT_VERIFY_H_

#include <google/protobuf/struct.pb.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "sidecar/jwt/key_set.h"
#include "sidecar/jwt/terms.h"

namespace pillion::jwt {

inline constexpr size_t kMaxTokenBytes = size_t{16} * 1024;
inline constexpr size_t kMaxClaimBytes = 512;
// So much the issuer's clock may differ from ours.
inline constexpr std::chrono::seconds kLeeway{60};
// Attack: a token that names no key, where each key of a large set takes its time to be tried.
inline constexpr size_t kMaxKeysTried = 4;

// Why a token is not believed.
enum class Problem : uint8_t {
  kTooLarge,
  kNotThreeParts,
  kEncoding,
  kHeader,     // no object that everybody reads alike, or without `alg`
  kCritical,   // it has an extension that must be understood
  kAlgorithm,  // "none", HMAC, or one that we do not know
  kNoKey,      // none of the set may have signed it
  kManyKeys,   // it names none, and more may have than are tried
  kSignature,
  kClaims,  // no object that everybody reads alike
  kNoExpiry,
  kExpired,
  kNotYet,
  kIssuer,
  kAudience,
  kNoClaim,  // that is asked for: a string, not empty, and not too long
};
inline constexpr size_t kProblems = static_cast<size_t>(Problem::kNoClaim) + 1;
// For people. Nothing of the token is in it.
std::string_view ToString(Problem problem);

// Of a token that one of `keys` has signed, whatever it says: its claims.
std::variant<google::protobuf::Struct, Problem> ReadSigned(std::string_view token, const KeySet& keys);

// The value of the claim that `terms` name, of a token that `keys` have signed, which is valid `now` and has
// said what `terms` want.
std::variant<std::string, Problem> Verify(std::string_view token, const KeySet& keys, const Terms& terms,
                                          std::chrono::sys_seconds now);

}  // namespace pillion::jwt

#endif  // PILLION_SIDECAR_JWT_VERIFY_H_
