// What nghttp2 tells us about the peer's frames, turned into events.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "sidecar/base/text.h"
#include "sidecar/http/scan.h"
#include "sidecar/http/target.h"
#include "sidecar/http2/session.h"

namespace pillion::http2 {
namespace {

using http::Known;
using Kind = http::ContentLength::Kind;

std::string_view Text(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

bool EndsStream(const nghttp2_frame& frame) { return (frame.hd.flags & NGHTTP2_FLAG_END_STREAM) != 0; }

// RFC 9113 section 6.5.2: what a field counts beside its bytes.
constexpr size_t kFieldOverhead = 32;
constexpr int kLowestStatus = 100;

}  // namespace

// Whether HEADERS on that stream begin a head or trailers. Others, of streams that are over, are decoded only
// for the sake of HPACK's table.
bool Codec::Session::Begins(StreamId id) {
  if (role == Role::kServer && id > newest_request) {
    newest_request = id;
    return true;
  }
  const Stream* const stream = Find(id);
  return stream != nullptr && stream->receiving != Stream::Receiving::kIgnored;
}

// Every frame, before its payload is looked at.
int Codec::Session::OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* head, void* user) {
  auto& self = *static_cast<Session*>(user);
  bool paid = true;
  switch (head->type) {
    case NGHTTP2_DATA:  // its content, if it has any and not padding alone, pays it back
      self.data_unpaid = true;
      paid = self.PayFrames(1);
      break;
    case NGHTTP2_HEADERS:  // those that begin something earn, below
      self.passed_by = !self.Begins(head->stream_id);
      if (self.passed_by && self.late_heads > 0) {
        --self.late_heads;
      } else {
        paid = self.PayFrames(self.passed_by ? self.limits.frames_of_a_passed_head : 1);
      }
      break;
    case NGHTTP2_CONTINUATION:  // nghttp2 limits how many there are
      paid = self.PayFrames(self.passed_by ? self.limits.frames_of_a_passed_head : 1);
      break;
    case NGHTTP2_PRIORITY:
      // RFC 9113 section 6.3; nghttp2 looks no further since we said that we take no priorities.
      if (head->stream_id == 0) {
        self.Break(ErrorCode::kProtocolError, "PRIORITY on stream 0");
        return NGHTTP2_ERR_CALLBACK_FAILURE;
      }
      [[fallthrough]];
    default:
      paid = self.PayFrames(1);
      break;
  }
  return paid ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

int Codec::Session::OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  auto& self = *static_cast<Session*>(user);
  self.building = Building::kNothing;
  self.building_error = ErrorKind::kNone;
  self.building_fields = 0;
  self.building_bytes = 0;
  self.building_cookies = 0;
  self.building_refused = false;
  self.building_limit = self.limits.max_head_bytes;
  if (self.role == Role::kServer) {
    const size_t most = self.limits.max_request_heads_bytes;
    self.building_limit = std::min(self.building_limit, most - std::min(most, self.heads_bytes));
  }
  self.building_length.reset();
  self.building_host.reset();
  self.building_protocol.clear();
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;  // a push, which nghttp2 refuses for us
  if (self.role == Role::kServer && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
    self.Open(frame->hd.stream_id);
    self.EarnFrames(self.limits.frames_per_stream + 1);
    self.building = Building::kRequest;
    self.requests.Building().Clear();
    return 0;
  }
  Stream* const stream = self.Find(frame->hd.stream_id);
  if (stream == nullptr || stream->receiving == Stream::Receiving::kIgnored) return 0;
  if (stream->receiving == Stream::Receiving::kHead) {
    self.EarnFrames(self.limits.frames_per_stream + 1);
    self.building = Building::kResponse;
    self.responses.Building().Clear();
  } else {
    self.EarnFrames(1);
    self.building = Building::kTrailers;
    self.trailers.Building().Clear();
  }
  return 0;
}

int Codec::Session::OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                             size_t name_size, const uint8_t* value, size_t value_size, uint8_t, void* user) {
  auto& self = *static_cast<Session*>(user);
  if (self.building == Building::kNothing) return 0;
  const size_t bytes = name_size + value_size + kFieldOverhead;
  if (name_size > 0 && name[0] != ':') ++self.building_fields;  // as many as on HTTP/1
  self.building_bytes += bytes;
  // A HeaderList counts a name in 16 bits.
  const bool over = self.building_fields > self.limits.max_fields ||
                    self.building_bytes > self.building_limit || name_size > UINT16_MAX;
  int error = 0;
  if (over) {
    error = self.DropField(name_size);
  } else if (self.building == Building::kRequest) {
    self.TakeRequestField(Text(name, name_size), Text(value, value_size));
  } else if (self.building == Building::kResponse) {
    self.TakeResponseField(Text(name, name_size), Text(value, value_size));
  } else {
    error = self.TakeTrailer(frame->hd.stream_id, Text(name, name_size), Text(value, value_size));
  }
  if (error != 0) return error;
  self.head_budget -= std::min(self.head_budget, bytes);
  if (self.head_budget > 0) return 0;
  self.stopped = true;
  return NGHTTP2_ERR_PAUSE;
}

