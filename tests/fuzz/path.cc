// Any path under any rules: what comes out is a path, is a fixed point, keeps the query, and holds nothing
// that the rules promise to take away.
//
//   byte 0: the rules; then the path
#include "sidecar/http/path.h"

#include "sidecar/base/check.h"
#include "sidecar/http/scan.h"
#include "sidecar/http/target.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pillion;
  using http::EscapedSlashes;
  using http::PathVerdict;
  fuzz::Input input(data, size);
  const uint8_t mode = input.Byte();
  const http::PathRules rules{.normalize = (mode & 1) != 0,
                              .merge_slashes = (mode & 2) != 0,
                              .escaped_slashes = static_cast<EscapedSlashes>(mode >> 2 & 3)};
  std::string path = "/";
  for (const char c : input.Rest()) {
    if (http::IsPathByte(c)) path += c;
  }
  std::string changed = path;
  const PathVerdict verdict = http::Canonicalize(rules, changed);
  PILLION_CHECK(http::IsOriginForm(changed));
  if (verdict == PathVerdict::kKept || verdict == PathVerdict::kRefused) PILLION_CHECK(changed == path);
  if (verdict == PathVerdict::kRefused) return 0;
  std::string again = changed;
  PILLION_CHECK(http::Canonicalize(rules, again) == PathVerdict::kKept);
  const size_t query = path.find('?');
  if (query != std::string::npos) PILLION_CHECK(changed.ends_with(path.substr(query)));
  const std::string text = changed.substr(0, changed.find('?'));
  if (rules.merge_slashes) PILLION_CHECK(text.find("//") == std::string::npos);
  if (rules.normalize) {
    PILLION_CHECK((text + "/").find("/../") == std::string::npos);
    PILLION_CHECK((text + "/").find("/./") == std::string::npos);
    PILLION_CHECK(text.find('\\') == std::string::npos);
  }
  return 0;
}
