// A token bucket that any number of threads take from: lock-free, pure arithmetic with the time told.
//
// It fills evenly, one token after the other. What it holds is one number: the time at which it would have
// been empty if it could fill without end.
//
//        empty at                                                   now
//   --------|--------+--------+--------+--------+--------+------------|-----> time
//                 one token each                     at most `full` of it counts
//
// Taking a token moves that time forward by a token. However the calls of the threads fall, and whatever
// times (of one clock) they tell: between two times t0 <= t1 at most max_tokens + (t1 - t0) / token are
// granted.
#ifndef PILLION_SIDECAR_LEDGER_TOKEN_BUCKET_H_
#define PILLION_SIDECAR_LEDGER_TOKEN_BUCKET_H_

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "sidecar/time/clock.h"

namespace pillion::ledger {

// How large a bucket is, and how fast it fills. A value.
struct BucketShape {
  uint32_t max_tokens = 1;
  time::Duration token{1};  // the time in which one comes; at least 1 ns
  time::Duration full() const { return token * max_tokens; }
  friend bool operator==(const BucketShape&, const BucketShape&) = default;
};

struct Taken {
  bool granted = false;
  uint32_t left = 0;             // whole tokens that are there now
  time::Duration until_next{0};  // when refused: until there is one
  time::Duration until_full{0};
};

class TokenBucket {
 public:
  // Full at first. Any thread.
  Taken Take(const BucketShape& shape, time::MonotonicTime now) {
    const int64_t at = now.time_since_epoch().count();
    const int64_t full = shape.full().count();
    const int64_t token = shape.token.count();
    int64_t empty = empty_at_.load(std::memory_order_relaxed);
    while (true) {
      const int64_t next = std::max(empty, at - full) + token;
      if (next > at) return {false, 0, time::Duration(next - at), time::Duration(next - token + full - at)};
      if (empty_at_.compare_exchange_weak(empty, next, std::memory_order_relaxed))
        return {true, static_cast<uint32_t>((at - next) / token), {}, time::Duration(next + full - at)};
    }
  }

 private:
  std::atomic<int64_t> empty_at_{INT64_MIN};
};

}  // namespace pillion::ledger

#endif  // PILLION_SIDECAR_LEDGER_TOKEN_BUCKET_H_
