// The codec's inside: an nghttp2 session, the streams we know, the events not yet walked. Private to this
// folder; receive.cc holds what nghttp2 tells us, send.cc what we tell it, codec.cc the public calls.
//
// Traps of nghttp2 1.52 that shape this (specs/libraries.md section 2):
// - a connection error only queues a GOAWAY; it is noticed when that frame is about to be sent, so Feed pulls
//   what it caused to be queued into `pending`;
// - on_frame_send comes one mem_send later than the bytes, so a head counts as sent in before_frame_send;
// - callbacks must not delete the session or feed it: they only record.
#ifndef PILLION_SIDECAR_HTTP2_SESSION_H_
#define PILLION_SIDECAR_HTTP2_SESSION_H_

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sidecar/http2/codec.h"
#include "sidecar/http2/field_block.h"
#include "sidecar/http2/frame_walk.h"

namespace pillion::http2 {

// One stream as the codec sees it. Recycled.
struct Stream {
  enum class Receiving : uint8_t {
    kHead,     // no (final) head yet
    kContent,  // head delivered
    kEnded,    // the peer has finished
    kIgnored,  // reset or too large: nothing more is delivered
  };
  enum class Sending : uint8_t {
    kIdle,       // server: no response yet
    kOpen,       // content may be queued
    kFinishing,  // what is queued, then trailers if any, then END_STREAM
    kEnded,      // END_STREAM is nghttp2's business now
  };
  enum class Reset : uint8_t { kNo, kByUs, kByPeer };

  StreamId id = 0;
  http::Method method = http::Method::kGet;
  Receiving receiving = Receiving::kHead;
  Sending sending = Sending::kIdle;
  Reset reset = Reset::kNo;
  size_t head_bytes = 0;              // server: what it has of Session::heads_bytes
  uint32_t informational_queued = 0;  // server: 1xx submitted and not yet sent
  bool announced = false;
  bool head_sent = false;
  bool answered = false;      // client: a head has come, or a 1xx: the peer has not refused it
  bool deferred = false;      // nghttp2 asked for content and there was none: resume it
  bool end_sent = false;      // our END_STREAM has left
  bool stop_request = false;  // server: when it has, the rest of the request is refused
  bool misbehaved = false;    // the peer broke a rule on it, and so we reset it
  bool room_wanted = false;   // the sender found the queue full: kWritable when it has drained
  SliceQueue queue;
  std::unique_ptr<http::HeaderList> trailers;
};

// Heads that events refer to by number. The one behind the last is being built.
template <typename Head>
class HeadPool {
 public:
  Head& Building() {
    if (used_ == heads_.size()) heads_.push_back(std::make_unique<Head>());
    return *heads_[used_];
  }
  uint32_t Commit() { return used_++; }
  Head& At(uint32_t i) { return *heads_[i]; }
  // Keeps what is being built: a header block may span several Feeds.
  void Recycle() {
    if (used_ < heads_.size()) std::swap(heads_[0], heads_[used_]);
    if (heads_.size() > kKept) heads_.resize(kKept);
    used_ = 0;
  }

 private:
  static constexpr size_t kKept = 64;  // a burst must not be paid for in memory for ever
  std::vector<std::unique_ptr<Head>> heads_;
  uint32_t used_ = 0;
};

struct Codec::Session {
  Session(Role role, const Limits& limits, std::string_view first_note);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // What the header block that is being received becomes.
  enum class Building : uint8_t { kNothing, kRequest, kResponse, kTrailers };
  enum class Health : uint8_t { kGood, kDraining, kBroken };

  Stream* Find(StreamId id);
  Stream* Open(StreamId id);
  void Close(Stream* stream, ErrorCode code);
  void CloseAll(ErrorCode code);
  // A connection error of ours that nghttp2 does not find: GOAWAY, every stream closed.
  void Break(ErrorCode code, std::string_view detail);
  Event& AddEvent(Event::Kind kind, const Stream& stream);
  // False: the purse is empty, the connection is broken.
  bool PayFrames(uint32_t count);
  bool PayReset();
  void NoteOwnReset(StreamId id, uint32_t code);
  bool Begins(StreamId id);
  void EarnFrames(uint32_t count) { frame_purse = std::min(frame_purse + count, limits.max_idle_frames); }

