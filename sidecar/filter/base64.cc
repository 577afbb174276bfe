#include "sidecar/filter/base64.h"

#include <array>

namespace pillion::filter {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr uint8_t kNone = 0xFF;

constexpr std::array<uint8_t, 256> Values() {
  std::array<uint8_t, 256> values{};
  values.fill(kNone);
  for (size_t i = 0; i < kAlphabet.size(); ++i)
    values[static_cast<unsigned char>(kAlphabet[i])] = static_cast<uint8_t>(i);
  return values;
}
constexpr std::array<uint8_t, 256> kValues = Values();

void AppendGroup(uint32_t bits, size_t characters, std::string& out) {
  for (size_t i = 0; i < 4; ++i) out += i < characters ? kAlphabet[bits >> (18 - 6 * i) & 63] : '=';
}

}  // namespace

bool Base64Decoder::Feed(std::string_view text, std::string& out) {
  for (const char c : text) {
    uint32_t value = 0;
    if (c == '=') {
      if (count_ < 2) return false;
      ++padding_;
    } else {
      const uint8_t known = kValues[static_cast<unsigned char>(c)];
      if (known == kNone || padding_ > 0) return false;
      value = known;
    }
    bits_ = bits_ << 6 | value;
    if (++count_ < 4) continue;
    for (int i = 0; i < 3 - padding_; ++i) out += static_cast<char>(bits_ >> (16 - 8 * i) & 0xFF);
    *this = {};
  }
  return true;
}

void Base64Encoder::Feed(std::string_view bytes, std::string& out) {
  for (const char c : bytes) {
    bits_ = bits_ << 8 | static_cast<unsigned char>(c);
    if (++count_ < 3) continue;
    AppendGroup(bits_, 4, out);
    *this = {};
  }
}

void Base64Encoder::Flush(std::string& out) {
  if (count_ > 0) AppendGroup(bits_ << (8 * (3 - count_)), count_ + size_t{1}, out);
  *this = {};
}

std::optional<std::string> DecodeBinaryField(std::string_view text) {
  std::string padded(text);
  while (padded.size() % 4 != 0) padded += '=';
  std::string out;
  Base64Decoder decoder;
  if (!decoder.Feed(padded, out)) return std::nullopt;
  return out;
}

}  // namespace pillion::filter
