// A hierarchical timer wheel (Varghese and Lauck, 1987, scheme 6) as a pure structure: now in, expired timers
// out.
//
//   level 0: 64 slots of 1 ms | level 1: 64 of 64 ms | ... | level 5: reaches 2 years
//
// Arming, re-arming and cancelling are O(1) and never allocate: links live in the timer. A timer fires at
// most 1 ms late and never early. Expiry only marks: `fired` is set and the owner is handed back by Advance.
// Owner: one thread's turn. A timer that dies is cancelled.
#ifndef PILLION_SIDECAR_TIME_TIMER_WHEEL_H_
#define PILLION_SIDECAR_TIME_TIMER_WHEEL_H_

#include <array>
#include <bit>
#include <cstdint>

#include "sidecar/base/intrusive_list.h"
#include "sidecar/time/clock.h"

namespace pillion::time {

struct TimerTag;

template <typename Owner>
class TimerOf : public ListNode<TimerTag> {
 public:
  explicit TimerOf(Owner* owner) : owner_(owner) {}
  bool armed() const { return linked(); }
  MonotonicTime deadline() const { return deadline_; }
  Owner* owner() const { return owner_; }
  void Cancel() { Unlink(); }

 private:
  template <typename>
  friend class TimerWheelOf;
  Owner* owner_;
  MonotonicTime deadline_{};
};

template <typename Owner>
class TimerWheelOf {
 public:
  using Timer = TimerOf<Owner>;
  explicit TimerWheelOf(MonotonicTime now) : tick_(TickOf(now)) {}

  // Arms or re-arms. A deadline that has passed fires at the next Advance.
  void Arm(Timer& timer, MonotonicTime deadline) {
    timer.Unlink();
    timer.deadline_ = deadline;
    Place(timer, TickUp(deadline));
  }

  // Calls expire(timer) for every timer whose deadline is at or before `now`, each unlinked first.
  template <typename Expire>
  void Advance(MonotonicTime now, Expire expire) {
    const uint64_t target = TickOf(now);
    while (tick_ < target) {
      const uint64_t next = NextTick();
      if (next > target) {
        tick_ = target;
        break;
      }
      tick_ = next;
      Cascade();
      ExpireSlot(expire);
    }
    ExpireSlot(expire);
  }

  // When Advance has work next; MonotonicTime::max() when there is none. May be early (a cascade), never
  // late.
  MonotonicTime NextDeadline() {
    if (Occupied(0, tick_ & kMask)) return MonotonicTime(tick_ * kTick);
    const uint64_t next = NextTick();
    if (next == kNever) return MonotonicTime::max();
    return MonotonicTime(next * kTick);
  }

 private:
  static constexpr Duration kTick = std::chrono::milliseconds(1);
  static constexpr int kLevels = 6;
  static constexpr int kBits = 6;
  static constexpr uint64_t kMask = 63;
  static constexpr uint64_t kNever = ~uint64_t{0};
  using List = IntrusiveList<Timer, TimerTag>;

  static uint64_t TickOf(MonotonicTime t) {
    return static_cast<uint64_t>(t.time_since_epoch().count() / kTick.count());
  }
  static uint64_t TickUp(MonotonicTime t) {
    return static_cast<uint64_t>((t.time_since_epoch().count() + kTick.count() - 1) / kTick.count());
  }

  void Place(Timer& timer, uint64_t due) {
    if (due < tick_) due = tick_;
    constexpr uint64_t kReach = (uint64_t{1} << (kBits * kLevels)) - 1;
    if (due - tick_ > kReach) due = tick_ + kReach;
    // The level is set by the highest bit in which `due` differs from now: its slot is reached by counting
    // up.
    const uint64_t differs = due ^ tick_;
    int level = 0;
    while (level + 1 < kLevels && (differs >> (kBits * (level + 1))) != 0) ++level;
    const uint64_t slot = due >> (kBits * level) & kMask;
    slots_[static_cast<size_t>(level)][slot].PushBack(&timer);
    bits_[static_cast<size_t>(level)] |= uint64_t{1} << slot;
  }

  bool Occupied(size_t level, uint64_t slot) {
    if ((bits_[level] >> slot & 1) == 0) return false;
    if (!slots_[level][slot].empty()) return true;
    bits_[level] &= ~(uint64_t{1} << slot);  // its timers were cancelled
    return false;
  }

  // The first of these slots of a level with a timer in it; 64 when there is none.
  uint64_t FirstOccupied(size_t level, uint64_t slots) {
    for (slots &= bits_[level]; slots != 0; slots &= slots - 1) {
      const auto slot = static_cast<uint64_t>(std::countr_zero(slots));
      if (Occupied(level, slot)) return slot;
    }
    return kMask + 1;
  }

  // The next tick after tick_ at which a slot must be looked at.
  uint64_t NextTick() {
    for (size_t level = 0; level < kLevels; ++level) {
      const uint64_t here = tick_ >> (kBits * level);
      const uint64_t slot = FirstOccupied(level, ~uint64_t{1} << (here & kMask));
      if (slot <= kMask) return ((here & ~kMask) | slot) << (kBits * level);
    }
    // Timers beyond the reach of the top level's current turn wrap around.
    const uint64_t slot = FirstOccupied(kLevels - 1, ~uint64_t{0});
    if (slot > kMask) return kNever;
    const uint64_t here = tick_ >> (kBits * (kLevels - 1));
    return ((here & ~kMask) + 64 + slot) << (kBits * (kLevels - 1));
  }

  // On entering a slot of a higher level its timers move down.
  void Cascade() {
    for (size_t level = kLevels - 1; level > 0; --level) {
      if ((tick_ & ((uint64_t{1} << (kBits * level)) - 1)) != 0) continue;
      const uint64_t slot = tick_ >> (kBits * level) & kMask;
      if (!Occupied(level, slot)) continue;
      List moving;
      moving.Splice(slots_[level][slot]);
      bits_[level] &= ~(uint64_t{1} << slot);
      while (Timer* timer = moving.PopFront()) Place(*timer, TickUp(timer->deadline_));
    }
  }

  template <typename Expire>
  void ExpireSlot(Expire& expire) {
    const uint64_t slot = tick_ & kMask;
    if (!Occupied(0, slot)) return;
    List due;
    due.Splice(slots_[0][slot]);
    bits_[0] &= ~(uint64_t{1} << slot);
    while (Timer* timer = due.PopFront()) {
      if (TickUp(timer->deadline_) > tick_) {
        Place(*timer, TickUp(timer->deadline_));
      } else {
        expire(*timer);
      }
    }
  }

  uint64_t tick_;
  std::array<uint64_t, kLevels> bits_{};
  std::array<std::array<List, 64>, kLevels> slots_;
};

}  // namespace pillion::time

#endif  // PILLION_SIDECAR_TIME_TIMER_WHEEL_H_
