#include "tests/simulation/tokens/world.h"

#include <algorithm>
#include <utility>

namespace pillion::simulation::tokens {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = Trouble::Kind;

constexpr auto kLimit = seconds(30);  // of a schedule: what is not over then waits for ever
constexpr auto kWatchEvery = milliseconds(100);
constexpr auto kLast = kMaxExecution + seconds(1);  // when all are told: what runs without them
// In mode shared also what is still to be told to the store, what is kept of ends, and what records are
// there.
constexpr auto kLastOfShared = seconds(9);
constexpr int kMaxRounds = 10000;  // at one moment: more is spinning

}  // namespace

World::World(const Schedule& schedule, Ledger& ledger)
    : schedule_(schedule),
      random_(schedule.seed * 2),
      network_(clock_, random_.Next(), schedule.network),
      machine_{clock_, network_, registry_, schedule.settings, random_},
      began_(clock_.Now()),
      loop_(network_.NewLoop()),
      store_(MakeStore(ledger)),
      callers_(*loop_, ledger, schedule.asks),
      resender_(*loop_, ledger, schedule, random_.Next()) {
  for (const auto& cut : schedule.cuts) network_.CutLater(cut);
  if (store_ != nullptr) store_->Settle();
  for (size_t i = 0; i < schedule.settings.replicas; ++i) {
    apps_.push_back(std::make_unique<App>(*loop_, ledger, i));
    replicas_.push_back(std::make_unique<Sidecar>(machine_, Sidecar::Of::kReplica, i));
  }
  for (size_t i = 0; i < schedule.settings.outbounds; ++i)
    clients_.push_back(std::make_unique<Sidecar>(machine_, Sidecar::Of::kClient, i));
  for (size_t i = 0; i < schedule.asks.size(); ++i)
    At(schedule.asks[i].after, [this, i] { callers_.Begin(i, clock_.Now()); });
  for (size_t i = 0; i < schedule.sends.size(); ++i)
    At(schedule.sends[i].after, [this, i] { resender_.Begin(i, clock_.Now()); });
  for (const Trouble& trouble : schedule.troubles) Plan(trouble);
}

std::unique_ptr<StoreSide> World::MakeStore(Ledger& ledger) {
  if (!schedule_.settings.is_shared()) return nullptr;
  StoreSide::World hooks;
  hooks.after = [this](time::Duration after, std::function<void()> act) { After(after, std::move(act)); };
  hooks.stored = [this](size_t replica) { OnStored(replica); };
  hooks.point = [this](size_t replica, size_t server) {
    replicas_[replica]->configured.primary = server;
    if (schedule_.settings.shared.told_primary) replicas_[replica]->Apply();
  };
  return std::make_unique<StoreSide>(machine_, schedule_, ledger, std::move(hooks));
}

void World::OnStored(size_t replica) {
  const auto dies = std::ranges::find(schedule_.troubles, Kind::kDies, &Trouble::kind);
  if (dies == schedule_.troubles.end() || std::exchange(died_, true)) return;
  Sidecar* const sidecar = replicas_[replica].get();
  After({}, [sidecar] {
    if (sidecar->alive()) sidecar->Kill();
  });
  After(dies->lasts, [this, sidecar] { Restart(*sidecar); });
}

void World::Plan(const Trouble& trouble) {
  if (trouble.kind == Kind::kDies) return;
  if (trouble.lasts.count() == 0 && trouble.after.count() == 0) return;  // it is in the settings
  At(trouble.after, [this, &trouble] { Strike(trouble); });
  At(trouble.after + trouble.lasts, [this, &trouble] { Recover(trouble); });
}

Sidecar& World::HostOf(const Trouble& trouble) {
  const size_t replicas = replicas_.size();
  return trouble.host < replicas ? *replicas_[trouble.host] : *clients_.at(trouble.host - replicas);
}

void World::Restart(Sidecar& sidecar) const {
  if (sidecar.alive()) sidecar.Kill();
  sidecar.Start();
}

void World::Strike(const Trouble& trouble) {
  if (IsOfStore(trouble.kind)) return store_->Strike(trouble);
  Sidecar& host = HostOf(trouble);
  switch (trouble.kind) {
    case Kind::kHole:
      return network_.BlackHole(trouble.at, true);
    case Kind::kPause:
      return host.PauseUntil(clock_.Now() + trouble.lasts);
    case Kind::kCrash:
    case Kind::kClientCrash:
      if (host.alive()) host.Kill();
      return;
    case Kind::kDrain:
      if (host.alive()) host.Drain();
      return;
    case Kind::kAppDown:
      return apps_[trouble.host]->GoDown();
    case Kind::kClock:
      host.clock().error = store_ == nullptr ? host.clock().error + trouble.step : trouble.step;
      return;
    case Kind::kDomain:
    case Kind::kClientDomain:
      host.configured.version = 1;
      return host.Apply();
    case Kind::kUnnamed:
      host.configured.enforces = false;
      return host.Apply();
    case Kind::kUnlisted:
      for (const auto& client : clients_) {
        client->configured.unlisted.insert(trouble.host);
        client->Apply();
      }
      return;
    case Kind::kShed:
      return host.tables().ShedHalf();
    case Kind::kPressure:
      return host.pressure().Set(Pressure::kShedRequests);
    default:
      return;
  }
}

