#include "sidecar/filters/grpc_web/grpc_web.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "sidecar/base/text.h"
#include "sidecar/config/filters.h"
#include "sidecar/filter/base64.h"
#include "sidecar/filter/chain.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/filter/grpc_frames.h"

namespace pillion::filters {
namespace {

using filter::Decision;
using http::Known;
using Kind = http::ContentLength::Kind;

constexpr std::string_view kWeb = "application/grpc-web";
constexpr std::string_view kText = "-text";

struct WebType {
  bool text = false;
  std::string_view rest;  // "+proto", ";charset=..." or ""
};

std::optional<WebType> ParseWebType(std::string_view type) {
  if (type.size() < kWeb.size() || !EqualsIgnoreCase(type.substr(0, kWeb.size()), kWeb)) return std::nullopt;
  WebType result;
  result.rest = type.substr(kWeb.size());
  result.text =
      result.rest.size() >= kText.size() && EqualsIgnoreCase(result.rest.substr(0, kText.size()), kText);
  if (result.text) result.rest.remove_prefix(kText.size());
  if (!result.rest.empty() && result.rest.front() != '+' && result.rest.front() != ';') return std::nullopt;
  return result;
}

// What the client wants back; the request's own kind when it does not say.
bool WantsText(const http::HeaderList& headers, bool request_is_text) {
  std::optional<bool> wanted;
  for (size_t i = 0; i < headers.size(); ++i) {
    if (headers[i].known != Known::kAccept) continue;
    ForEachListElement(headers[i].value, [&](std::string_view element) {
      if (const auto type = ParseWebType(element); type && !wanted) wanted = type->text;
    });
  }
  return wanted.value_or(request_is_text);
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), AsciiLower);
  return lower;
}

class Web final : public filter::Transform {
 public:
  Web(bool text_in, bool text_out) : text_in_(text_in), text_out_(text_out) {}

  Decision OnRequestBody(const filter::RequestBodyView& body) override {
    if (!text_in_) return Transform::OnRequestBody(body);
    std::string bytes;
    while (!body.in.empty()) {
      const std::string_view text = body.in.front().view();
      if (!decoder_.Feed(text, bytes)) return Decision::kReset;
      body.in.Consume(text.size());
    }
    body.out.AppendCopy(bytes);
    return Decision::kContinue;
  }

  Decision OnRequestTrailers(const filter::RequestBodyView&, http::HeaderList&) override {
    return !text_in_ || decoder_.complete() ? Decision::kContinue : Decision::kReset;
  }

  Decision OnResponseHead(const filter::ResponseHeadView& response) override {
    http::ResponseHead& head = response.head;
    const auto type = head.headers.Find(Known::kContentType);
    const bool grpc = type && http::IsGrpcContentType(*type);
    std::string subtype(grpc ? type->substr(std::string_view("application/grpc").size()) : "");
    if (!subtype.starts_with('+')) subtype.insert(0, "+proto");
    encoder_ = {};
    frame_left_ = 0;
    frame_head_.clear();
    // Not from a gRPC server at all: what it means is told as a status, its text is for people elsewhere.
    const bool foreign = !grpc || head.status != 200;
    drop_ = foreign;
    status_in_head_ = foreign || head.headers.Has(Known::kGrpcStatus);
    if (foreign) {
      const uint16_t status = response.local_status != 0 ? response.local_status : head.status;
      if (!head.headers.Has(Known::kGrpcStatus)) {
        const uint32_t code = filter::GrpcStatusOfHttp(status);
        head.headers.Set(Known::kGrpcStatus, std::to_string(code == 0 ? 2 : code));
        head.headers.Set(Known::kGrpcMessage, "HTTP status " + std::to_string(status));
      }
      head.status = 200;
      head.has_own_reason = false;
    }
    head.headers.Set(Known::kContentType, std::string(kWeb) + (text_out_ ? "-text" : "") + subtype);
    head.content = {drop_ || response.end ? Kind::kNone : Kind::kUnsized, 0};
    head.declared_length.reset();
    return Decision::kContinue;
  }

