// Dialling an endpoint of a cluster: TCP, and TLS round it where the cluster says so.
#ifndef PILLION_SIDECAR_SESSION_DIAL_H_
#define PILLION_SIDECAR_SESSION_DIAL_H_

#include <memory>
#include <string>
#include <string_view>

#include "sidecar/base/request_error.h"
#include "sidecar/config/cluster.h"
#include "sidecar/net/loop.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/tls/worker_tools.h"

namespace pillion::session {

// How a connection that was not made is told; the text lives for ever.
struct ConnectFailure {
  ErrorKind kind = ErrorKind::kNone;
  std::string_view detail;
};

// What is said on it, as far as ALPN matters.
enum class Speaks : uint8_t { kHttp1, kHttp2, kBytes };

struct DialParts {
  net::Loop& loop;
  telemetry::WorkerStats& stats;
  tls::WorkerTools& tls;
};

struct DialOrder {
  const config::Cluster& cluster;
  const net::Address& to;
  Speaks speaks;
  std::string introduction;  // what the connection begins with (net/introducing_socket.h); "" for most
};
// Null: no descriptor, no route, or no credentials yet; `failure` says which, and it is counted.
std::unique_ptr<net::Socket> Dial(const DialParts& parts, DialOrder order, net::Observer& observer,
                                  ConnectFailure& failure);

// Where the connection stands. Wait: it is not made, and `late` is false. A failure is counted.
enum class Connected : uint8_t { kWait, kYes, kNo };
Connected FinishConnect(const DialParts& parts, net::Socket& socket, Speaks speaks, bool late,
                        ConnectFailure& failure);

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_DIAL_H_