// The block must be decoded to its end, or HPACK's table is lost for the whole connection (RFC 9113 section
// 4.3); what is over a limit is not kept.
int Codec::Session::DropField(size_t name_size) {
  if (building_fields > limits.max_fields || building_bytes > limits.max_head_bytes ||
      name_size > UINT16_MAX) {
    if (building_error == ErrorKind::kNone && !PayFrames(limits.frames_of_a_large_head))
      return NGHTTP2_ERR_CALLBACK_FAILURE;
    building_error = ErrorKind::kHeadTooLarge;
    return 0;
  }
  // There is no room beside the others. It gives back what it has earned.
  if (!std::exchange(building_refused, true) && !PayFrames(limits.frames_per_stream))
    return NGHTTP2_ERR_CALLBACK_FAILURE;
  return 0;
}

int Codec::Session::TakeTrailer(StreamId id, std::string_view name, std::string_view value) {
  const Known known = http::Lookup(name);
  if (http::ForbiddenInTrailers(known)) {
    nghttp2_submit_rst_stream(nghttp2, NGHTTP2_FLAG_NONE, id, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  if (!http::LeftOutOfTrailers(known)) trailers.Building().AddKnown(known, name, value);
  return 0;
}

void Codec::Session::TakeField(http::HeaderList& headers, std::string_view name, std::string_view value) {
  const Known known = http::Lookup(name);
  if (known == Known::kContentLength) {
    // nghttp2 has checked that it is one number, and will check it against the content.
    uint64_t length = 0;
    std::from_chars(value.data(), value.data() + value.size(), length);
    building_length = length;
    return;
  }
  if (known == Known::kCookie) ++building_cookies;
  headers.AddKnown(known, name, value);
}

void Codec::Session::TakeRequestField(std::string_view name, std::string_view value) {
  http::RequestHead& head = requests.Building();
  if (name[0] != ':') {
    if (name == "host") {
      building_host = value;
      return;
    }
    TakeField(head.headers, name, value);
    return;
  }
  if (name == ":path") {
    head.path = value;
  } else if (name == ":method") {
    head.method = http::ParseMethod(value);
    head.method_text = value;
  } else if (name == ":scheme") {
    head.scheme = value;
  } else if (name == ":authority") {
    head.authority = value;
    head.has_authority = true;
  } else if (name == ":protocol") {
    building_protocol = value;
  }
}

void Codec::Session::TakeResponseField(std::string_view name, std::string_view value) {
  http::ResponseHead& head = responses.Building();
  if (name == ":status") {
    std::from_chars(value.data(), value.data() + value.size(), head.status);
    return;
  }
  TakeField(head.headers, name, value);
}

// RFC 9113 section 8.2.3: crumbs become one field again before anything that is not HTTP/2 sees them.
void Codec::Session::JoinCookies(http::HeaderList& headers) {
  if (building_cookies < 2) return;
  cookies.clear();
  for (size_t i = 0; i < headers.size(); ++i) {
    if (headers[i].known != Known::kCookie) continue;
    if (!cookies.empty()) cookies += "; ";
    cookies += headers[i].value;
  }
  headers.Set(Known::kCookie, cookies);
}

namespace {

// RFC 8441 section 4: held as the request that an HTTP/1.1 client makes for the same (RFC 9110 section 7.8).
// False: not a protocol's name.
bool HoldAsUpgrade(const std::string& protocol, http::RequestHead& head) {
  if (!http::IsProtocol(protocol)) return false;
  head.upgrade = protocol;
  head.method = http::Method::kGet;
  head.method_text = "GET";
  return true;
}

// What nghttp2 does not check about a request's target (RFC 9113 sections 8.3.1 and 8.5).
bool SettleTarget(const std::optional<std::string>& host, http::RequestHead& head) {
  if (host) {
    if (!head.has_authority) {
      head.authority = *host;
      head.has_authority = true;
    } else if (!EqualsIgnoreCase(*host, head.authority)) {
      return false;  // RFC 9113 section 8.3.1: two names for one target
    }
  }
  if (!head.authority.empty() && !http::IsAuthority(head.authority)) return false;
  if (head.method == http::Method::kConnect) {
    head.form = http::TargetForm::kAuthority;
    return http::HasPort(head.authority);
  }
  if (head.path == "*") {
    head.form = http::TargetForm::kAsterisk;
    return head.method == http::Method::kOptions;
  }
  head.form = http::TargetForm::kOrigin;
  return http::IsOriginForm(head.path);
}

}  // namespace

void Codec::Session::KeepHead(Stream& stream) {
  const size_t bytes = std::min(building_bytes, limits.max_head_bytes);
  stream.head_bytes += bytes;
  heads_bytes += bytes;
}

void Codec::Session::FinishRequestHead(Stream& stream, bool end_stream) {
  http::RequestHead& head = requests.Building();
  if (building_refused && building_error == ErrorKind::kNone) {
    ++refused.heads;
    ResetStream(stream, ErrorCode::kRefusedStream);
    return;
  }
  head.version = http::Version::kHttp2;
  const bool extended = !building_protocol.empty();
  if (building_error == ErrorKind::kNone &&
      ((extended && !HoldAsUpgrade(building_protocol, head)) || !SettleTarget(building_host, head))) {
    stream.misbehaved = true;
    ResetStream(stream, ErrorCode::kProtocolError);
    return;
  }
  // What follows a CONNECT is not content (RFC 9110 section 9.3.6).
  const bool tunnel = extended || head.method == http::Method::kConnect;
  if (tunnel && building_length.value_or(0) > 0) {
    stream.misbehaved = true;
    ResetStream(stream, ErrorCode::kProtocolError);
    return;
  }
  JoinCookies(head.headers);
  if (building_length && !tunnel) {
    head.content = {Kind::kSized, *building_length};
  } else {
    const bool none = end_stream || tunnel;
    head.content.kind = none ? Kind::kNone : Kind::kUnsized;
  }
  KeepHead(stream);
  stream.method = head.method;
  stream.announced = true;
  stream.receiving =
      building_error == ErrorKind::kNone ? Stream::Receiving::kContent : Stream::Receiving::kIgnored;
  Event& event = AddEvent(Event::Kind::kRequestHead, stream);
  event.head = requests.Commit();
  event.error = building_error;
}

void Codec::Session::FinishResponseHead(Stream& stream, bool end_stream) {
  http::ResponseHead& head = responses.Building();
  head.version = http::Version::kHttp2;
  head.declared_length = building_length;
  stream.answered = true;
  JoinCookies(head.headers);
  const bool informational = head.status / 100 == 1;
  if (head.status < kLowestStatus) {
    stream.misbehaved = true;
    ResetStream(stream, ErrorCode::kProtocolError);
    return;
  }
  if (http::ResponseHasNoContent(stream.method, head.status)) {
    head.content.kind = Kind::kNone;
  } else if (building_length) {
    head.content = {Kind::kSized, *building_length};
  } else if (end_stream) {
    head.content = {Kind::kSized, 0};  // over HTTP/1 this must be said, or the client waits for content
  } else {
    head.content.kind = Kind::kUnsized;
  }
  if (building_error != ErrorKind::kNone || !informational) {
    NoteSettled(stream);
    stream.receiving =
        building_error != ErrorKind::kNone ? Stream::Receiving::kIgnored : Stream::Receiving::kContent;
  }
  Event& event = AddEvent(Event::Kind::kResponseHead, stream);
  event.head = responses.Commit();
  event.error = building_error;
}

void Codec::Session::FinishTrailers(Stream& stream) {
  if (building_refused && building_error == ErrorKind::kNone) {
    ++refused.heads;
    ResetStream(stream, ErrorCode::kEnhanceYourCalm);
    return;
  }
  if (building_error != ErrorKind::kNone) {
    stream.receiving = Stream::Receiving::kIgnored;
  } else if (role == Role::kServer) {
    KeepHead(stream);
  }
  Event& event = AddEvent(Event::Kind::kTrailers, stream);
  event.head = trailers.Commit();
  event.error = building_error;
}

void Codec::Session::OnHeaders(const nghttp2_frame& frame) {
  const Building built = std::exchange(building, Building::kNothing);
  Stream* const stream = Find(frame.hd.stream_id);
  if (stream == nullptr || stream->receiving == Stream::Receiving::kIgnored) return;
  switch (built) {
    case Building::kRequest:
      FinishRequestHead(*stream, EndsStream(frame));
      break;
    case Building::kResponse:
      FinishResponseHead(*stream, EndsStream(frame));
      break;
    case Building::kTrailers:
      FinishTrailers(*stream);
      break;
    case Building::kNothing:
      break;
  }
}

// nghttp2 keeps heads back that are over a new limit (RFC 9113 section 5.1.2) until other streams end, which
// may take for ever: they are as good as refused.
void Codec::Session::WithdrawUnsent() {
  const size_t allowed =
      nghttp2_session_get_remote_settings(nghttp2, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
  if (streams.size() <= allowed) return;
  std::vector<StreamId> unsent;
  for (const auto& [id, stream] : streams) {
    if (!stream->head_sent) unsent.push_back(id);
  }
  std::sort(unsent.begin(), unsent.end());
  for (; !unsent.empty() && streams.size() > allowed; unsent.pop_back()) {
    nghttp2_submit_rst_stream(nghttp2, NGHTTP2_FLAG_NONE, unsent.back(), NGHTTP2_REFUSED_STREAM);
    Close(Find(unsent.back()), ErrorCode::kRefusedStream);
  }
}

int Codec::Session::OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user) {
  auto& self = *static_cast<Session*>(user);
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      self.OnHeaders(*frame);
      [[fallthrough]];
    case NGHTTP2_DATA: {
      if (!EndsStream(*frame)) return 0;
      Stream* const stream = self.Find(frame->hd.stream_id);
      if (stream == nullptr || stream->receiving == Stream::Receiving::kIgnored) return 0;
      stream->receiving = Stream::Receiving::kEnded;
      self.AddEvent(Event::Kind::kEnd, *stream);
      return 0;
    }
    case NGHTTP2_RST_STREAM:
      if (Stream* const stream = self.Find(frame->hd.stream_id)) {
        if (stream->reset == Stream::Reset::kNo) stream->reset = Stream::Reset::kByPeer;
      }
      return 0;
    case NGHTTP2_GOAWAY: {
      if (self.health == Health::kGood) self.health = Health::kDraining;
      Event event{};
      event.kind = Event::Kind::kGoAway;
      event.stream = frame->goaway.last_stream_id;
      event.code = static_cast<ErrorCode>(frame->goaway.error_code);
      self.events.push_back(event);
      return 0;
    }
    case NGHTTP2_SETTINGS:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) {
        self.limits_known = true;
        return 0;
      }
      self.settled = true;
      if (self.role == Role::kClient) self.WithdrawUnsent();
      return 0;
    case NGHTTP2_PING:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0 &&
          std::memcmp(frame->ping.opaque_data, &self.ping_sent, sizeof(self.ping_sent)) == 0)
        self.ping_answered = self.ping_sent;
      return 0;
    default:
      return 0;
  }
}