  // send.cc
  void Pull(SliceQueue& out, size_t max_bytes);
  void PullAnswers(size_t queued_before);
  bool FitsPeer(const FieldBlock& block) const;
  void ResumeIfDeferred(Stream& stream);
  void SubmitNote(std::string_view note);
  static ssize_t PackNote(nghttp2_session*, uint8_t* into, size_t size, const nghttp2_frame*, void* user);
  // `late`: it was open for long (Limits::max_own_resets).
  void ResetStream(Stream& stream, ErrorCode code, bool late = false);
  // Before a stream's final head is taken, or it ends without: nobody waits for one any more.
  void NoteSettled(const Stream& stream) {
    if (role == Role::kClient && stream.receiving == Stream::Receiving::kHead) --unanswered;
  }
  static ssize_t ReadContent(nghttp2_session*, int32_t id, uint8_t*, size_t length, uint32_t* flags,
                             nghttp2_data_source*, void* user);
  static int SendContentFrame(nghttp2_session*, nghttp2_frame* frame, const uint8_t* frame_head,
                              size_t length, nghttp2_data_source*, void* user);
  static int BeforeFrameSend(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int OnFrameSend(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int OnFrameNotSend(nghttp2_session*, const nghttp2_frame* frame, int error, void* user);

  // receive.cc
  void FinishRequestHead(Stream& stream, bool end_stream);
  void FinishResponseHead(Stream& stream, bool end_stream);
  void FinishTrailers(Stream& stream);
  void TakeRequestField(std::string_view name, std::string_view value);
  void TakeResponseField(std::string_view name, std::string_view value);
  int TakeTrailer(StreamId id, std::string_view name, std::string_view value);
  int DropField(size_t name_size);
  void KeepHead(Stream& stream);
  void TakeField(http::HeaderList& headers, std::string_view name, std::string_view value);
  void JoinCookies(http::HeaderList& headers);
  void OnHeaders(const nghttp2_frame& frame);
  void WithdrawUnsent();
  static int OnNotePiece(nghttp2_session*, const nghttp2_frame_hd*, const uint8_t* data, size_t size,
                         void* user);
  static int OnNoteEnd(nghttp2_session*, void** payload, const nghttp2_frame_hd*, void* user);
  static int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* head, void* user);
  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t flags, void* user);
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user);
  static int OnContent(nghttp2_session*, uint8_t flags, int32_t id, const uint8_t* data, size_t size,
                       void* user);
  static int OnStreamClose(nghttp2_session*, int32_t id, uint32_t code, void* user);
  static int OnInvalidFrame(nghttp2_session*, const nghttp2_frame* frame, int error, void* user);
  static void SetReceiveCallbacks(nghttp2_session_callbacks* callbacks);
  static void SetSendCallbacks(nghttp2_session_callbacks* callbacks);

  // For experiments (RFC 9113 section 11.2.1 leaves 0xf0 to 0xff to them).
  static constexpr uint8_t kNoteFrame = 0xF7;

  const Role role;
  const Limits limits;
  FrameWalk walk;
  nghttp2_session* nghttp2 = nullptr;
  Health health = Health::kGood;
  std::string_view error_detail;
  bool settled = false;                // the peer's first SETTINGS have come
  bool limits_known = false;           // ours have been acknowledged
  bool passed_by = false;              // the header block that is coming begins nothing
  StreamId newest_request = 0;         // server: the highest that HEADERS have come for
  uint64_t late_heads = 0;             // client: that may still come for streams that we have reset
  bool data_unpaid = false;            // the DATA frame that is coming has brought no content so far
  std::optional<uint32_t> own_goaway;  // code of the last GOAWAY that we asked for

  std::vector<Event> events;
  HeadPool<http::RequestHead> requests;
  HeadPool<http::ResponseHead> responses;
  HeadPool<http::HeaderList> trailers;

  Building building = Building::kNothing;
  ErrorKind building_error = ErrorKind::kNone;
  size_t building_fields = 0;
  size_t building_bytes = 0;
  size_t building_cookies = 0;
  size_t building_limit = 0;      // of building_bytes: what a head may have, and what there is room for
  bool building_refused = false;  // there is no room for it (Limits::max_request_heads_bytes)
  std::optional<uint64_t> building_length;
  std::optional<std::string> building_host;
  std::string building_protocol;  // :protocol (RFC 8441 section 4)
  std::string cookies;

  size_t heads_bytes = 0;  // server: of the streams' requests
  Refused refused;
  size_t head_budget = SIZE_MAX;  // what fields may still use of the present FeedSome's
  bool stopped = false;           // it was used up: nghttp2 is in the middle of its input

  absl::flat_hash_map<StreamId, Stream*> streams;
  Stream* last_found = nullptr;
  std::vector<std::unique_ptr<Stream>> free_streams;

  FieldBlock block;
  SliceQueue pending;          // frames pulled while feeding; go out first
  size_t pending_answers = 0;  // of those, the ones that answer the peer's own (RFC 9113 section 10.5)
  SliceQueue* out = nullptr;   // where Pull puts frames now
  size_t out_limit = 0;
  // Frames and resets that the peer may still cost us (Limits::max_idle_frames, max_early_resets).
  uint32_t frame_purse = 0;
  uint32_t reset_purse = 0;
  // Client: resets of ours that the peer will bear (Limits::max_own_resets), and streams that may come to
  // one.
  uint32_t own_reset_purse = 0;
  uint32_t unanswered = 0;
  int64_t frame_time_ns = 0;  // passed, and not yet worth a whole frame
  int64_t reset_time_ns = 0;
  int64_t own_reset_time_ns = 0;
  Flood flood = Flood::kNone;
  // Server: what is sent; client: what has come, and what is coming.
  std::string note;
  std::string building_note;
  uint64_t ping_sent = 0;
  uint64_t ping_answered = 0;
};

}  // namespace pillion::http2

#endif  // PILLION_SIDECAR_HTTP2_SESSION_H_
