// Answers as they lie in the store: serialized, and sealed with AES-256-GCM (specs/idempotency.md 2.9). A
// sealed answer belongs to one lookup key of one domain: moved to another it does not open.
//
//   version (1 byte) | nonce (12, drawn) | ciphertext | tag (16)        of:
//   status u16 | at i64 | trace 16 | span 8 | trailers there? u8 | list | list | body u32, bytes
//   list: u32 fields, each: u16 and u32 sizes, name, value        all numbers: little-endian
//
// A nonce is 96 random bits: of 2^32 answers under one key, two share one with a probability of 2^-33
// (NIST SP 800-38D section 8.3 asks for 2^-32); give a service that stores more a new key before then.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_RECORD_CIPHER_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_RECORD_CIPHER_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/saved_answer.h"
#include "sidecar/idempotency/terms.h"

namespace pillion::idempotency {

// Plain bytes, whatever their origin.
std::string EncodeAnswer(const SavedAnswer& answer);
// None: that is no answer, to the last byte.
SavedAnswer DecodeAnswer(std::string_view bytes);

// One thread.
class RecordCipher {
 public:
  // Aborts where the library has no AES-256-GCM: nothing can be promised then.
  RecordCipher(const std::array<uint8_t, 32>& key, DomainId domain);
  ~RecordCipher();
  RecordCipher(const RecordCipher&) = delete;
  RecordCipher& operator=(const RecordCipher&) = delete;

  std::string Seal(const Digest& key, const SavedAnswer& answer);
  // None: it was not sealed for this key of this domain, by who has our key, or has been changed since.
  SavedAnswer Open(const Digest& key, std::string_view sealed);

 private:
  struct Native;
  std::array<uint8_t, 24> Associated(const Digest& key) const;
  std::unique_ptr<Native> native_;
  const DomainId domain_;
};

// Not to be guessed, and never the same twice.
void FillWithSecretBytes(std::span<uint8_t> bytes);

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_RECORD_CIPHER_H_
