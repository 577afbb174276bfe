// One request and its answer through a filter, whole and in pieces: what comes of them is the same.
#ifndef PILLION_TESTS_FUZZ_FILTERS_H_
#define PILLION_TESTS_FUZZ_FILTERS_H_

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/base/check.h"
#include "sidecar/filter/filter_drive.h"
#include "sidecar/filter/grpc_frames.h"
#include "sidecar/http1/transcript.h"

namespace pillion::fuzz {

struct Answer {
  http::ResponseHead head;
  std::string content;
  http::HeaderList trailers;
  uint16_t local_status = 0;
};

struct Outcome {
  filter::Passage request = filter::Passage::kFlows;
  bool applies = false;
  std::string request_head;
  std::string sent;
  std::string local;
  std::string local_body;
  filter::Passage response = filter::Passage::kFlows;
  http::ResponseHead head;
  std::string received;
  http::HeaderList trailers;
};

inline std::string Frame(std::string_view message) {
  return filter::FrameHeadText(0, message.size()).append(message);
}

// What may stand in a field: the codecs let nothing else in.
inline std::string FieldValue(std::string_view text) {
  std::string value;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f) value += c;
  }
  while (value.starts_with(' ')) value.erase(0, 1);
  while (value.ends_with(' ')) value.pop_back();
  return value;
}

// `limit`: what the filter may leave lying.
inline Outcome Run(filter::FilterDrive drive, std::string_view content, const Answer& answer, size_t piece,
                   size_t limit) {
  using filter::Passage;
  Outcome outcome;
  drive.Request(content, piece);
  outcome.request = drive.passage;
  outcome.applies = drive.state.chain != nullptr;
  outcome.request_head = http1::Describe(drive.head) + (drive.rematched ? " rematched" : "");
  outcome.sent = drive.sent;
  outcome.local = http1::Describe(drive.local_response) + drive.local_body;
  outcome.local_body = drive.local_body;
  if (!outcome.applies) return outcome;
  if (outcome.request == Passage::kFlows) {
    drive.response = answer.head;
    drive.trailers = answer.trailers;
    drive.Respond(answer.content, piece, answer.local_status);
  } else {
    // What is answered here passes the response hooks too.
    if (outcome.request == Passage::kAnswered) drive.response = drive.local_response;
    if (outcome.request != Passage::kAnswered) drive.response.status = 400;
    drive.Respond(drive.local_body, piece, drive.response.status);
  }
  outcome.response = drive.passage;
  outcome.head = drive.response;
  outcome.received = drive.received;
  outcome.trailers = drive.trailers;
  PILLION_CHECK(drive.most_held <= limit + filter::kStepBytes);
  return outcome;
}

inline void Require(bool held, const char* what, const std::string& a, const std::string& b) {
  if (held) return;
  std::fprintf(stderr, "%s\n%s\n%s\n", what, a.c_str(), b.c_str());
  std::abort();
}

// What had left before a message proved bad may be more or less.
inline void CheckPart(filter::Passage whole, filter::Passage cut, const std::string& of_whole,
                      const std::string& of_cut) {
  Require(whole == cut, "another end", std::to_string(static_cast<int>(whole)),
          std::to_string(static_cast<int>(cut)));
  const bool same = of_whole == of_cut;
  const bool begins =
      whole != filter::Passage::kFlows && (of_whole.starts_with(of_cut) || of_cut.starts_with(of_whole));
  Require(same || begins, "other content", of_whole, of_cut);
}

// Whether both were refused for their size; one alone must not be.
inline bool TooLarge(filter::Passage whole, filter::Passage cut, size_t bytes, size_t limit) {
  constexpr auto kTooLarge = filter::Passage::kTooLarge;
  if (whole != kTooLarge && cut != kTooLarge) return false;
  PILLION_CHECK(whole == cut && bytes > limit);
  return true;
}

inline void CheckSame(const Outcome& whole, const Outcome& cut, std::string_view content,
                      const Answer& answer, size_t limit) {
  using filter::Passage;
  Require(whole.applies == cut.applies, "applies or not", whole.request_head, cut.request_head);
  if (TooLarge(whole.request, cut.request, content.size(), limit)) return;
  CheckPart(whole.request, cut.request, whole.sent, cut.sent);
  Require(whole.request_head == cut.request_head || whole.request != Passage::kFlows, "another request head",
          whole.request_head, cut.request_head);
  Require(whole.local == cut.local, "another local answer", whole.local, cut.local);
  if (TooLarge(whole.response, cut.response, answer.content.size(), limit)) return;
  CheckPart(whole.response, cut.response, whole.received, cut.received);
  if (whole.response != Passage::kFlows) return;
  Require(http1::Describe(whole.head) == http1::Describe(cut.head), "another response head",
          http1::Describe(whole.head), http1::Describe(cut.head));
  Require(http1::Describe(whole.trailers) == http1::Describe(cut.trailers), "other trailers",
          http1::Describe(whole.trailers), http1::Describe(cut.trailers));
}

}  // namespace pillion::fuzz

#endif  // PILLION_TESTS_FUZZ_FILTERS_H_