void World::Recover(const Trouble& trouble) {
  if (IsOfStore(trouble.kind)) return store_->Recover(trouble);
  Sidecar& host = HostOf(trouble);
  switch (trouble.kind) {
    case Kind::kHole:
      return network_.BlackHole(trouble.at, false);
    case Kind::kCrash:
    case Kind::kClientCrash:
    case Kind::kDrain:
      return Restart(host);
    case Kind::kAppDown:
      return apps_[trouble.host]->ComeUp();
    case Kind::kUnnamed:
      host.configured.enforces = trouble.host < schedule_.settings.enforcing;
      return host.Apply();
    case Kind::kUnlisted:
      for (const auto& client : clients_) {
        client->configured.unlisted.erase(trouble.host);
        client->Apply();
      }
      return;
    case Kind::kPressure:
      return host.pressure().Set(Pressure::kNone);
    default:
      return;
  }
}

bool World::Act() {
  bool acted = false;
  for (; !acts_.empty() && acts_.begin()->first <= clock_.Now(); acts_.erase(acts_.begin())) {
    acts_.begin()->second();
    acted = true;
  }
  return acted;
}

bool World::RunAll() {
  bool worked = callers_.Run(clock_.Now());
  if (store_ != nullptr) worked = store_->Run() || worked;
  worked = resender_.Run(clock_.Now()) || worked;
  for (const auto& app : apps_) worked = app->Run(clock_.Now()) || worked;
  const size_t all = replicas_.size() + clients_.size();
  const size_t first = random_.Next() % all;
  for (size_t i = 0; i < all; ++i) {
    const size_t number = (first + i) % all;
    Sidecar& one = number < replicas_.size() ? *replicas_[number] : *clients_[number - replicas_.size()];
    worked = one.Run() || worked;
  }
  return worked;
}

bool World::Done() const {
  return acts_.empty() &&
         std::ranges::all_of(callers_.told(),
                             [](const Told& told) { return told.end != Told::End::kNone; }) &&
         std::ranges::all_of(resender_.replies(),
                             [](const Reply& reply) { return reply.end != Reply::End::kNone; });
}

time::MonotonicTime World::Next() const {
  time::MonotonicTime next = std::min(network_.NextEvent(), callers_.NextDeadline());
  next = std::min(next, resender_.NextDeadline());
  if (store_ != nullptr) next = std::min(next, store_->NextDeadline());
  if (!acts_.empty()) next = std::min(next, acts_.begin()->first);
  for (const auto& app : apps_) next = std::min(next, app->NextDeadline());
  for (const auto& one : replicas_) next = std::min(next, one->NextDeadline());
  for (const auto& one : clients_) next = std::min(next, one->NextDeadline());
  return next;
}

void World::Play(std::vector<std::string>& wrong) {
  const auto last = store_ == nullptr ? time::Duration(kLast) : time::Duration(kLastOfShared);
  time::MonotonicTime end = began_ + kLimit + schedule_.lead();
  for (bool done = false;;) {
    network_.Deliver();
    Act();
    int rounds = 0;
    while (RunAll() && ++rounds < kMaxRounds) {
    }
    if (rounds >= kMaxRounds) return wrong.push_back("somebody spins");
    if (clock_.Now() >= watched_ + kWatchEvery) Watch(wrong);
    if (!done && Done()) {
      done = true;
      end = std::min<time::MonotonicTime>(end, clock_.Now() + last);
    }
    const time::MonotonicTime next = Next();
    if (next > end) break;
    clock_.AdvanceTo(std::max(next, clock_.Now() + time::Duration(1)));
  }
  Watch(wrong);
}

// I8.
void World::Watch(std::vector<std::string>& wrong) {
  watched_ = clock_.Now();
  const Settings& settings = schedule_.settings;
  for (const auto& replica : replicas_) {
    if (!replica->alive()) continue;
    for (const auto& [id, table] : replica->tables().All()) {
      const idempotency::LocalTable::Counts counts = table->Count();
      const uint64_t records = counts.in_flight + counts.completed + counts.tombstones + counts.unknown;
      if (counts.room.records > settings.records || counts.room.bytes > settings.bytes ||
          counts.room.waiters > settings.max_waiters)
        wrong.push_back("I8: a table holds more than it may");
      if (counts.room.records != records) wrong.push_back("I8: records are not counted");
      if (counts.fenced != 0) wrong.push_back("I5: an execution has ended a record of another");
      if (counts.answer_bytes > counts.room.bytes) wrong.push_back("I8: answers are not counted");
    }
    replica->tables().Sweep(replica->WallNow());
  }
}

}  // namespace pillion::simulation::tokens
