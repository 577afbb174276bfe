// HTTP/2 (RFC 9113), both roles, on nghttp2, which nobody outside this folder sees. No I/O, no clock, no log.
//
//   Feed(bytes)  ->  events()   the caller walks them, then ClearEvents()
//   Submit*, SendContent, Reset, GoAway  ->  Output(queue) moves the frames that may go now
//
// Legal sequences. Client: SubmitRequest, then SendContent* / FinishContent / SendTrailers in any number
// until the end, Reset at any time. Server: after a kHead event SubmitInformational*, SubmitResponse, then as
// above. After kClosed for a stream its id must not be used. Events come in wire order; content views die at
// the next Feed. Output itself can add events (kWritable, kClosed), so look at events() after it too.
//
// Every stream that was announced (server: by kRequestHead, client: by SubmitRequest) gets kClosed exactly
// once: after both sides ended, after a reset (ours: when Output has moved the RST_STREAM), and when the
// connection breaks or ConnectionLost is called. A malformed message resets its stream with PROTOCOL_ERROR
// (RFC 9113 section 8.1.1): a request of that kind is never announced, a response ends in kClosed.
//
// Flow control: the connection's credit is returned when bytes arrive (one slow stream must not stop its
// neighbours); a stream's credit is returned by ReleaseCredit when its content was passed on.
// Owner: a session; one thread.
#ifndef PILLION_SIDECAR_HTTP2_CODEC_H_
#define PILLION_SIDECAR_HTTP2_CODEC_H_

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "sidecar/base/request_error.h"
#include "sidecar/base/slice.h"
#include "sidecar/http/head.h"
#include "sidecar/http2/limits.h"

namespace pillion::http2 {

enum class Role : uint8_t { kClient, kServer };
using StreamId = int32_t;

// RFC 9113 section 7.
enum class ErrorCode : uint32_t {
  kNoError = 0,
  kProtocolError = 1,
  kInternalError = 2,
  kFlowControlError = 3,
  kSettingsTimeout = 4,
  kStreamClosed = 5,
  kFrameSizeError = 6,
  kRefusedStream = 7,
  kCancel = 8,
  kCompressionError = 9,
  kConnectError = 10,
  kEnhanceYourCalm = 11,
  kInadequateSecurity = 12,
  kHttp11Required = 13,
};

struct Event {
  enum class Kind : uint8_t {
    kRequestHead,   // server: request() is the head
    kResponseHead,  // client: response() is the head; status 1xx may come several times first
    kContent,       // content
    kTrailers,      // trailers()
    kEnd,           // the peer finished its side
    kWritable,      // there is room again in SendRoom(stream)
    kClosed,        // the stream is over. `code`; kNoError after a full exchange
    kGoAway,        // the peer goes away; stream = its last id; streams above it get kClosed with `refused`
    kNote,          // client: note() is another one
  };
  Kind kind;
  bool refused = false;  // kClosed: provably not processed (REFUSED_STREAM, or GOAWAY below our id)
  bool by_peer = false;  // kClosed: the peer's RST_STREAM, not ours
  bool unsent = false;   // kClosed: no byte of its HEADERS has left through Output (Outcome::kNotSent)
  // kRequestHead, kResponseHead, kTrailers: kHeadTooLarge when they broke a limit. They are incomplete, and
  // nothing follows; the caller answers (431, or 502 to its own client) and resets the stream.
  ErrorKind error = ErrorKind::kNone;
  StreamId stream = 0;
  ErrorCode code = ErrorCode::kNoError;
  // kRequestHead, kResponseHead, kTrailers: which of the codec's recycled heads; see Codec::request().
  uint32_t head = 0;
  std::string_view content;
};

// Why a connection was broken off, for counters.
enum class Flood : uint8_t { kNone, kFrames, kResets, kUnread, kHeaders, kStreams };

// Server: what was refused since it was last asked for.
struct Refused {
  uint64_t heads = 0;    // and trailers: Limits::max_request_heads_bytes
  uint64_t streams = 0;  // Limits::max_concurrent_streams, by a client that could not know it yet
};

class Codec {
 public:
  // Queues the preface and SETTINGS. Server: then `note`, of at most kMaxNoteBytes, as SendNote does, if
  // there is one.
  Codec(Role role, const Limits& limits, std::string_view note = {});
  ~Codec();
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;

  // Takes all of `bytes`. false: the connection is broken (error_detail() says why); Output still holds the
  // GOAWAY to be sent before closing.
  [[nodiscard]] bool Feed(std::string_view bytes);
  // As above, but stops in the middle of `bytes`, from whose front it takes what it has used, when the fields
  // that came have used `head_budget` up (bytes as Limits::max_head_bytes counts them). Then `stopped`, and
  // it must be called again, also when no bytes are left.
  [[nodiscard]] bool FeedSome(std::string_view& bytes, size_t& head_budget);
  bool stopped() const;
  std::vector<Event>& events();
  // Recycles the heads of the events; call after having walked them.
  void ClearEvents();
  http::RequestHead& request(const Event& event);
  http::ResponseHead& response(const Event& event);
  http::HeaderList& trailers(const Event& event);

