#include "sidecar/time/timer_wheel.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <vector>

namespace pillion::time {
namespace {

using Wheel = TimerWheelOf<int>;
using Timer = TimerOf<int>;
using std::chrono::milliseconds;

MonotonicTime At(int64_t ms) { return MonotonicTime(milliseconds(ms)); }

TEST(TimerWheel, AgreesWithASortedListOverRandomArmsCancelsAndLeaps) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    std::mt19937_64 random(seed);
    MonotonicTime now = At(static_cast<int64_t>(random() % 100000000));
    Wheel wheel(now);
    std::vector<std::unique_ptr<Timer>> timers;
    std::map<Timer*, MonotonicTime> model;
    timers.reserve(40);
    for (int i = 0; i < 40; ++i) timers.push_back(std::make_unique<Timer>(nullptr));
    for (int step = 0; step < 300; ++step) {
      Timer& timer = *timers[random() % timers.size()];
      if (random() % 4 == 0) {
        timer.Cancel();
        model.erase(&timer);
      } else {
        const uint64_t magnitude = uint64_t{1} << (random() % 33);
        const MonotonicTime due = now + Duration(static_cast<int64_t>(random() % (magnitude * 1000 + 1)));
        wheel.Arm(timer, due);
        model[&timer] = due;
      }
      if (random() % 3 == 0) {
        MonotonicTime next = wheel.NextDeadline();
        for (const auto& [t, due] : model) {
          ASSERT_LE(next, due + milliseconds(1)) << "seed " << seed << ": would oversleep";
        }
        now = random() % 2 == 0 && next != MonotonicTime::max() ? std::max(now, next)
                                                                : now + Duration(random() % 5000000000);
        wheel.Advance(now, [&](Timer& fired) {
          ASSERT_TRUE(model.count(&fired)) << "seed " << seed;
          EXPECT_LE(model[&fired], now) << "early, seed " << seed;
          model.erase(&fired);
        });
        for (const auto& [t, due] : model) {
          ASSERT_GT(due + milliseconds(1), now) << "missed, seed " << seed;
        }
      }
    }
  }
}

TEST(TimerWheel, ACallbackMayRearmItsTimer) {
  Wheel wheel(At(10));
  Timer timer(nullptr);
  wheel.Arm(timer, At(20));
  int fired = 0;
  for (int ms = 10; ms < 100; ++ms) {
    wheel.Advance(At(ms), [&](Timer& t) {
      ++fired;
      wheel.Arm(t, At(ms + 10));
    });
  }
  EXPECT_EQ(fired, 8);
}

TEST(TimerWheel, AnEmptyWheelNeverWakesAnybody) {
  Wheel wheel(At(5));
  EXPECT_EQ(wheel.NextDeadline(), MonotonicTime::max());
  {
    Timer timer(nullptr);
    wheel.Arm(timer, At(500));
    EXPECT_NE(wheel.NextDeadline(), MonotonicTime::max());
  }
  EXPECT_EQ(wheel.NextDeadline(), MonotonicTime::max());
}

}  // namespace
}  // namespace pillion::time
