// The ADS client, state of the world (xDS protocol, xds.md 2.2): one gRPC stream to the control plane, as a
// side call on the main loop.
//
//   waiting --back-off over--> open: CDS, LDS, EDS, SDS, RDS are subscribed --stream ends--> waiting
//   each response: applied, then exactly one ACK or NACK; subscriptions that it changed follow
//
// A response of a type that was not asked for gets no answer: any would be a subscription to that type.
// Nothing is lost while the stream is down: the store keeps serving. Owner: the main loop; single-threaded.
#ifndef PILLION_SIDECAR_XDS_ADS_CLIENT_H_
#define PILLION_SIDECAR_XDS_ADS_CLIENT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/stream/grpc_call.h"
#include "sidecar/stream/turn.h"
#include "sidecar/xds/resource_store.h"

namespace pillion::xds {

// After an outage of any length the next try comes within this time.
inline constexpr auto kMaxBackoff = std::chrono::milliseconds(1000);
inline constexpr auto kMinBackoff = std::chrono::milliseconds(100);
// Requests that the control plane does not take. Attack: responses without end from one that never reads,
// each of which we answer.
inline constexpr size_t kMaxUnsentBytes = size_t{64} * 1024 * 1024;

class AdsClient final : public stream::Runnable {
 public:
  using Begin = std::function<void(std::string_view cluster, std::unique_ptr<stream::ClientStream>)>;

  // All outlive the client. `begin` starts a side call; `changed` is called in a turn when the store may give
  // a new snapshot.
  AdsClient(stream::Turn& turn, Random& random, const config::Bootstrap& bootstrap, ResourceStore& store,
            Begin begin, std::function<void()> changed);
  // Starts the first stream.
  void Start() { turn_.Wake(*this); }
  stream::Progress Run() override;

  // For admin.
  struct TypeState {
    std::string version;  // last accepted
    std::string nonce;    // of the last response on this stream
    bool asked = false;   // on this stream
    std::vector<std::string> names;
    std::string last_error;  // of the last NACK
    uint64_t acks = 0;
    uint64_t nacks = 0;
  };
  const TypeState& state(Type type) const { return types_[static_cast<size_t>(type)]; }
  bool connected() const { return heard_; }
  const std::string& last_failure() const { return last_failure_; }
  uint64_t streams() const { return streams_; }
  // Responses of a type that was not asked for, and the type of the last of them.
  uint64_t ignored() const { return ignored_; }
  const std::string& last_ignored_type() const { return last_ignored_type_; }

 private:
  void Open();
  void Close(std::string reason);
  void Subscribe();
  void Handle(const std::string& message);
  void Ask(Type type, const std::string* error);
  TypeState& Of(Type type) { return types_[static_cast<size_t>(type)]; }

  stream::Turn& turn_;
  Random& random_;
  const config::Bootstrap& bootstrap_;
  ResourceStore& store_;
  Begin begin_;
  std::function<void()> changed_;
  std::unique_ptr<stream::GrpcCall> call_;
  TypeState types_[kTypes];
  stream::Timer timer_;
  time::Duration backoff_ = kMinBackoff;
  time::MonotonicTime retry_at_{};
  time::MonotonicTime opened_at_{};
  std::string last_failure_;
  std::string last_ignored_type_;
  uint64_t ignored_ = 0;
  uint64_t streams_ = 0;
  bool node_sent_ = false;
  bool heard_ = false;  // a message came on this stream
};

}  // namespace pillion::xds

#endif  // PILLION_SIDECAR_XDS_ADS_CLIENT_H_
