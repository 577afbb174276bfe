// Record, then run (STYLE.md R3): the run queue, the timers and the end-of-turn flush of one thread.
//
//   readiness, expired timers, a neighbour's call  --Wake-->  run queue  --Run()-->  work
//   work that made output  --MarkDirty-->  flush list  --Flush() once, at the end of the turn-->  one write
//   per session
//
// A Runnable is never entered twice and dies only here: Run() answers kDone and the turn deletes it. So
// nobody's `this` goes away under his feet. One clock read per turn. Owner: a worker or the main loop;
// single-threaded.
#ifndef PILLION_SIDECAR_STREAM_TURN_H_
#define PILLION_SIDECAR_STREAM_TURN_H_

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "sidecar/base/intrusive_list.h"
#include "sidecar/time/clock.h"
#include "sidecar/time/timer_wheel.h"

namespace pillion::stream {

enum class Progress : bool { kIdle, kDone };

struct RunTag;
struct FlushTag;

class Runnable : public ListNode<RunTag> {
 public:
  virtual ~Runnable() = default;
  // Does what has been marked, as far as it goes. kDone: delete me.
  virtual Progress Run() = 0;
};

class Flushable : public ListNode<FlushTag> {
 public:
  // Writes what this turn made. Must not delete itself; may Wake.
  virtual void Flush() = 0;

 protected:
  ~Flushable() = default;
};

using Timer = time::TimerOf<Runnable>;

class Turn {
 public:
  // A busy turn must not starve the sockets, nor leave the memory unwatched: what is queued after so long
  // waits for the next.
  static constexpr time::Duration kLongest = std::chrono::milliseconds(2);
  // `longest`: less than nothing, for tests on a clock that stands still: each is cut as early as can be.
  explicit Turn(const time::Clock& clock, time::Duration longest = kLongest)
      : clock_(clock),
        longest_(longest),
        now_(clock.Now()),
        wall_offset_(clock.Wall().time_since_epoch() - now_.time_since_epoch()),
        timers_(now_) {}

  // The turn's time: read once at its start.
  time::MonotonicTime now() const { return now_; }
  // Counts turns: for what may be had once in each.
  uint64_t number() const { return number_; }
  time::WallTime wall() const { return Wall(now_); }
  time::WallTime Wall(time::MonotonicTime t) const {
    return time::WallTime(t.time_since_epoch() + wall_offset_);
  }

  // Queues `work` to run in this turn (or the next, when it is running now). Idempotent.
  void Wake(Runnable& work) {
    if (waking_first_) {
      WakeFirst(work);
    } else if (!work.ListNode<RunTag>::linked()) {
      queue_.PushBack(&work);
    }
  }
  // Queues `work` for the next turn, when the loop has looked at its sockets: for who has done his share of
  // this one. A Wake before then does not bring it forward.
  void WakeNextTurn(Runnable& work) {
    if (!work.ListNode<RunTag>::linked()) next_.PushBack(&work);
  }
  // Before all that is queued: for who has memory to let go of while it is short. Not from its own Run.
  void WakeFirst(Runnable& work) {
    work.ListNode<RunTag>::Unlink();
    queue_.PushFront(&work);
  }
  // Between turns: whom `wake` wakes goes before all that is queued.
  template <typename F>
  void WakingFirst(F wake) {
    waking_first_ = true;
    wake();
    waking_first_ = false;
  }
  void MarkDirty(Flushable& work) {
    if (!work.ListNode<FlushTag>::linked()) dirty_.PushBack(&work);
  }
  void Arm(Timer& timer, time::MonotonicTime deadline) { timers_.Arm(timer, deadline); }

  // For an end at which all that is left has to run: turns are not cut any more.
  void NeverCut() { longest_ = time::Duration::max(); }

  // Runs one turn. True when work is left for the next (has_work).
  bool Run();
  // Something is queued: the next turn should not wait.
  bool has_work() const { return !queue_.empty() || !next_.empty() || !dirty_.empty(); }
  // When the next turn is due if no readiness comes first.
  time::MonotonicTime NextDeadline() { return timers_.NextDeadline(); }

 private:
  static constexpr size_t kRunsPerLook = 4;  // at the clock, in a turn
  static constexpr size_t kMaxRunsPerTurn = 10'000;

  const time::Clock& clock_;
  time::Duration longest_;
  time::MonotonicTime now_;
  uint64_t number_ = 0;
  time::Duration wall_offset_;
  time::MonotonicTime wall_read_ = now_;
  time::TimerWheelOf<Runnable> timers_;
  IntrusiveList<Runnable, RunTag> queue_;
  IntrusiveList<Runnable, RunTag> next_;
  IntrusiveList<Flushable, FlushTag> dirty_;
  bool running_ = false;
  bool waking_first_ = false;
};

}  // namespace pillion::stream

#endif  // PILLION_SIDECAR_STREAM_TURN_H_
