#include "sidecar/filters/json_transcoder/json_transcoder.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "sidecar/base/text.h"
#include "sidecar/config/filters.h"
#include "sidecar/filter/base64.h"
#include "sidecar/filter/chain.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/filter/grpc_frames.h"
#include "sidecar/filters/json_transcoder/json_values.h"
#include "sidecar/filters/json_transcoder/messages.h"

namespace pillion::filters {
namespace {

using config::Transcoding;
using filter::Decision;
using http::Known;
using Kind = http::ContentLength::Kind;

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kDetails = "grpc-status-details-bin";
constexpr uint32_t kInvalidArgument = 3;
constexpr uint32_t kNotFound = 5;
constexpr uint32_t kInternal = 13;

// How a stream of answers is written.
enum class Form : uint8_t { kArray, kLines, kEvents };

std::string_view TypeOf(Form form) {
  switch (form) {
    case Form::kArray:
      return kJson;
    case Form::kLines:
      return "application/x-ndjson";
    case Form::kEvents:
      return "text/event-stream";
  }
  return kJson;
}

bool Accepts(const http::HeaderList& headers, std::string_view wanted) {
  bool found = false;
  for (size_t i = 0; i < headers.size(); ++i) {
    if (headers[i].known != Known::kAccept) continue;
    ForEachListElement(headers[i].value, [&](std::string_view element) {
      found = found || EqualsIgnoreCase(TrimOws(element.substr(0, element.find(';'))), wanted);
    });
  }
  return found;
}

void AnswerWithStatus(const Transcoding& transcoding, uint16_t http_status, uint32_t code,
                      std::string_view message, http::ResponseHead& head, SliceQueue& body) {
  const std::string json = StatusJson(transcoding, code, message, std::nullopt);
  head.status = http_status;
  head.headers.Set(Known::kContentType, kJson);
  head.content = {Kind::kSized, json.size()};
  body.AppendCopy(json);
}

// Messages that one exchange translates in one turn, a millisecond's work when they are small. Attack: a body
// of nothing but empty ones, 22 000 of them in what one step feeds.
constexpr size_t kMessagesPerTurn = 64;

class Transcoded final : public filter::Transform {
 public:
  // Both outlive it. `bound`: what the path and the query say.
  Transcoded(const Transcoding& transcoding, const Transcoding::Rule& rule, std::string bound, Form form)
      : transcoding_(transcoding), rule_(rule), bound_(std::move(bound)), form_(form) {}

  Decision OnRequestBody(const filter::RequestBodyView& body) override {
    if (!rule_.method->client_streaming()) return Decision::kHold;
    size_t messages = 0;
    while (!body.in.empty() && body.out.bytes() < body.budget) {
      if (messages == kMessagesPerTurn) return Decision::kYield;
      const std::string_view all = body.in.front().view();
      std::string_view rest = all;
      const JsonValues::Step step = values_.Next(rest);
      body.in.Consume(all.size() - rest.size());
      // Looked at first: what is too large may be broken further on, in the same piece or in one never read.
      if (values_.value().size() > transcoding_.options().max_request_bytes)
        return Refuse(body, 413, "a message is too large");
      if (step == JsonValues::Step::kBroken) return Refuse(body, 400, "the content is not JSON");
      if (step == JsonValues::Step::kMore) continue;
      if (!AppendMessage(body, values_.value())) return Decision::kRespond;
      ++messages;
    }
    return Decision::kContinue;
  }

  Decision OnRequestTrailers(const filter::RequestBodyView& body, http::HeaderList& trailers) override {
    trailers.Clear();
    if (rule_.method->client_streaming()) return FinishStream(body);
    std::string json = rule_.body == Transcoding::Rule::Body::kNone ? std::string() : body.in.ToString();
    if (rule_.body == Transcoding::Rule::Body::kWhole && json.empty()) json = "{}";
    const size_t before = body.out.bytes();
    if (!AppendMessage(body, json)) return Decision::kRespond;
    body.head.content = {Kind::kSized, body.out.bytes() - before};
    return transcoding_.options().keep_route ? Decision::kContinue : Decision::kRematch;
  }

  Decision OnResponseHead(const filter::ResponseHeadView& response) override {
    http::ResponseHead& head = response.head;
    local_status_ = response.local_status;
    count_ = 0;
    if (!http::IsGrpc(head.headers)) {
      mode_ = Mode::kPass;  // no gRPC answer, or one of ours that is JSON already
      return Decision::kContinue;
    }
    head.headers.Remove("grpc-encoding");
    head.headers.Remove("grpc-accept-encoding");
    head.declared_length.reset();
    if (!rule_.method->server_streaming() || response.end || head.headers.Has(Known::kGrpcStatus)) {
      mode_ = Mode::kHeld;
      return Decision::kHold;
    }
    mode_ = Mode::kStream;
    head.headers.Set(Known::kContentType, TypeOf(form_));
    head.content = {Kind::kUnsized, 0};
    return Decision::kContinue;
  }

