// The keys that answers are sealed with in stores of tokens: one for each Service, all made of the control
// plane's own, which no sidecar is told.
#ifndef PILLION_CONTROL_PLANE_MODEL_TOKEN_KEYS_H_
#define PILLION_CONTROL_PLANE_MODEL_TOKEN_KEYS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "control-plane/model/objects.h"

namespace pillion::control {

// A value. Any thread.
class TokenKeys {
 public:
  static constexpr size_t kBytes = 32;
  // Of the file's content: kBytes as they are, or twice as many hexadecimal digits, white space behind them
  // aside. nullopt: it is neither.
  static std::optional<TokenKeys> Parse(std::string_view text);
  // Keys that anybody knows: to look at what is never sent.
  static TokenKeys Worthless() { return TokenKeys({}); }

  // HKDF-SHA256 (RFC 5869), kBytes long: the same for that Service at all times, and no other's.
  std::string Of(const ObjectName& service) const;

 private:
  using Bytes = std::array<uint8_t, kBytes>;
  explicit TokenKeys(const Bytes& master) : master_(master) {}

  Bytes master_;
};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_MODEL_TOKEN_KEYS_H_
