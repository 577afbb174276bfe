// gRPC-Web, binary and text, and both bridges to HTTP/1.1: what comes out does not depend on the fragments,
// is what these few lines say of it, and nothing is held beyond the limit.
//
//   byte 0: bits 0-1 the filter, 2 bare messages, 3 text, 4 a text answer, 5 a length said by a field,
//   6 wrongly; byte 1: size of the pieces, the largest one for a large answer too; the request's content
//   behind its length; a byte for the answer's kind, one for its trailers; a field's value behind its length;
//   the answer's content
#include "sidecar/filters/grpc_web/grpc_web.h"
#include "sidecar/config/filters.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/filters/grpc_http1_bridge/grpc_http1_bridge.h"
#include "sidecar/filters/grpc_http1_reverse_bridge/grpc_http1_reverse_bridge.h"
#include "tests/fuzz/filters.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {
namespace {

using config::FilterKind;
using filter::FilterDrive;
using filter::kFrameHeadBytes;
using filter::Passage;
using http::Known;
using Kind = http::ContentLength::Kind;

constexpr std::string_view kBare = "application/x-protobuf";

struct Case {
  uint8_t mode = 0;
  std::string request;
  Answer answer;
  bool bare() const { return (mode & 4) != 0; }
  bool text_in() const { return (mode & 8) != 0; }
  bool text_out() const { return (mode & 16) != 0; }
  bool grpc_answer() const { return http::IsGrpc(answer.head.headers); }
};

// Of groups of four.
std::optional<std::string> Decode(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  if (text.size() % 4 != 0) return std::nullopt;
  for (; !text.empty(); text.remove_prefix(4)) {
    const std::string_view group = text.substr(0, 4);
    const size_t digits = std::min(group.find('='), group.size());
    if (digits < 2 || group.substr(digits).find_first_not_of('=') != std::string_view::npos)
      return std::nullopt;
    uint32_t bits = 0;
    for (size_t i = 0; i < 4; ++i) {
      const size_t value = i < digits ? kDigits.find(group[i]) : 0;
      if (value == std::string_view::npos) return std::nullopt;
      bits = bits << 6 | static_cast<uint32_t>(value);
    }
    for (size_t i = 0; i + 1 < digits; ++i) bytes += static_cast<char>(bits >> (16 - 8 * i));
  }
  return bytes;
}

// The message, when `bytes` are one frame around it, not compressed.
std::optional<std::string> OnlyMessage(std::string_view bytes) {
  if (bytes.size() < kFrameHeadBytes) return std::nullopt;
  std::string message(bytes.substr(kFrameHeadBytes));
  return Frame(message) == bytes ? std::optional(message) : std::nullopt;
}

void CheckWebAnswer(const Case& input, const Outcome& outcome) {
  const http::HeaderList& headers = outcome.head.headers;
  const Answer& answer = input.answer;
  PILLION_CHECK(outcome.trailers.empty() && outcome.head.status == 200);
  const bool said = answer.head.headers.Has(Known::kGrpcStatus);
  if (!input.grpc_answer() || answer.head.status != 200) {
    PILLION_CHECK(outcome.received.empty() && headers.Has(Known::kGrpcStatus));
    return;
  }
  const std::optional<std::string> bytes = input.text_out() ? Decode(outcome.received) : outcome.received;
  PILLION_CHECK(bytes && bytes->starts_with(answer.content));
  const std::string_view rest = std::string_view(*bytes).substr(answer.content.size());
  if (said && answer.trailers.empty()) {
    PILLION_CHECK(rest.empty());
    return;
  }
  PILLION_CHECK(rest.size() >= kFrameHeadBytes);
  const std::string_view block = rest.substr(kFrameHeadBytes);
  PILLION_CHECK(rest == filter::FrameHeadText(filter::kTrailersFlag, block.size()).append(block));
  PILLION_CHECK(said || block.find("grpc-status: ") != std::string_view::npos);
}

void CheckWeb(const Case& input, const Outcome& outcome) {
  const std::optional<std::string> plain = input.text_in() ? Decode(input.request) : input.request;
  PILLION_CHECK(outcome.request == (plain ? Passage::kFlows : Passage::kBroken));
  if (!plain) return;
  PILLION_CHECK(outcome.sent == *plain);
  PILLION_CHECK(outcome.response == Passage::kFlows);
  CheckWebAnswer(input, outcome);
}

void CheckBridge(const Case& input, const Outcome& outcome) {
  PILLION_CHECK(outcome.request == Passage::kFlows && outcome.response == Passage::kFlows);
  PILLION_CHECK(outcome.sent == (input.bare() ? Frame(input.request) : input.request));
  const Answer& answer = input.answer;
  if (!input.grpc_answer()) {
    PILLION_CHECK(outcome.received == answer.content && outcome.head.status == answer.head.status);
    return;
  }
  PILLION_CHECK(outcome.trailers.empty() && outcome.head.content.kind == Kind::kSized);
  PILLION_CHECK(outcome.head.content.bytes == outcome.received.size());
  PILLION_CHECK(outcome.head.declared_length == outcome.received.size());
  const auto status = outcome.head.headers.Find(Known::kGrpcStatus);
  PILLION_CHECK(status && filter::ParseGrpcStatus(*status));
  const bool good = filter::ParseGrpcStatus(*status) == 0U;
  if (!input.bare()) {
    PILLION_CHECK(outcome.received == answer.content);
  } else {
    PILLION_CHECK(outcome.received == (good ? OnlyMessage(answer.content) : ""));
  }
  PILLION_CHECK(good || outcome.head.status == (answer.local_status != 0 ? answer.local_status : 503));
}

void CheckReverse(const Case& input, const Outcome& outcome) {
  const std::optional<std::string> message = input.bare() ? OnlyMessage(input.request) : input.request;
  PILLION_CHECK(outcome.request == (message ? Passage::kFlows : Passage::kAnswered));
  if (!message) return;
  PILLION_CHECK(outcome.sent == *message);
  const Answer& answer = input.answer;
  const auto type = answer.head.headers.Find(Known::kContentType);
  if (answer.local_status != 0 && input.grpc_answer()) {
    PILLION_CHECK(outcome.received == answer.content && outcome.response == Passage::kFlows);
  } else if (!type || *type != kBare) {
    PILLION_CHECK(outcome.received.empty() && outcome.trailers.empty());
    PILLION_CHECK(outcome.head.headers.Has(Known::kGrpcStatus) && outcome.head.status == 200);
  } else if (outcome.response == Passage::kFlows) {
    PILLION_CHECK(outcome.received == (input.bare() ? Frame(answer.content) : answer.content));
    PILLION_CHECK(outcome.trailers.size() == 1 && outcome.trailers.Has(Known::kGrpcStatus));
  } else {
    // Only a length that lies breaks it.
    PILLION_CHECK(outcome.response == Passage::kBroken && input.bare() && answer.head.headers.Find("x-size"));
  }
}

void TakeAnswer(Input& from, uint8_t mode, bool large, Answer& answer) {
  constexpr std::string_view kTypes[] = {"application/grpc", "application/grpc+json", kBare,
                                         "text/html",        "application/grpc;x=y",  ""};
  constexpr uint16_t kStatuses[] = {200, 404, 503, 200};
  const uint8_t kind = from.Byte();
  const uint8_t end = from.Byte();
  answer.head.status = kStatuses[kind >> 3 & 3];
  answer.local_status = (kind & 0x80) != 0 ? 504 : 0;
  if (const std::string_view type = kTypes[(kind & 7) % 6]; !type.empty())
    answer.head.headers.Add(Known::kContentType, type);
  if ((kind & 0x20) != 0) answer.head.headers.Add(Known::kGrpcStatus, "5");
  constexpr std::string_view kCodes[] = {"", "0", "13", "x"};
  if (const std::string_view code = kCodes[end & 3]; !code.empty())
    answer.trailers.Add(Known::kGrpcStatus, code);
  if ((end & 4) != 0) answer.trailers.Add("X-Mixed", "1");
  const std::string value = FieldValue(from.Text());
  if ((end & 8) != 0) answer.trailers.Add(Known::kGrpcMessage, value);
  answer.content = from.Rest();
  // More than may be held, by less than comes in one step.
  if (large && !answer.content.empty()) {
    const std::string once = answer.content;
    while (answer.content.size() <= filter::kMaxHeldBytes + filter::kStepBytes / 2) answer.content += once;
  }
  answer.head.content = {Kind::kUnsized, 0};
  if ((kind & 0x40) != 0) answer.head.content = {Kind::kSized, answer.content.size()};
  if ((mode & 0x20) != 0)
    answer.head.headers.Add("x-size", std::to_string(answer.content.size() + ((mode & 0x40) != 0 ? 1 : 0)));
}

FilterDrive Drive(const Case& input) {
  static const filters::GrpcWeb web;
  static const filters::GrpcHttp1Bridge bridge;
  static const filters::GrpcHttp1ReverseBridge reverse;
  switch (input.mode & 3) {
    case 0: {
      FilterDrive drive(web, FilterKind::kGrpcWeb, config::Present{});
      drive.head.headers.Add(Known::kContentType,
                             input.text_in() ? "application/grpc-web-text" : "application/grpc-web+proto");
      drive.head.headers.Add(Known::kAccept,
                             input.text_out() ? "application/grpc-web-text" : "application/grpc-web");
      return drive;
    }
    case 1: {
      FilterDrive drive(bridge, FilterKind::kGrpcHttp1Bridge, config::GrpcHttp1Bridge{true, true});
      drive.head.headers.Add(Known::kContentType, input.bare() ? kBare : "application/grpc");
      return drive;
    }
    default: {
      FilterDrive drive(reverse, FilterKind::kGrpcHttp1ReverseBridge,
                        config::GrpcHttp1ReverseBridge{std::string(kBare), input.bare(), "x-size"});
      drive.head.headers.Add(Known::kContentType, "application/grpc");
      return drive;
    }
  }
}

void Check(Input from) {
  Case input;
  input.mode = from.Byte();
  const size_t piece = size_t{from.Byte()} + 1;
  const bool large = piece == 256;
  input.request = from.Text();
  TakeAnswer(from, input.mode, large, input.answer);
  const size_t limit = (input.mode & 3) == 0 ? 0 : filter::kMaxHeldBytes;
  const Outcome whole = Run(Drive(input), input.request, input.answer, 0, limit);
  const Outcome cut = Run(Drive(input), input.request, input.answer, large ? 3000 : piece, limit);
  CheckSame(whole, cut, input.request, input.answer, limit);
  PILLION_CHECK(whole.applies);
  if (whole.response == Passage::kTooLarge) {
    PILLION_CHECK(large && (input.mode & 3) != 0);
    return;
  }
  switch (input.mode & 3) {
    case 0:
      CheckWeb(input, whole);
      break;
    case 1:
      CheckBridge(input, whole);
      break;
    default:
      CheckReverse(input, whole);
      break;
  }
}

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pillion::fuzz::Check(pillion::fuzz::Input(data, size));
  return 0;
}
