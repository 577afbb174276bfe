// Any bytes, fed to a server codec, or to a client codec that has requests under way. Holds them to the
// contract: events only of announced streams, nothing after kClosed, kClosed exactly once when all is over.
//
//   byte 0: bit 0 tiny limits, bit 1 answer with content; byte 1: fragment size; then the bytes
#ifndef PILLION_TESTS_FUZZ_HTTP2_H_
#define PILLION_TESTS_FUZZ_HTTP2_H_

#include <cstddef>
#include <cstdint>
#include <map>

#include "sidecar/base/check.h"
#include "sidecar/http2/codec.h"
#include "sidecar/http2/frames.h"
#include "tests/fuzz/input.h"

namespace pillion::http2 {

class Peer {
 public:
  Peer(Role role, const Limits& limits, bool content) : content_(content), codec_(role, limits) {
    if (role == Role::kServer) return;
    http::RequestHead head;
    head.path = "/";
    head.authority = "a";
    head.has_authority = true;
    for (int i = 0; i < 3; ++i) {
      bool too_large = false;
      const StreamId id = codec_.SubmitRequest(head, i != 1, &too_large);
      if (id > 0) closed_[id] = false;
    }
  }
  bool Feed(std::string_view bytes) {
    const bool lives = codec_.Feed(bytes);
    Take();
    SliceQueue out;
    codec_.Output(out, 5000);
    Take();
    return lives;
  }
  void Finish() {
    codec_.ConnectionLost();
    Take();
    for (const auto& [id, closed] : closed_) PILLION_CHECK(closed);
    PILLION_CHECK(codec_.open_streams() == 0);
  }

 private:
  void Take() {
    // Answering adds no events before Output, so the list does not move.
    const size_t count = codec_.events().size();
    for (const Event& event : codec_.events()) {
      if (event.kind == Event::Kind::kGoAway) continue;
      if (event.kind == Event::Kind::kRequestHead) {
        PILLION_CHECK(closed_.count(event.stream) == 0);
        closed_[event.stream] = false;
        Answer(event);
        continue;
      }
      PILLION_CHECK(closed_.count(event.stream) == 1 && !closed_[event.stream]);
      if (event.kind == Event::Kind::kClosed) closed_[event.stream] = true;
      if (event.kind == Event::Kind::kContent) codec_.ReleaseCredit(event.stream, event.content.size());
    }
    PILLION_CHECK(codec_.events().size() == count);
    codec_.ClearEvents();
  }
  void Answer(const Event& event) {
    if (event.error == ErrorKind::kNone) {
      const http::RequestHead& head = codec_.request(event);
      PILLION_CHECK(!head.method_text.empty());
      PILLION_CHECK(head.path.empty() == (head.form == http::TargetForm::kAuthority));
    }
    http::ResponseHead head;
    head.content.kind = http::ContentLength::Kind::kUnsized;
    PILLION_CHECK(codec_.SubmitResponse(event.stream, head, !content_) || event.stream > 0);
    if (!content_) return;
    SliceQueue queue;
    queue.AppendCopy(std::string(3000, 'x'));
    codec_.SendContent(event.stream, queue);
    codec_.FinishContent(event.stream);
  }
  bool content_;
  Codec codec_;
  std::map<StreamId, bool> closed_;
};

inline void FuzzCodec(Role role, fuzz::Input input) {
  const uint8_t mode = input.Byte();
  Limits limits;
  if ((mode & 1) != 0) {
    limits.max_concurrent_streams = 2;
    limits.stream_window_bytes = 100;
    limits.max_head_bytes = 200;
    limits.max_fields = 6;
    limits.send_buffer_bytes = 1000;
  }
  const uint8_t size = input.Byte();
  const size_t fragment = size == 0 ? SIZE_MAX : size;
  Peer peer(role, limits, (mode & 2) != 0);
  // The start is given, or hardly any input would get past it.
  std::string bytes = role == Role::kServer ? ClientStart() : Raw(kSettings, 0, 0, "");
  bytes.append(input.Rest());
  for (size_t at = 0; at < bytes.size(); at += std::min(fragment, bytes.size() - at)) {
    if (!peer.Feed(std::string_view(bytes).substr(at, fragment))) break;
  }
  peer.Finish();
}

}  // namespace pillion::http2

#endif  // PILLION_TESTS_FUZZ_HTTP2_H_
