#include "sidecar/idempotency/token.h"

#include "sidecar/base/hex.h"
#include "sidecar/base/mutant.h"

namespace pillion::idempotency {
namespace {

// Behind which bytes a hyphen stands.
constexpr bool HyphenAfter(size_t byte) { return byte == 3 || byte == 5 || byte == 7 || byte == 9; }

}  // namespace

Token Token::Mint(DomainTime now, Random& random) {
  Token token;
  const auto time = static_cast<uint64_t>(now.count());
  const uint64_t high = Mutated(Mutant::kTokensAlike) ? 0 : random.Next();
  const uint64_t low = Mutated(Mutant::kTokensAlike) ? 0 : random.Next();
  for (size_t i = 0; i < 6; ++i) token.bytes_[i] = static_cast<uint8_t>(time >> (40 - 8 * i));
  token.bytes_[6] = static_cast<uint8_t>(0x70 | (high & 0x0F));
  token.bytes_[7] = static_cast<uint8_t>(high >> 8);
  for (size_t i = 0; i < 8; ++i) token.bytes_[8 + i] = static_cast<uint8_t>(low >> (56 - 8 * i));
  token.bytes_[8] = static_cast<uint8_t>(0x80 | (token.bytes_[8] & 0x3F));
  return token;
}

std::optional<Token> Token::Parse(std::string_view text) {
  if (text.size() != kTextBytes) return std::nullopt;
  Token token;
  size_t at = 0;
  for (size_t i = 0; i < token.bytes_.size(); ++i) {
    const unsigned byte = HexByte(text.data() + at);
    if (byte > 0xFF) return std::nullopt;
    token.bytes_[i] = static_cast<uint8_t>(byte);
    at += 2;
    if (HyphenAfter(i) && text[at++] != '-') return std::nullopt;
  }
  if (token.bytes_[6] >> 4 != 7 || token.bytes_[8] >> 6 != 2) return std::nullopt;
  return token;
}

Token::Text Token::text() const {
  Text text;
  char* out = text.data();
  for (size_t i = 0; i < bytes_.size(); ++i) {
    out = WriteHex({&bytes_[i], 1}, out);
    if (HyphenAfter(i)) *out++ = '-';
  }
  return text;
}

DomainTime Token::MintedOf(const std::array<uint8_t, 16>& bytes) {
  int64_t time = 0;
  for (size_t i = 0; i < 6; ++i) time = time << 8 | bytes[i];
  return DomainTime(time);
}

}  // namespace pillion::idempotency
