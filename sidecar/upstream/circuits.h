// What one worker has under way to a cluster, and what all may have (circuit breakers). Held by what is
// counted, so that it lives until the last connection of a cluster that is gone has ended. One worker's.
#ifndef PILLION_SIDECAR_UPSTREAM_CIRCUITS_H_
#define PILLION_SIDECAR_UPSTREAM_CIRCUITS_H_

#include <algorithm>
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

inline bool HasSpare(const ledger::WorkerCount& count, const ledger::CountLimit& limit) {
  return count.HasRoom(limit, limit.most / 10 + 1);
}

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
    return upstream::HasSpare(counts_[priority][Number(circuit)], limits_[priority][Number(circuit)]);
  }
  void NoteRefused(Circuit circuit, size_t priority) { ledger_->NoteRefused(priority, circuit); }
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

// The connections of one worker to one endpoint, where their number is limited. They count whoever they were
// made for; the limit is that of the priority which wants one more. Held by what is counted, as above.
class EndpointConnections : public LocalCounted {
 public:
  EndpointConnections(std::shared_ptr<ledger::SharedCount> shared,
                      const std::array<config::CircuitLimits, 2>& limits, size_t workers)
      : shared_(std::move(shared)), count_(*shared_) {
    // Told as often as the smaller limit needs it.
    const uint32_t least = std::min(limits[0].endpoint_connections, limits[1].endpoint_connections);
    const uint32_t batch = ledger::CountLimit::Of(least, static_cast<uint32_t>(workers)).batch;
    for (size_t i = 0; i < limits.size(); ++i) limits_[i] = {limits[i].endpoint_connections, batch};
  }
  [[nodiscard]] bool Take(size_t priority) { return count_.Take(limits_[priority]); }
  void TakeAnyway() { count_.TakeAnyway(limits_[0]); }
  void GiveBack() { count_.GiveBack(limits_[0]); }
  bool HasSpare(size_t priority) const { return upstream::HasSpare(count_, limits_[priority]); }
  int64_t held() const { return count_.held(); }

 private:
  std::shared_ptr<ledger::SharedCount> shared_;
  ledger::WorkerCount count_;
  std::array<ledger::CountLimit, ledger::kCircuitPriorities> limits_;
};

// One connection among those of its cluster, and of its endpoint, for as long as it is there.
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
    std::swap(endpoint_, other.endpoint_);
    std::swap(priority_, other.priority_);
    return *this;
  }
  ~ConnectionHold() {
    LeaveEndpoint();
    if (circuits_) circuits_->GiveBack(Circuit::kConnections, priority_);
  }
  // It is to that endpoint now, and no more to the one before; null: to one whose connections are not
  // counted. False, and it is to none: there are as many as may be. Only where it holds one of its cluster's.
  [[nodiscard]] bool MoveTo(const LocalRef<EndpointConnections>& endpoint, bool anyway) {
    LeaveEndpoint();
    if (!endpoint) return true;
    if (anyway) {
      endpoint->TakeAnyway();
    } else if (!endpoint->Take(priority_)) {
      circuits_->NoteRefused(Circuit::kConnections, priority_);
      return false;
    }
    endpoint_ = endpoint;
    return true;
  }
  explicit operator bool() const { return static_cast<bool>(circuits_); }

 private:
  ConnectionHold(LocalRef<Circuits> circuits, size_t priority)
      : circuits_(std::move(circuits)), priority_(static_cast<uint8_t>(priority)) {}
  void LeaveEndpoint() {
    if (endpoint_) endpoint_->GiveBack();
    endpoint_.Reset();
  }
  LocalRef<Circuits> circuits_;
  LocalRef<EndpointConnections> endpoint_;
  uint8_t priority_ = 0;
};

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_CIRCUITS_H_
