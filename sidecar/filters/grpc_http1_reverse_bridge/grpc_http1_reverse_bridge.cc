#include "sidecar/filters/grpc_http1_reverse_bridge/grpc_http1_reverse_bridge.h"

#include <charconv>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "sidecar/base/text.h"
#include "sidecar/config/filters.h"
#include "sidecar/filter/chain.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/filter/grpc_frames.h"

namespace pillion::filters {
namespace {

using filter::Decision;
using http::Known;
using Kind = http::ContentLength::Kind;

std::optional<uint32_t> ParseSize(std::string_view text) {
  uint32_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return size;
}

std::string_view MediaType(std::string_view type) { return TrimOws(type.substr(0, type.find(';'))); }

class ReverseBridge final : public filter::Transform {
 public:
  ReverseBridge(const config::GrpcHttp1ReverseBridge* options, std::string own_type)
      : options_(options), own_type_(std::move(own_type)) {}

  Decision OnRequestBody(const filter::RequestBodyView& body) override {
    if (options_->withhold_frames && !frame_off_) {
      const auto frame = filter::PeekFrameHead(body.in);
      if (!frame) return Decision::kContinue;
      if (frame->flags != 0) return Refuse(body, "12", "a compressed message cannot be passed on");
      request_left_ = frame->bytes;
      body.in.Consume(filter::kFrameHeadBytes);
      frame_off_ = true;
    }
    if (options_->withhold_frames) {
      if (body.in.bytes() > request_left_) return Refuse(body, "12", "only one message can be passed on");
      request_left_ -= body.in.bytes();
    }
    return Transform::OnRequestBody(body);
  }

  Decision OnRequestTrailers(const filter::RequestBodyView& body, http::HeaderList& trailers) override {
    trailers.Clear();
    if (options_->withhold_frames && (!frame_off_ || request_left_ > 0))
      return Refuse(body, "13", "the request is not a whole message");
    return Decision::kContinue;
  }

  Decision OnResponseHead(const filter::ResponseHeadView& response) override {
    http::ResponseHead& head = response.head;
    left_.reset();
    head_put_ = false;
    const auto type = head.headers.Find(Known::kContentType);
    if (response.local_status != 0 && http::IsGrpc(head.headers)) {
      mode_ = Mode::kPass;  // gRPC already
      return Decision::kContinue;
    }
    status_ = filter::GrpcStatusOfHttp(head.status);
    if (!type || !EqualsIgnoreCase(MediaType(*type), MediaType(options_->content_type))) {
      mode_ = Mode::kDrop;
      head.headers.Set(Known::kGrpcStatus, std::to_string(status_ == 0 ? 2 : status_));
      head.headers.Set(Known::kGrpcMessage, "HTTP status " + std::to_string(head.status) +
                                                ", with another content type than expected");
      head.content = {};
    } else {
      mode_ = Mode::kFrame;
      if (head.content.kind == Kind::kSized && head.content.bytes <= UINT32_MAX) {
        left_ = static_cast<uint32_t>(head.content.bytes);
      } else if (response.end) {
        left_ = 0;
      } else if (!options_->size_header.empty()) {
        if (const auto said = head.headers.Find(options_->size_header)) left_ = ParseSize(*said);
      }
      head.content = {Kind::kUnsized, 0};
    }
    head.status = 200;
    head.has_own_reason = false;
    head.declared_length.reset();
    head.headers.Set(Known::kContentType, own_type_);
    return Decision::kContinue;
  }

  Decision OnResponseBody(const filter::ResponseBodyView& body) override {
    if (mode_ == Mode::kDrop) body.in.Clear();
    if (mode_ != Mode::kFrame || !options_->withhold_frames) return Transform::OnResponseBody(body);
    if (!left_ && !body.end) return Decision::kContinue;  // its length is not known before its end
    if (!left_) left_ = static_cast<uint32_t>(body.in.bytes());
    if (!head_put_) body.out.AppendCopy(filter::FrameHeadText(0, *left_));
    head_put_ = true;
    if (body.in.bytes() > *left_) return Decision::kReset;  // more than it had said
    *left_ -= static_cast<uint32_t>(body.in.bytes());
    return Transform::OnResponseBody(body);
  }

  Decision OnResponseTrailers(const filter::ResponseBodyView&, http::HeaderList& trailers) override {
    if (mode_ == Mode::kDrop) trailers.Clear();
    if (mode_ != Mode::kFrame) return Decision::kContinue;
    if (options_->withhold_frames && left_ != 0U) return Decision::kReset;
    trailers.Clear();
    trailers.Add(Known::kGrpcStatus, std::to_string(status_));
    return Decision::kContinue;
  }

  size_t HeldBytes() const override { return own_type_.size(); }

 private:
  enum class Mode : uint8_t { kPass, kDrop, kFrame };

  Decision Refuse(const filter::RequestBodyView& body, std::string_view status,
                  std::string_view message) const {
    body.response.headers.Set(Known::kContentType, own_type_);
    body.response.headers.Set(Known::kGrpcStatus, status);
    body.response.headers.Set(Known::kGrpcMessage, message);
    return Decision::kRespond;
  }

  const config::GrpcHttp1ReverseBridge* const options_;
  const std::string own_type_;
  bool frame_off_ = false;
  uint64_t request_left_ = 0;
  Mode mode_ = Mode::kPass;
  uint32_t status_ = 0;
  bool head_put_ = false;
  std::optional<uint32_t> left_;  // of the answer's message
};

}  // namespace

Decision GrpcHttp1ReverseBridge::OnRequestHead(const filter::RequestView& request) const {
  const config::FilterOptions* const options =
      config::OptionsOf(config::FilterKind::kGrpcHttp1ReverseBridge, request.options, request.route);
  const auto* const bridge =
      options == nullptr ? nullptr : std::get_if<config::GrpcHttp1ReverseBridge>(options);
  http::RequestHead& head = request.head;
  const auto type = head.headers.Find(Known::kContentType);
  if (bridge == nullptr || !type || !http::IsGrpcContentType(*type)) return Decision::kContinue;
  filter::AddTransform(request.state, std::make_unique<ReverseBridge>(bridge, std::string(*type)));
  head.headers.Set(Known::kContentType, bridge->content_type);
  head.headers.Set(Known::kAccept, bridge->content_type);
  head.headers.Remove(Known::kTe);
  // A length that lies is refused by OnRequestTrailers; one too short for a frame is none.
  if (bridge->withhold_frames && head.content.kind == Kind::kSized) {
    if (head.content.bytes >= filter::kFrameHeadBytes) {
      head.content.bytes -= filter::kFrameHeadBytes;
    } else {
      head.content = {Kind::kUnsized, 0};
    }
  }
  return Decision::kContinue;
}

}  // namespace pillion::filters
