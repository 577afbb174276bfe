#include "sidecar/config/string_match.h"

#include <re2/re2.h>

#include "sidecar/base/text.h"

namespace pillion::config {
namespace {

bool HasSuffix(std::string_view text, std::string_view suffix, bool ignore_case) {
  if (text.size() < suffix.size()) return false;
  const std::string_view tail = text.substr(text.size() - suffix.size());
  return ignore_case ? EqualsIgnoreCase(tail, suffix) : tail == suffix;
}

bool Contains(std::string_view text, std::string_view part, bool ignore_case) {
  if (!ignore_case) return text.find(part) != std::string_view::npos;
  for (size_t at = 0; at + part.size() <= text.size(); ++at) {
    if (EqualsIgnoreCase(text.substr(at, part.size()), part)) return true;
  }
  return false;
}

}  // namespace

bool HasPrefix(std::string_view text, std::string_view prefix, bool ignore_case) {
  if (text.size() < prefix.size()) return false;
  const std::string_view head = text.substr(0, prefix.size());
  return ignore_case ? EqualsIgnoreCase(head, prefix) : head == prefix;
}

bool Matches(const StringMatch& match, std::string_view text) {
  using Kind = StringMatch::Kind;
  switch (match.kind) {
    case Kind::kExact:
      return match.ignore_case ? EqualsIgnoreCase(text, match.text) : text == match.text;
    case Kind::kPrefix:
      return HasPrefix(text, match.text, match.ignore_case);
    case Kind::kSuffix:
      return HasSuffix(text, match.text, match.ignore_case);
    case Kind::kContains:
      return Contains(text, match.text, match.ignore_case);
    case Kind::kRegex:
      return re2::RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *match.regex);
  }
  return false;
}

}  // namespace pillion::config
