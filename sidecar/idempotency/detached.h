// Executions of one domain in this process that go on though their clients are gone. Any thread.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_DETACHED_H_
#define PILLION_SIDECAR_IDEMPOTENCY_DETACHED_H_

#include <atomic>
#include <cstdint>

namespace pillion::idempotency {

class Detached {
 public:
  void Begin() { now_.fetch_add(1, std::memory_order_relaxed); }
  void End() { now_.fetch_sub(1, std::memory_order_relaxed); }
  uint32_t now() const { return now_.load(std::memory_order_relaxed); }
  // A claim was given up: there are too many.
  void NoteTooMany() { refused_.fetch_add(1, std::memory_order_relaxed); }
  uint64_t refused() const { return refused_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint32_t> now_{0};
  std::atomic<uint64_t> refused_{0};
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_DETACHED_H_
