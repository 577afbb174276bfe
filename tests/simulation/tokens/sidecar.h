// The processes of one schedule that run the sidecar's own engine, each with its clock and, where it enforces
// a domain of mode local, its table. In mode `shared` they name the servers of its store (store_side.h),
// which are other hosts of the network, in their configuration as they name their apps.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_SIDECAR_H_
#define PILLION_TESTS_SIMULATION_TOKENS_SIDECAR_H_

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sidecar/base/pressure.h"
#include "sidecar/idempotency/tables.h"
#include "sidecar/telemetry/request_record.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/testing/sim_network.h"
#include "sidecar/time/clock.h"
#include "sidecar/worker/engine.h"
#include "tests/simulation/tokens/schedule.h"

namespace pillion::simulation::tokens {

inline constexpr idempotency::DomainId kDomain = 7;  // of the first version of the policy

// The machine's time, and a wall clock that may be wrong.
class HostClock final : public time::Clock {
 public:
  explicit HostClock(const testing::VirtualClock& clock) : clock_(clock) {}
  time::MonotonicTime Now() const override { return clock_.Now(); }
  time::WallTime Wall() const override { return clock_.Wall() + error; }
  time::Duration error{};

 private:
  const testing::VirtualClock& clock_;
};

// What all of them are made of; all outlive them.
struct Machine {
  testing::VirtualClock& clock;
  testing::SimNetwork& network;
  telemetry::Registry& registry;
  const Settings& settings;
  Random& random;
};

// What is configured of one.
struct Configured {
  uint64_t version = 0;       // of the policy
  bool enforces = true;       // of a replica
  std::set<size_t> unlisted;  // of a client's: replicas that are no endpoints
  size_t primary = 0;         // of a replica's, where the configuration names it alone
};

// Of a replica's sidecar, at the end of one of its processes.
struct Seen {
  idempotency::Incarnation incarnation{};
  std::vector<telemetry::RequestRecord> records;
};

class Sidecar {
 public:
  enum class Of : uint8_t { kClient, kReplica };
  // `number`: among its kind.
  Sidecar(const Machine& machine, Of of, size_t number);
  ~Sidecar();
  Sidecar(const Sidecar&) = delete;
  Sidecar& operator=(const Sidecar&) = delete;

  // True: it ran.
  bool Run();
  time::MonotonicTime NextDeadline();
  // Takes `configured` over.
  void Apply();
  // It does not run before then, whatever happens.
  void PauseUntil(time::MonotonicTime then) { paused_until_ = std::max(paused_until_, then); }
  // As by SIGKILL.
  void Kill();
  void Start();
  void Drain() { engine_->Drain(of_ == Of::kReplica); }
  bool alive() const { return engine_ != nullptr; }
  HostClock& clock() { return clock_; }
  idempotency::Tables& tables() { return *tables_; }
  PressureGauge& pressure() { return pressure_; }
  // Requests that have ended, by process.
  const std::vector<Seen>& seen();
  idempotency::DomainTime WallNow() const {
    return std::chrono::floor<idempotency::DomainTime>(clock_.Wall().time_since_epoch());
  }
  Configured configured;

 private:
  void TakeRecords();
  const Machine& machine_;
  const Of of_;
  const size_t number_;
  HostClock clock_;
  PressureGauge pressure_;
  std::unique_ptr<idempotency::Tables> tables_;
  std::unique_ptr<net::Loop> loop_;
  std::unique_ptr<worker::Engine> engine_;
  time::MonotonicTime paused_until_{};
  std::vector<Seen> seen_;
};

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_SIDECAR_H_
