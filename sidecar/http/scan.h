// Byte classes of HTTP text, sixteen bytes at a time (SSE2, which every x86-64 has). Each Skip function
// returns the first byte of [at, end) that is not of its class, or `end`, and reads nothing at or behind
// `end`.
#ifndef PILLION_SIDECAR_HTTP_SCAN_H_
#define PILLION_SIDECAR_HTTP_SCAN_H_

#include <emmintrin.h>

#include <array>
#include <bit>
#include <cstddef>
#include <string_view>

namespace pillion::http {

struct ByteSet {
  std::array<bool, 256> in{};
  // Letters, digits and `extra`.
  constexpr explicit ByteSet(std::string_view extra) {
    for (size_t c = '0'; c <= '9'; ++c) in[c] = true;
    for (size_t c = 'a'; c <= 'z'; ++c) in[c] = true;
    for (size_t c = 'A'; c <= 'Z'; ++c) in[c] = true;
    for (const char c : extra) in[static_cast<unsigned char>(c)] = true;
  }
  constexpr bool Has(char c) const { return in[static_cast<unsigned char>(c)]; }
};

namespace scan {

inline __m128i Load(const char* at) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at)); }
// Bytes in [low, low + span), as 0xff.
inline __m128i InRange(__m128i bytes, char low, int span) {
  const __m128i shifted = _mm_sub_epi8(bytes, _mm_set1_epi8(low));
  return _mm_cmpeq_epi8(_mm_min_epu8(shifted, _mm_set1_epi8(static_cast<char>(span - 1))), shifted);
}
inline unsigned Mask(__m128i bytes) { return static_cast<unsigned>(_mm_movemask_epi8(bytes)); }
// Letters, digits, "-" and ".": what names and hosts are made of, nearly always.
inline unsigned NotPlain(__m128i bytes) {
  const __m128i letters = InRange(_mm_or_si128(bytes, _mm_set1_epi8(0x20)), 'a', 26);
  const __m128i digits = InRange(bytes, '0', 10);
  const __m128i marks = InRange(bytes, '-', 2);
  return Mask(_mm_or_si128(letters, _mm_or_si128(digits, marks))) ^ 0xffff;
}

}  // namespace scan

// RFC 9110 section 5.6.2: tchar.
inline constexpr ByteSet kTokenBytes("!#$%&'*+-.^_`|~");

inline const char* SkipToken(const char* at, const char* end) {
  while (end - at >= 16) {
    const unsigned stop = scan::NotPlain(scan::Load(at));
    if (stop == 0) {
      at += 16;
      continue;
    }
    at += std::countr_zero(stop);
    if (!kTokenBytes.Has(*at)) return at;
    ++at;
  }
  while (at != end && kTokenBytes.Has(*at)) ++at;
  return at;
}

// RFC 9110 section 7.8: what Upgrade names, a protocol and perhaps its version behind a slash.
inline bool IsProtocol(std::string_view text) {
  const char* const begin = text.data();
  const char* const end = begin + text.size();
  const char* at = SkipToken(begin, end);
  if (at == begin) return false;
  if (at != end && *at == '/') {
    const char* const version = ++at;
    at = SkipToken(version, end);
    if (at == version) return false;
  }
  return at == end;
}

// RFC 9110 section 5.5: VCHAR, obs-text, SP and HTAB.
inline const char* SkipText(const char* at, const char* end) {
  while (end - at >= 16) {
    const __m128i bytes = scan::Load(at);
    const __m128i control = scan::InRange(bytes, 0, 0x20);
    const __m128i tab = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\t'));
    const __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    const unsigned stop = scan::Mask(_mm_or_si128(_mm_andnot_si128(tab, control), del));
    if (stop != 0) return at + std::countr_zero(stop);
    at += 16;
  }
  while (at != end && (static_cast<unsigned char>(*at) >= 0x20 || *at == '\t') && *at != 0x7f) ++at;
  return at;
}

// Bytes that a path and query may hold: visible ASCII without "#". A fragment never travels in a target
// (RFC 9110 section 4.2.5). The bytes that RFC 3986 wants encoded (like "|" and "{") pass as they are: real
// clients send them and no two parsers disagree where they end.
inline bool IsPathByte(char c) { return c > 0x20 && c < 0x7f && c != '#'; }

inline const char* SkipPath(const char* at, const char* end) {
  while (end - at >= 16) {
    const __m128i bytes = scan::Load(at);
    const __m128i hash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('#'));
    const unsigned stop =
        scan::Mask(_mm_andnot_si128(hash, scan::InRange(bytes, 0x21, 0x7f - 0x21))) ^ 0xffff;
    if (stop != 0) return at + std::countr_zero(stop);
    at += 16;
  }
  while (at != end && IsPathByte(*at)) ++at;
  return at;
}

}  // namespace pillion::http

#endif  // PILLION_SIDECAR_HTTP_SCAN_H_
