// Where in its frames a peer is (RFC 9113 sections 4.1 and 6.10), from the bytes alone: nghttp2 does not tell
// of header blocks that it decodes and passes by, and they can be left open like any other.
#ifndef PILLION_SIDECAR_HTTP2_FRAME_WALK_H_
#define PILLION_SIDECAR_HTTP2_FRAME_WALK_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pillion::http2 {

class FrameWalk {
 public:
  // `preface`: bytes that come before the first frame.
  explicit FrameWalk(size_t preface) : left_(preface) {}

  // The next bytes of the connection, however they are cut.
  void Pass(std::string_view bytes);
  // A header block has begun and is not complete: nothing else can come before it is.
  bool in_block() const { return in_block_; }
  // Of that block, encoded, what has come.
  size_t block_bytes() const { return in_block_ ? block_bytes_ : 0; }

 private:
  static constexpr size_t kFrameHeadBytes = 9;
  void OnFrameHead(const uint8_t* head);

  std::array<uint8_t, kFrameHeadBytes> head_{};  // of a frame whose head came in pieces
  size_t have_ = 0;                              // of it
  size_t left_ = 0;                              // of the preface or the frame's payload
  size_t block_bytes_ = 0;
  bool in_block_ = false;
  bool last_ = false;  // the frame under way ends the block
};

}  // namespace pillion::http2

#endif  // PILLION_SIDECAR_HTTP2_FRAME_WALK_H_
