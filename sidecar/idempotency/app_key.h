// The key by which an application names a request of its own, so that all that it sends with that key are
// one: Idempotency-Key (draft-ietf-httpapi-idempotency-key-header). Pure.
//
// The draft has it as a String of Structured Fields (RFC 8941 section 3.3.3), and deployed clients send what
// they have without quotes; the same characters are the same key either way. What is neither is refused, and
// not guessed at: two readings of one field would be two keys, and run a request twice.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_APP_KEY_H_
#define PILLION_SIDECAR_IDEMPOTENCY_APP_KEY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/http/header_list.h"

namespace pillion::idempotency {

// Without quotes and escapes.
inline constexpr size_t kMaxKeyBytes = 255;

// A field's value: `"` printable ASCII, where `\` stands before `"` and `\` `"`, without parameters; or
// letters, digits and ._~:+/=- alone. 1 to 255 characters. nullopt: it is no key.
std::optional<std::string> ParseAppKey(std::string_view value);

struct AppKey {
  enum class Kind : uint8_t {
    kNone,  // the request has no such field
    kKey,
    kBad,  // or several of them
  };
  Kind kind = Kind::kNone;
  std::string text;  // of kKey
};
AppKey ReadAppKey(const http::HeaderList& headers);

// In pillion-token, where the request's key is its token.
inline constexpr std::string_view kKeyForToken = "app";

// What stands for a key where a token has its 16 bytes: of the key alone, so that all sidecars have the same;
// and of the user whose it is, where policy names one ("": it does not). It is another user's then.
std::array<uint8_t, 16> BytesOfKey(std::string_view key, std::string_view principal = {});

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_APP_KEY_H_
