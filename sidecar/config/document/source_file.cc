#include "sidecar/config/document/source_file.h"

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <optional>

namespace pillion::config {
namespace {

constexpr size_t kEscapeLength = 6;  // \uXXXX

bool LooksLikeJson(std::string_view text) {
  const size_t start = text.find_first_not_of(" \t\r\n");
  return start != std::string_view::npos && (text[start] == '{' || text[start] == '[');
}

// The code unit of a \uXXXX at the start of `text`.
std::optional<uint32_t> CodeUnit(std::string_view text) {
  if (text.size() < kEscapeLength || text[0] != '\\' || text[1] != 'u') return std::nullopt;
  uint32_t unit = 0;
  const char* end = text.data() + kEscapeLength;
  if (std::from_chars(text.data() + 2, end, unit, 16).ptr != end) return std::nullopt;
  return unit;
}

// The character of a surrogate pair at the start of `text`.
std::optional<uint32_t> SurrogatePair(std::string_view text) {
  const auto high = CodeUnit(text);
  if (!high || *high < 0xd800 || *high > 0xdbff) return std::nullopt;
  const auto low = CodeUnit(text.substr(kEscapeLength));
  if (!low || *low < 0xdc00 || *low > 0xdfff) return std::nullopt;
  return 0x10000 + ((*high - 0xd800) << 10) + (*low - 0xdc00);
}

}  // namespace

Position SourceFile::PositionOf(const YAML::Mark& mark) const {
  if (mark.line < 0 || mark.column < 0) return {};
  int column = mark.column;
  for (const Shift& shift : shifts) {
    if (shift.line == mark.line && shift.column <= mark.column) column += shift.by;
  }
  return {.line = mark.line + 1, .column = column + 1};
}

SourceFile ReadSource(std::string_view text, std::string_view name) {
  SourceFile source{.name = std::string(name), .text = std::string(text), .shifts = {}};
  if (!LooksLikeJson(text)) return source;
  std::string out;
  out.reserve(text.size());
  std::vector<Shift> shifts;
  bool in_string = false;
  int line = 0;
  size_t line_start = 0;  // in `out`
  for (size_t i = 0; i < text.size();) {
    const char c = text[i];
    // YAML after all: a comment or a single-quoted text, in which a backslash is only a backslash.
    if (!in_string && (c == '#' || c == '\'')) return source;
    if (const auto character = in_string ? SurrogatePair(text.substr(i)) : std::nullopt) {
      char escape[sizeof "\\U00000000"];
      const int length = std::snprintf(escape, sizeof escape, "\\U%08X", *character);
      out.append(escape, static_cast<size_t>(length));
      i += 2 * kEscapeLength;
      shifts.push_back({.line = line,
                        .column = static_cast<int>(out.size() - line_start),
                        .by = static_cast<int>(2 * kEscapeLength) - length});
      continue;
    }
    const bool escape = in_string && c == '\\' && i + 1 < text.size();
    const size_t taken = escape ? 2 : 1;
    out.append(text, i, taken);
    i += taken;
    if (c == '"') in_string = !in_string;
    if (c == '\n') {
      ++line;
      line_start = out.size();
    }
  }
  source.text = std::move(out);
  source.shifts = std::move(shifts);
  return source;
}

}  // namespace pillion::config
