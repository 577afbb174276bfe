// Characters in UTF-8 (RFC 3629 section 4).
#ifndef PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_UTF8_H_
#define PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_UTF8_H_

#include <cstddef>
#include <string_view>

namespace pillion::filters {

// The size of the first character of `bytes`; 0: it is none. Not of nothing.
inline size_t CharacterBytes(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes[0]);
  if (first < 0x80) return 1;
  const size_t size = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
  if (size == 0 || size > bytes.size()) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((static_cast<unsigned char>(bytes[i]) & 0xC0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  const auto second = static_cast<unsigned char>(bytes[1]);
  const bool wrong = (first == 0xE0 && second < 0xA0) || (first == 0xED && second >= 0xA0) ||
                     (first == 0xF0 && second < 0x90) || (first == 0xF4 && second >= 0x90);
  return wrong ? 0 : size;
}

inline bool IsUtf8(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t size = CharacterBytes(bytes);
    if (size == 0) return false;
    bytes.remove_prefix(size);
  }
  return true;
}

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_JSON_TRANSCODER_UTF8_H_
