#include "tests/simulation/tokens/store_side.h"

#include <algorithm>
#include <string_view>

#include "sidecar/base/slice.h"
#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/shared/claim_reply.h"

namespace pillion::simulation::tokens {
namespace {

using idempotency::ScriptName;
using std::chrono::milliseconds;
using Kind = Trouble::Kind;
using Clients = RedisServer::Clients;

constexpr size_t kFingerprint = 8;  // of a claim's arguments
constexpr milliseconds kLateLink{600};
constexpr milliseconds kUntilReplicasCount{1500};

DeploymentSettings SettingsOf(const Settings& settings, std::function<void(const RedisModel::Ran&)> ran) {
  DeploymentSettings of;
  of.servers = settings.shared.servers;
  of.clients = settings.replicas;
  of.min_replicas = settings.shared.min_replicas;
  of.link_delay = settings.shared.link_delay;
  of.ran = std::move(ran);
  return of;
}

Clients ClientsOf(const Trouble& trouble) {
  return trouble.store.closes ? Clients::kAreClosed : Clients::kStay;
}

}  // namespace

StoreSide::StoreSide(const Machine& machine, const Schedule& schedule, Ledger& ledger, World world)
    : machine_(machine),
      settings_(schedule.settings.shared),
      schedule_(schedule),
      ledger_(ledger),
      world_(std::move(world)),
      redis_({machine.clock, machine.network, machine.random},
             SettingsOf(schedule.settings, [this](const RedisModel::Ran& ran) { See(ran); })) {
  for (size_t i = 0; i < redis_.size(); ++i) redis_.server(i).SetClockError(settings_.server_errors.at(i));
  NameRequests();
  ledger.confirmed = [this](uint64_t id, bool other) { return IsConfirmed({id, other}); };
}

void StoreSide::Settle() {
  const time::MonotonicTime end = machine_.clock.Now() + kUntilReplicasCount;
  while (machine_.clock.Now() < end) {
    machine_.network.Deliver();
    if (redis_.Run()) continue;
    machine_.clock.AdvanceTo(std::min(end, std::min(machine_.network.NextEvent(), redis_.NextDeadline())));
  }
}

void StoreSide::Name(const http::RequestHead& head, Of of, size_t bytes) {
  SliceQueue content;
  content.AppendCopy(RequestBody(of.first, of.second, bytes));
  const idempotency::Digest print = idempotency::Fingerprint(head, content);
  names_[{reinterpret_cast<const char*>(print.bytes.data()), print.bytes.size()}] = of;
}

// As callers and the peer that sends again make them.
void StoreSide::NameRequests() {
  const auto head_of = [this](uint64_t id, const char* grpc_path) {
    const bool grpc = ledger_.items[id].work.grpc;
    http::RequestHead head;
    head.method_text = "POST";
    head.authority = "app";
    head.path = grpc ? grpc_path : "/order";
    if (grpc) head.headers.Add("content-type", "application/grpc");
    return head;
  };
  for (const Ask& ask : schedule_.asks)
    Name(head_of(ask.id, "/shop.Orders/Place"), {ask.id, false}, ask.body_bytes);
  for (const PeerToken& token : schedule_.tokens) {
    for (const bool other : {false, true}) Name(head_of(token.id, "/order"), {token.id, other}, 0);
  }
}

bool StoreSide::IsConfirmed(Of of) {
  size_t held = 0;
  bool confirmed = false;
  for (auto& [execution, claimed] : claimed_) {
    if (claimed.of != of || claimed.released) continue;
    ++held;
    claimed.runs = true;
    confirmed = confirmed || redis_.HowManyHaveSeen(execution) > settings_.replicas;
  }
  for (auto& [execution, claimed] : claimed_)
    claimed.others = claimed.others || (claimed.of == of && held > 1);
  return confirmed;
}

void StoreSide::See(const RedisModel::Ran& ran) {
  if (ran.arguments.empty() || ran.name == ScriptName::kOpen) return;
  const uint64_t execution = idempotency::ExecutionNumber(ran.arguments[0]);
  if (ran.name == ScriptName::kClaim) {
    const auto& parts = ran.reply.parts;
    if (parts.empty() || parts.front().text != "CLAIMED") return;
    const auto name = names_.find(ran.arguments[kFingerprint]);
    if (name == names_.end()) return wrong_.push_back("I5: somebody has claimed what nobody asked for");
    claimed_[execution].of = name->second;
    return;
  }
  const auto found = claimed_.find(execution);
  if (ran.name == ScriptName::kRelease && ran.reply.integer == 1 && found != claimed_.end()) {
    found->second.released = true;
    if (found->second.runs && !found->second.others) given_back_.insert(found->second.of);
  }
  const bool ends = ran.name == ScriptName::kEnd || ran.name == ScriptName::kReassert;
  if (!ends || ran.reply.text != "OK" || (ran.arguments[1] != "C" && ran.arguments[1] != "T")) return;
  SeeEnd(execution);
}

void StoreSide::SeeEnd(uint64_t execution) {
  const auto found = claimed_.find(execution);
  if (found == claimed_.end() || !found->second.runs)
    return wrong_.push_back("I5: is completed, and has not run");
  Claimed& claimed = found->second;
  if (claimed.stored) return;
  claimed.stored = machine_.clock.Now();
  const std::vector<Execution>& runs = ledger_.items[claimed.of.first].runs;
  if (!runs.empty()) world_.stored(runs.back().replica);
}

std::optional<time::MonotonicTime> StoreSide::StoredAt(uint64_t id, bool other) const {
  for (const auto& [execution, claimed] : claimed_) {
    if (claimed.of == Of(id, other) && claimed.stored) return claimed.stored;
  }
  return std::nullopt;
}

size_t StoreSide::CountRecords() {
  const RedisServer& primary = redis_.server(redis_.primary());
  size_t records = 0;
  for (const auto& [key, hash] : primary.data().all()) {
    // Where scripts end records, `e` says when; the server forgets them later.
    const auto end = hash.fields.find("e");
    const bool over = end == hash.fields.end() ? hash.ExpiredBy(primary.Now())
                                               : std::stoll(end->second) <= primary.Now().count();
    records += hash.fields.contains("s") && !over ? 1 : 0;
  }
  return records;
}

void StoreSide::Strike(const Trouble& trouble) {
  const Trouble::OfStore& of = trouble.store;
  if (trouble.kind == Kind::kStoreHole)
    return machine_.network.BlackHole(redis_.AddressOf(of.server, trouble.host), true);
  if (trouble.kind == Kind::kStoreReplica && redis_.server(of.server).master()) return;
  if (trouble.kind == Kind::kStoreReplica) return redis_.server(of.server).Kill();
  if (trouble.kind == Kind::kStorePause)
    return redis_.server(of.server).PauseUntil(machine_.clock.Now() + trouble.lasts);
  if (trouble.kind == Kind::kStoreClock) return redis_.server(of.server).SetClockError(trouble.step);
  old_primary_ = redis_.primary();
  RedisServer& primary = redis_.server(old_primary_);
  switch (trouble.kind) {
    case Kind::kFailover:
      primary.Kill();
      break;
    case Kind::kSplit:
      deaf_ = {old_primary_};
      if (of.with_replica) deaf_.insert(of.server);
      redis_.CutOff(old_primary_, of.with_replica ? std::optional(of.server) : std::nullopt);
      Part(trouble, true);
      break;
    case Kind::kStall:
      deaf_ = {old_primary_};
      primary.PauseUntil(machine_.clock.Now() + trouble.lasts);
      redis_.CutOff(old_primary_);
      break;
    case Kind::kSwitch:
    case Kind::kBackAndForth:
      return Promote(trouble);
    case Kind::kFlush:
      return primary.FlushAll();
    case Kind::kPower:
      return primary.Kill();
    case Kind::kMemory:
      return primary.SetOutOfMemory(true);
    case Kind::kTakenOver:
      return TakeOver(primary);
    case Kind::kLag:
      for (size_t i = 0; i < redis_.size(); ++i) redis_.server(i).SetLinkDelay(kLateLink);
      return;
    default:
      return;
  }
  world_.after(of.detected, [this, &trouble] { Promote(trouble); });
}

void StoreSide::Recover(const Trouble& trouble) {
  const Trouble::OfStore& of = trouble.store;
  switch (trouble.kind) {
    case Kind::kStoreHole:
      return machine_.network.BlackHole(redis_.AddressOf(of.server, trouble.host), false);
    case Kind::kStoreReplica:
      if (!redis_.server(of.server).alive()) redis_.StartAgain(of.server, of.lost);
      return;
    case Kind::kBackAndForth:
      return PromoteOne(old_primary_, trouble);
    case Kind::kFailover:
    case Kind::kPower:
      return redis_.StartAgain(old_primary_, of.lost);
    case Kind::kSplit:
      Part(trouble, false);
      [[fallthrough]];
    case Kind::kStall:
      return world_.after(of.hears, [this, &trouble] {
        for (const size_t server : std::exchange(deaf_, {})) redis_.Rejoin(server, ClientsOf(trouble));
        for (size_t i = 0; i < schedule_.settings.replicas; ++i) world_.point(i, redis_.primary());
      });
    case Kind::kMemory:
      for (size_t i = 0; i < redis_.size(); ++i) redis_.server(i).SetOutOfMemory(false);
      return;
    case Kind::kLag:
      for (size_t i = 0; i < redis_.size(); ++i) redis_.server(i).SetLinkDelay(settings_.link_delay);
      return;
    default:
      return;
  }
}

void StoreSide::TakeOver(RedisServer& primary) {
  std::vector<std::string> in_flight;
  for (const auto& [key, hash] : primary.data().all()) {
    const auto state = hash.fields.find("s");
    if (state != hash.fields.end() && state->second == "I") in_flight.push_back(key);
  }
  for (const std::string& key : in_flight) primary.Set(key, {{"x", std::string(32, 'f')}});
}

// Some replicas with the old primary, the others with the rest.
void StoreSide::Part(const Trouble& trouble, bool on) {
  for (size_t server = 0; server < redis_.size(); ++server) {
    for (size_t i = 0; i < schedule_.settings.replicas; ++i) {
      if (trouble.store.with_old.at(i) != deaf_.contains(server))
        machine_.network.BlackHole(redis_.AddressOf(server, i), on);
    }
  }
}

void StoreSide::Promote(const Trouble& trouble) {
  std::vector<size_t> others;
  for (size_t i = 0; i < redis_.size(); ++i) {
    if (i != redis_.primary() && redis_.server(i).alive() && !deaf_.contains(i)) others.push_back(i);
  }
  if (others.empty()) return;
  const size_t server = others[machine_.random.Next() % others.size()];
  PromoteOne(server, trouble);
}

void StoreSide::PromoteOne(size_t server, const Trouble& trouble) {
  redis_.Promote(server, ClientsOf(trouble), deaf_);
  for (size_t i = 0; i < schedule_.settings.replicas; ++i) {
    if (!deaf_.empty() && trouble.store.with_old.at(i)) continue;
    world_.after(trouble.store.told.at(i), [this, i] { world_.point(i, redis_.primary()); });
  }
}

}  // namespace pillion::simulation::tokens
