// Any bytes, as requests and as responses. Beside "does not crash" it holds the parser to two properties: the
// verdict does not depend on how the bytes are cut, and a request that is accepted is written so that it is
// read back the same.
//
//   byte 0: bit 0 role, bits 1-2 method that is answered, bit 3 tiny limits; byte 1: fragment size; then
//   input
#include <cstddef>
#include <cstdint>

#include "sidecar/http1/serializer.h"
#include "sidecar/http1/transcript.h"

namespace pillion::http1 {
namespace {

// Where an incomplete message goes wrong may be noticed early or late; that it does may not.
std::string Comparable(const std::string& transcript) {
  const size_t error = transcript.find("ERROR");
  return error == std::string::npos ? transcript : transcript.substr(0, error + 5);
}

void CheckRoundTrip(std::string_view bytes, const Limits& limits) {
  Parser parser(Role::kRequests, limits);
  Parser::Step step = parser.Next(bytes);
  while (step.event == Parser::Event::kNeedMore && step.consumed > 0) {
    bytes.remove_prefix(step.consumed);
    step = parser.Next(bytes);
  }
  if (step.event != Parser::Event::kHead) return;
  std::string written;
  AppendRequestHead(parser.request(), {.version = parser.request().version}, written);
  Limits wide;
  wide.max_head_bytes = wide.max_line_bytes = 1 << 24;
  wide.max_fields = limits.max_fields + 1;
  // An absolute target is written with its Host, so both readings have the same authority.
  PILLION_CHECK(Transcript(Role::kRequests, written, {.limits = wide})
                    .starts_with("<" + Describe(parser.request()) + ">"));
}

}  // namespace
}  // namespace pillion::http1

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pillion::http1;
  if (size < 2) return 0;
  static constexpr pillion::http::Method kMethods[] = {
      pillion::http::Method::kGet, pillion::http::Method::kHead, pillion::http::Method::kConnect,
      pillion::http::Method::kPost};
  const Role role = (data[0] & 1) != 0 ? Role::kResponses : Role::kRequests;
  Feeding feeding;
  feeding.answers = kMethods[data[0] >> 1 & 3];
  feeding.finish = true;
  if ((data[0] & 8) != 0) {
    feeding.limits = {.max_line_bytes = 40,
                      .max_head_bytes = 100,
                      .max_fields = 3,
                      .max_chunk_line_bytes = 20,
                      .max_leading_empty_lines = 1};
  }
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  const std::string whole = Transcript(role, bytes, feeding);
  if (role == Role::kRequests) CheckRoundTrip(bytes, feeding.limits);
  feeding.fragment = data[1] == 0 ? 1 : data[1];
  const std::string cut = Transcript(role, bytes, feeding);
  if (Comparable(whole) != Comparable(cut)) {
    std::fprintf(stderr, "whole: %s\ncut:   %s\n", whole.c_str(), cut.c_str());
    std::abort();
  }
  return 0;
}