  Decision OnResponseBody(const filter::ResponseBodyView& body) override {
    if (drop_) {
      body.in.Clear();
    } else if (!text_out_) {
      return Transform::OnResponseBody(body);
    } else {
      std::string text;
      while (!body.in.empty()) {
        const std::string_view bytes = body.in.front().view();
        Encode(bytes, text);
        body.in.Consume(bytes.size());
      }
      body.out.AppendCopy(text);
    }
    return Decision::kContinue;
  }

  Decision OnResponseTrailers(const filter::ResponseBodyView& body, http::HeaderList& trailers) override {
    if (drop_) trailers.Clear();
    std::string text;
    if (text_out_) encoder_.Flush(text);  // of a message that is cut off
    if (status_in_head_ && trailers.empty()) {
      body.out.AppendCopy(text);
      return Decision::kContinue;
    }
    std::string block;
    for (size_t i = 0; i < trailers.size(); ++i)
      block.append(LowerCase(trailers[i].name)).append(": ").append(trailers[i].value).append("\r\n");
    // The client waits for it: an upstream that ends without one has not said how it went.
    if (!trailers.Has(Known::kGrpcStatus) && !status_in_head_) block.append("grpc-status: 2\r\n");
    trailers.Clear();
    std::string frame = filter::FrameHeadText(filter::kTrailersFlag, block.size()) + block;
    if (text_out_) {
      encoder_.Feed(frame, text);
      encoder_.Flush(text);
      frame = std::move(text);
    }
    body.out.AppendCopy(frame);
    return Decision::kContinue;
  }

 private:
  // Padded at the end of each message: what the client needs of it must not wait for the next one.
  void Encode(std::string_view bytes, std::string& text) {
    while (!bytes.empty()) {
      size_t taken = 0;
      if (frame_left_ == 0) {
        taken = std::min(filter::kFrameHeadBytes - frame_head_.size(), bytes.size());
        frame_head_.append(bytes.substr(0, taken));
        if (frame_head_.size() == filter::kFrameHeadBytes) {
          for (size_t i = 1; i < frame_head_.size(); ++i)
            frame_left_ = frame_left_ << 8 | static_cast<unsigned char>(frame_head_[i]);
          frame_head_.clear();
        }
      } else {
        taken = static_cast<size_t>(std::min<uint64_t>(frame_left_, bytes.size()));
        frame_left_ -= taken;
      }
      encoder_.Feed(bytes.substr(0, taken), text);
      bytes.remove_prefix(taken);
      if (frame_left_ == 0 && frame_head_.empty()) encoder_.Flush(text);
    }
  }

  const bool text_in_;
  const bool text_out_;
  bool drop_ = false;
  bool status_in_head_ = false;
  filter::Base64Decoder decoder_;
  filter::Base64Encoder encoder_;
  std::string frame_head_;   // of the answer's current message, as far as it is here
  uint64_t frame_left_ = 0;  // of its content
};

}  // namespace

Decision GrpcWeb::OnRequestHead(const filter::RequestView& request) const {
  if (config::OptionsOf(config::FilterKind::kGrpcWeb, request.options, request.route) == nullptr)
    return Decision::kContinue;
  http::RequestHead& head = request.head;
  const auto type = head.headers.Find(Known::kContentType);
  const auto web = type ? ParseWebType(*type) : std::nullopt;
  if (!web) return Decision::kContinue;
  const bool text_out = WantsText(head.headers, web->text);
  filter::AddTransform(request.state, std::make_unique<Web>(web->text, text_out));
  const std::string grpc_type = "application/grpc" + std::string(web->rest);
  if (web->text && head.content.kind != Kind::kNone) head.content = {Kind::kUnsized, 0};
  head.headers.Set(Known::kContentType, grpc_type);
  head.headers.Remove(Known::kAccept);
  head.headers.Set(Known::kTe, "trailers");
  return Decision::kContinue;
}

}  // namespace pillion::filters
