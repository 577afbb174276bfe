// What nghttp2 asks us for when it makes frames, and how they reach the output queue.
#include <algorithm>

#include "sidecar/base/check.h"
#include "sidecar/http2/session.h"

namespace pillion::http2 {
namespace {

std::string_view Text(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

constexpr size_t kFrameHeadBytes = 9;  // RFC 9113 section 4.1
// Frames in answer to the peer that one Feed moves out of nghttp2.
constexpr size_t kAnswersPerFeed = 64;
// What Feeds may move out before Output takes it.
constexpr size_t kMaxPendingBytes = size_t{32} * 1024;

}  // namespace

bool Codec::Session::FitsPeer(const FieldBlock& block) const {
  // nghttp2 would break the connection over a head that its own limits refuse, and a peer may do so over one
  // that its setting refuses (RFC 9113 section 6.5.2): neither may hurt the other streams.
  return block.weight() <= limits.max_sent_head_bytes &&
         block.weight() <=
             nghttp2_session_get_remote_settings(nghttp2, NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE);
}

void Codec::Session::ResumeIfDeferred(Stream& stream) {
  if (!stream.deferred) return;
  stream.deferred = false;
  nghttp2_session_resume_data(nghttp2, stream.id);
}

// Of those that wait to be sent the last one counts.
void Codec::Session::SubmitNote(std::string_view text) {
  PILLION_CHECK(text.size() <= kMaxNoteBytes);
  note = text;
  nghttp2_submit_extension(nghttp2, kNoteFrame, NGHTTP2_FLAG_NONE, 0, nullptr);
}

ssize_t Codec::Session::PackNote(nghttp2_session*, uint8_t* into, size_t size, const nghttp2_frame*,
                                 void* user) {
  const std::string& note = static_cast<Session*>(user)->note;
  if (note.size() > size) return NGHTTP2_ERR_CANCEL;
  std::ranges::copy(note, into);
  return static_cast<ssize_t>(note.size());
}

void Codec::Session::ResetStream(Stream& stream, ErrorCode code, bool late) {
  if (stream.reset != Stream::Reset::kNo) return;
  const bool pays = role == Role::kClient && stream.receiving == Stream::Receiving::kHead && !late;
  if (pays && own_reset_purse > 0) --own_reset_purse;
  stream.reset = Stream::Reset::kByUs;
  if (role == Role::kClient) late_heads += 2;  // its answer, and trailers, may cross it
  NoteSettled(stream);
  stream.receiving = Stream::Receiving::kIgnored;
  stream.sending = Stream::Sending::kEnded;
  stream.queue.Clear();
  nghttp2_submit_rst_stream(nghttp2, NGHTTP2_FLAG_NONE, stream.id, static_cast<uint32_t>(code));
}

// A reset that nghttp2 made of the peer's doing, or we did: it is as if the peer had reset the stream. One
// that somebody asked for is told apart by the stream's own mark.
void Codec::Session::NoteOwnReset(StreamId id, uint32_t code) {
  const Stream* const stream = Find(id);
  const bool asked = stream != nullptr && stream->reset == Stream::Reset::kByUs && !stream->misbehaved;
  if (asked || health == Health::kBroken) return;
  // A client may open more streams than we allow until it knows (RFC 9113 section 6.5.2).
  const bool unaware = code == NGHTTP2_REFUSED_STREAM && !limits_known;
  static_cast<void>(unaware ? PayFrames(1) : PayReset());
}

ssize_t Codec::Session::ReadContent(nghttp2_session*, int32_t id, uint8_t*, size_t length, uint32_t* flags,
                                    nghttp2_data_source*, void* user) {
  auto& self = *static_cast<Session*>(user);
  Stream* const stream = self.Find(id);
  if (stream == nullptr || stream->reset != Stream::Reset::kNo) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  const size_t size = std::min(length, stream->queue.bytes());
  const bool last = stream->sending == Stream::Sending::kFinishing && size == stream->queue.bytes();
  if (size == 0 && !last) {
    stream->deferred = true;
    return NGHTTP2_ERR_DEFERRED;
  }
  if (size > 0) *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
  if (last) {
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    stream->sending = Stream::Sending::kEnded;
    if (stream->trailers != nullptr) {
      *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      self.block.SetTrailers(*stream->trailers);
      nghttp2_submit_trailer(self.nghttp2, id, self.block.fields(), self.block.size());
      stream->trailers.reset();
    }
  }
  return static_cast<ssize_t>(size);
}

int Codec::Session::SendContentFrame(nghttp2_session*, nghttp2_frame* frame, const uint8_t* frame_head,
                                     size_t length, nghttp2_data_source*, void* user) {
  auto& self = *static_cast<Session*>(user);
  // nghttp2 makes one frame after the other as long as this takes them: stop it when the turn's share is
  // full.
  if (self.out->bytes() >= self.out_limit) return NGHTTP2_ERR_WOULDBLOCK;
  Stream* const stream = self.Find(frame->hd.stream_id);
  if (stream == nullptr || stream->queue.bytes() < length) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  self.out->AppendCopy(Text(frame_head, kFrameHeadBytes));
  self.out->MoveFrom(stream->queue, length);
  self.EarnFrames(self.limits.frames_per_data);
  if (stream->room_wanted && stream->queue.bytes() <= self.limits.send_buffer_bytes / 2) {
    stream->room_wanted = false;
    self.AddEvent(Event::Kind::kWritable, *stream);
  }
  return 0;
}

int Codec::Session::BeforeFrameSend(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  auto& self = *static_cast<Session*>(user);
  const uint8_t type = frame->hd.type;
  const bool answer = type == NGHTTP2_RST_STREAM || type == NGHTTP2_SETTINGS || type == NGHTTP2_PING;
  if (answer && self.out == &self.pending) ++self.pending_answers;
  if (type == NGHTTP2_RST_STREAM && self.role == Role::kServer)
    self.NoteOwnReset(frame->hd.stream_id, frame->rst_stream.error_code);
  if (frame->hd.type == NGHTTP2_HEADERS) {
    if (Stream* const stream = self.Find(frame->hd.stream_id)) {
      stream->head_sent = true;
      if (stream->informational_queued > 0) --stream->informational_queued;
    }
  } else if (frame->hd.type == NGHTTP2_GOAWAY) {
    const uint32_t code = frame->goaway.error_code;
    if (code != NGHTTP2_NO_ERROR && code != self.own_goaway) {
      self.health = Health::kBroken;  // nghttp2 found a connection error
      if (self.error_detail.empty()) self.error_detail = nghttp2_http2_strerror(code);
    }
  }
  return 0;
}

int Codec::Session::OnFrameSend(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  auto& self = *static_cast<Session*>(user);
  if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) return 0;
  if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
  Stream* const stream = self.Find(frame->hd.stream_id);
  if (stream == nullptr) return 0;
  stream->end_sent = true;
  if (stream->stop_request) self.ResetStream(*stream, ErrorCode::kNoError);
  return 0;
}

// A request that nghttp2 will not send after all, because of a GOAWAY or our own reset: nothing of it has
// left.
int Codec::Session::OnFrameNotSend(nghttp2_session*, const nghttp2_frame* frame, int, void* user) {
  auto& self = *static_cast<Session*>(user);
  if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  if (Stream* const stream = self.Find(frame->hd.stream_id)) {
    self.Close(stream,
               stream->reset == Stream::Reset::kByUs ? ErrorCode::kCancel : ErrorCode::kRefusedStream);
  }
  return 0;
}

void Codec::Session::Pull(SliceQueue& into, size_t max_bytes) {
  const bool was_broken = health == Health::kBroken;
  out = &into;
  out_limit = max_bytes;
  while (into.bytes() < max_bytes) {
    const uint8_t* bytes = nullptr;
    const ssize_t size = nghttp2_session_mem_send(nghttp2, &bytes);
    if (size < 0) Break(ErrorCode::kInternalError, nghttp2_strerror(static_cast<int>(size)));
    if (size <= 0) break;
    into.AppendCopy(Text(bytes, static_cast<size_t>(size)));
  }
  out = nullptr;
  if (!was_broken && health == Health::kBroken) CloseAll(ErrorCode::kProtocolError);
}

// Moves what a Feed made nghttp2 queue (RST_STREAM, SETTINGS and PING answers, a GOAWAY after an error) into
// `pending`: only now a connection error shows itself.
void Codec::Session::PullAnswers(size_t queued_before) {
  const size_t queued = nghttp2_session_get_outbound_queue_size(nghttp2);
  // RFC 9113 section 10.5: a peer that makes us answer and does not read the answers. nghttp2 counts only
  // SETTINGS and PING acknowledgements; a malformed request costs us an RST_STREAM as well.
  const size_t allowed = limits.max_outbound_control_frames + 2 * streams.size();
  if (queued > allowed || pending_answers > limits.max_outbound_control_frames) {
    flood = Flood::kUnread;
    Break(ErrorCode::kEnhanceYourCalm, "too many frames wait for a peer that does not read");
    return;
  }
  // Response heads come along; when enough is waiting outside the rest stays where nghttp2 counts it. That is
  // no reason to break off: a peer may be slow to read what it asked for.
  if (queued <= queued_before || pending.bytes() > kMaxPendingBytes) return;
  for (size_t i = 0; i < kAnswersPerFeed && nghttp2_session_get_outbound_queue_size(nghttp2) > 0; ++i) {
    const size_t before = pending.bytes();
    Pull(pending, before + 1);
    if (pending.bytes() == before) break;
  }
}

void Codec::Session::SetSendCallbacks(nghttp2_session_callbacks* callbacks) {
  nghttp2_session_callbacks_set_send_data_callback(callbacks, SendContentFrame);
  nghttp2_session_callbacks_set_before_frame_send_callback(callbacks, BeforeFrameSend);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, OnFrameSend);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, OnFrameNotSend);
  nghttp2_session_callbacks_set_pack_extension_callback(callbacks, PackNote);
}

}  // namespace pillion::http2
