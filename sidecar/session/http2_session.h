// What both roles of an HTTP/2 connection share: the wire, the codec, and the table of its streams.
//
//   Run:   socket -> codec -> events -> streams' inboxes, owners woken
//   Flush: streams' frames -> codec -> socket, once per turn for all streams
//
// Deleted by the turn. Streams belong to their exchanges; the table only points to them.
#ifndef PILLION_SIDECAR_SESSION_HTTP2_SESSION_H_
#define PILLION_SIDECAR_SESSION_HTTP2_SESSION_H_

#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "sidecar/config/keep_alive.h"
#include "sidecar/http2/codec.h"
#include "sidecar/session/wire.h"
#include "sidecar/stream/stream.h"
#include "sidecar/stream/turn.h"

namespace pillion::session {

class Http2Session;

// What a sidecar may add to a head between its client's limit and the next one's: via, x-forwarded-*,
// x-request-id, traceparent, pillion-h1 and the like.
inline constexpr size_t kFieldsOfSidecars = 16;

// How a stream knows its session; null once the stream is closed or the session is gone.
struct Http2Link {
  Http2Session* session = nullptr;
  http2::StreamId id = 0;
};

class Http2Session {
 public:
  // All but `limits` and `note` outlive the session. `note`: the codec's first; "": none.
  Http2Session(stream::Turn& turn, ReadScratch& scratch, telemetry::WorkerStats& stats, http2::Role role,
               const http2::Limits& limits, std::string_view note = {});
  virtual ~Http2Session() = default;
  Http2Session(const Http2Session&) = delete;
  Http2Session& operator=(const Http2Session&) = delete;

  http2::Codec& codec() { return codec_; }
  const net::Address& peer() { return wire_.socket().peer(); }
  const net::Address& local() { return wire_.socket().local(); }
  net::Address direct_peer() { return wire_.socket().direct_peer(); }
  net::Address own() { return wire_.socket().own(); }
  const net::Security* security() { return wire_.socket().security(); }
  void Dirty();
  // The exchange let go of the stream, having sent or received its whole message or not.
  void Forget(http2::StreamId id, bool sent, bool received);
  // `code`: instead of the one that `why` chooses; 0: none.
  void ResetStream(http2::StreamId id, const RequestError& why, uint32_t code);
  // False: they do not fit the peer, and the stream is reset.
  bool SendTrailers(http2::StreamId id, const http::HeaderList& trailers);
  bool HasUnsent() { return !wire_.out().empty() || codec_.WantsOutput(); }

 protected:
  struct Entry {
    stream::Stream* stream = nullptr;
    Http2Link* link = nullptr;
    stream::Runnable* const* owner = nullptr;
  };

  // Of the time that has passed: limits that fill up again.
  void Refill();
  // Feeds the codec with the wire's input and records. False: the peer broke the protocol, or a limit of it.
  bool FeedInput(size_t& head_budget);
  // Reads, feeds the codec, records. False: the connection is over.
  bool ReadAll();
  // Of that, so much at a time.
  bool ReadSome(size_t& head_budget, size_t most);
  // Moves frames to the socket. False: the connection is broken.
  bool WriteAll();
  void HandleEvents();
  // Every stream left gets an error and its owner is woken.
  void DetachAll(std::string_view detail);
  void Add(http2::StreamId id, Entry entry) { streams_[id] = entry; }
  // PINGs when they are due. False: one was not answered in time.
  bool KeepAlive(const std::optional<config::KeepAlive>& keep);
  // When KeepAlive should be called next.
  time::MonotonicTime KeepAliveDue(const std::optional<config::KeepAlive>& keep) const;

  virtual void OnHead(const http2::Event& event) = 0;
  virtual void OnGoAway() = 0;
  virtual void OnNote() {}
  // The stream is not in the table any more.
  virtual void OnStreamOver(const stream::Stream&, const http2::Event&) {}
  virtual stream::Runnable& AsRunnable() = 0;
  virtual stream::Flushable& AsFlushable() = 0;

  stream::Turn& turn_;
  telemetry::WorkerStats& stats_;
  const Side side_;
  Wire wire_;
  http2::Limits limits_;
  http2::Codec codec_;
  absl::flat_hash_map<http2::StreamId, Entry> streams_;
  uint64_t received_ = 0;  // bytes, ever

 private:
  void CountEnd();
  void OnTrailersTooLarge(stream::Inbox& in);
  void OnContent(const http2::Event& event);
  void OnClosed(const http2::Event& event);
  // Its entry, where there is one, goes too.
  void Reset(http2::StreamId id, http2::ErrorCode code);
  // To reset it now would come late (http2::Limits::max_own_resets).
  bool IsLate(http2::StreamId id) const;
  RequestError ErrorOf(const http2::Event& event) const;

  time::MonotonicTime fed_at_;       // the last bytes of the peer, or the session's start
  time::MonotonicTime refilled_at_;  // until when the codec's purses have been filled
  time::MonotonicTime pinged_at_;    // the last PING, or the session's start
};

// The parts of a stream that do not depend on its role.
template <typename SideStream>
class Http2StreamOf : public SideStream {
 public:
  Http2StreamOf(Http2Session& session, http2::StreamId id) : peer_(session.peer()) { link_ = {&session, id}; }
  ~Http2StreamOf() override {
    if (link_.session != nullptr) link_.session->Forget(link_.id, finished_, this->in_.ended);
  }
  void ReleaseCredit(size_t n) override {
    if (link_.session == nullptr) return;
    link_.session->codec().ReleaseCredit(link_.id, n);
    link_.session->Dirty();
  }
  size_t SendRoom() const override {
    return link_.session == nullptr || !head_sent_ || finished_ ? 0
                                                                : link_.session->codec().SendRoom(link_.id);
  }
  size_t SendContent(SliceQueue& from) override {
    if (link_.session == nullptr || !head_sent_ || finished_) return 0;
    const size_t moved = link_.session->codec().SendContent(link_.id, from);
    if (moved > 0) link_.session->Dirty();
    return moved;
  }
  void Finish() override {
    if (link_.session == nullptr || finished_) return;
    finished_ = true;
    link_.session->codec().FinishContent(link_.id);
    link_.session->Dirty();
  }
  void FinishWithTrailers(const http::HeaderList& trailers) override {
    if (link_.session == nullptr || finished_) return;
    finished_ = true;
    link_.session->SendTrailers(link_.id, trailers);
    link_.session->Dirty();
  }
  void Reset(const RequestError& why) override {
    if (link_.session != nullptr) link_.session->ResetStream(link_.id, why, this->told_code_);
  }
  size_t Unsent() const override {
    return link_.session == nullptr ? 0 : link_.session->codec().Unsent(link_.id);
  }
  http::Version wire_version() const override { return http::Version::kHttp2; }
  const net::Address& peer() const override { return peer_; }
  const net::Security* security() const override {
    return link_.session == nullptr ? nullptr : link_.session->security();
  }

 protected:
  friend class Http2ClientSession;
  friend class Http2UpstreamSession;
  Http2Link link_;
  net::Address peer_;
  bool head_sent_ = false;
  bool finished_ = false;
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_HTTP2_SESSION_H_
