#include "tests/simulation/sidecar_host.h"

#include <algorithm>
#include <utility>

namespace pillion::simulation {
namespace {
constexpr auto kNotYet = time::MonotonicTime::max();
// Connections to upstreams that have bytes of an ended tunnel to send get this long.
constexpr auto kLastBytes = std::chrono::milliseconds(100);
// Requests that were under way when the drain began, and connections that waited, get this long to begin.
constexpr auto kLastRequests = std::chrono::seconds(2);
}  // namespace

SidecarHost::SidecarHost(testing::VirtualClock& clock, testing::SimNetwork& network,
                         telemetry::Registry& registry, std::optional<size_t> inbound, const Mood& mood,
                         Random& random)
    : clock_(clock),
      network_(network),
      registry_(registry),
      mood_(mood),
      random_(random),
      name_(inbound ? "inbound-" + std::to_string(*inbound) : "outbound"),
      loop_(network.NewLoop()),
      config_(inbound, mood, random) {
  Start();
}

SidecarHost::~SidecarHost() = default;

void SidecarHost::Start() {
  shards_.push_back(&registry_.NewShard());
  worker::Place place;
  if (mood_.short_turns) place.longest_turn = time::Duration(-1);
  engine_ = std::make_unique<worker::Engine>(clock_, *loop_, *shards_.back(), random_.Next(), place);
  for (const std::string& failure : engine_->Apply(config_.Build())) failures_.push_back(failure);
}

bool SidecarHost::RunTurn() {
  bool worked = engine_ != nullptr && engine_->RunTurn();
  for (Leaving& leaving : leaving_) {
    if (!leaving.begun && clock_.Now() >= leaving.closed) leaving.begun = Begun(*leaving.shard);
    worked = leaving.engine->RunTurn() || worked;
    if (leaving.deadline && *leaving.deadline <= clock_.Now()) {
      leaving.engine->Abort();
      while (leaving.engine->RunTurn()) {
      }
      if (!leaving.engine->Drained(inbound())) failures_.push_back("something outlives the drain's deadline");
      leaving.deadline.reset();
      worked = true;
    }
  }
  std::erase_if(leaving_, [&](Leaving& leaving) {
    if (leaving.drained == kNotYet && leaving.engine->Drained(inbound())) leaving.drained = clock_.Now();
    if (leaving.drained == kNotYet || clock_.Now() < leaving.drained + kLastBytes) return false;
    End(leaving);
    return true;
  });
  return worked;
}

time::MonotonicTime SidecarHost::NextDeadline() {
  auto next = time::MonotonicTime::max();
  if (engine_ != nullptr) next = engine_->turn().NextDeadline();
  for (Leaving& leaving : leaving_) {
    next = std::min(next, leaving.engine->turn().NextDeadline());
    if (leaving.drained != kNotYet)
      next = std::min(next, std::max(leaving.drained + kLastBytes, clock_.Now()));
    if (leaving.deadline) next = std::min(next, std::max(*leaving.deadline, clock_.Now()));
  }
  return next;
}

void SidecarHost::Change(bool last) {
  config_.Change();
  if (last) config_.MakeWhole();
  for (const std::string& failure : engine_->Apply(config_.Build())) failures_.push_back(failure);
  // A listener that is gone closes its socket in a turn, and may be back in the next change. (A sidecar's
  // process holds the sockets itself.)
  while (engine_->RunTurn()) {
  }
}

void SidecarHost::Restart(std::optional<time::MonotonicTime> deadline) {
  engine_->Drain(inbound());
  // It takes those who wait in the accept queue and closes its sockets; the next one listens from then on.
  for (const net::Address& address : config_.addresses()) {
    while (network_.listening(address)) engine_->RunTurn();
  }
  Leave(deadline);
  Start();
}

void SidecarHost::Stop() {
  engine_->Drain(inbound());
  Leave(std::nullopt);
}

void SidecarHost::Leave(std::optional<time::MonotonicTime> deadline) {
  leaving_.push_back({.engine = std::move(engine_),
                      .shard = shards_.back(),
                      .closed = clock_.Now() + mood_.drain_timeout + kLastRequests,
                      .deadline = deadline,
                      .begun = {}});
}

uint64_t SidecarHost::Begun(telemetry::Shard& shard) const {
  std::vector<telemetry::RouteKey> keys;
  registry_.ForEachRoute([&keys](const telemetry::RouteKey& key, const auto&) { keys.push_back(key); });
  uint64_t begun = 0;
  for (const telemetry::RouteKey& key : keys) begun += shard.Route(key).started.value();
  return begun;
}

// What is counted must add up when nothing is under way.
void SidecarHost::End(Leaving& leaving) {
  worker::Engine& engine = *leaving.engine;
  if (leaving.begun && *leaving.begun != Begun(*leaving.shard))
    failures_.push_back("requests began on an engine that takes none any more");
  const exchange::Environment& environment = engine.environment();
  if (environment.active_inbound + environment.active_outbound != 0)
    failures_.push_back("an exchange outlived its session");
  for (const auto& [name, cluster] : engine.clusters().all()) {
    if (cluster->active_attempts != 0) failures_.push_back("active attempts left of " + name);
    for (const auto& endpoint : cluster->endpoints()) {
      if (endpoint->active_attempts != 0) failures_.push_back("active attempts left of an endpoint");
    }
  }
  for (telemetry::RequestRecord& record : engine.records().Take()) records_.push_back(std::move(record));
}

std::vector<telemetry::RequestRecord> SidecarHost::TakeRecords() { return std::exchange(records_, {}); }

}  // namespace pillion::simulation