  Decision OnResponseBody(const filter::ResponseBodyView& body) override {
    if (mode_ == Mode::kPass) return Transform::OnResponseBody(body);
    if (mode_ == Mode::kHeld) return Decision::kHold;
    for (size_t messages = 0; body.out.bytes() < body.budget; ++messages) {
      if (messages == kMessagesPerTurn) return Decision::kYield;
      const auto frame = filter::PeekFrameHead(body.in);
      if (!frame) break;
      if (frame->flags != 0 || frame->bytes > transcoding_.options().max_response_bytes)
        return Decision::kReset;
      const auto message = TakeMessage(body.in, frame->bytes);
      if (!message) break;
      const auto json = AnswerJson(transcoding_, rule_, *message, form_ != Form::kArray);
      if (!json) return Decision::kReset;
      Emit(*json, {}, body.out);
    }
    return Decision::kContinue;
  }

  Decision OnResponseTrailers(const filter::ResponseBodyView& body, http::HeaderList& trailers) override {
    if (mode_ == Mode::kPass) return Decision::kContinue;
    const http::HeaderList& said = trailers.Has(Known::kGrpcStatus) ? trailers : body.head.headers;
    const Status status = StatusOf(said);
    trailers.Clear();
    if (mode_ == Mode::kHeld) {
      FinishHeld(body, status);
      return Decision::kContinue;
    }
    if (!body.in.empty()) return Decision::kReset;  // a message that is cut off
    if (status.code != 0) {
      const std::string json = StatusJson(transcoding_, status.code, status.message, status.details);
      Emit(form_ == Form::kEvents ? json : "{\"error\":" + json + "}", "event: error\n", body.out);
    }
    if (form_ == Form::kArray) body.out.AppendCopy(count_ == 0 ? "[]" : "]");
    return Decision::kContinue;
  }

  size_t HeldBytes() const override { return values_.HeldBytes() + bound_.size(); }

 private:
  enum class Mode : uint8_t { kPass, kHeld, kStream };
  struct Status {
    uint32_t code;
    std::string message;
    std::optional<std::string> details;
  };

  Decision Refuse(const filter::RequestBodyView& body, uint16_t http_status, std::string_view message) const {
    AnswerWithStatus(transcoding_, http_status, kInvalidArgument, message, body.response, body.response_body);
    return Decision::kRespond;
  }

  // False: the answer says why not.
  bool AppendMessage(const filter::RequestBodyView& body, const std::string& json) {
    std::string problem;
    const auto content = ContentFields(transcoding_, rule_, json, problem);
    if (!content) {
      Refuse(body, 400, problem);
      return false;
    }
    // What comes later wins: the content.
    body.out.AppendCopy(filter::FrameHeadText(0, bound_.size() + content->size()));
    body.out.AppendCopy(bound_);
    body.out.AppendCopy(*content);
    bound_.clear();  // of a stream, the first message has it
    return true;
  }

  Decision FinishStream(const filter::RequestBodyView& body) {
    JsonValues::Step step = values_.Finish();
    if (step == JsonValues::Step::kValue) {
      if (!AppendMessage(body, values_.value())) return Decision::kRespond;
      step = values_.Finish();
    }
    if (step == JsonValues::Step::kBroken) return Refuse(body, 400, "the content is not JSON");
    if (!bound_.empty() && !AppendMessage(body, rule_.body == Transcoding::Rule::Body::kWhole ? "{}" : ""))
      return Decision::kRespond;
    return Decision::kContinue;
  }

  static std::optional<std::string> TakeMessage(SliceQueue& in, uint32_t bytes) {
    if (in.bytes() < filter::kFrameHeadBytes + bytes) return std::nullopt;
    in.Consume(filter::kFrameHeadBytes);
    std::string message(bytes, '\0');
    in.CopyTo(message.data(), bytes);
    in.Consume(bytes);
    return message;
  }

  static Status StatusOf(const http::HeaderList& fields) {
    const auto code = fields.Find(Known::kGrpcStatus);
    const auto message = fields.Find(Known::kGrpcMessage);
    const auto details = fields.Find(kDetails);
    return {code ? filter::ParseGrpcStatus(*code).value_or(2) : 2,
            message ? filter::DecodeGrpcMessage(*message) : std::string(),
            details ? filter::DecodeBinaryField(*details) : std::nullopt};
  }

  void Emit(const std::string& json, std::string_view event, SliceQueue& out) {
    switch (form_) {
      case Form::kArray:
        out.AppendCopy(count_ == 0 ? "[" : ",");
        out.AppendCopy(json);
        break;
      case Form::kLines:
        out.AppendCopy(json);
        out.AppendCopy("\n");
        break;
      case Form::kEvents:
        out.AppendCopy(event);
        out.AppendCopy("data: ");
        out.AppendCopy(json);
        out.AppendCopy("\n\n");
        break;
    }
    ++count_;
  }

