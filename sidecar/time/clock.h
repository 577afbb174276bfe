// The clock seam (STYLE.md R7, R15): the only source of time in the sidecar.
#ifndef PILLION_SIDECAR_TIME_CLOCK_H_
#define PILLION_SIDECAR_TIME_CLOCK_H_

#include <chrono>
#include <cstdint>

namespace pillion::time {

using Duration = std::chrono::nanoseconds;

struct MonotonicTag {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  static constexpr bool is_steady = true;
};
// Since an arbitrary start; never goes back.
using MonotonicTime = std::chrono::time_point<MonotonicTag, Duration>;
// Since 1970; for logs, spans, and what is told to clients of times that outlive this process.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime Now() const = 0;
  virtual WallTime Wall() const = 0;
};

class SystemClock : public Clock {
 public:
  MonotonicTime Now() const override;
  WallTime Wall() const override;
};

}  // namespace pillion::time

#endif  // PILLION_SIDECAR_TIME_CLOCK_H_
