#include "sidecar/worker/engine.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "sidecar/exchange/exchange.h"
#include "sidecar/filter/order.h"
#include "sidecar/worker/find_limits.h"
#include "sidecar/worker/find_tables.h"

namespace pillion::worker {

std::shared_ptr<const PreparedSnapshot> Prepare(std::shared_ptr<const config::Snapshot> snapshot,
                                                const PreparedSnapshot* previous, ledger::Limits* limits,
                                                idempotency::Tables* tables) {
  FindLimits(*snapshot, limits);
  FindTables(*snapshot, tables);
  auto prepared = std::make_shared<PreparedSnapshot>();
  const auto add = [&](const std::shared_ptr<const config::RouteTable>& routes) {
    auto& index = prepared->indexes[routes.get()];
    if (index != nullptr) return;
    if (previous != nullptr) {
      if (const auto known = previous->indexes.find(routes.get()); known != previous->indexes.end())
        index = known->second;
    }
    if (index == nullptr) index = std::make_shared<route::RouteIndex>(routes);
  };
  for (const auto& [name, entry] : snapshot->listeners) {
    for (const auto& routes : entry.routes) {
      if (routes != nullptr) add(routes);
    }
  }
  prepared->snapshot = std::move(snapshot);
  return prepared;
}

// A configuration may ask for less, and then costs no more.
constexpr auto kShortestForgetting = std::chrono::milliseconds(100);

void Forgetter::Apply(const config::Snapshot& snapshot) {
  interval_ = time::Duration::max();
  for (const auto& [name, entry] : snapshot.clusters) {
    if (const auto& original = entry.cluster->original_destination)
      interval_ = std::min<time::Duration>(interval_, original->forget_after);
  }
  interval_ = std::max<time::Duration>(interval_, kShortestForgetting);
  if (interval_ == time::Duration::max()) {
    timer_.Cancel();
  } else if (!timer_.armed() || turn_.now() + interval_ < timer_.deadline()) {
    turn_.Arm(timer_, turn_.now() + interval_);
  }
}

stream::Progress Forgetter::Run() {
  clusters_.ForgetIdle(turn_.now());
  if (interval_ != time::Duration::max()) turn_.Arm(timer_, turn_.now() + interval_);
  return stream::Progress::kIdle;
}

Engine::Engine(const time::Clock& clock, net::Loop& loop, telemetry::Shard& stats, uint64_t seed, Place place)
    : loop_(loop),
      stats_(stats),
      place_(std::move(place)),
      turn_(clock, place_.longest_turn),
      own_ledger_(place_.ledger == nullptr ? std::make_unique<ledger::Ledger>(1) : nullptr),
      clusters_({own_ledger_ != nullptr ? *own_ledger_ : *place_.ledger, place_.ledger_number}),
      forgetter_(turn_, clusters_),
      pools_({turn_, loop_, memory_, stats_.worker, tls_}),
      random_(seed),
      token_stores_({turn_, loop_, tls_, random_, stats_.worker.token_store}),
      environment_{
          turn_, clusters_, pools_, random_, stats_, records_, filter::MakeFilters(token_stores_.stores())},
      side_calls_(environment_),
      mirrors_(environment_),
      doorbell_(turn_, place_.ring) {
  environment_.doorbell = &doorbell_;
  environment_.mirrors = &mirrors_;
  environment_.pressure = place_.pressure;
  if (place_.ledger == nullptr || place_.keeps_health)
    health_ = std::make_unique<HealthKeeper>(environment_, loop_, stats_, tls_);
}

Engine::~Engine() {
  // Sessions and exchanges belong to the turn: end them first, then let it run until it has deleted them all.
  Abort();
  if (health_ != nullptr) health_->Apply({});
  clusters_.Apply({});
  turn_.NeverCut();
  for (int turns = 0; turns < 1000 && turn_.Run(); ++turns) {
  }
}

std::vector<std::string> Engine::Apply(std::shared_ptr<const PreparedSnapshot> prepared) {
  std::vector<std::string> failures;
  const config::Snapshot& snapshot = *prepared->snapshot;
  clusters_.Apply(snapshot);
  token_stores_.Apply(snapshot, clusters_);
  forgetter_.Apply(snapshot);
  if (health_ != nullptr) health_->Apply(snapshot);
  for (auto it = listeners_.begin(); it != listeners_.end();) {
    if (snapshot.listeners.count(it->first) != 0) {
      ++it;
      continue;
    }
    it->second.listener->Retire();
    leaving_.push_back(std::move(it->second));
    it = listeners_.erase(it);
  }
  for (const auto& [name, entry] : snapshot.listeners) {
    ApplyListener(name, entry, *prepared, failures);
  }
  prepared_ = std::move(prepared);
  return failures;
}

// Of a chain that did not change: what it serves goes on, under its new routes.
LocalRef<exchange::ListenerScope> Engine::ScopeOf(const Active& active, const config::HttpServer& http) {
  for (const auto& scope : active.scopes) {
    if (scope && scope->config.get() == &http) return scope;
  }
  return {};
}

void Engine::ApplyListener(const std::string& name, const config::ListenerEntry& entry,
                           const PreparedSnapshot& prepared, std::vector<std::string>& failures) {
  const auto make_routes = [&](size_t chain) {
    return LocalRef<exchange::RouteScope>(new exchange::RouteScope(
        *entry.listener->chain(chain).http, prepared.indexes.at(entry.routes[chain].get()), stats_));
  };
  const auto known = listeners_.find(name);
  if (known != listeners_.end() && known->second.entry.listener == entry.listener) {
    Active& active = known->second;
    for (size_t i = 0; i < active.scopes.size(); ++i) {
      if (active.entry.routes[i] != entry.routes[i]) active.scopes[i]->routes = make_routes(i);
    }
    active.entry = entry;
    return;
  }
  const bool in_place =
      known != listeners_.end() && known->second.entry.listener->address == entry.listener->address;
  std::vector<LocalRef<exchange::ListenerScope>> scopes(entry.listener->chain_count());
  listener::Factories factories(scopes.size());
  for (size_t i = 0; i < scopes.size(); ++i) {
    const auto& http = entry.listener->chain(i).http;
    if (http == nullptr) continue;
    if (in_place) scopes[i] = ScopeOf(known->second, *http);
    if (scopes[i]) {
      scopes[i]->routes = make_routes(i);
    } else {
      scopes[i] =
          LocalRef<exchange::ListenerScope>(new exchange::ListenerScope(http, make_routes(i), environment_));
    }
    factories[i] = std::make_unique<exchange::ProxyFactory>(environment_, scopes[i]);
  }
  if (in_place) {
    known->second.listener->Replace(entry.listener, std::move(factories));
    known->second.entry = entry;
    known->second.scopes = std::move(scopes);
    return;
  }
  const bool inbound = entry.listener->direction == config::Direction::kInbound;
  if (inbound ? draining_inbound_ : draining_outbound_) return;
  int error = 0;
  auto opened = listener::Listener::Open(listener_parts(), entry.listener, std::move(factories), &error);
  if (opened == nullptr) {
    failures.push_back("listener " + name + ": cannot listen on " + entry.listener->address.ToString() +
                       ": " + std::strerror(error));
    return;
  }
  if (known != listeners_.end()) {
    known->second.listener->Retire();
    leaving_.push_back(std::move(known->second));
  }
  listeners_[name] = {entry, std::move(scopes), std::move(opened)};
}

void Engine::Adopt(const std::string& listener, std::unique_ptr<net::Socket> socket) {
  const auto found = listeners_.find(listener);
  if (found == listeners_.end()) {
    stats_.worker.client_connections.Add();
    stats_.worker.client_connections_closed.Add();
    return;
  }
  found->second.listener->Adopt(std::move(socket));
}

bool Engine::RunTurn() {
  turn_.WakingFirst([this] { tls_.pacer.BeginTurn(); });  // its turn may be over before the queue is
  const bool more = turn_.Run();
  LookAtMemory();
  return more || turn_.has_work() || tls_.pacer.waiting();
}

void Engine::TurnOnce(time::MonotonicTime deadline) {
  const bool busy = turn_.has_work() || tls_.pacer.waiting();
  loop_.Wait(busy ? turn_.now() : std::min(deadline, turn_.NextDeadline()));
  RunTurn();
  stats_.worker.turns.Add();
  if (!leaving_.empty()) {
    std::erase_if(leaving_, [](const Active& active) { return active.listener->empty(); });
  }
}

void Engine::Drain(bool inbound) {
  (inbound ? draining_inbound_ : draining_outbound_) = true;
  for (auto& [name, active] : listeners_) {
    const bool is_inbound = active.entry.listener->direction == config::Direction::kInbound;
    if (is_inbound == inbound) active.listener->Drain();
  }
}

void Engine::Abort() {
  for (auto& [name, active] : listeners_) active.listener->Abort();
  for (Active& active : leaving_) active.listener->Abort();
  mirrors_.GiveUpAll();
  environment_.aborted = true;
  for (exchange::Exchange* one = environment_.alive.front(); one != nullptr;
       one = environment_.alive.Next(one))
    turn_.Wake(*one);
}

void Engine::LookAtMemory() {
  const telemetry::WorkerStats& stats = stats_.worker;
  const uint64_t taken = stats.client_wires.bytes_read.value() + stats.upstream_wires.bytes_read.value() +
                         memory_.scratch.head_bytes();
  if (place_.look == nullptr || taken - looked_at_bytes_ < kLookBytes) return;
  looked_at_bytes_ = taken;
  if (place_.look(turn_.now())) ShedLargest();
}

size_t Engine::ShedLargest() {
  std::vector<stream::Holder*> holders;
  auto& alive = environment_.alive;
  for (exchange::Exchange* one = alive.front(); one != nullptr; one = alive.Next(one)) holders.push_back(one);
  for (const auto& [name, active] : listeners_) active.listener->AddHolders(holders);
  for (const Active& active : leaving_) active.listener->AddHolders(holders);
  return stream::GiveUpLargest(holders, turn_);
}

bool Engine::Drained(bool inbound) const {
  const auto busy = [inbound](const Active& active) {
    const bool is_inbound = active.entry.listener->direction == config::Direction::kInbound;
    return is_inbound == inbound && !active.listener->empty();
  };
  for (const auto& [name, active] : listeners_) {
    if (busy(active)) return false;
  }
  if (std::any_of(leaving_.begin(), leaving_.end(), busy)) return false;
  return (inbound ? environment_.active_inbound : environment_.active_outbound) == 0;
}

}  // namespace pillion::worker
