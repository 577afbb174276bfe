#include "sidecar/http2/codec.h"

#include <algorithm>
#include <utility>

#include "sidecar/base/check.h"
#include "sidecar/http2/library_memory.h"
#include "sidecar/http2/session.h"

namespace pillion::http2 {
namespace {

// HPACK never makes a string longer; per field a few bytes of lengths and flags come on top.
constexpr size_t kEncodingSlack = size_t{64} * 1024;
constexpr size_t kFreeStreams = 64;
constexpr size_t kMaxContinuations = 128;
// The largest frame that we take (RFC 9113 section 4.2).
constexpr size_t kFrameBytes = size_t{16} * 1024;
// HPACK strings are not longer (nghttp2's own limit).
constexpr size_t kMaxStringBytes = size_t{64} * 1024;

nghttp2_option* NewOptions(Role role, const Limits& limits, uint8_t note_frame) {
  nghttp2_option* options = nullptr;
  PILLION_CHECK(nghttp2_option_new(&options) == 0);
  nghttp2_option_set_no_auto_window_update(options, 1);
  nghttp2_option_set_no_closed_streams(options, 1);
  // Our own check comes first and refuses one request; nghttp2's would come later and break more.
  nghttp2_option_set_max_send_header_block_length(options, limits.max_sent_head_bytes + kEncodingSlack);
  nghttp2_option_set_max_outbound_ack(options, limits.max_outbound_control_frames);
  // nghttp2 counts reads as well as frames: its default of 8 refuses one CONTINUATION that comes byte by
  // byte.
  nghttp2_option_set_max_continuations(options, kMaxContinuations);
  // Our own purse of resets knows which of them were early; nghttp2's would hit clients that cancel a lot.
  nghttp2_option_set_stream_reset_rate_limit(options, UINT64_MAX, UINT64_MAX);
  nghttp2_option_set_peer_max_concurrent_streams(options, 100);  // until its SETTINGS are here
  if (role == Role::kClient) nghttp2_option_set_user_recv_extension_type(options, note_frame);
  return options;
}

}  // namespace

Codec::Session::Session(Role r, const Limits& l, std::string_view first_note)
    : role(r),
      limits(l),
      walk(r == Role::kServer ? NGHTTP2_CLIENT_MAGIC_LEN : 0),
      frame_purse(l.max_idle_frames),
      reset_purse(l.max_early_resets),
      own_reset_purse(l.max_own_resets) {
  nghttp2_session_callbacks* callbacks = nullptr;
  PILLION_CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
  SetReceiveCallbacks(callbacks);
  SetSendCallbacks(callbacks);
  nghttp2_option* const options = NewOptions(role, limits, kNoteFrame);
  const auto make = role == Role::kServer ? nghttp2_session_server_new3 : nghttp2_session_client_new3;
  const int made = make(&nghttp2, callbacks, this, options, LibraryMemory());
  nghttp2_option_del(options);
  nghttp2_session_callbacks_del(callbacks);
  PILLION_CHECK(made == 0);

  std::vector<nghttp2_settings_entry> settings = {
      {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.stream_window_bytes},
      {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<uint32_t>(limits.max_head_bytes)},
      {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},  // RFC 9218 section 2.1
  };
  if (role == Role::kServer) {
    settings.push_back({NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.max_concurrent_streams});
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1});  // RFC 8441 section 3
  } else {
    settings.push_back({NGHTTP2_SETTINGS_ENABLE_PUSH, 0});
  }
  PILLION_CHECK(nghttp2_submit_settings(nghttp2, NGHTTP2_FLAG_NONE, settings.data(), settings.size()) == 0);
  PILLION_CHECK(nghttp2_session_set_local_window_size(nghttp2, NGHTTP2_FLAG_NONE, 0,
                                                      static_cast<int32_t>(limits.connection_window_bytes)) ==
                0);
  if (first_note.empty()) return;
  // nghttp2 sends SETTINGS and their acknowledgements before all else: where there are none yet, the note is
  // made now.
  SubmitNote(first_note);
  Pull(pending, SIZE_MAX);
}

