#include "sidecar/main/memory_guard.h"

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string_view>

#include "sidecar/main/cgroup.h"

namespace pillion {
namespace {

// Of the limit, where each step begins, and how far below that it is left.
constexpr double kBegins[] = {0.85, 0.92, 0.97};
constexpr double kSlack = 0.05;
// The use is read again before it can have reached the next step, were it to grow as fast as a machine
// receives. The main loop does not look more often than each kOften, nor do the workers have memory given
// back (malloc_trim) more often: it costs something. What comes in that time is what lies between the steps
// and the limit. The main loop may be late, so a worker looks too after each worker::kLookBytes, but not
// within kSoonest.
constexpr double kGrowthPerSecond = 1 << 30;
constexpr auto kRarely = std::chrono::seconds(1);
constexpr auto kOften = std::chrono::milliseconds(10);
constexpr auto kSoonest = std::chrono::milliseconds(1);
constexpr auto kWhileShedding = std::chrono::milliseconds(50);
// A shortage that lasts for so long does not end by itself.
constexpr auto kLasting = std::chrono::seconds(1);

// "max" and numbers near 2^63 (v1) are no limit.
double ReadLimit(const std::string& path) {
  std::ifstream file(path);
  double limit = 0;
  if (!(file >> limit) || limit <= 0 || limit > 0x1p62) return 0;
  return limit;
}

}  // namespace

uint64_t MemoryLimit(const std::string& root) {
  const double v2 = TightestInCgroup(root + "sys/fs/cgroup", CgroupOf(root, ""),
                                     [](const std::string& d) { return ReadLimit(d + "/memory.max"); });
  const double v1 =
      TightestInCgroup(root + "sys/fs/cgroup/memory", CgroupOf(root, "memory"),
                       [](const std::string& d) { return ReadLimit(d + "/memory.limit_in_bytes"); });
  if (v1 == 0 || v2 == 0) return static_cast<uint64_t>(std::max(v1, v2));
  return static_cast<uint64_t>(std::min(v1, v2));
}

uint64_t KernelBytes(const std::string& root) {
  const std::string group = root + "sys/fs/cgroup" + CgroupOf(root, "");
  // The root of all groups, where everything that runs would be counted, has no limit.
  if (!std::ifstream(group + "/memory.max")) return 0;
  std::ifstream stat(group + "/memory.stat");
  uint64_t bytes = 0;
  std::string name;
  uint64_t value = 0;
  while (stat >> name >> value) {
    for (const std::string_view counted :
         {"sock", "slab_unreclaimable", "kernel_stack", "pagetables", "percpu"}) {
      if (name == counted) bytes += value;
    }
  }
  return bytes;
}

uint64_t ResidentBytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t size = 0;
  uint64_t resident = 0;
  if (!(file >> size >> resident)) return 0;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

void HeapTrimmer::Check(time::MonotonicTime now) {
  if (now < next_) return;
  next_ = now + kEvery;
  const auto allocated = static_cast<int64_t>(allocated_());
  const int64_t free = static_cast<int64_t>(resident_()) - allocated;
  lowest_ = std::min(lowest_, free);
  if (free < lowest_ + std::clamp(allocated / kAllocatedPerGrowth, kLeastGrowthBytes, kMostGrowthBytes))
    return;
  trim_();
  lowest_ = static_cast<int64_t>(resident_()) - static_cast<int64_t>(allocated_());
}

uint64_t AllocatedBytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

bool MemoryGuard::Check(time::MonotonicTime now) {
  if (limit_ == 0) next_ = time::MonotonicTime::max();
  if (now < next_) return false;
  const std::lock_guard lock(mutex_);
  const Finding found = Measure(now, By::kMainLoop);
  const bool short_now = gauge_.level() != Pressure::kNone;
  next_ = now + std::clamp<time::Duration>(found.safe_for, kOften, short_now ? kWhileShedding : kRarely);
  return found.give_up;
}

bool MemoryGuard::Look(time::MonotonicTime now) {
  if (limit_ == 0) return false;
  const std::unique_lock lock(mutex_, std::try_to_lock);  // whoever has it sets the gauge
  if (!lock || now < next_look_) return false;
  return Measure(now, By::kWorker).give_up;
}

MemoryGuard::Finding MemoryGuard::Measure(time::MonotonicTime now, By by) {
  const auto before = static_cast<size_t>(gauge_.level());
  // What was freed stays with the allocator, where it looks used. The main loop does not rely on a worker's
  // having had it given back: that one gives up its own only, and all are to be told.
  const bool trim = before > 0 && (by == By::kMainLoop || now >= next_trim_);
  if (trim) {
    trim_();
    next_trim_ = now + kOften;
  }
  const auto limit = static_cast<double>(limit_);
  const double share = static_cast<double>(use_()) / limit;
  size_t step = before;
  while (step > 0 && share < kBegins[step - 1] - kSlack) --step;
  while (step < std::size(kBegins) && share >= kBegins[step]) ++step;
  gauge_.Set(static_cast<Pressure>(step));
  const double next_step = step < std::size(kBegins) ? kBegins[step] : 1;
  const std::chrono::duration<double> until_it((next_step - share) * limit / kGrowthPerSecond);
  Finding found;
  found.safe_for = std::chrono::duration_cast<time::Duration>(until_it);
  next_look_ = now + std::clamp<time::Duration>(found.safe_for, kSoonest, kRarely);
  if (before == 0) short_since_ = now;
  const bool lasts = by == By::kMainLoop && step > 0 && now >= short_since_ + kLasting;
  // Not on a use that still has in it what was given up the last time, and no more than that.
  constexpr auto kGivesUp = static_cast<size_t>(Pressure::kShedStreams);
  found.give_up = lasts || (step >= kGivesUp && (trim || step > before));
  if (found.give_up) short_since_ = now;
  return found;
}

}  // namespace pillion
