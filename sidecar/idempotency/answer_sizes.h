// How large the answers of a domain are, as far as is needed to reserve room for one that is not here yet
// (specs/idempotency.md 2.8). Any thread; what threads lose of each other's notes does not matter.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_ANSWER_SIZES_H_
#define PILLION_SIDECAR_IDEMPOTENCY_ANSWER_SIZES_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pillion::idempotency {

class AnswerSizes {
 public:
  // Before anything is known.
  static constexpr uint32_t kUsual = 1024;
  static constexpr uint32_t kLookEvery = 64;
  static constexpr uint32_t kMost = 1024;

  void Note(uint64_t bytes) {
    const size_t size = std::bit_width(bytes);
    counts_[size < kClasses ? size : kClasses - 1].fetch_add(1, std::memory_order_relaxed);
    if ((noted_.fetch_add(1, std::memory_order_relaxed) + 1) % kLookEvery == 0) Look();
  }
  // At most one in a hundred of the last ones was larger; a power of two, 31 bits at most.
  uint32_t likely() const { return likely_.load(std::memory_order_relaxed); }

 private:
  static constexpr size_t kClasses = 32;  // by the number of bits of the size

  void Look() {
    std::array<uint32_t, kClasses> counts;
    uint64_t sum = 0;
    for (size_t i = 0; i < kClasses; ++i) sum += counts[i] = counts_[i].load(std::memory_order_relaxed);
    uint64_t larger = 0;
    size_t size = kClasses;
    while (size > 1 && (larger + counts[size - 1]) * 100 <= sum) larger += counts[--size];
    likely_.store(size <= 1 ? 0 : uint32_t{1} << (size - 1), std::memory_order_relaxed);
    if (sum < kMost) return;
    for (size_t i = 0; i < kClasses; ++i) counts_[i].store(counts[i] / 2, std::memory_order_relaxed);
  }

  std::array<std::atomic<uint32_t>, kClasses> counts_{};
  std::atomic<uint32_t> noted_{0};
  std::atomic<uint32_t> likely_{kUsual};
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_ANSWER_SIZES_H_
