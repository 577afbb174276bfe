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
  // `wake`: called on any thread, when numbers are here and none were before; `wake_here` in its place on the
  // worker's own, by RingHere. Neither may ring.
  explicit Bell(const std::function<void()>& wake) : Bell(wake, wake) {}
  Bell(std::function<void()> wake, std::function<void()> wake_here)
      : wake_(std::move(wake)), wake_here_(std::move(wake_here)) {}
  void Ring(uint64_t number) { Ring(number, wake_); }
  // Its worker, which need not leave its turn to hear it.
  void RingHere(uint64_t number) { Ring(number, wake_here_); }
  // Its worker: whom to wake. A number may have been given up since.
  std::vector<uint64_t> Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return std::exchange(rung_, {});
  }
  // Its worker is gone.
  void Silence() {
    const std::lock_guard<std::mutex> lock(mutex_);
    wake_ = wake_here_ = nullptr;
    rung_.clear();
  }

 private:
  void Ring(uint64_t number, const std::function<void()>& wake) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!wake) return;
    rung_.push_back(number);
    if (rung_.size() == 1) wake();
  }

  std::mutex mutex_;
  std::function<void()> wake_;
  std::function<void()> wake_here_;
  std::vector<uint64_t> rung_;
};

struct Waiter {
  std::shared_ptr<Bell> bell;
  uint64_t number = 0;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_BELL_H_
