#include "sidecar/stream/grpc_call.h"

#include <array>

#include "sidecar/filter/grpc.h"

namespace pillion::stream {
namespace {

constexpr size_t kPrefixBytes = 5;  // compressed flag, 32-bit length
constexpr uint32_t kInternal = 13;
constexpr uint32_t kUnavailable = 14;

std::optional<GrpcCall::Status> StatusIn(const http::HeaderList& fields) {
  const auto text = fields.Find(http::Known::kGrpcStatus);
  if (!text) return std::nullopt;
  const std::optional<uint32_t> code = filter::ParseGrpcStatus(*text);
  if (!code) return GrpcCall::Status{kInternal, "grpc-status is not a number"};
  const auto message = fields.Find(http::Known::kGrpcMessage);
  return GrpcCall::Status{*code, filter::DecodeGrpcMessage(message.value_or(""))};
}

}  // namespace

std::unique_ptr<ClientStream> GrpcCall::Open(std::string_view path, std::string_view authority,
                                             const std::optional<net::Address>& only) {
  http::RequestHead head;
  head.method = http::Method::kPost;
  head.method_text = "POST";
  head.path = path;
  head.scheme = "http";
  head.authority = authority;
  head.has_authority = true;
  head.version = http::Version::kHttp2;
  head.content.kind = http::ContentLength::Kind::kUnsized;
  head.headers.Add(http::Known::kContentType, "application/grpc");
  head.headers.Add(http::Known::kTe, "trailers");
  head.headers.Add(http::Known::kUserAgent, "pillion-sidecar");
  return call_.Open(std::move(head), only);
}

void GrpcCall::Send(std::string_view message) {
  const auto size = static_cast<uint32_t>(message.size());
  const std::array<char, kPrefixBytes> prefix = {0, static_cast<char>(size >> 24),
                                                 static_cast<char>(size >> 16), static_cast<char>(size >> 8),
                                                 static_cast<char>(size)};
  call_.Write({prefix.data(), prefix.size()});
  call_.Write(message);
}

std::vector<std::string> GrpcCall::Receive() {
  std::vector<std::string> messages;
  while (!broken_) {
    std::array<char, kPrefixBytes> prefix;
    if (call_.content.CopyTo(prefix.data(), kPrefixBytes) < kPrefixBytes) break;
    size_t size = 0;
    for (size_t i = 1; i < kPrefixBytes; ++i) size = size << 8 | static_cast<uint8_t>(prefix[i]);
    if (prefix[0] != 0) {
      broken_ = Status{kInternal, "a compressed message, though no coding was agreed"};
    } else if (size > kMaxMessageBytes) {
      broken_ = Status{kInternal, "a message larger than " + std::to_string(kMaxMessageBytes) + " bytes"};
    } else {
      if (call_.content.bytes() < kPrefixBytes + size) {
        call_.HoldUpTo(kPrefixBytes + size);
        break;
      }
      call_.content.Consume(kPrefixBytes);
      std::string& message = messages.emplace_back(size, '\0');
      call_.content.CopyTo(message.data(), size);
      call_.content.Consume(size);
      call_.Consumed();
    }
  }
  return messages;
}

std::optional<GrpcCall::Status> GrpcCall::status() {
  if (broken_) return broken_;
  if (call_.error) return Status{kUnavailable, std::string(call_.error.detail)};
  if (!call_.has_head || !call_.ended) return std::nullopt;
  if (auto status = StatusIn(call_.trailers)) return status;
  if (auto status = StatusIn(call_.response.headers)) return status;
  // What gRPC makes of an HTTP status without a grpc-status (http-grpc-status-mapping.md), as far as we tell
  // them apart.
  return Status{kUnavailable,
                "HTTP status " + std::to_string(call_.response.status) + " without grpc-status"};
}

}  // namespace pillion::stream
