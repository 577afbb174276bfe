#include "sidecar/time/clock.h"

#include <time.h>

namespace pillion::time {
namespace {
Duration Read(clockid_t id) {
  timespec now;
  clock_gettime(id, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}
}  // namespace

MonotonicTime SystemClock::Now() const { return MonotonicTime(Read(CLOCK_MONOTONIC)); }
WallTime SystemClock::Wall() const { return WallTime(Read(CLOCK_REALTIME)); }

}  // namespace pillion::time
