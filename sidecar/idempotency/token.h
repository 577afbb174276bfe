// The token of one request: a UUID of version 7 (RFC 9562 section 5.7), with the time of its making in it. A
// value.
//
// The time is that of the clock of the domain that the token is for, as its sidecars tell it: a token is
// refused when it is too old or of the future (specs/idempotency.md 2.11), and a client whose own clock is
// wrong must not have all its requests refused.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_TOKEN_H_
#define PILLION_SIDECAR_IDEMPOTENCY_TOKEN_H_

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/terms.h"

namespace pillion::idempotency {

class Token {
 public:
  static constexpr size_t kTextBytes = 36;
  // 74 bits are drawn: of a million tokens in one millisecond, two are the same once in 10^10 times.
  static Token Mint(DomainTime now, Random& random);
  // Groups of 8, 4, 4, 4 and 12 hexadecimal digits of either case. nullopt: it is none, or not of version 7
  // and the variant of RFC 9562.
  static std::optional<Token> Parse(std::string_view text);

  // Lower case.
  using Text = std::array<char, kTextBytes>;
  Text text() const;
  std::string ToString() const {
    const Text digits = text();
    return {digits.data(), digits.size()};
  }
  DomainTime minted() const { return MintedOf(bytes_); }
  // Of a token's bytes.
  static DomainTime MintedOf(const std::array<uint8_t, 16>& bytes);
  const std::array<uint8_t, 16>& array() const { return bytes_; }
  auto operator<=>(const Token&) const = default;

 private:
  std::array<uint8_t, 16> bytes_{};
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_TOKEN_H_
