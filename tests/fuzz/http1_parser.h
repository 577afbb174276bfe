// Any bytes as HTTP/1 messages: the verdict does not depend on how they are cut.
//
//   byte 0: bits 0-1 method that is answered, bit 2 tiny limits; byte 1: fragment size; then the bytes
#ifndef PILLION_TESTS_FUZZ_HTTP1_PARSER_H_
#define PILLION_TESTS_FUZZ_HTTP1_PARSER_H_

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "sidecar/http1/transcript.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {

// Where an incomplete message goes wrong may be noticed early or late; that it does may not.
inline std::string Comparable(const std::string& transcript) {
  const size_t error = transcript.find("ERROR");
  return error == std::string::npos ? transcript : transcript.substr(0, error + 5);
}

// Returns the bytes and the limits they were held to.
inline std::string_view CheckCuts(http1::Role role, Input& input, http1::Limits& limits) {
  static constexpr http::Method kMethods[] = {http::Method::kGet, http::Method::kHead, http::Method::kConnect,
                                              http::Method::kPost};
  const uint8_t mode = input.Byte();
  http1::Feeding feeding;
  const uint8_t fragment = input.Byte();
  feeding.answers = kMethods[mode & 3];
  feeding.finish = true;
  if ((mode & 4) != 0) {
    feeding.limits = {.max_line_bytes = 40,
                      .max_head_bytes = 100,
                      .max_fields = 3,
                      .max_chunk_line_bytes = 20,
                      .max_leading_empty_lines = 1};
  }
  const std::string_view bytes = input.Rest();
  const std::string whole = http1::Transcript(role, bytes, feeding);
  feeding.fragment = fragment == 0 ? 1 : fragment;
  const std::string cut = http1::Transcript(role, bytes, feeding);
  if (Comparable(whole) != Comparable(cut)) {
    std::fprintf(stderr, "whole: %s\ncut:   %s\n", whole.c_str(), cut.c_str());
    std::abort();
  }
  limits = feeding.limits;
  return bytes;
}

}  // namespace pillion::fuzz

#endif  // PILLION_TESTS_FUZZ_HTTP1_PARSER_H_
