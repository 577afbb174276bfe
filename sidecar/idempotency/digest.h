// The two digests of a request that has a token: under which its record is found, and what tells it from
// another request with the same token (specs/idempotency.md 2.9, 2.10). Both are the first 128 bits of
// SHA-256 over parts that each begin with their length, so that no two lists of parts are the same bytes.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_DIGEST_H_
#define PILLION_SIDECAR_IDEMPOTENCY_DIGEST_H_

#include <openssl/sha.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "sidecar/base/slice.h"
#include "sidecar/http/head.h"

namespace pillion::idempotency {

struct Digest {
  std::array<uint8_t, 16> bytes{};
  bool operator==(const Digest&) const = default;
  // Uniform: any 8 bytes of it are a hash.
  uint64_t Hash() const {
    uint64_t hash = 0;
    std::memcpy(&hash, bytes.data(), sizeof(hash));
    return hash;
  }
  std::string ToHex() const;
  template <typename H>
  friend H AbslHashValue(H h, const Digest& digest) {
    return H::combine(std::move(h), digest.Hash());
  }
};

// Makes one digest, without allocating: the interface of OpenSSL that allocates, and looks its algorithms up,
// takes longer for the few hundred bytes of a request than the digest itself.
class Digester {
 public:
  Digester();
  void Part(std::string_view part);
  void Part(const SliceQueue& part);
  // Once.
  Digest End();

 private:
  void Add(std::string_view bytes);
  void AddLength(size_t bytes);
  void Update(std::string_view bytes);
  SHA256_CTX running_;
  // Parts are mostly a few bytes: they go on together.
  std::array<char, 512> pending_;
  size_t pending_bytes_ = 0;
};

// Who may not be told another's answer.
enum class KeySource : uint8_t { kMinted, kApp };

// `domain`, `caller`: what was proven of them, never what a header claims; "" where nothing is. `principal`:
// of the end user, where policy names one.
struct Scope {
  std::string_view domain;
  std::string_view caller = {};
  KeySource source = KeySource::kMinted;
  std::string_view principal = {};
};
// Of a token's bytes, or of an app's key without its quotes.
Digest LookupKey(const Scope& scope, std::string_view token);

// What stands for a token where people read: 16 hexadecimal digits of SHA-256 over its 16 bytes; of an app's
// key, over those of its digest.
std::string HashForPeople(const std::array<uint8_t, 16>& token);
// The same as bytes.
std::array<uint8_t, 8> ShortHash(const std::array<uint8_t, 16>& token);

// Of what makes the request: not of fields that differ from one attempt to the next, such as traceparent.
Digest Fingerprint(const http::RequestHead& head, const SliceQueue& body);

// Who a caller is, in 64 bits of a digest: those who prove themselves do not choose it. 0: nothing is proven.
using CallerId = uint64_t;
CallerId CallerOf(std::string_view identity);

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_DIGEST_H_
