// A chain of sidecars under load on virtual time: clients that ask a thousand times a second, real engines
// that retry, and apps behind the last one that answer, are slow, or are not there.
//
//   clients --> sidecar --> sidecar --> ... --> apps
//
// Each sidecar stands for one service's: what it knows of an attempt it tells the one before it.
#ifndef PILLION_TESTS_SIMULATION_POLICIES_LOAD_H_
#define PILLION_TESTS_SIMULATION_POLICIES_LOAD_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/config/cluster.h"
#include "sidecar/config/route_table.h"
#include "sidecar/net/loop.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/testing/sim_network.h"
#include "sidecar/worker/engine.h"
#include "tests/simulation/policies/app.h"

namespace pillion::simulation {

struct LoadPlan {
  uint64_t seed = 1;
  size_t hops = 1;
  size_t apps = 3;
  std::optional<config::RetryPolicy> retry;
  time::Duration timeout = std::chrono::seconds(5);  // of the route
  // Of the clusters of all sidecars.
  time::Duration connect_timeout = std::chrono::seconds(5);
  config::RetryBudget budget;
  config::Balancer balancer;
  config::CircuitLimits circuits;
  std::optional<config::OutlierDetection> outlier;
  uint32_t requests_per_second = 1000;
  std::chrono::seconds lasts{20};
  bool post = false;
  AppTraits app;
  // At its times, in order: what becomes of an app. None is there in the beginning.
  struct Change {
    enum class To : uint8_t {
      kUp,          // another one, if there was one
      kDown,        // killed: what it was about to answer is lost
      kSlow,        // takes `factor` times as long
      kBlackHole,   // whatever is sent to or by it vanishes
      kHeard,       // no more; what had vanished arrives now (SimNetwork::BlackHole)
      kConnsReset,  // all of its connections, once
    };
    std::chrono::milliseconds after;
    size_t app;
    To to;
    double factor = 1;
  };
  std::vector<Change> changes;
};

// One request, as its client saw it.
struct Answer {
  time::Duration asked{};  // after the beginning
  time::Duration took{};
  bool ok = false;
};

struct LoadResult {
  uint64_t requests = 0;
  uint64_t ok = 0;
  uint64_t attempts = 0;  // of the last sidecar, or what would have been the app's
  uint64_t executed = 0;  // by apps
  uint32_t most = 0;      // executions of one request
  uint64_t lost = 0;      // clients whose connection ended
  double peak = 0;        // attempts per request in the worst second
  std::vector<Answer> answers;
  double attempts_per_request() const {
    return static_cast<double>(attempts) / static_cast<double>(requests);
  }
  double success() const { return static_cast<double>(ok) / static_cast<double>(requests); }
  // Of the good answers to what was asked from then until then.
  time::Duration Percentile(double percent, time::Duration from = {},
                            time::Duration until = time::Duration::max()) const;
  // How long after `end` nothing was to be seen any more: from then on, in each quarter of a second, at
  // least 99 % are good and 99 % of those take no longer than `slow`.
  time::Duration Recovery(time::Duration end, time::Duration slow) const;
};

LoadResult RunLoad(const LoadPlan& plan);

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_POLICIES_LOAD_H_