Codec::Session::~Session() {
  nghttp2_session_del(nghttp2);
  for (const auto& [id, stream] : streams) delete stream;
}

Stream* Codec::Session::Find(StreamId id) {
  if (last_found != nullptr && last_found->id == id) return last_found;
  const auto it = streams.find(id);
  if (it == streams.end()) return nullptr;
  last_found = it->second;
  return last_found;
}

Stream* Codec::Session::Open(StreamId id) {
  std::unique_ptr<Stream> stream;
  if (free_streams.empty()) {
    stream = std::make_unique<Stream>();
  } else {
    stream = std::move(free_streams.back());
    free_streams.pop_back();
  }
  stream->id = id;
  last_found = stream.release();
  streams.emplace(id, last_found);
  return last_found;
}

void Codec::Session::Close(Stream* stream, ErrorCode code) {
  if (stream->announced) {
    Event& event = AddEvent(Event::Kind::kClosed, *stream);
    event.code = code;
    event.by_peer = stream->reset == Stream::Reset::kByPeer;
    // RFC 9113 sections 8.7 and 6.8: REFUSED_STREAM is the peer's word, or nghttp2's for a GOAWAY below it.
    // Of a peer that has answered it is no word to build upon.
    event.refused = role == Role::kClient && code == ErrorCode::kRefusedStream &&
                    stream->reset != Stream::Reset::kByUs && !stream->answered;
    event.unsent = role == Role::kClient && !stream->head_sent;
  }
  NoteSettled(*stream);
  heads_bytes -= stream->head_bytes;
  streams.erase(stream->id);
  if (last_found == stream) last_found = nullptr;
  std::unique_ptr<Stream> owned(stream);
  if (free_streams.size() >= kFreeStreams) return;
  SliceQueue queue = std::move(owned->queue);
  queue.Clear();
  *owned = Stream();
  free_streams.push_back(std::move(owned));
}

void Codec::Session::CloseAll(ErrorCode code) {
  // In the order in which they were opened, so that a simulation replays the same.
  std::vector<StreamId> ids;
  ids.reserve(streams.size());
  for (const auto& [id, stream] : streams) ids.push_back(id);
  std::sort(ids.begin(), ids.end());
  for (const StreamId id : ids) Close(Find(id), code);
}

void Codec::Session::Break(ErrorCode code, std::string_view detail) {
  if (health == Health::kBroken) return;
  health = Health::kBroken;
  error_detail = detail;
  nghttp2_session_terminate_session(nghttp2, static_cast<uint32_t>(code));
  CloseAll(code);
}

bool Codec::Session::PayFrames(uint32_t count) {
  if (frame_purse >= count) {
    frame_purse -= count;
    return true;
  }
  flood = Flood::kFrames;
  Break(ErrorCode::kEnhanceYourCalm, "too many frames that carry nothing");
  return false;
}

bool Codec::Session::PayReset() {
  if (reset_purse > 0) {
    --reset_purse;
    return true;
  }
  flood = Flood::kResets;
  Break(ErrorCode::kEnhanceYourCalm, "too many streams were opened and given up");
  return false;
}

Event& Codec::Session::AddEvent(Event::Kind kind, const Stream& stream) {
  Event& event = events.emplace_back();
  event.kind = kind;
  event.stream = stream.id;
  return event;
}

Codec::Codec(Role role, const Limits& limits, std::string_view note)
    : session_(std::make_unique<Session>(role, limits, note)) {}
Codec::~Codec() = default;

bool Codec::Feed(std::string_view bytes) {
  size_t unlimited = SIZE_MAX;
  return FeedSome(bytes, unlimited);
}

