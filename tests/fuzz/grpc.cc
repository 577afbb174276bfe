// What gRPC adds to HTTP: the frames and the status of a side call's answer, in pieces of any size; timeouts,
// statuses and messages in fields are refused or read back from what we would write of them.
//
//   byte 0: bit 0 a status in the head instead of the trailers, 1 none, 2 the answer breaks off; byte 1: the
//   largest piece; grpc-timeout, grpc-status, grpc-message behind their lengths; the answer's content
#include <string>
#include <vector>

#include "sidecar/base/check.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/stream/grpc_call.h"
#include "sidecar/testing/sim_network.h"
#include "tests/fuzz/filters.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {
namespace {

using http::Known;
using stream::GrpcCall;

class Holder final : public stream::Runnable {
 public:
  stream::Progress Run() override { return stream::Progress::kIdle; }
};

// What came whole before the first bad frame, and whether there is one.
struct Expected {
  std::vector<std::string> messages;
  bool broken = false;
};

Expected Read(std::string_view bytes) {
  Expected expected;
  while (bytes.size() >= 5 && !expected.broken) {
    size_t size = 0;
    for (size_t i = 1; i < 5; ++i) size = size * 256 + static_cast<uint8_t>(bytes[i]);
    expected.broken = bytes[0] != 0 || size > GrpcCall::kMaxMessageBytes;
    if (expected.broken || bytes.size() - 5 < size) break;
    expected.messages.emplace_back(bytes.substr(5, size));
    bytes.remove_prefix(5 + size);
  }
  return expected;
}

void CheckTimeout(std::string_view text) {
  const auto timeout = filter::ParseGrpcTimeout(text);
  if (!timeout) return;
  PILLION_CHECK(text.size() >= 2 && text.size() <= 9 && timeout->count() >= 0);
  PILLION_CHECK(text.find_first_not_of("0123456789") == text.size() - 1);
  const auto again = filter::ParseGrpcTimeout(filter::FormatGrpcTimeout(*timeout));
  PILLION_CHECK(again);
  PILLION_CHECK(timeout->count() == 0 ? again->count() == 1 : *again <= *timeout);
  // Eight digits of one unit are at least five of the next.
  PILLION_CHECK(timeout->count() == 0 || *timeout - *again <= *timeout / 10'000);
}

void CheckMessage(const std::string& text) {
  const std::string written = filter::EncodeGrpcMessage(text);
  for (const char c : written) PILLION_CHECK(c >= 0x20 && c <= 0x7e);
  PILLION_CHECK(filter::DecodeGrpcMessage(written) == text);
  PILLION_CHECK(filter::DecodeGrpcMessage(text).size() <= text.size());
}

void Check(Input from) {
  const uint8_t mode = from.Byte();
  const size_t piece = size_t{from.Byte()} + 1;
  CheckTimeout(from.Text());
  const std::string code = FieldValue(from.Text());
  const std::string message(from.Text());
  CheckMessage(message);
  const std::string content(from.Rest());

  const testing::VirtualClock clock;
  stream::Turn turn(clock);
  Holder holder;
  GrpcCall call(turn, holder);
  const std::unique_ptr<stream::ClientStream> answers = call.Open("/a.B/C", "a");
  http::HeaderList end;
  end.Add(Known::kGrpcStatus, code);
  end.Add(Known::kGrpcMessage, filter::EncodeGrpcMessage(message));
  http::ResponseHead head;
  head.status = 200;
  if ((mode & 1) != 0) head.headers = end;
  PILLION_CHECK(answers->SendResponse(head, false));
  std::vector<std::string> messages;
  SliceQueue rest;
  for (size_t at = 0; at < content.size(); at += piece) {
    rest.AppendCopy(std::string_view(content).substr(at, piece));
    answers->SendContent(rest);
    for (std::string& one : call.Receive()) messages.push_back(std::move(one));
  }
  const Expected expected = Read(content);
  PILLION_CHECK(messages == expected.messages);
  PILLION_CHECK(expected.broken || rest.bytes() == 0);
  if ((mode & 4) != 0) {
    answers->Reset({ErrorKind::kReset, Side::kUpstream, pillion::Outcome::kAmbiguous, "broken off"});
  } else if ((mode & 3) == 0) {
    answers->FinishWithTrailers(end);
  } else {
    answers->Finish();
  }
  const auto status = call.status();
  PILLION_CHECK(status);
  const auto said = filter::ParseGrpcStatus(code);
  if (expected.broken) {
    PILLION_CHECK(status->code == 13);
  } else if ((mode & 4) != 0 || (mode & 3) == 2) {
    PILLION_CHECK(status->code == 14);
  } else if (said) {
    PILLION_CHECK(status->code == *said && status->message == message);
  } else {
    PILLION_CHECK(status->code == 13);
  }
}

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pillion::fuzz::Check(pillion::fuzz::Input(data, size));
  return 0;
}
