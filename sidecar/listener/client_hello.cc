#include "sidecar/listener/client_hello.h"

#include <optional>

namespace pillion::listener {
namespace {

using Kind = ClientHello::Kind;

constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kClientHelloMessage = 1;
constexpr size_t kRecordHeadBytes = 5;
constexpr size_t kMessageHeadBytes = 4;
constexpr size_t kMaxRecordBytes = size_t{1} << 14;
constexpr uint16_t kServerNameExtension = 0;
constexpr uint16_t kAlpnExtension = 16;
constexpr uint8_t kHostName = 0;

// Reads big-endian numbers and vectors; once it has run over the end all answers are empty and ok() is false.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : left_(bytes) {}
  bool ok() const { return ok_; }
  bool empty() const { return left_.empty(); }
  std::string_view Take(size_t n) {
    if (n > left_.size()) {
      ok_ = false;
      left_ = {};
      return {};
    }
    const std::string_view taken = left_.substr(0, n);
    left_.remove_prefix(n);
    return taken;
  }
  size_t Number(size_t bytes) {
    size_t value = 0;
    for (const char c : Take(bytes)) value = value << 8 | static_cast<uint8_t>(c);
    return value;
  }
  // A vector behind its length of `bytes` bytes.
  std::string_view Vector(size_t bytes) { return Take(Number(bytes)); }

 private:
  std::string_view left_;
  bool ok_ = true;
};

// RFC 6066 section 3.
bool TakeServerName(std::string_view extension, ClientHello& hello) {
  Reader outer(extension);
  Reader names(outer.Vector(2));
  while (!names.empty()) {
    const size_t type = names.Number(1);
    const std::string_view name = names.Vector(2);
    if (type != kHostName || !hello.server_name.empty()) continue;
    if (name.find('\0') != std::string_view::npos) return false;
    for (const char c : name) hello.server_name += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  }
  return outer.ok() && names.ok();
}

// RFC 7301 section 3.1.
bool TakeProtocols(std::string_view extension, ClientHello& hello) {
  Reader outer(extension);
  Reader protocols(outer.Vector(2));
  while (!protocols.empty()) hello.protocols.emplace_back(protocols.Vector(1));
  return outer.ok() && protocols.ok();
}

bool ReadMessage(std::string_view message, ClientHello& hello) {
  Reader reader(message);
  reader.Take(2 + 32);  // legacy_version, random
  reader.Vector(1);     // legacy_session_id
  reader.Vector(2);     // cipher_suites
  reader.Vector(1);     // legacy_compression_methods
  if (!reader.ok()) return false;
  if (reader.empty()) return true;  // TLS 1.2 without extensions
  Reader extensions(reader.Vector(2));
  while (reader.ok() && !extensions.empty()) {
    const size_t type = extensions.Number(2);
    const std::string_view body = extensions.Vector(2);
    if (type == kServerNameExtension && !TakeServerName(body, hello)) return false;
    if (type == kAlpnExtension && !TakeProtocols(body, hello)) return false;
  }
  return reader.ok() && extensions.ok();
}

// Whether a record head may stand at the start of `bytes`, as far as they go.
bool MayBeRecord(std::string_view bytes) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[i]); };
  if (!bytes.empty() && byte(0) != kHandshakeRecord) return false;
  if (bytes.size() > 1 && byte(1) != 3) return false;  // every version's major number
  if (bytes.size() > 2 && byte(2) > 4) return false;
  if (bytes.size() < kRecordHeadBytes) return true;
  const size_t length = static_cast<size_t>(byte(3)) << 8 | byte(4);
  return length > 0 && length <= kMaxRecordBytes;
}

}  // namespace

ClientHello ReadClientHello(std::string_view bytes) {
  const Kind more = bytes.size() < kMaxClientHelloBytes ? Kind::kMore : Kind::kNotTls;
  bytes = bytes.substr(0, kMaxClientHelloBytes);  // what stands behind may have come with the same read
  std::string message;  // the handshake message, without record heads, as far as it is here
  std::string_view rest = bytes;
  while (true) {
    if (!MayBeRecord(rest)) return {Kind::kNotTls, {}, {}};
    if (rest.size() < kRecordHeadBytes) return {more, {}, {}};
    Reader head(rest.substr(3, 2));
    const size_t length = head.Number(2);
    message += rest.substr(kRecordHeadBytes, length);
    if (!message.empty() && static_cast<uint8_t>(message[0]) != kClientHelloMessage)
      return {Kind::kNotTls, {}, {}};
    if (message.size() >= kMessageHeadBytes) {
      Reader reader(message);
      reader.Take(1);
      const size_t size = reader.Number(3);
      if (size > kMaxClientHelloBytes) return {Kind::kNotTls, {}, {}};
      if (message.size() >= kMessageHeadBytes + size) {
        ClientHello hello{Kind::kFound, {}, {}};
        if (!ReadMessage(reader.Take(size), hello)) return {Kind::kNotTls, {}, {}};
        return hello;
      }
    }
    if (rest.size() < kRecordHeadBytes + length) return {more, {}, {}};
    rest.remove_prefix(kRecordHeadBytes + length);
  }
}

}  // namespace pillion::listener
