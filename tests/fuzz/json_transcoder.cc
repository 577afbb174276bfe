// JSON over plain HTTP to gRPC and back, with the library service of the tests: what comes out does not
// depend on the fragments; what the server gets are whole messages of its type; what the client gets is JSON,
// which says what the message said; nothing is held beyond the limit.
//
//   byte 0: options; byte 1: size of the pieces; byte 2: bits 0-2 the method, 3-4 what the client accepts,
//   5 small limits; then the path, a content, a grpc-message, each behind its length; a byte of the answer's
//   kind: bit 0 JSON that is to become the message, 1-2 its status, 3 status in the head, 4 compressed, 5 no
//   gRPC, 6-7 how many messages more; and the answer's content
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/wrappers.pb.h>

#include <array>
#include <memory>

#include "google/rpc/status.pb.h"
#include "pillion/testing/v1/library.pb.h"
#include "sidecar/base/serialize_in_order.h"
#include "sidecar/config/filters.h"
#include "sidecar/config/transcoding/library_set.h"
#include "sidecar/config/transcoding/transcoding.h"
#include "sidecar/filters/json_transcoder/json_transcoder.h"
#include "sidecar/filters/json_transcoder/wire_merge.h"
#include "tests/fuzz/filters.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {
namespace {

using filter::kFrameHeadBytes;
using filter::Passage;
using http::Known;
using Kind = http::ContentLength::Kind;
namespace util = google::protobuf::util;

constexpr size_t kSmallLimit = 64;

// Each set of options is built once.
std::shared_ptr<const config::Transcoding> Library(uint8_t mode, bool small) {
  static std::array<std::shared_ptr<const config::Transcoding>, 512> built;
  auto& one = built[mode | (small ? 256 : 0)];
  if (one != nullptr) return one;
  config::TranscodingOptions options;
  options.add_whitespace = options.print_enums_as_ints = (mode & 1) != 0;
  options.print_defaults = (mode & 2) != 0;
  options.preserve_field_names = options.newline_delimited = (mode & 4) != 0;
  options.keep_route = options.any_verb = (mode & 8) != 0;
  options.auto_mapping = options.convert_status = (mode & 16) != 0;
  options.ignore_unknown_parameters = options.plus_is_space = (mode & 32) != 0;
  options.reject_unknown_method = options.case_insensitive_enums = (mode & 64) != 0;
  options.reject_unknown_parameters = (mode & 128) != 0;
  options.ignored_parameters = {"key"};
  if (small) options.max_request_bytes = options.max_response_bytes = kSmallLimit;
  config::TranscodingErrors errors;
  static const std::string set = testing::LibrarySet().SerializeAsString();
  one = config::Transcoding::Build(set, {testing::kLibrary}, options, errors);
  PILLION_CHECK(one != nullptr);
  return one;
}

// Of a content that is nothing but whole frames.
std::vector<std::string> MessagesIn(std::string_view bytes) {
  std::vector<std::string> messages;
  while (!bytes.empty()) {
    PILLION_CHECK(bytes.size() >= kFrameHeadBytes && bytes[0] == 0);
    size_t size = 0;
    for (size_t i = 1; i < kFrameHeadBytes; ++i) size = size << 8 | static_cast<unsigned char>(bytes[i]);
    PILLION_CHECK(size <= bytes.size() - kFrameHeadBytes);
    messages.emplace_back(bytes.substr(kFrameHeadBytes, size));
    bytes.remove_prefix(kFrameHeadBytes + size);
  }
  return messages;
}

bool IsJson(const std::string& text) {
  google::protobuf::Value value;
  return util::JsonStringToMessage(text, &value).ok();
}

// A string of proto3 is read only when it is UTF-8 (RFC 3629), as JSON has to be (RFC 8259 section 8.1).
bool IsText(const std::string& text) {
  google::protobuf::StringValue value;
  value.set_value(text);
  google::protobuf::StringValue read;
  return read.ParseFromString(value.SerializeAsString());
}

void CheckStatusJson(const std::string& json) {
  google::rpc::Status status;
  Require(util::JsonStringToMessage(json, &status).ok() && status.code() != 0, "not a status", json, "");
}

struct Case {
  std::shared_ptr<const config::Transcoding> library;
  uint8_t form = 0;
  bool no_grpc = false;
  std::string method;
  std::string path;
  std::string content;
  Answer answer;
  std::optional<std::string> message;  // the answer is this one, whole
};

const config::Transcoding::Rule* RuleOf(const Case& input) {
  const auto match =
      input.library->Find(input.method, std::string_view(input.path).substr(0, input.path.find('?')));
  return match ? match->rule : nullptr;
}

// An answer that the type of the method can read, written as JSON and read back.
template <typename M>
void CheckAnswer(const std::string& message, const std::string& json) {
  M before;
  M after;
  PILLION_CHECK(before.ParseFromString(message));
  util::JsonParseOptions options;
  options.ignore_unknown_fields = false;
  const auto status = util::JsonStringToMessage(json, &after, options);
  Require(status.ok(), "not read back", json, std::string(status.message()));
  before.DiscardUnknownFields();
  Require(before.SerializeAsString().size() == after.SerializeAsString().size(), "read back otherwise",
          before.ShortDebugString(), after.ShortDebugString());
}

// Merged it says what it said.
void CheckMerge(std::string_view message) {
  testing::v1::Echo before;
  testing::v1::Echo after;
  const auto merged = filters::Merge(*google::protobuf::DescriptorPool::generated_pool(),
                                     *before.descriptor(), message, nullptr);
  if (merged) PILLION_CHECK(after.ParseFromArray(merged->data(), static_cast<int>(merged->size())));
  if (!before.ParseFromArray(message.data(), static_cast<int>(message.size()))) return;
  before.DiscardUnknownFields();
  PILLION_CHECK(merged && SerializeInOrder(before) == SerializeInOrder(after));
}

void CheckResponse(const Case& input, const config::Transcoding::Rule& rule, const Outcome& outcome) {
  if (outcome.response != Passage::kFlows || input.no_grpc) return;
  const auto type = outcome.head.headers.Find(Known::kContentType);
  const std::string& got = outcome.received;
  PILLION_CHECK(outcome.trailers.empty());
  Require(IsText(got), "not UTF-8", got, "");
  if (outcome.head.content.kind == Kind::kSized) {
    PILLION_CHECK(outcome.head.content.bytes == got.size());
    const auto status = outcome.head.headers.Find(Known::kGrpcStatus);
    PILLION_CHECK(status.has_value());
    if (*status != "0") {
      PILLION_CHECK(outcome.head.status != 200);
      if (!got.empty()) CheckStatusJson(got);
      return;
    }
  }
  if (!type || *type != "application/json") return;  // lines and events are what stands in the array
  Require(IsJson(got), "not JSON", got, "");
  if (rule.method->server_streaming() || rule.response_field != nullptr || !input.message) return;
  if (rule.method->output_type()->name() == "Echo") CheckAnswer<testing::v1::Echo>(*input.message, got);
}

void CheckRequest(const Case& input, const config::Transcoding::Rule& rule, const Outcome& outcome) {
  if (outcome.request == Passage::kTooLarge) {
    PILLION_CHECK(input.content.size() > input.library->options().max_request_bytes);
    return;
  }
  if (outcome.request == Passage::kAnswered) return;
  PILLION_CHECK(outcome.request == Passage::kFlows);
  const std::vector<std::string> messages = MessagesIn(outcome.sent);
  PILLION_CHECK(rule.method->client_streaming() || messages.size() == 1);
  for (const std::string& message : messages) {
    testing::v1::BookRequest request;
    PILLION_CHECK(request.ParseFromString(message) &&
                  request.GetReflection()->GetUnknownFields(request).empty());
  }
}

filter::FilterDrive Drive(const Case& input) {
  static const filters::JsonTranscoder transcoder;
  filter::FilterDrive drive(transcoder, config::FilterKind::kJsonTranscoder, input.library);
  drive.head.method_text = input.method;
  drive.head.method = http::ParseMethod(input.method);
  drive.head.path = input.path;
  constexpr std::string_view kAccepted[] = {"", "application/x-ndjson", "text/event-stream;q=1, */*",
                                            "text/html"};
  if (input.form != 0) drive.head.headers.Add(Known::kAccept, kAccepted[input.form]);
  return drive;
}

void TakeAnswer(Input& from, Case& input) {
  const std::string said = FieldValue(from.Text());
  const uint8_t kind = from.Byte();
  Answer& answer = input.answer;
  input.no_grpc = (kind & 32) != 0;
  answer.head.headers.Add(Known::kContentType, input.no_grpc ? "text/plain" : "application/grpc");
  answer.head.content = {Kind::kUnsized, 0};
  constexpr std::string_view kCodes[] = {"0", "5", "", "x"};
  const std::string_view code = kCodes[kind >> 1 & 3];
  http::HeaderList& end = (kind & 8) != 0 ? answer.head.headers : answer.trailers;
  if (!code.empty()) end.Add(Known::kGrpcStatus, code);
  if (!said.empty()) end.Add(Known::kGrpcMessage, said);
  if (!said.empty()) end.Add("grpc-status-details-bin", said);
  const std::string_view rest = from.Rest();
  CheckMerge(rest);
  if ((kind & 1) == 0) {
    answer.content = std::string(rest);
    return;
  }
  testing::v1::Echo echo;
  if (util::JsonStringToMessage(std::string(rest), &echo).ok()) input.message = echo.SerializeAsString();
  answer.content = Frame(input.message.value_or(std::string(rest)));
  if ((kind & 16) != 0) answer.content[0] = 1;
  const std::string once = answer.content;
  for (int i = kind >> 6; i > 0; --i) answer.content += once;
  if ((kind & 16) != 0 || (kind >> 6) != 0) input.message.reset();
}

void Check(Input from) {
  constexpr std::string_view kMethods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "LOCK", "POST", "GET"};
  Case input;
  const uint8_t mode = from.Byte();
  const size_t piece = size_t{from.Byte()} + 1;
  const uint8_t how = from.Byte();
  const bool small = (how & 32) != 0;
  input.library = Library(mode, small);
  input.method = kMethods[how & 7];
  input.form = how >> 3 & 3;
  for (const char c : from.Text()) input.path += c > ' ' && c < 0x7f ? c : '/';
  if (!input.path.starts_with('/')) input.path.insert(0, 1, '/');
  input.content = from.Text();
  TakeAnswer(from, input);
  const size_t limit = kFrameHeadBytes + (small ? kSmallLimit : filter::kMaxHeldBytes);
  const Outcome whole = Run(Drive(input), input.content, input.answer, 0, limit);
  const Outcome cut = Run(Drive(input), input.content, input.answer, piece, limit);
  CheckSame(whole, cut, input.content, input.answer, limit - kFrameHeadBytes);
  if (whole.request == Passage::kAnswered) CheckStatusJson(whole.local_body);
  const config::Transcoding::Rule* const rule = RuleOf(input);
  if (!whole.applies || rule == nullptr) return;
  CheckRequest(input, *rule, whole);
  if (whole.request == Passage::kFlows) CheckResponse(input, *rule, whole);
}

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pillion::fuzz::Check(pillion::fuzz::Input(data, size));
  return 0;
}
