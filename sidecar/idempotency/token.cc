#include "sidecar/idempotency/token.h"

#include "sidecar/base/hex.h"
#include "sidecar/base/mutant.h"

namespace pillion::idempotency {
namespace {

// Its groups of bytes, with a hyphen between each two of them (RFC 9562 section 4).
struct Group {
  size_t first;
  size_t bytes;
  size_t text;  // where it begins
};
constexpr std::array<Group, 5> kGroups = {{{0, 4, 0}, {4, 2, 9}, {6, 2, 14}, {8, 2, 19}, {10, 6, 24}}};

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
  for (const Group& group : kGroups) {
    if (group.text != 0 && text[group.text - 1] != '-') return std::nullopt;
    if (!ReadHex(text.substr(group.text, 2 * group.bytes), {&token.bytes_[group.first], group.bytes}))
      return std::nullopt;
  }
  if (token.bytes_[6] >> 4 != 7 || token.bytes_[8] >> 6 != 2) return std::nullopt;
  return token;
}

Token::Text Token::text() const {
  Text text;
  for (const Group& group : kGroups) {
    if (group.text != 0) text[group.text - 1] = '-';
    WriteHex({&bytes_[group.first], group.bytes}, text.data() + group.text);
  }
  return text;
}

DomainTime Token::MintedOf(const std::array<uint8_t, 16>& bytes) {
  int64_t time = 0;
  for (size_t i = 0; i < 6; ++i) time = time << 8 | bytes[i];
  return DomainTime(time);
}

}  // namespace pillion::idempotency
