#include "sidecar/listener/inspection.h"

#include <algorithm>
#include <string_view>

#include "sidecar/session/http1_client.h"
#include "sidecar/session/http2_client.h"

namespace pillion::listener {
namespace {
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// From the first byte. Attack: connections that never say a whole word. Envoy's listener_filters_timeout.
constexpr auto kInspectionTimeout = std::chrono::seconds(15);
// A client that waited in the accept queue when the drain began may not have said its first word yet.
constexpr auto kInspectionDrainTimeout = std::chrono::seconds(1);
}  // namespace

session::ClientSession& StartSession(ListenerParts& parts, Generation& generation, size_t chain,
                                     std::unique_ptr<net::Socket> socket, bool http2,
                                     std::string_view early) {
  net::Socket& observed = *socket;
  session::ClientSessionParts made{parts.turn,
                                   parts.memory,
                                   parts.stats,
                                   *generation.factories[chain],
                                   generation.config->chain(chain).http,
                                   std::move(socket)};
  session::ClientSession* session = nullptr;
  if (http2) {
    session = new session::Http2ClientSession(std::move(made), early);
  } else {
    session = new session::Http1ClientSession(std::move(made), early);
  }
  generation.sessions.PushBack(session);
  parts.loop.Observe(observed, *session);
  parts.turn.Wake(*session);  // it belongs to the turn
  return *session;
}

Inspection::Inspection(ListenerParts parts, Generation& generation, std::unique_ptr<net::Socket> socket)
    : parts_(parts), generation_(generation), socket_(std::move(socket)), timer_(this) {
  // A client may connect ahead of its first request: until it speaks it is as idle as between two.
  const time::Duration idle = generation.config->chain(0).http->http.idle_timeout;
  if (idle.count() == 0) return;
  deadline_ = parts_.turn.now() + idle;
  parts_.turn.Arm(timer_, deadline_);
}

Inspection::~Inspection() {
  if (socket_ != nullptr) parts_.stats.client_connections_closed.Add();  // it became no session
}

void Inspection::OnReady(bool readable, bool) {
  readable_ = readable_ || readable;
  parts_.turn.Wake(*this);
}

void Inspection::Drain() {
  if (draining_) return;
  draining_ = true;
  readable_ = true;  // something may have come that the loop has not told of yet
  deadline_ = std::min(deadline_, parts_.turn.now() + kInspectionDrainTimeout);
  parts_.turn.Arm(timer_, deadline_);
  parts_.turn.Wake(*this);
}

void Inspection::Abort() {
  aborted_ = true;
  parts_.turn.Wake(*this);
}

stream::Progress Inspection::Run() {
  if (aborted_ || parts_.turn.now() >= deadline_) return stream::Progress::kDone;
  while (readable_) {
    const net::IoResult result = socket_->Read(std::span(bytes_).subspan(size_));
    if (result.kind == net::IoResult::Kind::kWouldBlock) {
      readable_ = false;
      return stream::Progress::kIdle;
    }
    if (result.kind != net::IoResult::Kind::kBytes) return stream::Progress::kDone;
    if (size_ == 0) {
      deadline_ = std::min(deadline_, parts_.turn.now() + kInspectionTimeout);
      parts_.turn.Arm(timer_, deadline_);
    }
    size_ += result.bytes;
    const std::string_view seen(bytes_.data(), size_);
    if (!kPreface.starts_with(seen)) {
      BecomeSession(false);
      return stream::Progress::kDone;
    }
    if (seen.size() == kPreface.size()) {
      BecomeSession(true);
      return stream::Progress::kDone;
    }
  }
  return stream::Progress::kIdle;
}

void Inspection::BecomeSession(bool http2) {
  session::ClientSession& session =
      StartSession(parts_, generation_, 0, std::move(socket_), http2, {bytes_.data(), size_});
  if (draining_) session.Drain();
}

}  // namespace pillion::listener
