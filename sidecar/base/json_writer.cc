#include "sidecar/base/json_writer.h"

#include <algorithm>

namespace pillion {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

uint8_t At(std::string_view text, size_t i) { return static_cast<uint8_t>(text[i]); }

void AppendEscape(uint32_t code, std::string& out) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  out += "\\u";
  for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[code >> shift & 0xF];
}

void AppendAscii(char c, std::string& out) {
  switch (c) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    default:
      if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F) {
        AppendEscape(static_cast<uint8_t>(c), out);
      } else {
        out += c;
      }
  }
}

void AppendEscaped(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const size_t length = Utf8SequenceLength(text);
    const std::string_view sequence = text.substr(0, length);
    if (length == 1) {
      AppendAscii(text[0], out);
    } else if (length == 2 && At(text, 0) == 0xC2 && At(text, 1) < 0xA0) {
      AppendEscape(At(text, 1), out);  // C1: some terminals take these for escape sequences
    } else if (sequence == "\u2028" || sequence == "\u2029") {
      AppendEscape(sequence == "\u2028" ? 0x2028 : 0x2029, out);  // a line's end to JavaScript
    } else {
      out += length == 0 ? kReplacement : sequence;
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
}

}  // namespace

size_t Utf8SequenceLength(std::string_view text) {
  if (text.empty()) return 0;
  const uint8_t first = At(text, 0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  // RFC 3629 section 4: the second byte shuts out overlong forms, surrogates and what lies above U+10FFFF.
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (first == 0xE0) low = 0xA0;
  if (first == 0xED) high = 0x9F;
  if (first == 0xF0) low = 0x90;
  if (first == 0xF4) high = 0x8F;
  if (At(text, 1) < low || At(text, 1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((At(text, i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

std::string ValidUtf8(std::string_view text, size_t max_bytes) {
  std::string valid;
  while (!text.empty()) {
    const size_t length = Utf8SequenceLength(text);
    const std::string_view piece = length == 0 ? kReplacement : text.substr(0, length);
    if (valid.size() + piece.size() > max_bytes) break;
    valid += piece;
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return valid;
}

void JsonWriter::Separate() {
  if (!first_) out_ += ',';
  first_ = false;
}

void JsonWriter::Open(char bracket) {
  Separate();
  out_ += bracket;
  first_ = true;
}

void JsonWriter::Close(char bracket) {
  out_ += bracket;
  first_ = false;
}

void JsonWriter::Key(std::string_view key) {
  String(key);
  out_ += ':';
  first_ = true;
}

void JsonWriter::String(std::string_view value) {
  Separate();
  out_ += '"';
  AppendEscaped(value, out_);
  out_ += '"';
}

void JsonWriter::Number(uint64_t value) { Raw(std::to_string(value)); }

void JsonWriter::Bool(bool value) { Raw(value ? "true" : "false"); }

void JsonWriter::Raw(std::string_view json) {
  Separate();
  out_ += json;
}

}  // namespace pillion
