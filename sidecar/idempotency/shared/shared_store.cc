#include "sidecar/idempotency/shared/shared_store.h"

#include <array>
#include <string_view>

#include "sidecar/base/check.h"
#include "sidecar/base/hex.h"
#include "sidecar/base/mutant.h"

namespace pillion::idempotency {
namespace {

using Kind = ClaimAnswer::Kind;
using By = ScriptCall::By;
using How = redis::Ended::How;

constexpr uint64_t kOps = 4;
// Of a doubt: longer than any store has been there, and still a number that Lua has exactly.
constexpr DomainTime kForEver{int64_t{1} << 50};

std::string DrawExecution() {
  std::array<uint8_t, 16> bytes;
  FillWithSecretBytes(bytes);
  return ToHex(bytes);
}

// The claim's place in the order of attempts is nothing that the epoch rule may ask for (3.4).
int64_t DoubtOf(const idempotency::Claim& claim, DomainTime doubt) {
  constexpr int64_t kNever = -1'000'000'000'000'000;
  const bool spared = Mutated(Mutant::kEpochRuleSparesFirst) && !claim.of_another_incarnation;
  return spared || Mutated(Mutant::kNoEpochRule) ? kNever : doubt.count();
}

std::string_view Bytes(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.bytes.data()), digest.bytes.size()};
}

}  // namespace

// A claim until it is settled, and its answer.
struct SharedStore::Asked {
  Ticket ticket = 0;
  State state = State::kClaims;
  bool held = true;
  bool may_wait = false;
  bool looks = false;  // kWaits: for itself and the others
  Digest key;
  idempotency::Claim claim;
  std::string execution;  // its own, if it is granted
  time::MonotonicTime sent;
  std::optional<time::MonotonicTime> timed;  // since then it has not waited for others
  time::MonotonicTime granted;
  uint64_t group = 0;  // whose WAIT confirms it; 0: none yet
  std::optional<ClaimAnswer> answer;
};

SharedStore::SharedStore(const StoreParts& parts, SharedTerms terms, std::shared_ptr<StoreCounts> counts)
    : parts_(parts),
      terms_(std::move(terms)),
      names_(terms_.service),
      counts_(std::move(counts)),
      share_{parts_, terms_, scripts_, names_, *counts_, *this},
      cipher_(std::make_unique<RecordCipher>(terms_.key, terms_.domain)),
      inbox_(parts_.commands, *this),
      executions_(share_),
      look_outs_(share_, *this) {}
SharedStore::~SharedStore() = default;

SharedStore::Asked* SharedStore::Find(Ticket ticket) const {
  const auto found = asked_.find(ticket);
  return found == asked_.end() ? nullptr : found->second.get();
}

Ticket SharedStore::Claim(const Digest& key, const idempotency::Claim& claim, Waits waits) {
  PILLION_CHECK(claim.waiter && claim.waiter->bell != nullptr);
  executions_.CatchUp();
  ++counts_->claims;
  const Ticket ticket = ++last_ticket_;
  Asked& asked = *asked_.emplace(ticket, std::make_unique<Asked>()).first->second;
  asked.ticket = ticket;
  asked.may_wait = waits == Waits::kIfInFlight;
  asked.key = key;
  asked.claim = claim;
  asked.execution = DrawExecution();
  if (!Send(asked, Op::kClaim, By::kSha)) {
    asked.claim.waiter.reset();
    Refuse(asked, false);
  } else {
    asked.timed = asked.sent;
  }
  return ticket;
}

const ClaimAnswer* SharedStore::Answer(Ticket ticket) const {
  const Asked* asked = Find(ticket);
  return asked == nullptr || !asked->answer ? nullptr : &*asked->answer;
}

bool SharedStore::IsWaiting(Ticket ticket) const {
  const Asked* asked = Find(ticket);
  return asked != nullptr && asked->state == State::kWaits;
}

void SharedStore::SetKey(const std::array<uint8_t, 32>& key) {
  cipher_ = std::make_unique<RecordCipher>(key, terms_.domain);
}

bool SharedStore::Send(Asked& asked, Op op, By by) {
  const idempotency::Claim& claim = asked.claim;
  const bool minted = claim.minted.has_value();
  const std::string record = names_.Record(asked.key);
  const size_t shard = KeyNames::ShardOf(asked.key);
  ScriptCall call(scripts_[ScriptName::kClaim], by, 3);
  call.Add(record).Add(names_.Epoch(shard)).Add(names_.Ends(shard, minted));
  call.Add(asked.execution).AddNumber(terms_.lease.count()).AddNumber(terms_.record_life(minted).count());
  call.AddNumber(minted ? claim.minted->count() : -1).Add(parts_.commands.server().run_id);
  call.AddNumber(claim.only_if_known ? kForEver.count() : DoubtOf(claim, terms_.doubt()));
  call.AddNumber(terms_.table.skew.count());
  call.AddNumber(terms_.table.validity.count())
      .Add(Bytes(claim.fingerprint))
      .Add(claim.runs_again ? "1" : "0");
  if (!share_.Send(inbox_, asked.ticket * kOps + static_cast<uint64_t>(op), call)) return false;
  asked.sent = parts_.turn.now();
  asked.group = 0;
  if (op == Op::kClaim && terms_.replicas > 0) {
    asked.group = group_;
    in_group_.push_back(asked.ticket);
  }
  return true;
}

