// For tests: HTTP/2 frames as raw bytes (RFC 9113 section 4, RFC 7541), written and read without nghttp2.
#ifndef PILLION_SIDECAR_HTTP2_FRAMES_H_
#define PILLION_SIDECAR_HTTP2_FRAMES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pillion::http2 {

enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAwayFrame = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
inline constexpr uint8_t kEndStream = 1;
inline constexpr uint8_t kAck = 1;
inline constexpr uint8_t kEndHeaders = 4;
inline constexpr uint8_t kPadded = 8;
inline constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

inline std::string U32(uint32_t v) {
  return {static_cast<char>(v >> 24), static_cast<char>(v >> 16), static_cast<char>(v >> 8),
          static_cast<char>(v)};
}
inline std::string Raw(uint8_t type, uint8_t flags, uint32_t stream, std::string_view payload) {
  std::string out = U32(static_cast<uint32_t>(payload.size())).substr(1);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  return out + U32(stream) + std::string(payload);
}
inline std::string Setting(uint16_t id, uint32_t value) {
  return std::string{static_cast<char>(id >> 8), static_cast<char>(id)} + U32(value);
}
inline std::string HpackLength(size_t size) {
  if (size < 127) return {static_cast<char>(size)};
  std::string out = "\x7f";
  size -= 127;
  while (size >= 128) {
    out += static_cast<char>(size % 128 + 128);
    size /= 128;
  }
  return out + static_cast<char>(size);
}
using Fields = std::vector<std::pair<std::string, std::string>>;
// Literal, not indexed, not Huffman coded.
inline std::string Block(const Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) {
    out.append(1, '\0').append(HpackLength(name.size())).append(name);
    out.append(HpackLength(value.size())).append(value);
  }
  return out;
}
inline std::string Head(uint32_t stream, const Fields& fields, uint8_t flags = kEndHeaders | kEndStream) {
  return Raw(kHeaders, flags, stream, Block(fields));
}
inline Fields Get(const Fields& more = {}) {
  Fields fields = {{":method", "GET"}, {":scheme", "http"}, {":path", "/"}, {":authority", "a"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
inline std::string ClientStart() { return std::string(kPreface) + Raw(kSettings, 0, 0, ""); }

struct FrameSeen {
  uint8_t type;
  uint8_t flags;
  uint32_t stream;
  std::string payload;
  uint32_t Word(size_t at) const {
    uint32_t v = 0;
    for (size_t i = at; i < at + 4 && i < payload.size(); ++i) v = v << 8 | static_cast<uint8_t>(payload[i]);
    return v;
  }
};
// Cuts complete frames off the front; a preface is skipped.
inline std::vector<FrameSeen> Cut(std::string_view bytes) {
  std::vector<FrameSeen> frames;
  if (bytes.starts_with(kPreface)) bytes.remove_prefix(kPreface.size());
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(bytes[i])); };
  while (bytes.size() >= 9) {
    const size_t size = byte(0) << 16 | byte(1) << 8 | byte(2);
    if (bytes.size() < 9 + size) break;
    frames.push_back({static_cast<uint8_t>(byte(3)), static_cast<uint8_t>(byte(4)),
                      byte(5) << 24 | byte(6) << 16 | byte(7) << 8 | byte(8),
                      std::string(bytes.substr(9, size))});
    bytes.remove_prefix(9 + size);
  }
  return frames;
}
// Those that steer a stream or end the connection: "RST 1 code=1", "GOAWAY last=0 code=1".
inline std::string Verdict(std::string_view bytes) {
  std::string text;
  for (const FrameSeen& f : Cut(bytes)) {
    if (f.type == kRstStream)
      text += "RST " + std::to_string(f.stream) + " code=" + std::to_string(f.Word(0)) + " ";
    if (f.type == kGoAwayFrame) {
      text += "GOAWAY last=" + std::to_string(f.Word(0)) + " code=" + std::to_string(f.Word(4)) + " ";
    }
  }
  return text;
}

}  // namespace pillion::http2

#endif  // PILLION_SIDECAR_HTTP2_FRAMES_H_
