// What the two kinds of client-side session share: how a listener finds and drains them.
#ifndef PILLION_SIDECAR_SESSION_CLIENT_SESSION_H_
#define PILLION_SIDECAR_SESSION_CLIENT_SESSION_H_

#include <algorithm>
#include <memory>

#include "sidecar/base/intrusive_list.h"
#include "sidecar/base/pressure.h"
#include "sidecar/config/listener.h"
#include "sidecar/session/worker_memory.h"
#include "sidecar/stream/exchange_factory.h"
#include "sidecar/stream/holder.h"
#include "sidecar/stream/turn.h"

namespace pillion::session {

struct SessionTag;

// `filter_chain`: number of its filter chain in the listener that it came in by; once that is known.
class ClientSession : public stream::Holder,
                      public stream::Flushable,
                      public net::Observer,
                      public ListNode<SessionTag> {
 public:
  // Takes no new requests after those that are under way, then closes. May be called again.
  virtual void Drain() = 0;
  // Ends now: the drain's deadline is over.
  virtual void Abort() = 0;
  uint32_t filter_chain = 0;
  // What an exchange holds is the exchange's.
  size_t HeldBytes() const override { return 0; }
  void GiveUp(const RequestError&) override { Abort(); }
};

using SessionList = IntrusiveList<ClientSession, SessionTag>;

// How long a client that has been answered may take none of the bytes that wait for it; 0: for ever.
inline time::Duration FlushTimeout(const config::HttpOptions& options) {
  return options.stream_idle_timeout.count() > 0 ? options.stream_idle_timeout : options.idle_timeout;
}

// From its first byte until it is complete; 0: for ever. A head that is not complete when the whole request
// should be is too late as well. Where neither is limited the stream's idle time-out is: a connection that
// began a request is not idle, and must not stay for ever.
inline time::Duration HeadTimeout(const config::HttpOptions& options) {
  const time::Duration head = options.request_headers_timeout;
  const time::Duration whole = options.request_timeout;
  if (head.count() == 0 && whole.count() == 0) return options.stream_idle_timeout;
  if (head.count() == 0 || whole.count() == 0) return std::max(head, whole);
  return std::min(head, whole);
}

// What a session is made of. All but `socket` and `config` outlive it. `pressure`: null where memory is never
// short.
struct ClientSessionParts {
  stream::Turn& turn;
  WorkerMemory& memory;
  telemetry::WorkerStats& stats;
  stream::ExchangeFactory& factory;
  std::shared_ptr<const config::HttpServer> config;
  std::unique_ptr<net::Socket> socket;
  const PressureGauge* pressure;
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_CLIENT_SESSION_H_
