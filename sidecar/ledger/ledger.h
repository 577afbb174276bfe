// What must be counted once per process, of clusters and their endpoints: which endpoints are ejected or fail
// their health checks, and what is under way against the circuit limits. Entries live as long as a worker's
// tables hold them. Reading costs a relaxed load; what is written is rare, or told in batches.
#ifndef PILLION_SIDECAR_LEDGER_LEDGER_H_
#define PILLION_SIDECAR_LEDGER_LEDGER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/ledger/shared_count.h"
#include "sidecar/time/clock.h"

namespace pillion::ledger {

// Failures one after the other, by what is counted.
enum class Streak : uint8_t { kServerError, kGateway, kLocal };
inline constexpr size_t kStreaks = 3;

// Attempts of one worker since the endpoint is known. One writer, any reader.
struct alignas(64) Tally {
  std::atomic<uint64_t> external{0};  // that reached the endpoint, and of them those that did well
  std::atomic<uint64_t> external_good{0};
  std::atomic<uint64_t> local{0};  // likewise, of all: whether it could be reached
  std::atomic<uint64_t> local_good{0};
};

struct TallySums {
  uint64_t external = 0;
  uint64_t external_good = 0;
  uint64_t local = 0;
  uint64_t local_good = 0;
};

class EndpointHealth {
 public:
  static constexpr uint32_t kEjected = 1;      // outlier detection
  static constexpr uint32_t kCheckFailed = 2;  // active health checks
  static constexpr uint32_t kUnchecked = 4;    // its first health check has not ended

  explicit EndpointHealth(size_t workers) : tallies_(workers) {}

  uint32_t flags() const { return flags_.load(std::memory_order_relaxed); }
  // By that worker only.
  Tally& tally(size_t worker) { return tallies_[worker]; }
  TallySums Sum() const;

  // The length of the streak with this failure.
  uint32_t Lengthen(Streak streak) {
    return streaks_[static_cast<size_t>(streak)].fetch_add(1, std::memory_order_relaxed) + 1;
  }
  // While all is well nothing is written.
  void Break(Streak streak) {
    auto& length = streaks_[static_cast<size_t>(streak)];
    if (length.load(std::memory_order_relaxed) != 0) length.store(0, std::memory_order_relaxed);
  }

 private:
  friend class ClusterLedger;
  std::atomic<uint32_t> flags_{0};
  std::array<std::atomic<uint32_t>, kStreaks> streaks_{};
  std::vector<Tally> tallies_;
  // The cluster's mutex guards these.
  uint32_t times_ejected_ = 0;
  time::MonotonicTime ejected_until_{};
};

// How long, and how many.
struct EjectionTerms {
  time::Duration base;
  time::Duration longest;
  uint32_t most_percent = 10;
  bool always_one = false;  // also where that is more than the share
};

// Whose circuit limits count: of each there are two, by the priority of the request's route.
enum class Circuit : uint8_t { kConnections, kPending, kRequests, kRetries };
inline constexpr size_t kCircuits = 4;
inline constexpr size_t kCircuitPriorities = 2;

// What is told of a cluster, for metrics.
struct ClusterCounts {
  size_t endpoints = 0;  // and of them those of which it is thought:
  size_t ejected = 0;
  size_t check_failed = 0;
  size_t unchecked = 0;
  uint64_t ejections = 0;      // since it is known
  uint64_t checks_passed = 0;  // likewise
  uint64_t checks_failed = 0;
  using PerCircuit = std::array<std::array<uint64_t, kCircuits>, kCircuitPriorities>;
  PerCircuit held{};              // as far as the workers have told
  PerCircuit refused{};           // because the circuit was open
  std::optional<double> retries;  // that the budgets of all workers had left when each last looked; none has
};

class ClusterLedger {
 public:
  explicit ClusterLedger(size_t workers) : workers_(workers), budgets_(workers) {}

  // The same for all who ask for an address while one of them holds it.
  std::shared_ptr<EndpointHealth> HealthOf(const std::string& address);
  // How many connections there are to it, where that is limited; likewise the same for all.
  std::shared_ptr<SharedCount> ConnectionsOf(const std::string& address);

