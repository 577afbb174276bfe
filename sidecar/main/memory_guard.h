// Sheds work before the kernel kills the process for its memory: reads the limit of the cgroup once, the
// process's own use again and again, and tells the workers how short memory is (base/pressure.h).
//
//   use / limit:   0.85 requests get 503 | 0.92 the largest streams are given up | 0.97 no new connections
//
// A step is left when the use is 0.05 below where it begins, so that it does not come and go. Where the first
// lasts, the largest streams are given up too, once a second. Attack: holders that bring the use there and
// stay. The main loop may be late where all cores are busy, so a worker that has read much looks for itself.
#ifndef PILLION_SIDECAR_MAIN_MEMORY_GUARD_H_
#define PILLION_SIDECAR_MAIN_MEMORY_GUARD_H_

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <utility>

#include "sidecar/base/pressure.h"
#include "sidecar/time/clock.h"

namespace pillion {

// The smallest memory limit of the process's cgroup and its parents (v2 memory.max, v1
// memory.limit_in_bytes); 0: none. `root` is "/" but for tests.
uint64_t MemoryLimit(const std::string& root = "/");
// Resident memory of this process; 0 when it cannot be read.
uint64_t ResidentBytes();
// What malloc has given out, by all its arenas. Takes their locks for a moment.
uint64_t AllocatedBytes();
// What the kernel holds for the process's own cgroup and cannot give back (socket buffers, sockets, stacks,
// page tables), in bytes; it counts towards the same limit. 0: not told (v1), or the process is in no group
// of its own.
uint64_t KernelBytes(const std::string& root = "/");

class MemoryGuard {
 public:
  // `limit` 0: never does anything. `trim`: malloc_trim(0), but for tests.
  MemoryGuard(uint64_t limit, std::function<uint64_t()> use, std::function<void()> trim, PressureGauge& gauge)
      : limit_(limit), use_(std::move(use)), trim_(std::move(trim)), gauge_(gauge) {}
  // Main loop: reads the use when it is time (next()); true when the largest streams are to be given up now.
  bool Check(time::MonotonicTime now);
  time::MonotonicTime next() const { return next_; }
  // The same for a worker that has read much, of its own streams. Any thread; costs nothing while there is
  // plenty.
  bool Look(time::MonotonicTime now);

 private:
  // How long the use cannot reach the next step, and whether the largest streams are to be given up.
  struct Finding {
    time::Duration safe_for{};
    bool give_up = false;
  };
  enum class By : uint8_t { kMainLoop, kWorker };
  Finding Measure(time::MonotonicTime now, By by);

  const uint64_t limit_;
  const std::function<uint64_t()> use_;
  const std::function<void()> trim_;
  PressureGauge& gauge_;
  time::MonotonicTime next_{};  // main loop only
  std::mutex mutex_;
  time::MonotonicTime next_look_{};
  time::MonotonicTime next_trim_{};
  time::MonotonicTime short_since_{};  // or since the largest were given up
};

// Gives back to the kernel what a burst has left with the allocator: freed pages between used ones stay
// resident for ever otherwise. Main loop only.
class HeapTrimmer {
 public:
  // `resident`: of the process; `allocated`: of that what the allocator has given out (AllocatedBytes);
  // `trim`: malloc_trim(0), but for tests. It costs milliseconds at most.
  HeapTrimmer(std::function<uint64_t()> resident, std::function<uint64_t()> allocated,
              std::function<void()> trim)
      : resident_(std::move(resident)), allocated_(std::move(allocated)), trim_(std::move(trim)) {}
  // Looks when it is time, and trims when what is resident and given out to nobody has grown since the last
  // trim (what is left of it then cannot be given back) by a part of what is given out, so that a trim costs
  // little beside the work which used that much.
  void Check(time::MonotonicTime now);
  time::MonotonicTime next() const { return next_; }

  static constexpr time::Duration kEvery = std::chrono::seconds(5);
  static constexpr int64_t kAllocatedPerGrowth = 32;
  static constexpr int64_t kLeastGrowthBytes = int64_t{128} << 10;
  static constexpr int64_t kMostGrowthBytes = int64_t{8} << 20;

 private:
  const std::function<uint64_t()> resident_;
  const std::function<uint64_t()> allocated_;
  const std::function<void()> trim_;
  time::MonotonicTime next_{};
  int64_t lowest_ = INT64_MAX;  // of what is resident and given out to nobody, since the last trim
};

}  // namespace pillion

#endif  // PILLION_SIDECAR_MAIN_MEMORY_GUARD_H_
