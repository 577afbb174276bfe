#include "sidecar/filters/grpc_http1_bridge/grpc_http1_bridge.h"

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
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

constexpr std::string_view kProtobuf = "application/x-protobuf";

class Bridge final : public filter::Transform {
 public:
  // `bare`: the client's messages have no frame.
  explicit Bridge(bool bare) : bare_(bare) {}

  Decision OnRequestBody(const filter::RequestBodyView& body) override {
    if (!bare_) return Transform::OnRequestBody(body);
    return Decision::kContinue;  // its length is not known before its end
  }

  Decision OnRequestTrailers(const filter::RequestBodyView& body, http::HeaderList&) override {
    if (!bare_) return Decision::kContinue;
    body.out.AppendCopy(filter::FrameHeadText(0, body.in.bytes()));
    body.out.MoveFrom(body.in, std::numeric_limits<size_t>::max());
    return Decision::kContinue;
  }

  Decision OnResponseHead(const filter::ResponseHeadView& response) override {
    http::ResponseHead& head = response.head;
    local_status_ = response.local_status;
    grpc_ = http::IsGrpc(head.headers);
    if (!grpc_) return Decision::kContinue;  // not a gRPC server's: as it is
    return Decision::kHold;
  }

  Decision OnResponseBody(const filter::ResponseBodyView& body) override {
    if (!grpc_) return Transform::OnResponseBody(body);
    return Decision::kHold;
  }

  Decision OnResponseTrailers(const filter::ResponseBodyView& body, http::HeaderList& trailers) override {
    if (!grpc_) return Decision::kContinue;
    http::ResponseHead& head = body.head;
    for (size_t i = 0; i < trailers.size(); ++i) head.headers.Add(trailers[i].name, trailers[i].value);
    trailers.Clear();
    const auto text = head.headers.Find(Known::kGrpcStatus);
    const auto status = text ? filter::ParseGrpcStatus(*text) : std::nullopt;
    bool failed = status != 0U;
    if (!status) head.headers.Set(Known::kGrpcStatus, "2");
    if (bare_ && !failed && !TakeFrameOff(body.in)) {
      head.headers.Set(Known::kGrpcStatus, "13");
      head.headers.Set(Known::kGrpcMessage, "the answer is not one uncompressed message");
      failed = true;
    }
    if (failed) head.status = local_status_ != 0 ? local_status_ : 503;
    if (bare_ && failed) body.in.Clear();
    if (bare_) head.headers.Set(Known::kContentType, kProtobuf);
    head.content = {Kind::kSized, body.in.bytes()};
    head.declared_length = body.in.bytes();
    body.out.MoveFrom(body.in, std::numeric_limits<size_t>::max());
    return Decision::kContinue;
  }

 private:
  static bool TakeFrameOff(SliceQueue& in) {
    const auto frame = filter::PeekFrameHead(in);
    if (!frame || frame->flags != 0 || in.bytes() != filter::kFrameHeadBytes + frame->bytes) return false;
    in.Consume(filter::kFrameHeadBytes);
    return true;
  }

  const bool bare_;
  bool grpc_ = false;
  uint16_t local_status_ = 0;
};

}  // namespace

Decision GrpcHttp1Bridge::OnRequestHead(const filter::RequestView& request) const {
  const config::FilterOptions* const options =
      config::OptionsOf(config::FilterKind::kGrpcHttp1Bridge, request.options, request.route);
  const auto* const bridge = options == nullptr ? nullptr : std::get_if<config::GrpcHttp1Bridge>(options);
  http::RequestHead& head = request.head;
  if (bridge == nullptr || head.version == http::Version::kHttp2) return Decision::kContinue;
  const auto type = head.headers.Find(Known::kContentType);
  if (!type) return Decision::kContinue;
  const bool bare = bridge->upgrade_protobuf && EqualsIgnoreCase(*type, kProtobuf);
  if (!bare && !http::IsGrpcContentType(*type)) return Decision::kContinue;
  filter::AddTransform(request.state, std::make_unique<Bridge>(bare));
  if (bare) {
    head.headers.Set(Known::kContentType, "application/grpc");
    head.content = {Kind::kUnsized, 0};
    if (bridge->ignore_query) head.path.resize(std::min(head.path.find('?'), head.path.size()));
  }
  head.headers.Set(Known::kTe, "trailers");
  return Decision::kContinue;
}

}  // namespace pillion::filters
