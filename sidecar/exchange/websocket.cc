#include "sidecar/exchange/websocket.h"

#include <openssl/evp.h>
#include <openssl/sha.h>

#include <array>
#include <cstring>

#include "sidecar/base/text.h"

namespace pillion::exchange {
namespace {

constexpr std::string_view kProtocol = "websocket";
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455 section 1.3
constexpr size_t kKeyBytes = 16;

std::string Base64(const unsigned char* bytes, size_t size) {
  std::array<unsigned char, 64> text;  // 4 for each 3 of at most 20 bytes, and a NUL
  const int length = EVP_EncodeBlock(text.data(), bytes, static_cast<int>(size));
  return {reinterpret_cast<const char*>(text.data()), static_cast<size_t>(length)};
}

}  // namespace

bool NeedsWebSocketKey(const http::RequestHead& request) {
  return request.version == http::Version::kHttp2 && EqualsIgnoreCase(request.upgrade, kProtocol) &&
         !request.headers.Find(kWebSocketKey);
}

// It need not be a secret: it proves that the answer is to this request (RFC 6455 section 10.3).
std::string MakeWebSocketKey(Random& random) {
  std::array<unsigned char, kKeyBytes> bytes;
  for (size_t i = 0; i < kKeyBytes; i += sizeof(uint64_t)) {
    const uint64_t word = random.Next();
    std::memcpy(bytes.data() + i, &word, sizeof(word));
  }
  return Base64(bytes.data(), bytes.size());
}

bool NeedsWebSocketAccept(const http::RequestHead& request, const http::ResponseHead& response) {
  return request.version != http::Version::kHttp2 && EqualsIgnoreCase(response.upgrade, kProtocol) &&
         request.headers.Find(kWebSocketKey) && !response.headers.Find(kWebSocketAccept);
}

std::string WebSocketAccept(std::string_view key) {
  std::string text(key);
  text += kGuid;
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest;
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return Base64(digest.data(), digest.size());
}

}  // namespace pillion::exchange
