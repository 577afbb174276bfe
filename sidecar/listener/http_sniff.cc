#include "sidecar/listener/http_sniff.h"

namespace pillion::listener {
namespace {

constexpr std::string_view kVersionStart = "HTTP/1.";
// Longer ones stand in no registry: a protocol of another kind that begins with a long word.
constexpr size_t kMaxMethodBytes = 32;
// Empty lines before a request line (RFC 9112 section 2.2), as the parser has it.
constexpr int kMaxEmptyLines = 4;

// RFC 9110 section 5.6.2.
bool IsMethodByte(char c) {
  const bool letter_or_digit = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
  return letter_or_digit ||
         (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}
bool IsTargetByte(char c) { return c > ' ' && c < 0x7f; }

}  // namespace

HttpGuess SniffHttp(std::string_view bytes) {
  if (bytes.starts_with(kHttp2Preface)) return HttpGuess::kHttp2;
  if (kHttp2Preface.starts_with(bytes)) return HttpGuess::kMore;
  // When it is, and the bytes are still what may become a request line, they are one.
  const bool full = bytes.size() >= kMaxSniffedBytes;
  bytes = bytes.substr(0, kMaxSniffedBytes);  // what stands behind may have come with the same read
  // Empty lines may come first (RFC 9112 section 2.2).
  for (int i = 0; i < kMaxEmptyLines && bytes.starts_with("\r\n"); ++i) bytes.remove_prefix(2);
  if (bytes.empty() || bytes == "\r") return HttpGuess::kMore;
  size_t at = 0;
  while (at < bytes.size() && IsMethodByte(bytes[at])) ++at;
  if (at > kMaxMethodBytes) return HttpGuess::kNone;
  if (at == bytes.size()) return HttpGuess::kMore;
  if (at == 0 || bytes[at] != ' ') return HttpGuess::kNone;
  const size_t target = ++at;
  while (at < bytes.size() && IsTargetByte(bytes[at])) ++at;
  const HttpGuess unsure = !full                  ? HttpGuess::kMore
                           : bytes[target] == '/' ? HttpGuess::kHttp11
                                                  : HttpGuess::kNone;
  if (at == bytes.size()) return unsure;
  if (at == target || bytes[at] != ' ') return HttpGuess::kNone;
  const std::string_view version = bytes.substr(at + 1);
  if (kVersionStart.starts_with(version)) return unsure;
  if (!version.starts_with(kVersionStart)) return HttpGuess::kNone;
  return version[kVersionStart.size()] == '0' ? HttpGuess::kHttp10 : HttpGuess::kHttp11;
}

}  // namespace pillion::listener
