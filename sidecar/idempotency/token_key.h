// Under what a record is found: a token, as its caller has it. Another caller's token of the same bytes is
// another one. A value.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_TOKEN_KEY_H_
#define PILLION_SIDECAR_IDEMPOTENCY_TOKEN_KEY_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/hash/hash.h"
#include "sidecar/idempotency/digest.h"

namespace pillion::idempotency {

struct TokenKey {
  std::array<uint8_t, 16> token{};  // its bytes; of an app's key, of its digest
  CallerId caller = 0;
  bool operator==(const TokenKey&) const = default;
  // Callers choose most of a token's bits: the hash has a seed of the process.
  size_t Hash() const { return absl::HashOf(*this); }
  template <typename H>
  friend H AbslHashValue(H h, const TokenKey& key) {
    std::array<uint64_t, 2> words;
    std::memcpy(words.data(), key.token.data(), sizeof(words));
    return H::combine(std::move(h), words[0], words[1], key.caller);
  }
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_TOKEN_KEY_H_
