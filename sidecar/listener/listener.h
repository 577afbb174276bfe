// Accepting clients on one address for one worker: accept, look at the first bytes, make the session.
//
//   ListenSocket -> Inspection (which filter chain, which protocol) -> Http1ClientSession |
//   Http2ClientSession | Relay
//
// A configuration change makes a new Generation for new connections; of the old one's sessions those drain,
// under the options they began with, whose filter chain changed or is gone. The socket stays, so that no
// waiting client is lost. What is left of a drain after its time-out is ended. Owner: a worker.
#ifndef PILLION_SIDECAR_LISTENER_LISTENER_H_
#define PILLION_SIDECAR_LISTENER_LISTENER_H_

#include <memory>
#include <vector>

#include "sidecar/base/pressure.h"
#include "sidecar/config/listener.h"
#include "sidecar/listener/placement.h"
#include "sidecar/listener/server_first.h"
#include "sidecar/net/loop.h"
#include "sidecar/relay/dial.h"
#include "sidecar/session/client_session.h"
#include "sidecar/session/worker_memory.h"
#include "sidecar/stream/exchange_factory.h"
#include "sidecar/stream/turn.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/tls/worker_tools.h"

namespace pillion::listener {

// Where nothing else is said: as long as Envoy gives them.
inline constexpr auto kDrainTimeout = std::chrono::minutes(10);

// Parts of one worker; all outlive its listeners.
struct ListenerParts {
  stream::Turn& turn;
  net::Loop& loop;
  session::WorkerMemory& memory;
  telemetry::WorkerStats& stats;
  relay::RelayParts relay;
  tls::WorkerTools& tls;
  // Null: every connection stays where it was accepted. `self`: this worker's number there.
  Placement* placement = nullptr;
  size_t self = 0;
  // Null: memory is never short.
  const PressureGauge* pressure = nullptr;
  // From a drain's beginning until what is left is ended.
  time::Duration drain_timeout = kDrainTimeout;
};

// Who makes the exchanges of each filter chain, by its number; null for TCP.
using Factories = std::vector<std::unique_ptr<stream::ExchangeFactory>>;

class Inspection;

// The sessions that began under one configuration.
struct Generation {
  std::shared_ptr<const config::Listener> config;
  Factories factories;
  ServerFirst* server_first;  // the listener's
  session::SessionList sessions;
  IntrusiveList<Inspection, session::SessionTag> inspections;  // connections whose protocol is not known yet
  std::vector<time::MonotonicTime> ends;  // by number of chain: of its drain; max: it does not drain
};

class Listener final : public net::Observer, public stream::Runnable {
 public:
  // Null when the address cannot be bound; `error` is the errno. Deleted by its owner, not by the turn.
  static std::unique_ptr<Listener> Open(ListenerParts parts, std::shared_ptr<const config::Listener> config,
                                        Factories factories, int* error);
  ~Listener() override;

  // Takes over a changed configuration of the same address. Sessions of chains that it does not have are
  // drained; connections whose chain is not chosen yet are looked at under the new one.
  void Replace(std::shared_ptr<const config::Listener> config, Factories factories);
  // A connection that another worker accepted for this one.
  void Adopt(std::unique_ptr<net::Socket> socket) { Begin(std::move(socket)); }
  // Stops accepting and drains all sessions.
  void Drain();
  // The configuration does not have it any more: drains, and ends after the time-out what is left.
  void Retire();
  // Ends what is left.
  void Abort();
  // No session is left, and of one that drains nobody in the accept queue.
  bool empty() const;
  void AddHolders(std::vector<stream::Holder*>& holders);
  const config::Listener& config() const { return *current_->config; }
  const net::Address& address() const { return socket_->local(); }

  void OnReady(bool readable, bool writable) override;
  stream::Progress Run() override;

 private:
  explicit Listener(ListenerParts parts) : parts_(parts), timer_(this) {}
  void Begin(std::unique_ptr<net::Socket> socket);
  // There is no room for one more client; counted.
  bool RefusesClients();
  void EndLater();
  void EndOverdue();
  void DropEmptyGenerations();
  void SetFastOpen();

  ListenerParts parts_;
  ServerFirst server_first_;
  std::unique_ptr<net::ListenSocket> socket_;
  std::unique_ptr<Generation> current_;
  std::vector<std::unique_ptr<Generation>> retired_;
  stream::Timer timer_;
  time::MonotonicTime end_ = time::MonotonicTime::max();       // of the listener's own drain
  time::MonotonicTime next_end_ = time::MonotonicTime::max();  // of any drain
  bool draining_ = false;
  bool fast_open_ = false;
};

}  // namespace pillion::listener

#endif  // PILLION_SIDECAR_LISTENER_LISTENER_H_
