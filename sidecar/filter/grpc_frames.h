// gRPC's length-prefixed messages in a queue of bytes: flags (1 byte), length (4, big-endian), message.
#ifndef PILLION_SIDECAR_FILTER_GRPC_FRAMES_H_
#define PILLION_SIDECAR_FILTER_GRPC_FRAMES_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "sidecar/base/slice.h"

namespace pillion::filter {

inline constexpr size_t kFrameHeadBytes = 5;
inline constexpr uint8_t kCompressedFlag = 0x01;
inline constexpr uint8_t kTrailersFlag = 0x80;  // gRPC-Web only

struct FrameHead {
  uint8_t flags = 0;
  uint32_t bytes = 0;
};

// Of the frame at the front; nullopt: it is not here yet. Nothing is taken.
inline std::optional<FrameHead> PeekFrameHead(const SliceQueue& in) {
  char head[kFrameHeadBytes];
  if (in.CopyTo(head, kFrameHeadBytes) < kFrameHeadBytes) return std::nullopt;
  const auto byte = [&head](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(head[i])); };
  return FrameHead{static_cast<uint8_t>(byte(0)), byte(1) << 24 | byte(2) << 16 | byte(3) << 8 | byte(4)};
}

inline std::string FrameHeadText(uint8_t flags, size_t bytes) {
  std::string text(1, static_cast<char>(flags));
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(bytes >> shift & 0xFF);
  return text;
}

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_GRPC_FRAMES_H_
