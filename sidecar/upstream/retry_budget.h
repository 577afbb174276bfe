// How many retries the requests of a cluster may cost, so that retries never become the load that keeps a
// cluster down (Beyer et al., Site Reliability Engineering, ch. 21: a share of the requests; Bronson et al.,
// HotOS 2021: what happens otherwise). A token bucket: each request puts its share in, each retry takes one
// out, and what is in it at most is what one second of requests puts in, so that a long quiet time saves
// nothing up for the moment of the failure. Pure: time is told. One worker's, of one cluster.
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

  void set_terms(const config::RetryBudget& terms) {
    terms_ = terms;
    level_ = std::min(level_, Depth());
  }
  // One of the cluster's requests begins; its retries are none.
  void OnRequest(time::MonotonicTime now) {
    Refill(now);
    ++requests_;
    level_ = std::min(level_ + terms_.share, Depth());
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

  double Depth() const {
    const double burst = terms_.share > 0 || terms_.per_second > 0 ? kBurst : 0;
    return std::max(
        {burst, terms_.per_second, terms_.share * static_cast<double>(std::max(before_, requests_))});
  }
  void Refill(time::MonotonicTime now) {
    if (now >= second_ + kSecond) {
      before_ = now < second_ + 2 * kSecond ? requests_ : 0;
      requests_ = 0;
      second_ = now;
    }
    const std::chrono::duration<double> since = now - refilled_;
    level_ = std::min(level_ + terms_.per_second * since.count(), Depth());
    refilled_ = now;
  }

  config::RetryBudget terms_;
  double level_ = kBurst;
  uint64_t requests_ = 0;  // since `second_`
  uint64_t before_ = 0;    // in the second before it
  time::MonotonicTime second_{};
  time::MonotonicTime refilled_{};
};

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_RETRY_BUDGET_H_
