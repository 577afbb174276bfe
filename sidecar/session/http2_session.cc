#include "sidecar/session/http2_session.h"

#include <algorithm>
#include <vector>

namespace pillion::session {
namespace {

constexpr int kReadsPerRun = 4;
// Decoded fields, as http2::Limits::max_head_bytes counts them, that one connection may bring in one turn:
// what four reads may bring of content; while the worker's are used up (ReadScratch::HeadsLeft), so much that
// it is not kept waiting.
constexpr size_t kHeadBytesPerRun = size_t{256} * 1024;
constexpr size_t kLeastHeadBytesPerRun = size_t{4} * 1024;
// Frames handed to the wire at a time: enough for one large write, little enough to keep streams fair.
constexpr size_t kFlushBytes = size_t{256} * 1024;
// A stream that is reset so soon after it was opened may count as opened for nothing at the other end: ten
// times what a sidecar takes for early (http2_client.cc), as the reset may catch up with the head on its way.
// A peer of which nothing has come since may be standing still, and take both at once later.
constexpr auto kEarlyReset = std::chrono::seconds(1);

http2::ErrorCode CodeFor(const RequestError& why) {
  switch (why.kind) {
    case ErrorKind::kNone:
      return http2::ErrorCode::kNoError;
    case ErrorKind::kMalformed:
      return why.side == Side::kClient ? http2::ErrorCode::kProtocolError : http2::ErrorCode::kInternalError;
    case ErrorKind::kPeerRefused:
      return http2::ErrorCode::kRefusedStream;
    case ErrorKind::kTimeout:
    case ErrorKind::kPerTryTimeout:
    case ErrorKind::kIdleTimeout:
    case ErrorKind::kClientGone:
      return http2::ErrorCode::kCancel;
    case ErrorKind::kReset:
    case ErrorKind::kClosed:
      return why.side == Side::kClient ? http2::ErrorCode::kCancel : http2::ErrorCode::kInternalError;
    default:
      return http2::ErrorCode::kInternalError;
  }
}

// That it was refused is not told of a stream that was not: who hears it may send the request again.
uint32_t CodeToTell(const http2::Event& event) {
  const bool untrue = event.code == http2::ErrorCode::kRefusedStream && !event.refused;
  const bool known = event.code <= http2::ErrorCode::kHttp11Required;  // RFC 9113 section 7
  return known && !untrue ? static_cast<uint32_t>(event.code) : 0;
}

}  // namespace

Http2Session::Http2Session(stream::Turn& turn, ReadScratch& scratch, telemetry::WorkerStats& stats,
                           http2::Role role, const http2::Limits& limits, std::string_view note)
    : turn_(turn),
      stats_(stats),
      side_(role == http2::Role::kServer ? Side::kClient : Side::kUpstream),
      wire_(scratch, role == http2::Role::kServer ? stats.client_wires : stats.upstream_wires),
      limits_(limits),
      codec_(role, limits_, note),
      fed_at_(turn.now()),
      refilled_at_(fed_at_),
      pinged_at_(fed_at_) {}

void Http2Session::Dirty() { turn_.MarkDirty(AsFlushable()); }

void Http2Session::Refill() {
  codec_.Refill((turn_.now() - refilled_at_).count());
  refilled_at_ = turn_.now();
}

bool Http2Session::FeedInput(size_t& head_budget) {
  Refill();
  fed_at_ = turn_.now();
  std::string_view rest = wire_.input();
  const size_t size = rest.size();
  const bool alive = codec_.FeedSome(rest, head_budget);
  HandleEvents();
  wire_.Consume(alive ? size - rest.size() : size);
  const http2::Refused refused = codec_.TakeRefused();
  if (refused.heads > 0) stats_.client_heads_refused.Add(refused.heads);
  if (refused.streams > 0) stats_.client_streams_refused.Add(refused.streams);
  if (alive && codec_.flood() == http2::Flood::kNone) return true;
  CountEnd();
  return false;
}

void Http2Session::CountEnd() {
  (side_ == Side::kClient ? stats_.client_protocol_errors : stats_.upstream_protocol_errors).Add();
  switch (codec_.flood()) {
    case http2::Flood::kNone:
      break;
    case http2::Flood::kFrames:
      stats_.http2_frame_floods.Add();
      break;
    case http2::Flood::kResets:
      stats_.http2_reset_floods.Add();
      break;
    case http2::Flood::kUnread:
      stats_.http2_unread_floods.Add();
      break;
    case http2::Flood::kHeaders:
      stats_.http2_header_floods.Add();
      break;
    case http2::Flood::kStreams:
      stats_.http2_stream_floods.Add();
      break;
  }
}

bool Http2Session::KeepAlive(const std::optional<config::KeepAlive>& keep) {
  if (!keep) return true;
  if (codec_.ping_outstanding()) {
    // Its answer may wait behind what the peer has not read yet; while anything comes, the peer lives.
    if (turn_.now() < std::max(pinged_at_, fed_at_) + keep->timeout) return true;
    stats_.http2_pings_unanswered.Add();
    return false;
  }
  if (turn_.now() < pinged_at_ + keep->interval) return true;
  pinged_at_ = turn_.now();
  codec_.Ping();
  Dirty();
  return true;
}

time::MonotonicTime Http2Session::KeepAliveDue(const std::optional<config::KeepAlive>& keep) const {
  if (!keep) return time::MonotonicTime::max();
  if (codec_.ping_outstanding()) return std::max(pinged_at_, fed_at_) + keep->timeout;
  return pinged_at_ + keep->interval;
}

bool Http2Session::ReadAll() {
  const size_t left = wire_.scratch().HeadsLeft(turn_.number());
  const size_t budget = std::clamp(left, kLeastHeadBytesPerRun, kHeadBytesPerRun);
  // What is read and cannot be decoded yet has to be kept.
  const size_t most = left == 0 ? kLeastHeadBytesPerRun : SIZE_MAX;
  size_t head_budget = budget;
  const bool alive = ReadSome(head_budget, most);
  wire_.scratch().TakeHeads(budget - head_budget);
  return alive;
}

bool Http2Session::ReadSome(size_t& head_budget, size_t most) {
  bool alive = true;
  // What an inspector has read, or the last Run has left, comes first.
  if (!wire_.input().empty() || codec_.stopped()) {
    alive = FeedInput(head_budget);
    Dirty();
  }
  for (int reads = 0; reads < kReadsPerRun && alive && !codec_.stopped(); ++reads) {
    switch (wire_.Fill(most)) {
      case Wire::Filled::kBytes:
        received_ += wire_.input().size();
        alive = FeedInput(head_budget);
        break;
      case Wire::Filled::kBlocked:
        if (wire_.broken()) return false;  // frames are lost: nothing after them can be understood
        if (codec_.WantsOutput()) Dirty();
        return true;
      case Wire::Filled::kEnd:
      case Wire::Filled::kReset:
        return false;
    }
  }
  Dirty();
  if (alive) turn_.WakeNextTurn(AsRunnable());  // a busy connection must not keep the others waiting
  return alive;
}

bool Http2Session::WriteAll() {
  while (true) {
    if (wire_.out().bytes() < kFlushBytes && codec_.WantsOutput()) {
      codec_.Output(wire_.out(), kFlushBytes);
      HandleEvents();
    }
    switch (wire_.Flush()) {
      case Wire::Flushed::kBroken:
        return false;
      case Wire::Flushed::kBlocked:
        return true;
      case Wire::Flushed::kAll:
        if (!codec_.WantsOutput()) return true;
        break;
    }
  }
}

void Http2Session::HandleEvents() {
  // By index: the walk may submit frames, which never adds events; Output and Feed do, and are not called
  // from here.
  for (size_t i = 0; i < codec_.events().size(); ++i) {
    const http2::Event event = codec_.events()[i];
    switch (event.kind) {
      case http2::Event::Kind::kRequestHead:
      case http2::Event::Kind::kResponseHead:
        OnHead(event);
        continue;
      case http2::Event::Kind::kGoAway:
        OnGoAway();
        continue;
      case http2::Event::Kind::kNote:
        OnNote();
        continue;
      case http2::Event::Kind::kClosed:
        OnClosed(event);
        continue;
      case http2::Event::Kind::kContent:
        OnContent(event);
        continue;
      case http2::Event::Kind::kTrailers:
      case http2::Event::Kind::kEnd:
      case http2::Event::Kind::kWritable:
        break;
    }
    const auto found = streams_.find(event.stream);
    if (found == streams_.end()) continue;
    stream::Inbox& in = found->second.stream->in();
    if (event.kind == http2::Event::Kind::kEnd) in.ended = true;
    if (event.error != ErrorKind::kNone) {
      OnTrailersTooLarge(in);
    } else if (event.kind == http2::Event::Kind::kTrailers) {
      in.trailers_present = true;
      swap(in.trailers, codec_.trailers(event));
    }
    if (*found->second.owner != nullptr) turn_.Wake(**found->second.owner);
  }
  codec_.ClearEvents();
}

void Http2Session::OnTrailersTooLarge(stream::Inbox& in) {
  const bool of_client = side_ == Side::kClient;
  in.error = {ErrorKind::kHeadTooLarge, side_, of_client ? Outcome::kNotSent : Outcome::kAnswered,
              "the trailers are too large"};
  (of_client ? stats_.client_protocol_errors : stats_.upstream_protocol_errors).Add();
  if (of_client) stats_.client_heads_too_large.Add();
}

void Http2Session::OnContent(const http2::Event& event) {
  const auto found = streams_.find(event.stream);
  if (found == streams_.end()) return;
  stream::Inbox& in = found->second.stream->in();
  in.content_bytes += event.content.size();
  in.content.Append(wire_.Share(event.content));
  if (*found->second.owner != nullptr) turn_.Wake(**found->second.owner);
}

RequestError Http2Session::ErrorOf(const http2::Event& event) const {
  if (event.refused)
    return {ErrorKind::kPeerRefused, side_, Outcome::kRefused, "the peer refused the stream"};
  if (event.unsent && side_ == Side::kUpstream) {
    return {ErrorKind::kClosed, side_, Outcome::kNotSent,
            "the connection ended before the request was written"};
  }
  if (!event.by_peer && event.code == http2::ErrorCode::kProtocolError) {
    return {ErrorKind::kMalformed, side_, Outcome::kAmbiguous, "the peer broke HTTP/2 on this stream"};
  }
  return {ErrorKind::kReset, side_, Outcome::kAmbiguous, "the peer reset the stream"};
}

void Http2Session::OnClosed(const http2::Event& event) {
  const auto found = streams_.find(event.stream);
  if (found == streams_.end()) return;
  const Entry entry = found->second;
  stream::Inbox& in = entry.stream->in();
  streams_.erase(found);
  entry.link->session = nullptr;
  in.stopped = true;
  // Of an upstream: after a complete answer any reset only stops the request (RFC 9113 section 8.1 asks for
  // NO_ERROR; not all send it). Of a client: its request may be complete and its answer is not; a reset gives
  // that up whatever its code, and the exchange must not go on for nobody.
  const bool harmless =
      in.ended && (side_ == Side::kUpstream || (!event.by_peer && event.code == http2::ErrorCode::kNoError));
  if (event.by_peer) stats_.http2_resets_seen.Add();
  if (event.by_peer && side_ == Side::kUpstream) in.reset_code = CodeToTell(event);
  if (!in.error && !harmless) in.error = ErrorOf(event);
  if (*entry.owner != nullptr) turn_.Wake(**entry.owner);
  OnStreamOver(*entry.stream, event);
}

void Http2Session::Forget(http2::StreamId id, bool sent, bool received) {
  if (!sent || (!received && side_ != Side::kClient)) {
    Reset(id, side_ == Side::kClient ? http2::ErrorCode::kInternalError : http2::ErrorCode::kCancel);
  } else {
    streams_.erase(id);
    if (!received) codec_.StopReceiving(id);
  }
  Dirty();
  turn_.Wake(AsRunnable());  // the last stream of a draining connection ends it
}

void Http2Session::ResetStream(http2::StreamId id, const RequestError& why, uint32_t code) {
  const auto found = streams_.find(id);
  if (found != streams_.end()) found->second.link->session = nullptr;
  Reset(id, code != 0 ? static_cast<http2::ErrorCode>(code) : CodeFor(why));
  Dirty();
  turn_.Wake(AsRunnable());  // as in Forget
}

void Http2Session::Reset(http2::StreamId id, http2::ErrorCode code) {
  const bool late = IsLate(id);
  streams_.erase(id);
  codec_.Reset(id, code, late);
}

bool Http2Session::SendTrailers(http2::StreamId id, const http::HeaderList& trailers) {
  return codec_.SendTrailers(id, trailers, IsLate(id));
}

bool Http2Session::IsLate(http2::StreamId id) const {
  const auto found = streams_.find(id);
  if (found == streams_.end()) return true;
  const time::MonotonicTime started = found->second.stream->started();
  return turn_.now() - started >= kEarlyReset && fed_at_ > started;
}

void Http2Session::DetachAll(std::string_view detail) {
  // In the order in which they were opened: what their owners do next must not depend on a hash.
  std::vector<http2::StreamId> ids;
  ids.reserve(streams_.size());
  for (const auto& [id, entry] : streams_) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  for (const http2::StreamId id : ids) {
    const Entry& entry = streams_.at(id);
    entry.link->session = nullptr;
    stream::Inbox& in = entry.stream->in();
    in.stopped = true;
    if (!in.error && !(in.ended && side_ == Side::kUpstream)) {
      const bool unsent = side_ == Side::kUpstream && codec_.HeadUnsent(id);
      in.error = {ErrorKind::kClosed, side_, unsent ? Outcome::kNotSent : Outcome::kAmbiguous, detail};
    }
    if (*entry.owner != nullptr) turn_.Wake(**entry.owner);
  }
  streams_.clear();
}

}  // namespace pillion::session