// One that is too long is as good as none: its server means something else by such frames.
int Codec::Session::OnNotePiece(nghttp2_session*, const nghttp2_frame_hd*, const uint8_t* data, size_t size,
                                void* user) {
  auto& self = *static_cast<Session*>(user);
  const size_t room = kMaxNoteBytes + 1 - self.building_note.size();
  self.building_note += Text(data, std::min(size, room));
  return 0;
}

int Codec::Session::OnNoteEnd(nghttp2_session*, void** payload, const nghttp2_frame_hd*, void* user) {
  auto& self = *static_cast<Session*>(user);
  *payload = nullptr;
  self.note = std::exchange(self.building_note, {});
  if (self.note.size() > kMaxNoteBytes) self.note.clear();
  Event event{};
  event.kind = Event::Kind::kNote;
  self.events.push_back(event);
  return 0;
}

int Codec::Session::OnContent(nghttp2_session*, uint8_t, int32_t id, const uint8_t* data, size_t size,
                              void* user) {
  auto& self = *static_cast<Session*>(user);
  if (size > 0 && std::exchange(self.data_unpaid, false)) self.EarnFrames(self.limits.frames_per_data + 1);
  // At once, whoever reads the stream: one slow reader must not stop its neighbours (DESIGN.md section 4).
  nghttp2_session_consume_connection(self.nghttp2, size);
  Stream* const stream = self.Find(id);
  if (stream == nullptr || stream->receiving != Stream::Receiving::kContent) {
    nghttp2_session_consume_stream(self.nghttp2, id, size);
    return 0;
  }
  if (size > 0) self.AddEvent(Event::Kind::kContent, *stream).content = Text(data, size);
  return 0;
}

