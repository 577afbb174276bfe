#include "sidecar/listener/inspection.h"

#include <algorithm>
#include <string_view>

#include "sidecar/session/http1_client.h"
#include "sidecar/session/http2_client.h"

namespace pillion::listener {
namespace {
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// Attack: connections that never say a word. Envoy's listener_filters_timeout.
constexpr auto kInspectionTimeout = std::chrono::seconds(15);
// While draining: the first bytes of a client that has just connected.
constexpr auto kDrainingTimeout = std::chrono::seconds(1);
}  // namespace

session::ClientSession& StartSession(ListenerParts& parts, Generation& generation,
                                     std::unique_ptr<net::Socket> socket, bool http2,
                                     std::string_view early) {
  net::Socket& observed = *socket;
  session::ClientSessionParts made{parts.turn,          parts.scratch,     parts.stats,
                                   *generation.factory, generation.config, std::move(socket)};
  session::ClientSession* session = nullptr;
  if (http2) {
    session = new session::Http2ClientSession(std::move(made), early);
  } else {
    session = new session::Http1ClientSession(std::move(made), early);
  }
  generation.sessions.PushBack(session);
  parts.loop.Observe(observed, *session);
  parts.turn.Wake(*session);
  return *session;
}

Inspection::Inspection(ListenerParts parts, Generation& generation, std::unique_ptr<net::Socket> socket)
    : parts_(parts),
      generation_(generation),
      socket_(std::move(socket)),
      timer_(this),
      deadline_(parts.turn.now() + kInspectionTimeout) {
  parts_.turn.Arm(timer_, deadline_);
}

void Inspection::OnReady(bool readable, bool) {
  readable_ = readable_ || readable;
  parts_.turn.Wake(*this);
}

void Inspection::Drain() {
  if (draining_) return;
  draining_ = true;
  deadline_ = std::min(deadline_, parts_.turn.now() + kDrainingTimeout);
  parts_.turn.Arm(timer_, deadline_);
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
      StartSession(parts_, generation_, std::move(socket_), http2, {bytes_.data(), size_});
  if (draining_) session.Drain();
}

}  // namespace pillion::listener
