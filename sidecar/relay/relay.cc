#include "sidecar/relay/relay.h"

#include <algorithm>
#include <utility>

namespace pillion::relay {
namespace {
constexpr int kReadsPerRun = 4;
}  // namespace

Relay::Relay(const RelayParts& parts, std::shared_ptr<const config::TcpServer> server,
             std::unique_ptr<net::Socket> client, std::string_view early, std::unique_ptr<Dial> dial)
    : parts_(parts),
      server_(std::move(server)),
      upstream_observer_(*this),
      dial_(std::move(dial)),
      client_(parts.scratch, parts.stats.worker.client_wires),
      upstream_(parts.scratch, parts.stats.worker.upstream_wires),
      timer_(this),
      started_(parts.turn.now()),
      last_activity_(started_) {
  if (dial_ != nullptr) dial_->HandOver(*this);
  client_.wire.Attach(std::move(client));
  client_.wire.Prepend(early);
  client_.wire.Mark(true, true);
}

Relay::~Relay() {
  parts_.stats.worker.client_connections_closed.Add();
  if (upstream_.wire.attached()) parts_.stats.worker.upstream_connections_closed.Add();
  if (stats_ != nullptr) {
    stats_->duration.Record(parts_.turn.now() - started_);
    stats_->closed.Add();
  }
  if (server_->access_log) Log();
}

void Relay::Mark(End& end, bool readable, bool writable) {
  end.wire.Mark(readable, writable);
  end.told = end.told || readable;
  if (writable && (end.shut || !end.wire.out().empty())) parts_.turn.MarkDirty(*this);
  parts_.turn.Wake(*this);
}

void Relay::OnReady(bool readable, bool writable) { Mark(client_, readable, writable); }

void Relay::UpstreamObserver::OnReady(bool readable, bool writable) {
  relay_.Mark(relay_.upstream_, readable, writable);
}

stream::Progress Relay::Run() {
  CheckTimer();
  if (state_ == State::kDialling) FinishDial();
  if (state_ != State::kDead) Pump(client_, upstream_);
  if (state_ == State::kOpen) Pump(upstream_, client_);
  LookForReset(client_);
  if (state_ == State::kOpen) LookForReset(upstream_);
  client_.wire.KeepRest();
  upstream_.wire.KeepRest();
  if (state_ == State::kOpen && Over(client_) && Over(upstream_)) state_ = State::kDead;
  if (state_ == State::kDead) return stream::Progress::kDone;
  ArmTimer();
  return stream::Progress::kIdle;
}

// The last of it, over TLS a word of its own, may still wait for room.
bool Relay::Over(End& end) { return end.shut && end.wire.socket().Flush(); }

void Relay::FinishDial() {
  if (dial_ == nullptr) dial_ = std::make_unique<Dial>(parts_, *server_, client_.wire.socket(), *this);
  if (stats_ == nullptr) {
    stats_ = &parts_.stats.Tcp({server_->listener, dial_->cluster()});
    stats_->opened.Add();
  }
  switch (dial_->Advance()) {
    case Dial::State::kConnecting:
      return;
    case Dial::State::kFailed:
      stats_->failed.Add();
      error_ = dial_->error();
      // Not an end: a client to whom an end means "all has been said" must not think so.
      client_.wire.socket().ResetOnClose();
      state_ = State::kDead;
      return;
    case Dial::State::kConnected:
      break;
  }
  std::unique_ptr<net::Socket> socket = dial_->TakeSocket();
  net::Socket& observed = *socket;
  upstream_.wire.Attach(std::move(socket));
  upstream_.wire.Prepend(dial_->TakeWords());
  upstream_.wire.Mark(true, true);
  parts_.loop.Observe(observed, upstream_observer_);
  state_ = State::kOpen;
  last_activity_ = parts_.turn.now();
  if (!upstream_.wire.out().empty() || client_.ended) parts_.turn.MarkDirty(*this);
}

void Relay::Pump(End& from, End& to) {
  for (int reads = 0; reads < kReadsPerRun; ++reads) {
    if (!from.wire.input().empty()) {
      const std::string_view input = from.wire.input();
      from.received += input.size();
      (&from == &client_ ? stats_->received_bytes : stats_->sent_bytes).Add(input.size());
      to.wire.out().Append(from.wire.Share(input));
      from.wire.Consume(input.size());
      last_activity_ = parts_.turn.now();
      if (state_ == State::kOpen) parts_.turn.MarkDirty(*this);
    }
    if (from.ended || to.wire.out().bytes() >= server_->stream_buffer_bytes) return;
    switch (from.wire.Fill()) {
      case session::Wire::Filled::kBytes:
        break;
      case session::Wire::Filled::kBlocked:
        return;
      case session::Wire::Filled::kEnd:
        if (from.reset) {
          OnReset(from);
          return;
        }
        from.ended = true;
        if (state_ == State::kOpen) parts_.turn.MarkDirty(*this);
        return;
      case session::Wire::Filled::kReset:
        OnReset(from);
        return;
    }
  }
  parts_.turn.WakeNextTurn(*this);  // a busy connection must not keep the others waiting
}

void Relay::Flush() {
  if (state_ != State::kOpen) return;
  FlushOne(upstream_, client_);
  if (state_ == State::kOpen) FlushOne(client_, upstream_);
}

// `other` is where the bytes come from.
void Relay::FlushOne(End& end, const End& other) {
  const bool was_full = end.wire.out().bytes() >= server_->stream_buffer_bytes;
  const uint64_t written = end.wire.written();
  const session::Wire::Flushed flushed = end.wire.Flush();
  if (end.wire.written() != written) last_activity_ = parts_.turn.now();
  switch (flushed) {
    case session::Wire::Flushed::kBroken:
      OnReset(end);
      return;
    case session::Wire::Flushed::kBlocked:
      break;
    case session::Wire::Flushed::kAll:
      end.wire.out().Clear();  // a relay at rest holds no buffer
      if (!other.ended) break;
      if (!end.shut) end.wire.socket().ShutdownWrite();
      end.shut = true;
      if (Over(end)) parts_.turn.Wake(*this);
      break;
  }
  if (was_full && end.wire.out().bytes() < server_->stream_buffer_bytes) parts_.turn.Wake(*this);
}

// Where nothing is read, because it has ended or the other side is full, only this tells that it is gone. Of
// one that has been told the other's end too, nothing is left to lose.
void Relay::LookForReset(End& end) {
  if (!std::exchange(end.told, false) || end.shut || state_ == State::kDead) return;
  if ((!end.ended && !end.wire.readable()) || !end.wire.IsReset()) return;
  // What an upstream had said before can still be read, and the client may want all of it.
  if (&end == &upstream_ && !end.ended) {
    end.reset = true;
  } else {
    OnReset(end);
  }
}

// What was read before is still given to the other side, as far as its kernel takes it now.
void Relay::OnReset(const End& by) {
  if (state_ == State::kDead) return;
  const bool client = &by == &client_;
  error_ = {ErrorKind::kReset, client ? Side::kClient : Side::kUpstream, Outcome::kAmbiguous,
            client ? "the client reset the connection" : "the upstream reset the connection"};
  for (End* end : {&client_, &upstream_}) {
    if (!end->wire.attached()) continue;
    end->wire.Flush();
    end->wire.socket().ResetOnClose();
  }
  state_ = State::kDead;
  parts_.turn.Wake(*this);
}

void Relay::Abort() {
  BreakOff({ErrorKind::kDraining, Side::kLocal, Outcome::kAmbiguous, "the drain's deadline is over"});
}

// Who has not been told the other's end is not to think that he was: what he got may not be all.
void Relay::BreakOff(const RequestError& error) {
  if (state_ == State::kDead) return;
  error_ = error;
  for (End* end : {&client_, &upstream_}) {
    if (end->wire.attached() && !end->shut) end->wire.socket().ResetOnClose();
  }
  state_ = State::kDead;
  parts_.turn.Wake(*this);
}

void Relay::GiveUp(const RequestError& why) {
  parts_.stats.worker.shed_streams.Add();
  BreakOff(why);
}

void Relay::CheckTimer() {
  const time::Duration idle = server_->idle_timeout;
  if (state_ != State::kOpen || idle.count() == 0 || parts_.turn.now() < last_activity_ + idle) return;
  parts_.stats.worker.client_idle.Add();
  BreakOff({ErrorKind::kIdleTimeout, Side::kLocal, Outcome::kAmbiguous, "no byte for too long"});
}

void Relay::ArmTimer() {
  auto due = time::MonotonicTime::max();
  if (state_ == State::kDialling && dial_ != nullptr) due = dial_->deadline();
  if (state_ == State::kOpen && server_->idle_timeout.count() > 0)
    due = last_activity_ + server_->idle_timeout;
  if (due != time::MonotonicTime::max() && (!timer_.armed() || due < timer_.deadline()))
    parts_.turn.Arm(timer_, due);
}

void Relay::Log() {
  telemetry::RequestRecord record;
  record.reporting = server_;
  record.started = parts_.turn.Wall(started_);
  record.duration = parts_.turn.now() - started_;
  record.protocol = "TCP";
  record.client = client_.wire.socket().peer().ToString();
  if (dial_ != nullptr) record.cluster = dial_->cluster();
  if (dial_ != nullptr && dial_->endpoint() != nullptr) {
    telemetry::AttemptRecord attempt;
    attempt.endpoint = dial_->endpoint()->address().ToString();
    attempt.protocol = "TCP";
    attempt.error = dial_->error().detail;
    record.attempts.push_back(std::move(attempt));
  }
  if (error_) record.detail = error_.detail;
  record.request_bytes = client_.received;
  record.response_bytes = upstream_.received;
  if (!parts_.records.Add(std::move(record))) parts_.stats.worker.log_records_dropped.Add();
}

}  // namespace pillion::relay
