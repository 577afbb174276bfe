#include "sidecar/http/path.h"

#include <algorithm>
#include <string_view>

#include "sidecar/http/scan.h"

namespace pillion::http {
namespace {

constexpr ByteSet kUnreserved("-._~");  // RFC 3986 section 2.3

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// The byte that the escape at `at` stands for; -1: there is none.
int EscapedAt(std::string_view text, size_t at) {
  if (at + 2 >= text.size() || text[at] != '%') return -1;
  const int high = HexValue(text[at + 1]);
  const int low = HexValue(text[at + 2]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// A "%" that begins no escape stands at the end of `out`: a byte put behind it could make it one.
bool EndsInOpenEscape(std::string_view out) {
  const size_t size = out.size();
  if (size >= 1 && out[size - 1] == '%') return true;
  return size >= 2 && out[size - 2] == '%' && HexValue(out[size - 1]) >= 0;
}

// Some servers drop what follows ";" in a segment before they look for dots (Java servlets), most do not.
bool IsDotsWithParameters(std::string_view segment) {
  const size_t dots = segment.find_first_not_of('.');
  return (dots == 1 || dots == 2) && segment[dots] == ';';
}

struct Rewriter {
  const PathRules& rules;
  std::string out;
  bool unescaped_slash = false;

  // Escapes and backslashes. False: refuse.
  bool Decode(std::string_view path) {
    for (size_t i = 0; i < path.size(); ++i) {
      const int byte = EscapedAt(path, i);
      if (byte < 0) {
        out += rules.normalize && path[i] == '\\' ? '/' : path[i];
        continue;
      }
      const char c = static_cast<char>(byte);
      const bool slash = c == '/' || c == '\\';
      if (slash && rules.escaped_slashes == EscapedSlashes::kReject) return false;
      const bool separates = slash && (rules.escaped_slashes == EscapedSlashes::kRedirect ||
                                       rules.escaped_slashes == EscapedSlashes::kForward);
      // A zero byte ends the path for some readers.
      if (rules.normalize && byte == 0) return false;
      unescaped_slash = unescaped_slash || separates;
      if (separates) {
        out += rules.normalize ? '/' : c;
      } else if (rules.normalize && kUnreserved.Has(c) && !EndsInOpenEscape(out)) {
        out += c;
      } else {
        out.append(path.substr(i, 3));
      }
      i += 2;
    }
    return true;
  }

  void MergeSlashes() {
    size_t kept = 0;
    for (size_t i = 0; i < out.size(); ++i) {
      if (kept > 0 && out[i] == '/' && out[kept - 1] == '/') continue;
      out[kept++] = out[i];
    }
    out.resize(kept);
  }

  // RFC 3986 section 5.2.4. False: refuse.
  bool ResolveDots() {
    std::string resolved;
    size_t at = 0;
    while (at < out.size()) {
      const size_t end = std::min(out.find('/', at + 1), out.size());
      const std::string_view segment = std::string_view(out).substr(at + 1, end - at - 1);
      const bool last = end == out.size();
      if (IsDotsWithParameters(segment)) return false;
      if (segment == "..") {
        resolved.resize(resolved.empty() ? 0 : resolved.rfind('/'));
        if (last) resolved += '/';
      } else if (segment == ".") {
        if (last) resolved += '/';
      } else {
        resolved.append(out, at, end - at);
      }
      at = end;
    }
    out = resolved.empty() ? "/" : std::move(resolved);
    return true;
  }
};

bool NeedsWork(const PathRules& rules, std::string_view path) {
  if (path.find('%') != std::string_view::npos) return true;
  if (rules.merge_slashes && path.find("//") != std::string_view::npos) return true;
  return rules.normalize &&
         (path.find("/.") != std::string_view::npos || path.find('\\') != std::string_view::npos);
}

}  // namespace

PathVerdict Canonicalize(const PathRules& rules, std::string& path) {
  if (!rules.any() || path.empty() || path[0] != '/') return PathVerdict::kKept;
  const size_t query = std::min(path.find('?'), path.size());
  const std::string_view text = std::string_view(path).substr(0, query);
  if (!NeedsWork(rules, text)) return PathVerdict::kKept;
  Rewriter rewriter{rules, {}};
  rewriter.out.reserve(text.size());
  if (!rewriter.Decode(text)) return PathVerdict::kRefused;
  if (rules.merge_slashes) rewriter.MergeSlashes();
  if (rules.normalize && !rewriter.ResolveDots()) return PathVerdict::kRefused;
  if (rewriter.out == text) return PathVerdict::kKept;
  path.replace(0, query, rewriter.out);
  const bool ask_again = rewriter.unescaped_slash && rules.escaped_slashes == EscapedSlashes::kRedirect;
  return ask_again ? PathVerdict::kRedirect : PathVerdict::kChanged;
}

}  // namespace pillion::http