void SharedStore::Flush() {
  if (in_group_.empty()) return;
  std::vector<Ticket> tickets = std::exchange(in_group_, {});
  const uint64_t group = group_++;
  const std::string replicas = std::to_string(terms_.replicas);
  const std::string wait = std::to_string(terms_.replica_wait.count());
  const std::array<std::string_view, 3> command = {"WAIT", replicas, wait};
  const auto tag = group * kOps + static_cast<uint64_t>(Op::kWait);
  if (parts_.commands.Send(inbox_, tag, command, terms_.replica_wait) == redis::Client::Taken::kYes) {
    ++counts_->waits;
    groups_.emplace_back(group, std::move(tickets));
    return;
  }
  // Those that are granted wait for another; if the connection is lost they are told so.
  for (const Ticket ticket : tickets) {
    Asked* asked = Find(ticket);
    if (asked == nullptr) continue;
    asked->group = 0;
    if (asked->state == State::kConfirms) Refuse(*asked, true);
  }
}

stream::Progress SharedStore::Run() {
  executions_.CatchUp();
  for (const redis::Ended& ended : inbox_.TakeEnded()) Take(ended);
  for (const Digest& key : look_outs_.TakeDue()) Look(key);
  return stream::Progress::kIdle;
}

void SharedStore::Take(const redis::Ended& ended) {
  const Op op = static_cast<Op>(ended.tag % kOps);
  if (op == Op::kWait) return OnWait(ended.tag / kOps, ended);
  Asked* asked = Find(ended.tag / kOps);
  if (asked == nullptr) return;
  if (ended.how == How::kReply && ended.reply.IsError("NOSCRIPT")) {  // it has not run
    ++counts_->unknown_scripts;
    if (Send(*asked, op, By::kText)) return;
  }
  if (op == Op::kClaim) return OnClaim(*asked, ended);
  OnLook(*asked, ended);
}

ClaimAnswer SharedStore::Read(const Asked& asked, const redis::Reply& reply, bool& understood) {
  std::optional<ClaimReply> read = ReadClaimReply(reply, asked.key, *cipher_);
  understood = read.has_value();
  if (!read) return {};
  if (read->undecryptable) ++counts_->undecryptable;
  return std::move(read->answer);
}

void SharedStore::OnClaim(Asked& asked, const redis::Ended& ended) {
  if (ended.how != How::kReply) return Refuse(asked, ended.how == How::kUnknown);
  if (ended.reply.is(redis::Reply::Kind::kError))
    refusal_ = ended.reply.text.substr(0, ended.reply.text.find(' '));
  bool understood = false;
  ClaimAnswer answer = Read(asked, ended.reply, understood);
  if (!understood) return Refuse(asked, true);
  if (answer.kind == Kind::kClaimed) return Confirm(asked);
  if (answer.kind == Kind::kInFlight && asked.may_wait && asked.held &&
      look_outs_.Join(asked.key, asked.ticket)) {
    asked.state = State::kWaits;
    asked.timed.reset();
    return;
  }
  Settle(asked, std::move(answer));
}

void SharedStore::Confirm(Asked& asked) {
  ++counts_->claimed;
  if (terms_.replicas == 0 || Mutated(Mutant::kWaitNotWaitedFor)) return Begin(asked);
  asked.state = State::kConfirms;
  asked.granted = parts_.turn.now();
  if (asked.group != 0) return;
  asked.group = group_;
  in_group_.push_back(asked.ticket);
  parts_.turn.MarkDirty(*this);
}

void SharedStore::OnWait(uint64_t group, const redis::Ended& ended) {
  if (groups_.empty() || groups_.front().first != group) return;
  const std::vector<Ticket> tickets = std::move(groups_.front().second);
  groups_.pop_front();
  const bool enough = ended.how == How::kReply && ended.reply.is(redis::Reply::Kind::kInteger) &&
                      ended.reply.integer >= int64_t{terms_.replicas};
  for (const Ticket ticket : tickets) {
    Asked* asked = Find(ticket);
    if (asked == nullptr || asked->state != State::kConfirms || asked->group != group) continue;
    if (enough) {
      parts_.times.confirmations.Record(parts_.turn.now() - asked->granted);
      Begin(*asked);
    } else {
      ++counts_->unconfirmed;
      refusal_ = "too few replicas have confirmed";
      Refuse(*asked, true);
    }
  }
}

std::unique_ptr<Execution> SharedStore::ExecutionOf(const Asked& asked) const {
  auto execution = std::make_unique<Execution>();
  execution->ticket = asked.ticket;
  execution->key = asked.key;
  execution->fingerprint = asked.claim.fingerprint;
  execution->id = asked.execution;
  execution->token = asked.claim.key.token;
  execution->minted = asked.claim.minted.has_value();
  execution->life = terms_.record_life(execution->minted);
  execution->asked = asked.sent;
  execution->held = asked.held;
  return execution;
}