int Codec::Session::OnInvalidFrame(nghttp2_session*, const nghttp2_frame* frame, int error, void* user) {
  auto& self = *static_cast<Session*>(user);
  self.error_detail = nghttp2_strerror(error);
  if (frame->hd.type != NGHTTP2_HEADERS || self.role == Role::kClient) return 0;
  if (error == NGHTTP2_ERR_REFUSED_STREAM) ++self.refused.streams;
  // A stream beyond a limit that has been acknowledged breaks the connection (RFC 9113 section 5.1.2).
  const bool opens = frame->hd.stream_id % 2 == 1 && !self.streams.contains(frame->hd.stream_id);
  if (error == NGHTTP2_ERR_PROTO && opens && self.streams.size() >= self.limits.max_concurrent_streams)
    self.flood = Flood::kStreams;
  return 0;
}

int Codec::Session::OnStreamClose(nghttp2_session*, int32_t id, uint32_t code, void* user) {
  auto& self = *static_cast<Session*>(user);
  if (Stream* const stream = self.Find(id)) self.Close(stream, static_cast<ErrorCode>(code));
  return 0;
}

void Codec::Session::SetReceiveCallbacks(nghttp2_session_callbacks* callbacks) {
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, OnBeginFrame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
  // No on_invalid_header_callback: without one a bad field resets its stream (RFC 9113 section 8.2.1), with
  // one that returns 0 it would be dropped silently.
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnContent);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnStreamClose);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, OnInvalidFrame);
  nghttp2_session_callbacks_set_on_extension_chunk_recv_callback(callbacks, OnNotePiece);
  nghttp2_session_callbacks_set_unpack_extension_callback(callbacks, OnNoteEnd);
}

}  // namespace pillion::http2