  // Requests have been sent to it.
  void NoteTraffic() {
    if (!has_traffic()) has_traffic_.store(true, std::memory_order_relaxed);
  }
  bool has_traffic() const { return has_traffic_.load(std::memory_order_relaxed); }

  // Changes whenever a flag of an endpoint does.
  uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }

  // Ejects it, `jitter` longer than its `base` times the number of ejections. False where it is already,
  // where too many are, or no other would stay.
  bool Eject(EndpointHealth& endpoint, time::MonotonicTime now, const EjectionTerms& terms,
             time::Duration jitter);
  // Those whose time is over come back. Returns how many.
  size_t Uneject(time::MonotonicTime now);
  // An interval has passed: who was not ejected in it is on the way to be forgiven.
  void Forgive();
  // When the next comes back; max: none is ejected.
  time::MonotonicTime NextReturn() const;
  size_t ejected() const;

  // It comes back before its time.
  void EndEjection(EndpointHealth& endpoint);

  // What active checks have found.
  void SetChecked(EndpointHealth& endpoint, bool healthy);
  void SetUnchecked(EndpointHealth& endpoint);
  // It is checked no more.
  void ForgetChecks(EndpointHealth& endpoint);

  SharedCount& circuit(size_t priority, Circuit circuit) {
    return circuits_[priority][static_cast<size_t>(circuit)];
  }
  void NoteRefused(size_t priority, Circuit circuit) {
    refused_[priority][static_cast<size_t>(circuit)].fetch_add(1, std::memory_order_relaxed);
  }
  void NoteCheck(bool passed) {
    (passed ? checks_passed_ : checks_failed_).fetch_add(1, std::memory_order_relaxed);
  }
  // What that worker's retry budget has left. By that worker only.
  void TellBudget(size_t worker, double level) {
    budgets_[worker].level.store(level, std::memory_order_relaxed);
  }
  ClusterCounts Counts() const;

 private:
  template <typename Do>
  void ForEach(Do what) const;  // with the mutex held
  bool SetFlags(EndpointHealth& endpoint, uint32_t set, uint32_t clear);
  void Return(EndpointHealth& endpoint);

  const size_t workers_;
  std::atomic<uint64_t> epoch_{1};
  std::atomic<bool> has_traffic_{false};
  mutable std::mutex mutex_;
  std::map<std::string, std::weak_ptr<EndpointHealth>> endpoints_;
  size_t sweep_at_ = 16;  // entries, before those that nobody holds any more are looked for
  std::map<std::string, std::weak_ptr<SharedCount>> connections_;
  size_t sweep_connections_at_ = 16;
  std::array<std::array<SharedCount, kCircuits>, kCircuitPriorities> circuits_;
  std::array<std::array<std::atomic<uint64_t>, kCircuits>, kCircuitPriorities> refused_{};
  std::atomic<uint64_t> ejections_{0};
  std::atomic<uint64_t> checks_passed_{0};
  std::atomic<uint64_t> checks_failed_{0};
  struct alignas(64) BudgetLevel {
    std::atomic<double> level{-1};  // below 0: not told
  };
  std::vector<BudgetLevel> budgets_;
};

// Of all clusters. One per process; outlives the workers. Any thread.
class Ledger {
 public:
  // `workers`: threads with tables of their own, the main loop with them. They have the numbers below that.
  explicit Ledger(size_t workers) : workers_(workers) {}
  size_t workers() const { return workers_; }
  std::shared_ptr<ClusterLedger> ClusterOf(const std::string& name);
  // Of all clusters that somebody holds, by name.
  std::map<std::string, ClusterCounts> Counts() const;

 private:
  const size_t workers_;
  mutable std::mutex mutex_;
  std::map<std::string, std::weak_ptr<ClusterLedger>> clusters_;
  size_t sweep_at_ = 16;  // entries, before those that nobody holds any more are looked for
};

}  // namespace pillion::ledger

#endif  // PILLION_SIDECAR_LEDGER_LEDGER_H_
