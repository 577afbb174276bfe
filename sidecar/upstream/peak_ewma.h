// How long an endpoint takes to answer, as one worker has seen it: an exponentially weighted moving average
// that follows a slower answer at once and a faster one by and by (as Finagle's and Linkerd's "peak EWMA"
// balancers do). What is not asked is forgotten, so that an endpoint that was slow is tried again. Pure: time
// is told.
#ifndef PILLION_SIDECAR_UPSTREAM_PEAK_EWMA_H_
#define PILLION_SIDECAR_UPSTREAM_PEAK_EWMA_H_

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>

#include "sidecar/time/clock.h"

namespace pillion::upstream {

class PeakEwma {
 public:
  // What failed is as bad as an answer that took so long, so that one that fails at once does not seem fast.
  static constexpr time::Duration kFailed = std::chrono::seconds(1);
  // What is not known yet: all requests must not go to the newest.
  static constexpr time::Duration kUnknown = std::chrono::milliseconds(1);
  static constexpr time::Duration kLeast = std::chrono::microseconds(1);

  void Observe(time::Duration took, bool failed, time::MonotonicTime now, time::Duration decay) {
    const auto value = static_cast<double>(std::max(took, failed ? kFailed : time::Duration{1}).count());
    const double kept = Kept(now, decay);
    average_ = value > average_ * kept ? value : value + (average_ - value) * kept;
    at_ = now;
  }
  // What one more request is likely to cost, with so many under way: nanoseconds times requests.
  uint64_t Cost(uint32_t under_way, time::MonotonicTime now, time::Duration decay) const {
    const auto least = static_cast<double>((average_ == 0 ? kUnknown : kLeast).count());
    const double one = std::max(average_ * Kept(now, decay), least);
    return static_cast<uint64_t>(one * (under_way + 1.0));
  }

 private:
  double Kept(time::MonotonicTime now, time::Duration decay) const {
    if (average_ == 0) return 0;
    return std::exp(-static_cast<double>((now - at_).count()) / static_cast<double>(decay.count()));
  }

  double average_ = 0;  // nanoseconds; 0: none has been seen
  time::MonotonicTime at_{};
};

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_PEAK_EWMA_H_