bool Codec::FeedSome(std::string_view& bytes, size_t& head_budget) {
  Session& s = *session_;
  if (s.health == Session::Health::kBroken) return false;
  if (bytes.empty() && !s.stopped) return true;
  s.stopped = false;
  s.head_budget = head_budget;
  const size_t queued = nghttp2_session_get_outbound_queue_size(s.nghttp2);
  const ssize_t taken =
      nghttp2_session_mem_recv(s.nghttp2, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  if (taken < 0) {
    const bool flood = taken == NGHTTP2_ERR_FLOODED;
    if (flood) s.flood = Flood::kUnread;
    if (taken == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) s.flood = Flood::kHeaders;
    s.Break(flood || s.flood == Flood::kHeaders ? ErrorCode::kEnhanceYourCalm : ErrorCode::kProtocolError,
            nghttp2_strerror(static_cast<int>(taken)));
    return false;
  }
  head_budget = s.head_budget;
  s.walk.Pass(bytes.substr(0, static_cast<size_t>(taken)));
  bytes.remove_prefix(static_cast<size_t>(taken));
  s.PullAnswers(queued);
  return s.health != Session::Health::kBroken;
}

bool Codec::stopped() const { return session_->stopped; }
Refused Codec::TakeRefused() { return std::exchange(session_->refused, {}); }

size_t Codec::HeldHeadBytes() const {
  const Session& s = *session_;
  if (!s.walk.in_block()) return 0;
  // What nghttp2 has of it is one string at most.
  const size_t decoded = builds_head() ? s.building_bytes : 0;
  const size_t bytes =
      std::max(std::min(decoded, s.limits.max_head_bytes), std::min(s.walk.block_bytes(), kMaxStringBytes));
  return bytes > kFrameBytes ? bytes : 0;
}

bool Codec::builds_head() const {
  return session_->building != Session::Building::kNothing && !session_->building_refused;
}

void Codec::RefuseHead() {
  Session& s = *session_;
  if (!builds_head()) return;
  s.building_refused = true;
  s.building_limit = 0;
  s.requests.Building() = {};
  s.trailers.Building() = {};
  s.cookies = {};
}

std::vector<Event>& Codec::events() { return session_->events; }

void Codec::ClearEvents() {
  session_->events.clear();
  session_->requests.Recycle();
  session_->responses.Recycle();
  session_->trailers.Recycle();
}

http::RequestHead& Codec::request(const Event& event) { return session_->requests.At(event.head); }
http::ResponseHead& Codec::response(const Event& event) { return session_->responses.At(event.head); }
http::HeaderList& Codec::trailers(const Event& event) { return session_->trailers.At(event.head); }

StreamId Codec::SubmitRequest(const http::RequestHead& head, bool end, bool* head_too_large) {
  Session& s = *session_;
  *head_too_large = false;
  if (draining()) return 0;
  s.block.SetRequest(head);
  if (!s.FitsPeer(s.block)) {
    *head_too_large = true;
    return 0;
  }
  nghttp2_data_provider content = {{.ptr = nullptr}, Session::ReadContent};
  const int32_t id = nghttp2_submit_request(s.nghttp2, nullptr, s.block.fields(), s.block.size(),
                                            end ? nullptr : &content, nullptr);
  if (id <= 0) return 0;
  Stream* const stream = s.Open(id);
  ++s.unanswered;
  stream->announced = true;
  stream->method = head.method;
  stream->sending = end ? Stream::Sending::kEnded : Stream::Sending::kOpen;
  return id;
}

uint32_t Codec::StreamRoom() const {
  if (draining()) return 0;
  const uint32_t allowed =
      nghttp2_session_get_remote_settings(session_->nghttp2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  const auto open = static_cast<uint32_t>(session_->streams.size());
  if (allowed <= open || session_->own_reset_purse <= session_->unanswered) return 0;
  return std::min(allowed - open, session_->own_reset_purse - session_->unanswered);
}

bool Codec::worn() const { return session_->own_reset_purse < session_->limits.max_own_resets / 4; }

bool Codec::mid_head() const { return session_->walk.in_block(); }

bool Codec::settled() const { return session_->settled; }

void Codec::SendNote(std::string_view note) { session_->SubmitNote(note); }
const std::string& Codec::note() const { return session_->note; }
bool Codec::note_settled() const { return session_->limits_known || !session_->note.empty(); }

bool Codec::takes_extended_connect() const {
  return nghttp2_session_get_remote_settings(session_->nghttp2, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) ==
         1;
}

bool Codec::draining() const {
  return session_->health != Session::Health::kGood ||
         (session_->role == Role::kClient &&
          nghttp2_session_get_next_stream_id(session_->nghttp2) > session_->limits.last_stream_id);
}

bool Codec::SubmitResponse(StreamId id, const http::ResponseHead& head, bool end) {
  Session& s = *session_;
  Stream* const stream = s.Find(id);
  if (stream == nullptr || stream->sending != Stream::Sending::kIdle) return true;
  s.block.SetResponse(head);
  if (!s.FitsPeer(s.block)) return false;
  nghttp2_data_provider content = {{.ptr = nullptr}, Session::ReadContent};
  stream->sending = end ? Stream::Sending::kEnded : Stream::Sending::kOpen;
  if (nghttp2_submit_response(s.nghttp2, id, s.block.fields(), s.block.size(), end ? nullptr : &content) !=
      0) {
    s.ResetStream(*stream, ErrorCode::kInternalError);
  }
  return true;
}

void Codec::SubmitInformational(StreamId id, const http::ResponseHead& head) {
  Session& s = *session_;
  Stream* const stream = s.Find(id);
  if (stream == nullptr || stream->sending != Stream::Sending::kIdle) return;
  // A 1xx may be left out (RFC 9110 section 15.2).
  if (stream->informational_queued >= s.limits.max_queued_informational) return;
  s.block.SetResponse(head);
  if (!s.FitsPeer(s.block)) return;
  ++stream->informational_queued;
  nghttp2_submit_headers(s.nghttp2, NGHTTP2_FLAG_NONE, id, nullptr, s.block.fields(), s.block.size(),
                         nullptr);
}

size_t Codec::SendRoom(StreamId id) const {
  const Stream* const stream = session_->Find(id);
  if (stream == nullptr || stream->sending != Stream::Sending::kOpen) return 0;
  const size_t limit = session_->limits.send_buffer_bytes;
  return limit > stream->queue.bytes() ? limit - stream->queue.bytes() : 0;
}

size_t Codec::SendContent(StreamId id, SliceQueue& from) {
  const size_t room = SendRoom(id);
  Stream* const stream = session_->Find(id);
  if (stream == nullptr || stream->sending != Stream::Sending::kOpen) return 0;
  const size_t moved = stream->queue.MoveFrom(from, room);
  if (moved == room) stream->room_wanted = true;
  if (moved > 0) session_->ResumeIfDeferred(*stream);
  return moved;
}

void Codec::FinishContent(StreamId id) {
  Stream* const stream = session_->Find(id);
  if (stream == nullptr || stream->sending != Stream::Sending::kOpen) return;
  stream->sending = Stream::Sending::kFinishing;
  stream->room_wanted = false;
  session_->ResumeIfDeferred(*stream);
}

bool Codec::SendTrailers(StreamId id, const http::HeaderList& trailers, bool late) {
  Session& s = *session_;
  Stream* const stream = s.Find(id);
  if (stream == nullptr || stream->sending != Stream::Sending::kOpen) return true;
  s.block.SetTrailers(trailers);
  if (!s.FitsPeer(s.block)) {
    s.ResetStream(*stream, ErrorCode::kInternalError, late);
    return false;
  }
  if (s.block.size() > 0) stream->trailers = std::make_unique<http::HeaderList>(trailers);
  FinishContent(id);
  return true;
}

void Codec::Reset(StreamId id, ErrorCode code, bool late) {
  if (Stream* const stream = session_->Find(id)) session_->ResetStream(*stream, code, late);
}

void Codec::StopReceiving(StreamId id) {
  Session& s = *session_;
  Stream* const stream = s.Find(id);
  if (stream == nullptr || stream->receiving == Stream::Receiving::kEnded) return;
  if (stream->end_sent) {
    s.ResetStream(*stream, ErrorCode::kNoError);
    return;
  }
  stream->receiving = Stream::Receiving::kIgnored;
  stream->stop_request = true;
}

void Codec::ReleaseCredit(StreamId id, size_t bytes) {
  if (session_->Find(id) != nullptr) nghttp2_session_consume_stream(session_->nghttp2, id, bytes);
}

size_t Codec::Unsent(StreamId id) const {
  const Stream* const stream = session_->Find(id);
  return stream == nullptr ? 0 : stream->queue.bytes();
}

std::vector<StreamId> Codec::Finishing() const {
  std::vector<StreamId> found;
  for (const auto& [id, stream] : session_->streams) {
    if (stream->sending == Stream::Sending::kFinishing && !stream->queue.empty()) found.push_back(id);
  }
  return found;
}

bool Codec::HeadUnsent(StreamId id) const {
  const Stream* const stream = session_->Find(id);
  return stream != nullptr && !stream->head_sent;
}

void Codec::GoAway(bool final, ErrorCode code) {
  Session& s = *session_;
  if (s.health == Session::Health::kBroken) return;
  s.health = Session::Health::kDraining;
  s.own_goaway = static_cast<uint32_t>(code);
  if (s.role == Role::kServer && !final) {
    nghttp2_submit_shutdown_notice(s.nghttp2);  // RFC 9113 section 6.8: requests on their way still count
    return;
  }
  nghttp2_submit_goaway(s.nghttp2, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(s.nghttp2),
                        static_cast<uint32_t>(code), nullptr, 0);
}

void Codec::Ping() {
  Session& s = *session_;
  if (s.health == Session::Health::kBroken) return;
  ++s.ping_sent;
  nghttp2_submit_ping(s.nghttp2, NGHTTP2_FLAG_NONE, reinterpret_cast<const uint8_t*>(&s.ping_sent));
}

bool Codec::ping_outstanding() const { return session_->ping_sent != session_->ping_answered; }

void Codec::Refill(int64_t passed_ns) {
  constexpr int64_t kSecond = 1'000'000'000;
  Session& s = *session_;
  // A purse that has been filled for a minute is full.
  const int64_t ns = std::min<int64_t>(passed_ns, 60 * kSecond);
  const auto earn = [ns](int64_t& saved, uint32_t per_second, uint32_t limit, uint32_t& purse) {
    saved += ns * per_second;
    purse = static_cast<uint32_t>(std::min<int64_t>(limit, purse + saved / kSecond));
    saved %= kSecond;
  };
  earn(s.frame_time_ns, s.limits.frames_per_second, s.limits.max_idle_frames, s.frame_purse);
  earn(s.reset_time_ns, s.limits.resets_per_second, s.limits.max_early_resets, s.reset_purse);
  earn(s.own_reset_time_ns, s.limits.own_resets_per_second, s.limits.max_own_resets, s.own_reset_purse);
}

void Codec::NoteAnswered() {
  if (session_->reset_purse < session_->limits.max_early_resets) ++session_->reset_purse;
}

bool Codec::NoteEarlyReset() { return session_->PayReset(); }
Flood Codec::flood() const { return session_->flood; }

void Codec::ConnectionLost() {
  if (session_->health == Session::Health::kBroken) return;
  session_->health = Session::Health::kBroken;
  session_->CloseAll(ErrorCode::kCancel);
}

bool Codec::finished() const {
  return session_->health == Session::Health::kBroken ||
         (nghttp2_session_want_read(session_->nghttp2) == 0 && !WantsOutput());
}

void Codec::Output(SliceQueue& out, size_t max_bytes) {
  Session& s = *session_;
  out.MoveFrom(s.pending, s.pending.bytes());
  s.pending_answers = 0;
  s.Pull(out, max_bytes);
}

bool Codec::WantsOutput() const {
  return !session_->pending.empty() || nghttp2_session_want_write(session_->nghttp2) != 0;
}

size_t Codec::open_streams() const { return session_->streams.size(); }
std::string_view Codec::error_detail() const { return session_->error_detail; }

}  // namespace pillion::http2
