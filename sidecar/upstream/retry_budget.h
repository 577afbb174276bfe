// How many retries the requests of a cluster may cost, so that retries never become the load that keeps a
// cluster down (Beyer et al., Site Reliability Engineering, ch. 21: a share of the requests; Bronson et al.,
// HotOS 2021: what happens otherwise). A token bucket: each request puts its share in, each retry takes one
// out, and what is in it at most is what one second of requests puts in, so that a long quiet time saves
// nothing up for the moment of the failure. While most attempts fail requests put nothing in (gRPC proposal
// A6 gives no retries then): a cluster that is down with all it has would only come back later. Pure: time is
// told. One worker's, of one cluster.
#ifndef PILLION_SIDECAR_UPSTREAM_RETRY_BUDGET_H_
#define PILLION_SIDECAR_UPSTREAM_RETRY_BUDGET_H_

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "sidecar/config/cluster.h"
#include "sidecar/time/clock.h"

namespace pillion::upstream {

class RetryBudget {
 public:
  // A cluster that is seldom asked may still retry: the bucket holds this much also without requests, and
  // begins with it.
  static constexpr double kBurst = 20;
  // Of how many attempts may be said that most have failed.
  static constexpr uint64_t kFewAttempts = 20;

  void set_terms(const config::RetryBudget& terms) {
    terms_ = terms;
    level_ = std::min(level_, Depth());
  }
  // One of the cluster's requests begins; its retries are none.
  void OnRequest(time::MonotonicTime now) {
    Refill(now);
    ++requests_.now;
    if (!MostFail()) level_ = std::min(level_ + terms_.share, Depth());
  }
  // One of its attempts has ended that has cost an endpoint something: not one that was never sent.
  void OnAttempt(time::MonotonicTime now, bool failed) {
    Turn(now);
    ++ended_.now;
    if (failed) ++failed_.now;
  }
  // A retry may be made, and is paid for.
  bool Spend(time::MonotonicTime now) {
    Refill(now);
    if (level_ < 1) return false;
    level_ -= 1;
    return true;
  }
  // Retries that may be made now.
  double level() const { return level_; }

 private:
  static constexpr auto kSecond = std::chrono::seconds(1);
  // Since `second_`, and in the second before it.
  struct Count {
    uint64_t now = 0;
    uint64_t before = 0;
  };

  // Who gives each request a retry of its own wants it then, too.
  bool MostFail() const {
    const uint64_t ended = ended_.now + ended_.before;
    return ended >= kFewAttempts && 2 * (failed_.now + failed_.before) > ended && terms_.share < 1;
  }
  double Depth() const {
    const double burst = terms_.share > 0 || terms_.per_second > 0 ? kBurst : 0;
    return std::max({burst, terms_.per_second,
                     terms_.share * static_cast<double>(std::max(requests_.before, requests_.now))});
  }
  void Turn(time::MonotonicTime now) {
    if (now < second_ + kSecond) return;
    for (Count* const count : {&requests_, &ended_, &failed_})
      *count = {.now = 0, .before = now < second_ + 2 * kSecond ? count->now : 0};
    second_ = now;
  }
  void Refill(time::MonotonicTime now) {
    Turn(now);
    const std::chrono::duration<double> since = now - refilled_;
    level_ = std::min(level_ + terms_.per_second * since.count(), Depth());
    refilled_ = now;
  }

  config::RetryBudget terms_;
  double level_ = kBurst;
  Count requests_;
  Count ended_;   // attempts
  Count failed_;  // of them
  time::MonotonicTime second_{};
  time::MonotonicTime refilled_{};
};

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_RETRY_BUDGET_H_
