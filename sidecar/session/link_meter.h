// Whether a connection carries all it can: by what was measured since the last look, half a second at least.
// One thread.
#ifndef PILLION_SIDECAR_SESSION_LINK_METER_H_
#define PILLION_SIDECAR_SESSION_LINK_METER_H_

#include <chrono>
#include <cstdint>

#include "sidecar/time/clock.h"

namespace pillion::session {

class LinkMeter {
 public:
  explicit LinkMeter(time::MonotonicTime now) : settled_(now), begun_(now) {}
  // What the kernel has not taken waits, or waits no more.
  void SetBlocked(bool blocked, time::MonotonicTime now) {
    Settle(now);
    blocked_ = blocked;
  }
  // `moved`: bytes that it has carried in its life, both ways. True: the kernel would not take more for more
  // than half of the time, or it carried more than kFullBytesPerSecond.
  bool Full(uint64_t moved, time::MonotonicTime now) {
    Settle(now);
    const time::Duration passed = now - begun_;
    if (passed < kWindow) return full_;
    const double seconds = std::chrono::duration<double>(passed).count();
    full_ = blocked_for_ * 2 > passed ||
            static_cast<double>(moved - moved_before_) > seconds * kFullBytesPerSecond;
    begun_ = now;
    blocked_for_ = {};
    moved_before_ = moved;
    return full_;
  }

  static constexpr time::Duration kWindow = std::chrono::milliseconds(500);
  // What one worker of the far side reads beside its other work.
  static constexpr double kFullBytesPerSecond = 256e6;

 private:
  void Settle(time::MonotonicTime now) {
    if (blocked_) blocked_for_ += now - settled_;
    settled_ = now;
  }

  time::MonotonicTime settled_;
  time::MonotonicTime begun_;
  time::Duration blocked_for_{};
  uint64_t moved_before_ = 0;
  bool blocked_ = false;
  bool full_ = false;
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_LINK_METER_H_
