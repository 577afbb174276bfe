// The bytes of an HTTP/1 head (RFC 9112 sections 2 to 5): which may stand where, and how field lines are
// cut. Private to this folder. A cursor never reads at or behind its end.
#ifndef PILLION_SIDECAR_HTTP1_WIRE_H_
#define PILLION_SIDECAR_HTTP1_WIRE_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sidecar/http/scan.h"
#include "sidecar/http1/parser.h"

namespace pillion::http1 {

struct Cursor {
  const char* at;
  const char* end;
  size_t left() const { return static_cast<size_t>(end - at); }
};

enum class Parsed : uint8_t { kDone, kIncomplete, kFailed };

inline Parsed Fail(ParseError& error, ErrorKind kind, std::string_view detail) {
  error = {kind, detail};
  return Parsed::kFailed;
}
inline Parsed Malformed(ParseError& error, std::string_view detail) {
  return Fail(error, ErrorKind::kMalformed, detail);
}

// Takes CRLF. RFC 9112 section 2.2: a recipient may take a bare LF as a line end; we never do, since two
// parsers that differ here see different messages.
inline Parsed TakeLineEnd(Cursor& cursor, ParseError& error) {
  if (cursor.left() == 0) return Parsed::kIncomplete;
  if (cursor.at[0] != '\r') {
    return Malformed(error, cursor.at[0] == '\n' ? "bare LF (RFC 9112 section 2.2)"
                                                 : "control byte in a line (RFC 9110 section 5.5)");
  }
  if (cursor.left() == 1) return Parsed::kIncomplete;
  if (cursor.at[1] != '\n') return Malformed(error, "bare CR (RFC 9112 section 2.2)");
  cursor.at += 2;
  return Parsed::kDone;
}

inline Parsed BadFieldName(char found, bool empty, bool first, ParseError& error) {
  if (empty && (found == ' ' || found == '\t')) {
    return Malformed(error, first ? "whitespace before the first field (RFC 9112 section 2.2)"
                                  : "obs-fold (RFC 9112 section 5.2)");
  }
  if (empty && found == '\n') return Malformed(error, "bare LF (RFC 9112 section 2.2)");
  if (empty) return Malformed(error, "empty or bad field name (RFC 9110 section 5.1)");
  if (found == ' ' || found == '\t') {
    return Malformed(error, "whitespace before the colon (RFC 9112 section 5.1)");
  }
  return Malformed(error, "field name is not a token (RFC 9110 section 5.1)");
}

// Reads field lines up to and with the empty line. `take(name, value)` returns false after setting `error`.
template <typename Take>
Parsed ReadFields(Cursor& cursor, size_t max_fields, ParseError& error, Take&& take) {
  for (size_t count = 0;; ++count) {
    if (cursor.left() == 0) return Parsed::kIncomplete;
    if (*cursor.at == '\r') return TakeLineEnd(cursor, error);
    const char* const name = cursor.at;
    const char* at = http::SkipToken(name, cursor.end);
    if (at == cursor.end) return Parsed::kIncomplete;
    if (*at != ':' || at == name) return BadFieldName(*at, at == name, count == 0, error);
    if (count == max_fields) return Fail(error, ErrorKind::kHeadTooLarge, "too many fields");
    const auto name_size = static_cast<size_t>(at - name);
    if (name_size > UINT16_MAX) return Fail(error, ErrorKind::kHeadTooLarge, "field name too long");
    ++at;
    while (at != cursor.end && (*at == ' ' || *at == '\t')) ++at;
    const char* const value = at;
    cursor.at = http::SkipText(value, cursor.end);
    const char* value_end = cursor.at;
    if (const Parsed end = TakeLineEnd(cursor, error); end != Parsed::kDone) return end;
    while (value_end != value && (value_end[-1] == ' ' || value_end[-1] == '\t')) --value_end;
    if (!take(std::string_view(name, name_size),
              std::string_view(value, static_cast<size_t>(value_end - value)))) {
      return Parsed::kFailed;
    }
  }
}

}  // namespace pillion::http1

#endif  // PILLION_SIDECAR_HTTP1_WIRE_H_
