#include "sidecar/http2/frame_walk.h"

#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>

namespace pillion::http2 {

void FrameWalk::Pass(std::string_view bytes) {
  while (true) {
    if (left_ > 0) {
      const size_t taken = std::min(left_, bytes.size());
      left_ -= taken;
      bytes.remove_prefix(taken);
      if (in_block_) block_bytes_ += taken;
      if (left_ > 0) return;
    }
    if (last_) in_block_ = last_ = false;
    if (bytes.empty()) return;
    if (have_ == 0 && bytes.size() >= kFrameHeadBytes) {
      OnFrameHead(reinterpret_cast<const uint8_t*>(bytes.data()));
      bytes.remove_prefix(kFrameHeadBytes);
      continue;
    }
    const size_t taken = std::min(kFrameHeadBytes - have_, bytes.size());
    std::memcpy(head_.data() + have_, bytes.data(), taken);
    have_ += taken;
    bytes.remove_prefix(taken);
    if (have_ < kFrameHeadBytes) return;
    have_ = 0;
    OnFrameHead(head_.data());
  }
}

void FrameWalk::OnFrameHead(const uint8_t* head) {
  left_ = size_t{head[0]} << 16 | size_t{head[1]} << 8 | head[2];
  const uint8_t type = head[3];
  const bool begins = type == NGHTTP2_HEADERS || type == NGHTTP2_PUSH_PROMISE;
  if (!begins && type != NGHTTP2_CONTINUATION) return;
  if (begins) block_bytes_ = 0;
  in_block_ = true;
  last_ = (head[4] & NGHTTP2_FLAG_END_HEADERS) != 0;
}

}  // namespace pillion::http2
