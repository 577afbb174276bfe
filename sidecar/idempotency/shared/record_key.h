// The key that answers in Redis are encrypted with, as operators write it.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_RECORD_KEY_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_RECORD_KEY_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "sidecar/base/hex.h"

namespace pillion::idempotency {

using RecordKey = std::array<uint8_t, 32>;

// 32 bytes as they are, or 64 hexadecimal digits in lower case, white space behind those aside. nullopt: it
// is neither.
inline std::optional<RecordKey> ParseRecordKey(std::string_view text) {
  RecordKey key{};
  if (text.size() == key.size()) {
    std::copy(text.begin(), text.end(), key.begin());
    return key;
  }
  while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != std::string_view::npos)
    text.remove_suffix(1);
  if (text.size() != 2 * key.size() || !ParseHex(text, key)) return std::nullopt;
  return key;
}

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_RECORD_KEY_H_
