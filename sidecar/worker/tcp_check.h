// One health check over TCP: connect, send, and look for what must come. The main loop's.
#ifndef PILLION_SIDECAR_WORKER_TCP_CHECK_H_
#define PILLION_SIDECAR_WORKER_TCP_CHECK_H_

#include <memory>
#include <string>

#include "sidecar/config/cluster.h"
#include "sidecar/net/loop.h"
#include "sidecar/session/dial.h"
#include "sidecar/stream/turn.h"

namespace pillion::worker {

class TcpCheck final : public net::Observer {
 public:
  enum class State : uint8_t { kConnecting, kTalking, kPassed, kFailed };
  // What is not between the bytes that must come. Attack: an endpoint that sends without end.
  static constexpr size_t kMostBytes = size_t{64} * 1024;

  // `holder` is woken when something has happened; it, `check` and the parts outlive the check.
  TcpCheck(const session::DialParts& parts, const config::Cluster& cluster, const config::HealthCheck& check,
           const net::Address& to, stream::Turn& turn, stream::Runnable& holder);
  TcpCheck(const TcpCheck&) = delete;
  TcpCheck& operator=(const TcpCheck&) = delete;
  // As far as it goes now.
  State Advance();

  void OnReady(bool readable, bool writable) override;

 private:
  State Talk();
  bool HasAll();

  session::DialParts parts_;
  const config::HealthCheck& check_;
  stream::Turn& turn_;
  stream::Runnable& holder_;
  std::unique_ptr<net::Socket> socket_;
  State state_ = State::kConnecting;
  size_t sent_ = 0;      // of check_.send
  size_t received_ = 0;  // of check_.receive, those that have come
  std::string bytes_;    // behind the last of them
};

}  // namespace pillion::worker

#endif  // PILLION_SIDECAR_WORKER_TCP_CHECK_H_
