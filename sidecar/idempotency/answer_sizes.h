// How large the answers of a shard are, as far as is needed to reserve room for one that is not here yet
// (specs/idempotency.md 2.8). Not locked.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_ANSWER_SIZES_H_
#define PILLION_SIDECAR_IDEMPOTENCY_ANSWER_SIZES_H_

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pillion::idempotency {

class AnswerSizes {
 public:
  // Before anything is known.
  static constexpr uint32_t kUsual = 1024;
  static constexpr uint32_t kLookEvery = 16;
  static constexpr uint32_t kMost = 1024;

  void Note(uint64_t bytes) {
    const size_t size = std::bit_width(bytes);
    ++counts_[size < kClasses ? size : kClasses - 1];
    if (++noted_ % kLookEvery == 0) Look();
  }
  // At most one in a hundred of the last ones was larger; a power of two, 31 bits at most.
  uint32_t likely() const { return likely_; }

 private:
  static constexpr size_t kClasses = 32;  // by the number of bits of the size

  void Look() {
    uint64_t sum = 0;
    for (const uint32_t count : counts_) sum += count;
    uint64_t larger = 0;
    size_t size = kClasses;
    while (size > 1 && (larger + counts_[size - 1]) * 100 <= sum) larger += counts_[--size];
    likely_ = size <= 1 ? 0 : uint32_t{1} << (size - 1);
    if (sum < kMost) return;
    for (uint32_t& count : counts_) count /= 2;
  }

  std::array<uint32_t, kClasses> counts_{};
  uint32_t noted_ = 0;
  uint32_t likely_ = kUsual;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_ANSWER_SIZES_H_
