#include "tests/simulation/http2_peers.h"

#include <algorithm>

namespace pillion::simulation {

bool Http2Connection::Feed() {
  Pump();
  if (in.empty()) return true;
  return codec.Feed(in);  // `in` is cleared when the events have been walked
}

void Http2Connection::Flush() {
  SliceQueue queue;
  codec.Output(queue, SIZE_MAX);
  out += queue.ToString();
  while (Write()) {
  }
}

bool Http2Connection::SendContent(http2::StreamId id, Call& call, const http::HeaderList* trailers,
                                  bool stay_open) {
  if (call.finished) return false;
  const size_t n = std::min(codec.SendRoom(id), call.may_send - call.sent);
  if (n > 0) {
    SliceQueue queue;
    queue.AppendCopy(std::string_view(call.to_send).substr(call.sent, n));
    call.sent += codec.SendContent(id, queue);
  }
  if (call.sent < call.to_send.size() || stay_open) return n > 0;
  call.finished = true;
  if (trailers != nullptr) {
    codec.SendTrailers(id, *trailers);
  } else {
    codec.FinishContent(id);
  }
  return true;
}

}  // namespace pillion::simulation
