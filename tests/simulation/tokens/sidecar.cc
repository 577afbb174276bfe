#include "tests/simulation/tokens/sidecar.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sidecar/base/check.h"
#include "sidecar/config/filters.h"
#include "sidecar/config/snapshot.h"
#include "tests/simulation/tokens/sidecar_config.h"

namespace pillion::simulation::tokens {
namespace {
constexpr int kMaxLastTurns = 1000;
}  // namespace

Sidecar::Sidecar(const Machine& machine, Of of, size_t number)
    : machine_(machine), of_(of), number_(number), clock_(machine.clock) {
  configured.enforces = number < machine.settings.enforcing;
  Start();
}

Sidecar::~Sidecar() {
  if (alive()) Kill();
}

void Sidecar::Start() {
  idempotency::Incarnation incarnation{};
  const uint64_t drawn = machine_.random.Next();
  std::memcpy(incarnation.data(), &drawn, sizeof(drawn));
  tables_ = std::make_unique<idempotency::Tables>(incarnation);
  loop_ = machine_.network.NewLoop();
  worker::Place place;
  place.pressure = &pressure_;
  engine_ = std::make_unique<worker::Engine>(clock_, *loop_, machine_.registry.NewShard(),
                                             machine_.random.Next(), std::move(place));
  seen_.push_back({incarnation, {}});
  Apply();
}

void Sidecar::Apply() {
  if (!alive()) return;
  const auto snapshot = of_ == Of::kReplica ? InboundConfig(machine_.settings, number_, configured)
                                            : OutboundConfig(machine_.settings, number_, configured);
  const auto failures = engine_->Apply(worker::Prepare(snapshot, nullptr, nullptr, tables_.get()));
  PILLION_CHECK(failures.empty());
}

void Sidecar::TakeRecords() {
  std::vector<telemetry::RequestRecord>& records = seen_.back().records;
  for (telemetry::RequestRecord& record : engine_->records().Take()) records.push_back(std::move(record));
}

const std::vector<Seen>& Sidecar::seen() {
  if (alive()) TakeRecords();
  return seen_;
}

void Sidecar::Kill() {
  testing::SimNetwork::Kill(*loop_);
  engine_->Abort();
  for (int turns = 0; turns < kMaxLastTurns && engine_->RunTurn(); ++turns) {
  }
  TakeRecords();
  engine_.reset();
  paused_until_ = {};
}

bool Sidecar::Run() {
  if (!alive() || machine_.clock.Now() < paused_until_) return false;
  stream::Turn& turn = engine_->turn();
  if (!turn.has_work() && turn.NextDeadline() > machine_.clock.Now()) return false;
  engine_->RunTurn();
  return true;
}

time::MonotonicTime Sidecar::NextDeadline() {
  if (!alive()) return time::MonotonicTime::max();
  if (machine_.clock.Now() < paused_until_) return paused_until_;
  return engine_->turn().NextDeadline();
}

}  // namespace pillion::simulation::tokens
