// What one worker has under way to a cluster, and what all may have (circuit breakers). Held by what is
// counted, so that it lives until the last connection of a cluster that is gone has ended. One worker's.
#ifndef PILLION_SIDECAR_UPSTREAM_CIRCUITS_H_
#define PILLION_SIDECAR_UPSTREAM_CIRCUITS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

#include "sidecar/base/local_ref.h"
#include "sidecar/config/cluster.h"
#include "sidecar/ledger/ledger.h"

namespace pillion::upstream {

using ledger::Circuit;

class Circuits : public LocalCounted {
 public:
  Circuits(std::shared_ptr<ledger::ClusterLedger> ledger, size_t workers)
      : ledger_(std::move(ledger)),
        workers_(static_cast<uint32_t>(workers)),
        counts_{{{Count(0, 0), Count(0, 1), Count(0, 2), Count(0, 3)},
                 {Count(1, 0), Count(1, 1), Count(1, 2), Count(1, 3)}}} {}

  void set_limits(const std::array<config::CircuitLimits, 2>& limits) {
    for (size_t i = 0; i < limits.size(); ++i) {
      const config::CircuitLimits& one = limits[i];
      limits_[i] = {Limit(one.connections), Limit(one.pending), Limit(one.requests), Limit(one.retries)};
    }
  }
  // False, and nothing taken: the circuit is open. `priority`: of the route, 0 or 1 (HIGH).
  [[nodiscard]] bool Take(Circuit circuit, size_t priority) {
    if (counts_[priority][Number(circuit)].Take(limits_[priority][Number(circuit)])) return true;
    ledger_->NoteRefused(priority, circuit);
    return false;
  }
  void TakeAnyway(Circuit circuit, size_t priority) {
    counts_[priority][Number(circuit)].TakeAnyway(limits_[priority][Number(circuit)]);
  }
  void GiveBack(Circuit circuit, size_t priority) {
    counts_[priority][Number(circuit)].GiveBack(limits_[priority][Number(circuit)]);
  }
  // A tenth of it is free, and one at least.
  bool HasSpare(Circuit circuit, size_t priority) const {
    const ledger::CountLimit& limit = limits_[priority][Number(circuit)];
    return counts_[priority][Number(circuit)].HasRoom(limit, limit.most / 10 + 1);
  }
  int64_t held(Circuit circuit, size_t priority) const { return counts_[priority][Number(circuit)].held(); }

 private:
  static size_t Number(Circuit circuit) { return static_cast<size_t>(circuit); }
  ledger::WorkerCount Count(size_t priority, size_t circuit) {
    return ledger::WorkerCount(ledger_->circuit(priority, static_cast<Circuit>(circuit)));
  }
  ledger::CountLimit Limit(uint32_t most) const { return ledger::CountLimit::Of(most, workers_); }

  std::shared_ptr<ledger::ClusterLedger> ledger_;
  uint32_t workers_;
  std::array<std::array<ledger::CountLimit, ledger::kCircuits>, ledger::kCircuitPriorities> limits_;
  std::array<std::array<ledger::WorkerCount, ledger::kCircuits>, ledger::kCircuitPriorities> counts_;
};

// One connection among those of its cluster, for as long as it is there.
class ConnectionHold {
 public:
  // Over the limit too: who has no connection at all gets one, or nobody would be served. Else empty where
  // the circuit is open.
  static ConnectionHold Take(const LocalRef<Circuits>& circuits, size_t priority, bool anyway) {
    if (anyway) {
      circuits->TakeAnyway(Circuit::kConnections, priority);
    } else if (!circuits->Take(Circuit::kConnections, priority)) {
      return {};
    }
    return ConnectionHold(circuits, priority);
  }
  ConnectionHold() = default;
  ConnectionHold(ConnectionHold&& other) noexcept = default;
  ConnectionHold& operator=(ConnectionHold&& other) noexcept {
    std::swap(circuits_, other.circuits_);
    std::swap(priority_, other.priority_);
    return *this;
  }
  ~ConnectionHold() {
    if (circuits_) circuits_->GiveBack(Circuit::kConnections, priority_);
  }
  explicit operator bool() const { return static_cast<bool>(circuits_); }

 private:
  ConnectionHold(LocalRef<Circuits> circuits, size_t priority)
      : circuits_(std::move(circuits)), priority_(static_cast<uint8_t>(priority)) {}
  LocalRef<Circuits> circuits_;
  uint8_t priority_ = 0;
};

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_CIRCUITS_H_
