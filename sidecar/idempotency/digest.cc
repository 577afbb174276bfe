// What OpenSSL calls deprecated of SHA-256 is that which does without its heap.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sidecar/idempotency/digest.h"

#include <endian.h>
#include <openssl/sha.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <utility>

#include "sidecar/base/hex.h"

namespace pillion::idempotency {
std::string Digest::ToHex() const { return pillion::ToHex(bytes); }

namespace {

// The first bytes of SHA-256.
template <size_t kBytes>
std::array<uint8_t, kBytes> Short(std::string_view text) {
  std::array<uint8_t, SHA256_DIGEST_LENGTH> whole;
  SHA256(reinterpret_cast<const uint8_t*>(text.data()), text.size(), whole.data());
  std::array<uint8_t, kBytes> first;
  std::memcpy(first.data(), whole.data(), kBytes);
  return first;
}

}  // namespace

std::array<uint8_t, 8> ShortHash(const std::array<uint8_t, 16>& token) {
  return Short<8>({reinterpret_cast<const char*>(token.data()), token.size()});
}

std::string HashForPeople(const std::array<uint8_t, 16>& token) { return pillion::ToHex(ShortHash(token)); }

// A digest that failed must not be taken for one: records of others would be found.
Digester::Digester() {
  if (SHA256_Init(&running_) != 1) std::abort();
}

void Digester::Add(std::string_view bytes) {
  if (bytes.size() > pending_.size() - pending_bytes_) {
    Update({pending_.data(), std::exchange(pending_bytes_, 0)});
    if (bytes.size() > pending_.size()) return Update(bytes);
  }
  if (bytes.empty()) return;
  std::memcpy(pending_.data() + pending_bytes_, bytes.data(), bytes.size());
  pending_bytes_ += bytes.size();
}

void Digester::Update(std::string_view bytes) {
  if (SHA256_Update(&running_, bytes.data(), bytes.size()) != 1) std::abort();
}

void Digester::AddLength(size_t bytes) {
  const auto text = std::bit_cast<std::array<char, 8>>(htobe64(bytes));
  Add({text.data(), text.size()});
}

void Digester::Part(std::string_view part) {
  AddLength(part.size());
  Add(part);
}

void Digester::Part(const SliceQueue& part) {
  AddLength(part.bytes());
  part.ForEach([this](std::string_view piece) { Add(piece); });
}

Digest Digester::End() {
  Update({pending_.data(), pending_bytes_});
  std::array<uint8_t, SHA256_DIGEST_LENGTH> whole;
  if (SHA256_Final(whole.data(), &running_) != 1) std::abort();
  Digest digest;
  std::memcpy(digest.bytes.data(), whole.data(), digest.bytes.size());
  return digest;
}

Digest LookupKey(const Scope& scope, std::string_view token) {
  Digester digester;
  digester.Part(scope.domain);
  digester.Part(scope.caller);
  digester.Part(scope.source == KeySource::kMinted ? "minted" : "app");
  digester.Part(scope.principal);
  digester.Part(token);
  return digester.End();
}

Digest Fingerprint(const http::RequestHead& head, const SliceQueue& body) {
  Digester digester;
  digester.Part(head.method_text);
  digester.Part(head.authority);
  digester.Part(head.path);
  digester.Part(head.headers.Find(http::Known::kContentType).value_or(""));
  digester.Part(head.headers.Find("content-encoding").value_or(""));
  digester.Part(body);
  return digester.End();
}

CallerId CallerOf(std::string_view identity) {
  if (identity.empty()) return 0;
  return std::max(std::bit_cast<CallerId>(Short<sizeof(CallerId)>(identity)), CallerId{1});
}

}  // namespace pillion::idempotency
