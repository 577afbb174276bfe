// Wakes one worker's requests from any thread: each waits under a number of its own. Held by all who may ring
// it, so that it outlives its worker.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_BELL_H_
#define PILLION_SIDECAR_IDEMPOTENCY_BELL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace pillion::idempotency {

class Bell {
 public:
  // `wake`: called on any thread, when numbers are here and none were before. It must not ring.
  explicit Bell(std::function<void()> wake) : wake_(std::move(wake)) {}
  void Ring(uint64_t number) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!wake_) return;
    rung_.push_back(number);
    if (rung_.size() == 1) wake_();
  }
  // Its worker: whom to wake. A number may have been given up since.
  std::vector<uint64_t> Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(rung_, {});
  }
  // Its worker is gone.
  void Silence() {
    const std::lock_guard<std::mutex> lock(mutex_);
    wake_ = nullptr;
    rung_.clear();
  }

 private:
  std::mutex mutex_;
  std::function<void()> wake_;
  std::vector<uint64_t> rung_;
};

struct Waiter {
  std::shared_ptr<Bell> bell;
  uint64_t number = 0;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_BELL_H_
