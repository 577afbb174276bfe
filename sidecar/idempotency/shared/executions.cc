#include "sidecar/idempotency/shared/executions.h"

#include <algorithm>
#include <array>
#include <utility>

#include "sidecar/idempotency/shared/claim_reply.h"

namespace pillion::idempotency {
namespace {

using End = Execution::End;
using State = Execution::State;
using By = ScriptCall::By;
using How = redis::Ended::How;

constexpr uint64_t kOps = 8;
// What is said again at a new connection leaves that much room for what is new.
constexpr size_t kMostPendingWhileSaying = 4096;

constexpr time::Duration kShortestBetweenTimes = std::chrono::seconds(1);

char Letter(End end) { return static_cast<char>(end); }

}  // namespace

Executions::Executions(const StoreShare& share)
    : share_(share), inbox_(share.parts.commands, *this), timer_(this) {
  share_.parts.turn.Wake(*this);
}
Executions::~Executions() = default;

Execution* Executions::Find(Ticket ticket) const {
  const auto found = all_.find(ticket);
  return found == all_.end() ? nullptr : found->second.get();
}

bool Executions::Call(Op op, Ticket ticket, const ScriptCall& call) {
  return share_.Send(inbox_, ticket * kOps + static_cast<uint64_t>(op), call);
}

void Executions::Begin(std::unique_ptr<Execution> execution) {
  Execution& begun = *execution;
  const SharedTerms& terms = share_.terms;
  begun.record = share_.names.Record(begun.key);
  begun.lease_ends = begun.asked + terms.lease;
  begun.record_ends = begun.asked + begun.life;
  all_.emplace(begun.ticket, std::move(execution));
  PutDue(begun);
  KeepTime(begun);
}

// Behind the others: all wait equally long.
void Executions::PutDue(Execution& execution) {
  execution.due = share_.parts.turn.now() + share_.terms.lease / 3;
  alive_.PushBack(&execution);
  ArmBy(execution.due);
}

void Executions::ArmBy(time::MonotonicTime due) {
  if (!timer_.armed() || due < timer_.deadline()) share_.parts.turn.Arm(timer_, due);
}

void Executions::End(Ticket ticket, Ending ending) {
  Execution* execution = Find(ticket);
  if (execution == nullptr || execution->state != State::kRuns) return;
  CatchUp();
  execution->state = State::kEnds;
  execution->ended_at = share_.parts.turn.now();
  execution->end = ending.how;
  execution->status = ending.status;
  execution->sealed = std::move(ending.sealed);
  execution->waiter = std::move(ending.waiter);
  execution->lease_ends = std::max(execution->lease_ends, share_.parts.turn.now() + share_.terms.lease);
  KeepTime(*execution);
  TellEnd(*execution, By::kSha);
}

std::optional<Ended> Executions::HowEnded(Ticket ticket) const {
  const Execution* execution = Find(ticket);
  return execution == nullptr ? std::nullopt : execution->ended;
}

std::vector<RecordView> Executions::Find(const std::array<uint8_t, 8>& hash) const {
  std::vector<RecordView> found;
  const stream::Turn& turn = share_.parts.turn;
  const auto wall = std::chrono::floor<DomainTime>(turn.wall().time_since_epoch());
  for (const auto& [ticket, one] : all_) {
    if (one->end == End::kReleased || ShortHash(one->token) != hash) continue;
    RecordView& view = found.emplace_back();
    view.state = one->end == End::kRuns        ? "in_flight"
                 : one->end == End::kCompleted ? "completed"
                 : one->end == End::kTombstone ? "tombstone"
                                               : "unknown";
    view.execution = ExecutionNumber(one->id);
    view.status = one->status;
    view.answer_bytes = one->sealed.size();
    view.over = wall + std::chrono::floor<DomainTime>(one->record_ends - turn.now());
  }
  return found;
}

void Executions::Drop(Ticket ticket) {
  Execution* execution = Find(ticket);
  if (execution == nullptr) return;
  execution->held = false;
  execution->waiter = {};
  End(ticket, {});
  if (execution->state == State::kOver && !execution->linked()) all_.erase(ticket);
}

void Executions::CatchUp() {
  redis::Client& commands = share_.parts.commands;
  if (!commands.ready() || std::exchange(generation_, commands.generation()) == commands.generation()) return;
  Greet();
}

// The epochs of all shards begin with the connection: of a token whose shard is used for the first time later
// it is known then that it has no record.
void Executions::Greet() {
  redis::Client& commands = share_.parts.commands;
  share_.parts.turn.MarkDirty(share_.first);
  for (const Script& script : share_.scripts.all()) {
    const std::array<std::string_view, 3> load = {"SCRIPT", "LOAD", script.text};
    commands.Send(inbox_, 0, load);
  }
  unopened_.clear();
  for (size_t shard = 0; shard < KeyNames::kShards; ++shard) Open(shard, By::kSha);
  to_say_.clear();
  Reassert(alive_);
  const std::string& run_id = commands.server().run_id;
  if (std::exchange(run_id_, run_id) != run_id) Reassert(recent_);
  PumpReasserts();
}

void Executions::Open(size_t shard, By by) {
  Call(Op::kOpen, shard,
       ScriptCall(share_.scripts[ScriptName::kOpen], by, 3)
           .Add(share_.names.Epoch(shard))
           .Add(share_.names.Ends(shard, true))
           .Add(share_.names.Ends(shard, false))
           .Add(share_.parts.commands.server().run_id));
}

// A primary that has lost its replicas for a moment writes nothing, also no epoch.
void Executions::OpenAgain() {
  if (unopened_.empty()) return;
  if (share_.parts.turn.now() < opens_again_) return ArmBy(opens_again_);
  for (const size_t shard : std::exchange(unopened_, {})) Open(shard, By::kSha);
}

// Between the refusal of a token and the end of its record there is more than the skew and the longest
// execution (terms.h).
time::Duration Executions::BetweenTimes() const {
  const TableTerms& terms = share_.terms.table;
  return std::max<time::Duration>(kShortestBetweenTimes, (terms.skew + terms.max_execution) / 2);
}

void Executions::KeepTime(const Execution& execution) {
  time::MonotonicTime& until = records_until_[KeyNames::ShardOf(execution.key)];
  // And somewhat later, so that it is ended.
  until = std::max<time::MonotonicTime>(until, share_.parts.turn.now() + execution.life + BetweenTimes());
  if (tells_time_ != time::MonotonicTime::max()) return;
  tells_time_ = share_.parts.turn.now() + BetweenTimes();
  ArmBy(tells_time_);
}

// Goes on as long as a record may be there.
void Executions::TellTime() {
  if (tells_time_ == time::MonotonicTime::max()) return;
  const time::MonotonicTime now = share_.parts.turn.now();
  if (now < tells_time_) return ArmBy(tells_time_);
  tells_time_ = time::MonotonicTime::max();
  for (size_t shard = 0; shard < KeyNames::kShards; ++shard) {
    if (records_until_[shard] <= now) continue;
    if (share_.parts.commands.ready()) Open(shard, By::kSha);
    tells_time_ = now + BetweenTimes();
  }
  if (tells_time_ != time::MonotonicTime::max()) ArmBy(tells_time_);
}

void Executions::Reassert(const IntrusiveList<Execution, AgeTag>& list) {
  for (Execution* one = list.front(); one != nullptr; one = list.Next(one)) to_say_.push_back(one->ticket);
}

void Executions::PumpReasserts() {
  const redis::Client& commands = share_.parts.commands;
  while (!to_say_.empty() && commands.ready() && commands.pending() < kMostPendingWhileSaying) {
    Execution* execution = Find(to_say_.front());
    if (execution != nullptr && execution->linked() && !execution->under_way && !Say(*execution, By::kSha))
      return;
    to_say_.pop_front();
  }
}

void Executions::Renew(Execution& execution, By by) {
  execution.asked = share_.parts.turn.now();
  Call(Op::kRenew, execution.ticket,
       ScriptCall(share_.scripts[ScriptName::kRenew], by, 2)
           .Add(execution.record)
           .Add(share_.names.Epoch(KeyNames::ShardOf(execution.key)))
           .Add(execution.id)
           .AddNumber(share_.terms.lease.count()));
}

void Executions::TellEnd(Execution& execution, By by) {
  const std::string channel = share_.names.Channel(execution.key);
  const char letter = Letter(execution.end);
  const bool release = execution.end == End::kReleased;
  ScriptCall call(share_.scripts[release ? ScriptName::kRelease : ScriptName::kEnd], by, 1);
  call.Add(execution.record).Add(execution.id);
  if (release) {
    call.Add(channel);
  } else {
    call.Add({&letter, 1}).AddNumber(execution.status).Add(execution.sealed);
    call.Add(channel);
  }
  execution.under_way = Call(Op::kEnd, execution.ticket, call);
  if (!execution.under_way) NotTold(execution, false);
}

// What is known of it, to a server that may know less. True: said, or there is nothing to say.
bool Executions::Say(Execution& execution, By by) {
  const time::MonotonicTime now = share_.parts.turn.now();
  if (execution.end == End::kReleased) {
    TellEnd(execution, by);
    return execution.under_way;
  }
  if (now >= execution.record_ends) return true;
  const auto life = std::chrono::ceil<DomainTime>(execution.record_ends - now);
  const std::string channel = share_.names.Channel(execution.key);
  const char letter = Letter(execution.end);
  const size_t shard = KeyNames::ShardOf(execution.key);
  ScriptCall call(share_.scripts[ScriptName::kReassert], by, 3);
  call.Add(execution.record).Add(share_.names.Epoch(shard)).Add(share_.names.Ends(shard, execution.minted));
  call.Add(execution.id);
  call.Add({&letter, 1}).AddNumber(share_.terms.lease.count()).AddNumber(life.count());
  call.Add(share_.parts.commands.server().run_id);
  call.Add({reinterpret_cast<const char*>(execution.fingerprint.bytes.data()),
            execution.fingerprint.bytes.size()});
  call.AddNumber(execution.status).Add(execution.sealed).Add(channel);
  const Op op = execution.state == State::kRuns ? Op::kReassert : Op::kSayEnd;
  if (!Call(op, execution.ticket, call)) return false;
  execution.asked = now;
  execution.under_way = execution.state == State::kEnds;
  return true;
}

stream::Progress Executions::Run() {
  CatchUp();
  for (const redis::Ended& ended : inbox_.TakeEnded()) Take(ended);
  WorkOffDue();
  OpenAgain();
  PumpReasserts();
  return stream::Progress::kIdle;
}

void Executions::Take(const redis::Ended& ended) {
  const Op op = static_cast<Op>(ended.tag % kOps);
  Execution* execution = Find(ended.tag / kOps);
  if (op == Op::kOpen && ended.reply.IsError("NOSCRIPT")) return Open(ended.tag / kOps, By::kText);
  if (op == Op::kOpen && ended.reply.is(redis::Reply::Kind::kError)) {
    unopened_.push_back(ended.tag / kOps);
    refusal_ = ended.reply.text.substr(0, ended.reply.text.find(' '));
    opens_again_ = share_.parts.turn.now() + kShortestBetweenTimes;
    ArmBy(opens_again_);
  }
  if (op == Op::kOpen && ended.reply.is(redis::Reply::Kind::kInteger)) refusal_.clear();
  if (op == Op::kLoad || op == Op::kOpen || execution == nullptr) return;
  const bool of_run = op == Op::kRenew || op == Op::kReassert;
  if (of_run && execution->state != State::kRuns) return;  // its end is on its way by itself
  if (ended.how != How::kReply) {
    if (!of_run && execution->state == State::kEnds) NotTold(*execution, ended.how == How::kUnknown);
    return;
  }
  if (ended.reply.IsError("NOSCRIPT")) {  // it has not run
    ++share_.counts.unknown_scripts;
    if (op == Op::kRenew) Renew(*execution, By::kText);
    if (op == Op::kEnd) TellEnd(*execution, By::kText);
    if (op == Op::kReassert || op == Op::kSayEnd) Say(*execution, By::kText);
    return;
  }
  switch (op) {
    case Op::kRenew:
      return OnRenewed(*execution, ended.reply);
    case Op::kEnd:
      return OnEnd(*execution, ended.reply);
    case Op::kReassert:
    case Op::kSayEnd:
      return OnSaid(*execution, ended.reply);
    case Op::kLoad:
    case Op::kOpen:
      return;
  }
}

void Executions::OnRenewed(Execution& execution, const redis::Reply& reply) {
  if (execution.state != State::kRuns) return;
  if (reply.is(redis::Reply::Kind::kInteger) && reply.integer == 1) {
    execution.lease_ends = std::max(execution.lease_ends, execution.asked + share_.terms.lease);
  } else {
    ++share_.counts.not_renewed;
  }
}

void Executions::OnEnd(Execution& execution, const redis::Reply& reply) {
  if (execution.state != State::kEnds) return;
  execution.under_way = false;
  if (execution.end == End::kReleased) {
    if (!reply.is(redis::Reply::Kind::kInteger)) return NotTold(execution, false);
    return Finish(execution, reply.integer == 1 || execution.maybe_told ? Ended::kDone : Ended::kGone);
  }
  if (reply.text == "OK") return Finish(execution, Ended::kDone);
  if (reply.text == "FENCED") return Finish(execution, Ended::kFenced);
  if (reply.text == "ALREADY")
    return Finish(execution, execution.maybe_told ? Ended::kDone : Ended::kAlready);
  if (reply.text != "GONE") return NotTold(execution, false);  // the server would not write
  ++share_.counts.gone;
  Report(execution, Ended::kGone);
  // Its time is not over, so that the server has lost it: it is told anew.
  if (share_.parts.turn.now() >= execution.record_ends || !Say(execution, By::kSha))
    Finish(execution, Ended::kGone);
}

void Executions::OnSaid(Execution& execution, const redis::Reply& reply) {
  const bool ends = execution.state == State::kEnds;
  if (ends) execution.under_way = false;
  if (reply.text == "OK") {
    ++share_.counts.reasserted;
    execution.lease_ends = std::max(execution.lease_ends, execution.asked + share_.terms.lease);
    if (ends) Finish(execution, Ended::kDone);
  } else if (reply.text == "FENCED") {
    if (ends) Finish(execution, Ended::kFenced);
  } else if (reply.text == "ALREADY") {
    if (ends) Finish(execution, execution.maybe_told ? Ended::kDone : Ended::kAlready);
  } else if (ends) {
    NotTold(execution, false);
  }
}

// It is tried again; who waits for it need not.
void Executions::NotTold(Execution& execution, bool maybe) {
  execution.under_way = false;
  execution.maybe_told = execution.maybe_told || maybe;
  Report(execution, Ended::kLater);
}

void Executions::Report(Execution& execution, Ended ended) {
  if (ended == Ended::kDone && !execution.ended)
    share_.parts.times.ends.Record(share_.parts.turn.now() - execution.ended_at);
  execution.ended = ended;
  RingOnce(execution.waiter);
}

void Executions::Finish(Execution& execution, Ended ended) {
  if (ended == Ended::kFenced) ++share_.counts.fenced;
  Report(execution, ended);
  execution.state = State::kOver;
  execution.Unlink();
  const bool tells = execution.end != End::kReleased && ended == Ended::kDone;
  if (!tells) {
    if (!execution.held) all_.erase(execution.ticket);
    return;
  }
  execution.due = share_.parts.turn.now() + share_.terms.recent;
  recent_.PushBack(&execution);
  recent_bytes_ += sizeof(Execution) + execution.sealed.size();
  while (recent_bytes_ > share_.terms.recent_bytes) {
    ++share_.counts.forgotten;
    Forget(*recent_.front());
  }
  if (!recent_.empty()) ArmBy(recent_.front()->due);
}

void Executions::Forget(Execution& execution) {
  execution.Unlink();
  recent_bytes_ -= sizeof(Execution) + execution.sealed.size();
  std::string().swap(execution.sealed);
  if (!execution.held) all_.erase(execution.ticket);
}

void Executions::WorkOffDue() {
  const time::MonotonicTime now = share_.parts.turn.now();
  while (!alive_.empty() && alive_.front()->due <= now) {
    Execution& execution = *alive_.front();
    if (execution.state == State::kEnds && !execution.under_way && now >= execution.lease_ends) {
      ++share_.counts.lost;
      Finish(execution, Ended::kLater);
      continue;
    }
    PutDue(execution);
    if (execution.state == State::kRuns) {
      Renew(execution, By::kSha);
    } else if (!execution.under_way && share_.parts.commands.ready()) {
      TellEnd(execution, By::kSha);
    }
  }
  while (!recent_.empty() && recent_.front()->due <= now) Forget(*recent_.front());
  TellTime();
  if (!alive_.empty()) ArmBy(alive_.front()->due);
  if (!recent_.empty()) ArmBy(recent_.front()->due);
}

}  // namespace pillion::idempotency