// Whoever has dropped it was not told, and runs nothing.
void SharedStore::Begin(Asked& asked) {
  refusal_.clear();
  executions_.Begin(ExecutionOf(asked));
  if (!asked.held) executions_.End(asked.ticket, {.how = Execution::End::kReleased});
  Settle(asked, {.kind = Kind::kClaimed, .execution = ExecutionNumber(asked.execution)});
}

// Nothing runs by it; if the store has granted it, or may have, it is given back.
void SharedStore::Refuse(Asked& asked, bool may_have_claimed) {
  if (may_have_claimed) {
    executions_.Begin(ExecutionOf(asked));
    executions_.End(asked.ticket, {.how = Execution::End::kReleased});
  }
  Settle(asked, {.kind = Kind::kRefused});
}

void SharedStore::Settle(Asked& asked, ClaimAnswer answer) {
  if (answer.kind == Kind::kDoubt) ++counts_->doubts;
  if (answer.kind == Kind::kRefused || answer.kind == Kind::kFull) ++counts_->refused;
  asked.state = State::kOver;
  if (asked.timed) parts_.times.claims.Record(parts_.turn.now() - *asked.timed);
  if (!asked.held) {
    asked_.erase(asked.ticket);
    return;
  }
  asked.answer = std::move(answer);
  if (asked.claim.waiter) RingOnce(*asked.claim.waiter);
}

void SharedStore::Look(const Digest& key) {
  const std::vector<Ticket> waiting = look_outs_.Waiting(key);
  Asked* asked = waiting.empty() ? nullptr : Find(waiting.front());
  if (asked != nullptr && Send(*asked, Op::kLook, By::kSha)) {
    ++counts_->looks;
    asked->looks = true;
  } else {
    look_outs_.Looked(key);
  }
}

void SharedStore::StopWaiting(Asked& asked) { look_outs_.Leave(asked.key, asked.ticket); }

// What the first of them is told is true of all that are the same request; an app may have given its key to
// another one too, which looks by itself then.
void SharedStore::OnLook(Asked& asked, const redis::Ended& ended) {
  asked.looks = false;
  const Digest key = asked.key;
  const Digest fingerprint = asked.claim.fingerprint;
  bool understood = false;
  ClaimAnswer answer;
  if (ended.how == How::kReply) answer = Read(asked, ended.reply, understood);
  if (answer.kind == Kind::kClaimed) {
    StopWaiting(asked);
    Confirm(asked);
    return look_outs_.Looked(key);
  }
  const bool may_have_claimed = !understood && ended.how != How::kNotSent;
  if (may_have_claimed || !asked.held) {
    StopWaiting(asked);
    Refuse(asked, may_have_claimed);
  }
  if (!understood || answer.kind == Kind::kInFlight || answer.kind == Kind::kRefused ||
      answer.kind == Kind::kFull)
    return look_outs_.Looked(key);
  bool others = false;
  for (const Ticket ticket : look_outs_.Waiting(key)) {
    Asked* one = Find(ticket);
    if (one != nullptr && one->claim.fingerprint != fingerprint) {
      others = true;
      continue;
    }
    look_outs_.Leave(key, ticket);
    if (one == nullptr) continue;
    ClaimAnswer told = answer;
    told.waited = true;
    Settle(*one, std::move(told));
  }
  if (others) look_outs_.Looked(key);
}

void SharedStore::Complete(Ticket ticket, const SavedAnswer* answer, uint16_t status, Waiter waiter) {
  Execution::End how = Execution::End::kTombstone;
  std::string sealed;
  if (const Asked* asked = Find(ticket); answer != nullptr && asked != nullptr) {
    sealed = cipher_->Seal(asked->key, *answer);
    if (sealed.size() <= terms_.max_stored_bytes) {
      how = Execution::End::kCompleted;
    } else {
      sealed = {};
    }
  }
  executions_.End(ticket, {how, status, std::move(sealed), std::move(waiter)});
}

void SharedStore::Release(Ticket ticket, Waiter waiter) {
  executions_.End(ticket, {.how = Execution::End::kReleased, .waiter = std::move(waiter)});
}

void SharedStore::Abandon(Ticket ticket, Waiter waiter) {
  executions_.End(ticket, {.how = Execution::End::kUnknown, .waiter = std::move(waiter)});
}

void SharedStore::Drop(Ticket ticket) {
  Asked* asked = Find(ticket);
  if (asked != nullptr) {
    asked->held = false;
    asked->claim.waiter.reset();
    const bool under_way = asked->state == State::kClaims || asked->state == State::kConfirms || asked->looks;
    if (asked->state == State::kWaits && !under_way) StopWaiting(*asked);
    if (!under_way) asked_.erase(ticket);
  }
  executions_.Drop(ticket);
}

}  // namespace pillion::idempotency
