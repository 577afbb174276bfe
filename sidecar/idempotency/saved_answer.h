// What an app answered a request that had a token, as its duplicates are told it again. Made once and never
// changed: any thread may read it.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SAVED_ANSWER_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SAVED_ANSWER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

#include "sidecar/http/header_list.h"
#include "sidecar/idempotency/terms.h"

namespace pillion::idempotency {

struct SavedAnswer {
  uint16_t status = 200;
  http::HeaderList headers;
  std::string body;
  bool has_trailers = false;
  http::HeaderList trailers;
  DomainTime at{};  // when its execution began
  // The span of that execution, where it was traced.
  std::array<uint8_t, 16> trace{};
  std::array<uint8_t, 8> span{};
  size_t Bytes() const {
    return sizeof(SavedAnswer) + headers.held_bytes() + body.size() + trailers.held_bytes();
  }
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SAVED_ANSWER_H_
