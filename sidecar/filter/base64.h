// Base64 (RFC 4648 section 4) of bytes that come in pieces.
#ifndef PILLION_SIDECAR_FILTER_BASE64_H_
#define PILLION_SIDECAR_FILTER_BASE64_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pillion::filter {

// Takes groups of four; a padded group may stand anywhere, as gRPC-Web clients send them.
class Base64Decoder {
 public:
  // False: a byte that does not belong there.
  [[nodiscard]] bool Feed(std::string_view text, std::string& out);
  // No group is open.
  bool complete() const { return count_ == 0; }

 private:
  uint32_t bits_ = 0;
  uint8_t count_ = 0;    // characters of the open group
  uint8_t padding_ = 0;  // of them `=`
};

// Keeps up to two bytes for the next piece, until Flush pads them.
class Base64Encoder {
 public:
  void Feed(std::string_view bytes, std::string& out);
  void Flush(std::string& out);

 private:
  uint32_t bits_ = 0;
  uint8_t count_ = 0;
};

// The value of a "-bin" field: padding may be missing.
std::optional<std::string> DecodeBinaryField(std::string_view text);

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_BASE64_H_
