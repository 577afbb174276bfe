// A number of the process that every worker changes with each request, such as the requests under way to a
// cluster, and a limit on it. A worker tells what it holds in batches, so that workers do not take a cache
// line from each other per request: what is held in all may be over the limit by at most workers x (batch -
// 1); with a batch of 1 it never is.
#ifndef PILLION_SIDECAR_LEDGER_SHARED_COUNT_H_
#define PILLION_SIDECAR_LEDGER_SHARED_COUNT_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace pillion::ledger {

// What all workers have told. Any thread.
class SharedCount {
 public:
  int64_t told() const { return told_.load(std::memory_order_relaxed); }

 private:
  friend class WorkerCount;
  alignas(64) std::atomic<int64_t> told_{0};
};

// How much may be held, and how exactly that is kept.
struct CountLimit {
  static constexpr uint32_t kLargestBatch = 64;
  uint32_t most = UINT32_MAX;
  uint32_t batch = kLargestBatch;

  // Over the limit by a sixteenth at most, all workers together.
  static CountLimit Of(uint32_t most, uint32_t workers) {
    const uint32_t batch = most / (16 * std::max<uint32_t>(workers, 1));
    return {most, std::clamp<uint32_t>(batch, 1, kLargestBatch)};
  }
};

// One worker's part. The shared count outlives it.
class WorkerCount {
 public:
  explicit WorkerCount(SharedCount& shared) : shared_(&shared) {}
  ~WorkerCount() { shared_->told_.fetch_sub(told_, std::memory_order_relaxed); }
  WorkerCount(const WorkerCount&) = delete;
  WorkerCount& operator=(const WorkerCount&) = delete;

  // One more; false, and nothing taken, where that would be over the limit.
  [[nodiscard]] bool Take(const CountLimit& limit) {
    if (shared_->told() + (held_ - told_) >= limit.most) return false;
    ++held_;
    if (held_ - told_ < limit.batch) return true;
    if (Tell() <= limit.most || limit.batch > 1) return true;
    --held_;  // another worker took the last one at the same moment
    Tell();
    return false;
  }
  // One more, whatever the limit says.
  void TakeAnyway(const CountLimit& limit) {
    ++held_;
    if (held_ - told_ >= limit.batch) Tell();
  }
  void GiveBack(const CountLimit& limit) {
    --held_;
    if (told_ - held_ >= limit.batch) Tell();
  }
  int64_t held() const { return held_; }
  // So many more could be taken.
  bool HasRoom(const CountLimit& limit, uint32_t more) const {
    return shared_->told() + (held_ - told_) + more <= limit.most;
  }

 private:
  int64_t Tell() {
    const int64_t more = held_ - told_;
    told_ = held_;
    return shared_->told_.fetch_add(more, std::memory_order_relaxed) + more;
  }

  SharedCount* shared_;
  int64_t held_ = 0;
  int64_t told_ = 0;
};

}  // namespace pillion::ledger

#endif  // PILLION_SIDECAR_LEDGER_SHARED_COUNT_H_
