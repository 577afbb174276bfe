// A chain of sidecars under load on virtual time: clients that ask a thousand times a second, real engines
// that retry, and apps behind the last one that answer, or are not there.
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
#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine.h"

namespace pillion::simulation {

struct LoadPlan {
  uint64_t seed = 1;
  size_t hops = 1;
  size_t apps = 3;
  std::optional<config::RetryPolicy> retry;
  config::RetryBudget budget;
  uint32_t requests_per_second = 1000;
  std::chrono::seconds lasts{20};
  bool post = false;
  time::Duration takes = std::chrono::milliseconds(2);  // an app, from a request to its answer
  // At its times, in order: an app begins or ceases to be there.
  struct Change {
    std::chrono::milliseconds after;
    size_t app;
    bool up;
  };
  std::vector<Change> changes;
};

struct LoadResult {
  uint64_t requests = 0;
  uint64_t ok = 0;
  uint64_t attempts = 0;  // of the last sidecar, or what would have been the app's
  uint64_t executed = 0;  // by apps
  uint32_t most = 0;      // executions of one request
  uint64_t lost = 0;      // clients whose connection ended
  double attempts_per_request() const {
    return static_cast<double>(attempts) / static_cast<double>(requests);
  }
};

LoadResult RunLoad(const LoadPlan& plan);

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_POLICIES_LOAD_H_