  void FinishHeld(const filter::ResponseBodyView& body, Status status) const {
    std::optional<std::string> json;
    const bool stream = rule_.method->server_streaming();
    if (status.code == 0 && stream) json = form_ == Form::kArray ? "[]" : "";
    if (status.code == 0 && !stream) {
      const auto frame = filter::PeekFrameHead(body.in);
      const auto message =
          frame && frame->flags == 0 ? TakeMessage(body.in, frame->bytes) : std::optional<std::string>();
      if (message && body.in.empty()) json = AnswerJson(transcoding_, rule_, *message, false);
      if (!json) status = {kInternal, "the answer is not one message of its type", std::nullopt};
    }
    body.in.Clear();
    http::HeaderList& headers = body.head.headers;
    headers.Set(Known::kGrpcStatus, std::to_string(status.code));
    headers.Set(Known::kContentType, stream && json ? TypeOf(form_) : kJson);
    headers.Remove(kDetails);
    if (!json) {
      body.head.status = local_status_ != 0 ? local_status_ : filter::HttpStatusOfGrpc(status.code);
      headers.Set(Known::kGrpcMessage, filter::EncodeGrpcMessage(status.message));
      if (transcoding_.options().convert_status) {
        json = StatusJson(transcoding_, status.code, status.message, status.details);
      } else {
        headers.Remove(Known::kContentType);
      }
    }
    body.head.content = {Kind::kSized, json ? json->size() : 0};
    body.head.declared_length = body.head.content.bytes;
    if (json) body.out.AppendCopy(*json);
  }

  const Transcoding& transcoding_;
  const Transcoding::Rule& rule_;
  std::string bound_;
  const Form form_;
  JsonValues values_{JsonValues::Form::kStream};
  Mode mode_ = Mode::kPass;
  uint16_t local_status_ = 0;
  uint64_t count_ = 0;  // of the answers written
};

Decision Reject(const filter::RequestView& request, const Transcoding& transcoding, uint16_t http_status,
                uint32_t code, std::string_view message) {
  AnswerWithStatus(transcoding, http_status, code, message, request.response, request.response_body);
  return Decision::kRespond;
}

}  // namespace

Decision JsonTranscoder::OnRequestHead(const filter::RequestView& request) const {
  const config::FilterOptions* const options =
      config::OptionsOf(config::FilterKind::kJsonTranscoder, request.options, request.route);
  const auto* const held =
      options == nullptr ? nullptr : std::get_if<std::shared_ptr<const Transcoding>>(options);
  if (held == nullptr || *held == nullptr) return Decision::kContinue;
  const Transcoding& transcoding = **held;
  http::RequestHead& head = request.head;
  if (http::IsGrpc(head.headers)) return Decision::kContinue;
  const size_t question = std::min(head.path.find('?'), head.path.size());
  auto match = transcoding.Find(head.method_text, std::string_view(head.path).substr(0, question));
  if (!match) {
    if (!transcoding.options().reject_unknown_method) return Decision::kContinue;
    return Reject(request, transcoding, 404, kNotFound, "no method has this path");
  }
  const Transcoding::Rule& rule = *match->rule;
  Bindings bindings;
  for (size_t i = 0; i < rule.variables.size(); ++i)
    bindings.emplace_back(rule.variables[i], std::move(match->values[i]));
  const std::string_view query =
      question < head.path.size() ? std::string_view(head.path).substr(question + 1) : std::string_view();
  if (const auto unknown = AddQuery(transcoding, rule, query, bindings)) {
    if (!transcoding.options().reject_unknown_parameters) return Decision::kContinue;
    return Reject(request, transcoding, 400, kInvalidArgument, "no field has the name " + *unknown);
  }
  std::string problem;
  auto bound = BoundFields(transcoding, rule, bindings, problem);
  if (!bound) return Reject(request, transcoding, 400, kInvalidArgument, problem);
  const Form form = Accepts(head.headers, "text/event-stream")    ? Form::kEvents
                    : transcoding.options().newline_delimited     ? Form::kLines
                    : Accepts(head.headers, TypeOf(Form::kLines)) ? Form::kLines
                                                                  : Form::kArray;
  filter::AddTransform(request.state,
                       std::make_unique<Transcoded>(transcoding, rule, *std::move(bound), form),
                       {transcoding.options().max_request_bytes,
                        transcoding.options().max_response_bytes + filter::kFrameHeadBytes});
  head.method = http::Method::kPost;
  head.method_text = "POST";
  head.path = rule.grpc_path;
  head.content = {Kind::kUnsized, 0};
  head.headers.Set(Known::kContentType, "application/grpc");
  head.headers.Set(Known::kTe, "trailers");
  if (!rule.method->client_streaming()) return Decision::kHold;
  return transcoding.options().keep_route ? Decision::kContinue : Decision::kRematch;
}

}  // namespace pillion::filters
