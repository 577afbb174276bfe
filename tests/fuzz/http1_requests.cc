// Any bytes as requests: the verdict does not depend on the cuts (http1_parser.h), and a request that is
// accepted is written so that it is read back the same.
#include "sidecar/http1/serializer.h"
#include "tests/fuzz/http1_parser.h"

namespace pillion::fuzz {
namespace {

void CheckRoundTrip(std::string_view bytes, const http1::Limits& limits) {
  using http1::Parser;
  Parser parser(http1::Role::kRequests, limits);
  Parser::Step step = parser.Next(bytes);
  while (step.event == Parser::Event::kNeedMore && step.consumed > 0) {
    bytes.remove_prefix(step.consumed);
    step = parser.Next(bytes);
  }
  if (step.event != Parser::Event::kHead) return;
  std::string written;
  http1::AppendRequestHead(parser.request(), {.version = parser.request().version}, written);
  http1::Limits wide;
  wide.max_head_bytes = wide.max_line_bytes = 1 << 24;
  wide.max_fields = limits.max_fields + 1;
  // An absolute target is written with its Host, so both readings have the same authority. A TE field is
  // written with its Connection option.
  std::string read = http1::Transcript(http1::Role::kRequests, written, {.limits = wide});
  if (parser.request().headers.Has(http::Known::kTe)) {
    for (const std::string_view option : {"[connection=TE]", "[Connection=TE]"}) {
      if (const size_t at = read.find(option); at != std::string::npos) {
        read.erase(at, option.size());
        break;
      }
    }
  }
  PILLION_CHECK(read.starts_with("<" + http1::Describe(parser.request()) + ">"));
}

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pillion::fuzz::Input input(data, size);
  pillion::http1::Limits limits;
  const std::string_view bytes = CheckCuts(pillion::http1::Role::kRequests, input, limits);
  pillion::fuzz::CheckRoundTrip(bytes, limits);
  return 0;
}
