// Outlier detection (xds.md 1.5): which endpoints do so badly, of the requests that they get, that they are
// left alone for a while. Workers note how each attempt went and eject at once who fails too often one after
// the other; the main loop compares the endpoints of a cluster once per interval. There is one view for the
// process.
#ifndef PILLION_SIDECAR_UPSTREAM_OUTLIER_H_
#define PILLION_SIDECAR_UPSTREAM_OUTLIER_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/config/cluster.h"
#include "sidecar/ledger/ledger.h"
#include "sidecar/time/clock.h"

namespace pillion::upstream {

// How an attempt went, as far as its endpoint is to blame.
enum class AttemptResult : uint8_t {
  kGood,
  kServerError,   // 5xx, or what gRPC has for it
  kGatewayError,  // 502, 503, 504 among them
  kLocalFailure,  // it could not be reached, broke off, or did not answer in time
};

// Whose result it is. All outlive the call.
struct Judged {
  ledger::ClusterLedger& cluster;
  ledger::EndpointHealth& endpoint;
  const config::OutlierDetection& terms;
  size_t worker;
};

// Counts, and ejects where it has failed too often one after the other. That worker's thread.
void NoteResult(const Judged& judged, AttemptResult result, time::MonotonicTime now, Random& random);

// What one endpoint did in an interval.
struct OutlierSample {
  uint64_t attempts = 0;
  uint64_t good = 0;
};

// By number, those whose success rate is below the mean of all that had at least `volume` attempts by more
// than `factor` thousandths of their standard deviation. None where fewer than `hosts` had. Pure.
std::vector<size_t> FindBelowMean(std::span<const OutlierSample> samples, uint32_t hosts, uint32_t volume,
                                  uint32_t factor);
// Those of which at least `threshold` percent failed. Pure.
std::vector<size_t> FindFailing(std::span<const OutlierSample> samples, uint32_t hosts, uint32_t volume,
                                uint32_t threshold);

// The main loop's part for one cluster.
class OutlierSweep {
 public:
  // Compares, when an interval is over; lets those back whose time is. `endpoints`: all of the cluster's, by
  // number as last time or not. Returns when to come again.
  time::MonotonicTime Run(ledger::ClusterLedger& cluster, const config::OutlierDetection& terms,
                          std::span<const std::shared_ptr<ledger::EndpointHealth>> endpoints,
                          time::MonotonicTime now, Random& random);

 private:
  void Compare(ledger::ClusterLedger& cluster, const config::OutlierDetection& terms,
               std::span<const std::shared_ptr<ledger::EndpointHealth>> endpoints, time::MonotonicTime now,
               Random& random);
  time::MonotonicTime next_{};  // end of the interval
  std::map<std::weak_ptr<ledger::EndpointHealth>, ledger::TallySums, std::owner_less<>> before_;
};

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_OUTLIER_H_
