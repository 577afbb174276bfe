// A written answer of that content and no fields, for tests.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_TEST_ANSWER_H_
#define PILLION_SIDECAR_IDEMPOTENCY_TEST_ANSWER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "sidecar/base/slice.h"
#include "sidecar/idempotency/saved_answer.h"

namespace pillion::idempotency {

inline std::string AnswerOf(std::string_view text, uint16_t status = 201) {
  SliceQueue content;
  content.AppendCopy(text);
  std::string written;
  WriteAnswer(status, {}, nullptr, content, nullptr, {}, written);
  return written;
}

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_TEST_ANSWER_H_
