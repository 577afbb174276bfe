// A gRPC call of the sidecar's own over a side call: message framing and status (gRPC over HTTP/2,
// PROTOCOL-HTTP2.md). Messages are serialized protobuf; what they are is the holder's business. One thread.
#ifndef PILLION_SIDECAR_STREAM_GRPC_CALL_H_
#define PILLION_SIDECAR_STREAM_GRPC_CALL_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/stream/side_call.h"

namespace pillion::stream {

class GrpcCall {
 public:
  // Attack: a control plane, or who poses as it, that announces a message without end.
  static constexpr size_t kMaxMessageBytes = size_t{64} * 1024 * 1024;

  struct Status {
    uint32_t code = 0;  // 0 is OK; 14 (UNAVAILABLE) when the transport failed
    std::string message;
  };

  // `holder` is woken when a message or the status arrived.
  GrpcCall(Turn& turn, Runnable& holder) : call_(turn, holder) {}
  // The stream for the exchange; `path` is "/package.Service/Method", `authority` usually the cluster's name.
  // `only` as in SideCall::Open.
  std::unique_ptr<ClientStream> Open(std::string_view path, std::string_view authority,
                                     const std::optional<net::Address>& only = std::nullopt);
  void Send(std::string_view message);
  void FinishSending() { call_.Finish(); }
  size_t unsent() const { return call_.unsent(); }
  // Complete messages that arrived since the last call, in order.
  std::vector<std::string> Receive();
  // Set once, after all messages were received: the call is over.
  std::optional<Status> status();
  bool has_head() const { return call_.has_head; }

 private:
  SideCall call_;
  std::optional<Status> broken_;  // our own verdict on a malformed stream
};

}  // namespace pillion::stream

#endif  // PILLION_SIDECAR_STREAM_GRPC_CALL_H_