  // Client. A head with `upgrade` needs takes_extended_connect. Returns the new stream's id, or 0: no more
  // ids, GOAWAY received, or the head is too large for the limits (head_too_large is then set). `end`: no
  // content follows. Fields that differ on each request stay out of the HPACK table.
  StreamId SubmitRequest(const http::RequestHead& head, bool end, bool* head_too_large);
  // How many more streams the peer lets us open now, and would bear to be reset.
  uint32_t StreamRoom() const;
  // Of the resets that the peer would bear, three in four have been made (Limits::max_own_resets): another
  // connection has more room.
  bool worn() const;
  // The peer's SETTINGS have come: StreamRoom and takes_extended_connect are its word and not our guess.
  bool settled() const;
  // Server: what the client is told in a frame of a type of our own, which others ignore (RFC 9113 section
  // 5.5); the last one counts. The first comes before anything of the client's is answered.
  void SendNote(std::string_view note);
  // Client: the server's last note; "": none. Too long, or in pieces that never end: none either.
  const std::string& note() const;
  // Client: a note has come, or would have: the server has acknowledged our SETTINGS, behind its first note.
  bool note_settled() const;
  // Client: the peer takes Extended CONNECT (RFC 8441 section 3), which is what a head with `upgrade`
  // becomes.
  bool takes_extended_connect() const;
  // True after GOAWAY either way, on a broken connection, or when the stream ids are used up: no new streams.
  bool draining() const;
  // A head of the peer's has begun and is not complete: nothing else can come before it is (RFC 9113 section
  // 6.10).
  bool mid_head() const;

  // Server. `end`: no content follows. false: the head is too large for the limits, nothing was sent.
  [[nodiscard]] bool SubmitResponse(StreamId stream, const http::ResponseHead& head, bool end);
  void SubmitInformational(StreamId stream, const http::ResponseHead& head);

  // Bytes that SendContent would take now.
  size_t SendRoom(StreamId stream) const;
  // Moves min(SendRoom, from.bytes()) bytes out of `from`; returns the count.
  size_t SendContent(StreamId stream, SliceQueue& from);
  // The sender's side is complete, without or with trailers, after what is queued. False: they are too large
  // for the peer, or the limits; the stream is reset (`late` as for Reset).
  void FinishContent(StreamId stream);
  bool SendTrailers(StreamId stream, const http::HeaderList& trailers, bool late = false);
  // `late`: it was open for long (Limits::max_own_resets).
  void Reset(StreamId stream, ErrorCode code, bool late = false);
  // Server, after a complete response: what is left of the request is dropped, and refused by
  // RST_STREAM(NO_ERROR) once the response has left (RFC 9113 section 8.1).
  void StopReceiving(StreamId stream);
  void ReleaseCredit(StreamId stream, size_t bytes);
  // The peer has been told everything; content not yet sent of this stream (for "is anything unwritten"
  // checks).
  size_t Unsent(StreamId stream) const;
  // Streams with content that was finished and has not left yet.
  std::vector<StreamId> Finishing() const;
  // True when no byte of this stream's HEADERS has left through Output: a retry is safe (Outcome::kNotSent).
  bool HeadUnsent(StreamId stream) const;

  // Server: first GOAWAY(2^31-1) then, when `final`, GOAWAY(last processed). Client: GOAWAY(0).
  void GoAway(bool final, ErrorCode code);
  void Ping();
  // True when a PING of ours is not answered yet.
  bool ping_outstanding() const;

  // The transport is gone: every announced stream gets kClosed with kCancel, nothing more can be sent.
  void ConnectionLost();
  // The connection is over, after an error of either side or a finished drain: write what Output holds,
  // close.
  bool finished() const;

  // Time that passed: fills the purses (Limits::max_idle_frames, max_early_resets, max_own_resets) again.
  void Refill(int64_t passed_ns);
  // Server: a stream of the peer was answered, or reset by it before it could be. False: too many of the
  // latter; the connection is broken.
  void NoteAnswered();
  [[nodiscard]] bool NoteEarlyReset();
  Flood flood() const;
  Refused TakeRefused();
  // Of a header block that has begun and has not ended, when it is larger than one frame; 0: none.
  size_t HeldHeadBytes() const;
  // Server: a head or trailers are made of it, and were not refused yet.
  bool builds_head() const;
  // In that case: lets go of what there is of it, and refuses the request or resets the stream when it is
  // complete.
  void RefuseHead();

  // Moves frames to `out` until it holds at least `max_bytes` or nothing may be sent.
  void Output(SliceQueue& out, size_t max_bytes);
  bool WantsOutput() const;
  size_t open_streams() const;
  std::string_view error_detail() const;

 private:
  struct Session;
  std::unique_ptr<Session> session_;
};

}  // namespace pillion::http2

#endif  // PILLION_SIDECAR_HTTP2_CODEC_H_
