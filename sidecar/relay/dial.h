// The upstream end of a relay while it is being made: picks a cluster by weight and an endpoint, connects,
// and tries another endpoint when that fails, up to the configured number of times. Owned by whoever waits
// for it; its owner is woken when something happened and then calls Advance. One thread.
#ifndef PILLION_SIDECAR_RELAY_DIAL_H_
#define PILLION_SIDECAR_RELAY_DIAL_H_

#include <memory>

#include "sidecar/base/local_ref.h"
#include "sidecar/base/random.h"
#include "sidecar/base/request_error.h"
#include "sidecar/config/listener.h"
#include "sidecar/net/loop.h"
#include "sidecar/session/dial.h"
#include "sidecar/session/wire.h"
#include "sidecar/stream/turn.h"
#include "sidecar/telemetry/request_record.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/upstream/cluster_state.h"

namespace pillion::relay {

// Parts of one worker; all outlive its relays.
struct RelayParts {
  stream::Turn& turn;
  net::Loop& loop;
  session::ReadScratch& scratch;
  telemetry::Shard& stats;
  telemetry::RecordBuffer& records;
  upstream::ClusterTable& clusters;
  Random& random;
  tls::WorkerTools& tls;
};

class Dial final : public net::Observer {
 public:
  enum class State : uint8_t { kConnecting, kConnected, kFailed };
  // `owner` and what `parts` names outlive it; `client` is only asked for its addresses.
  Dial(const RelayParts& parts, const config::TcpServer& server, const net::Socket& client,
       stream::Runnable& owner);
  ~Dial();
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

  // Somebody else waits for it from now on.
  void HandOver(stream::Runnable& owner) { owner_ = &owner; }
  // In the owner's Run, also when a timer of its own woke it.
  State Advance();
  State state() const { return state_; }
  // kConnecting: when Advance must be called at the latest.
  time::MonotonicTime deadline() const { return deadline_; }
  // kConnected: the upstream has sent something, or ended: it speaks first.
  bool upstream_spoke() const { return state_ == State::kConnected && spoke_; }
  // What was read of it to find out.
  std::string TakeWords() { return std::move(words_); }
  // kConnected, once: who takes it must have itself observed.
  std::unique_ptr<net::Socket> TakeSocket() { return std::move(socket_); }
  // kFailed.
  const RequestError& error() const { return error_; }
  // Of the last attempt; null when there was none.
  upstream::EndpointState* endpoint() const { return endpoint_.get(); }
  const std::string& cluster() const { return cluster_name_; }
  uint32_t attempts() const { return attempts_; }

  void OnReady(bool readable, bool writable) override;

 private:
  session::DialParts dial_parts() { return {parts_.loop, parts_.stats.worker, parts_.tls}; }
  // Null: `error_` says why.
  upstream::EndpointState* Choose();
  void Start();
  void Fail(const session::ConnectFailure& failure);
  void DropEndpoint();
  void NoteFailure();
  void Listen();

  RelayParts parts_;
  stream::Runnable* owner_;
  const net::Address client_;
  const net::Address destination_;
  const net::Address own_;
  const uint32_t max_attempts_;
  const bool hash_client_;
  std::string cluster_name_;
  LocalRef<upstream::ClusterState> cluster_;
  LocalRef<upstream::EndpointState> endpoint_;
  upstream::ConnectionHold hold_;
  std::unique_ptr<net::Socket> socket_;
  State state_ = State::kConnecting;
  uint32_t attempts_ = 0;
  time::MonotonicTime deadline_ = time::MonotonicTime::max();
  std::string words_;
  bool readable_ = false;
  bool spoke_ = false;
  RequestError error_;
};

}  // namespace pillion::relay

#endif  // PILLION_SIDECAR_RELAY_DIAL_H_
