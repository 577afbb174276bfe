#include "sidecar/idempotency/local_table.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "sidecar/base/mutant.h"

namespace pillion::idempotency {
namespace {

using Lock = std::lock_guard<std::mutex>;
using Kind = ClaimAnswer::Kind;
using State = RecordSlab::State;
using Of = RecordSlab::Of;
constexpr uint32_t kNone = RecordSlab::kNone;

// Batches that are over and that one claim drops, so that none costs much and they do not pile up.
constexpr size_t kDropsPerClaim = 2;
// So many answers may at least be waited for at once, as far as bytes go.
constexpr uint64_t kLeastReservations = 16;
// Of several workers: two of them seldom meet at one.
constexpr unsigned kShardsPerWorker = 4;
// A batch has what comes in such a part of a record's life, where that is little.
constexpr int kSpansPerLife = 16;

size_t ClassOf(uint64_t bytes) { return static_cast<size_t>(std::bit_width(bytes)); }

void RingAll(const std::vector<Waiter>& waiters) {
  if (Mutated(Mutant::kWaitersNotRung)) return;
  for (const Waiter& waiter : waiters) waiter.bell->Ring(waiter.number);
}

}  // namespace

struct LocalTable::Shard {
  struct Waiting {
    uint32_t place = kNone;  // of the record whose end they wait for
    std::vector<Waiter> waiters;
  };
  std::mutex mutex;
  RecordSlab records;
  absl::flat_hash_map<TokenKey, Waiting> waiters;
  std::array<uint64_t, RecordSlab::kStates> states{};  // how many are in each
  uint64_t kept_bytes = 0;                             // of answers
  AnswerSizes sizes;
  TableTerms terms;
  DomainTime latest{};  // what it was told last: claims of several threads may come in another order
};

LocalTable::LocalTable(const TableTerms& terms, unsigned workers)
    : most_bytes_(terms.room.bytes),
      room_(terms.room),
      shard_count_(workers <= 1 ? 1 : std::bit_ceil(workers * kShardsPerWorker)),
      shards_(std::make_unique<Shard[]>(shard_count_)) {
  Adopt(terms);
}
LocalTable::~LocalTable() = default;

std::span<LocalTable::Shard> LocalTable::shards() const { return {shards_.get(), shard_count_}; }

LocalTable::Shard& LocalTable::ShardOf(size_t hash) const { return shards_[hash & (shard_count_ - 1)]; }

void LocalTable::Adopt(const TableTerms& terms) {
  most_bytes_.store(terms.room.bytes, std::memory_order_relaxed);
  room_.Adopt(terms.room);
  for (Shard& shard : shards()) {
    const Lock lock(shard.mutex);
    shard.terms = terms;
  }
}

ClaimAnswer LocalTable::Claim(const idempotency::Claim& claim) {
  const size_t hash = claim.key.Hash();
  Shard& shard = ShardOf(hash);
  // An answer that is not here yet must not take all that there is for ever: a share, or nothing.
  uint64_t reserve =
      std::min(claim.most_answer_bytes, most_bytes_.load(std::memory_order_relaxed) / kLeastReservations);
  for (;;) {
    {
      const Lock lock(shard.mutex);
      if (auto answer = FindAnswer(shard, claim, hash)) return *std::move(answer);
      reserve = std::min<uint64_t>(reserve, shard.sizes.likely());
      Room::Taken taken = room_.Take(claim.key.caller, kRecordBytes + reserve);
      if (Mutated(Mutant::kEviction) && taken.answer == Room::Answer::kNoRecords) {
        Expire(shard, DomainTime::max(), 1);
        taken = room_.Take(claim.key.caller, kRecordBytes + reserve);
      }
      if (taken.answer == Room::Answer::kTaken)
        return Begin(shard, claim, hash, taken, static_cast<uint32_t>(kRecordBytes + reserve));
      if (taken.answer != Room::Answer::kNoBytes) return Refused(taken.answer);
    }
    // What is to be shed may be in any shard, so that none is locked meanwhile.
    if (ShedOne() == 0 && std::exchange(reserve, 0) == 0) return Refused(Room::Answer::kNoBytes);
  }
}

ClaimAnswer LocalTable::Refused(Room::Answer why) {
  const bool quota = why == Room::Answer::kQuota;
  (quota ? quota_ : full_).fetch_add(1, std::memory_order_relaxed);
  return {quota ? Kind::kQuota : Kind::kFull};
}

// Time may have gone on since it was claimed, and its record may have come and gone: what counts is the
// latest that the shard was told.
std::optional<ClaimAnswer> LocalTable::FindAnswer(Shard& shard, const idempotency::Claim& claim,
                                                  size_t hash) {
  const DomainTime now = shard.latest = std::max(shard.latest, claim.now);
  if (claim.minted) {
    const bool early = *claim.minted > now + shard.terms.skew;
    if (early && !Mutated(Mutant::kSkewIgnored)) return ClaimAnswer{Kind::kBadClock};
    const bool late = now > *claim.minted + shard.terms.validity + shard.terms.skew;
    if (late && !Mutated(Mutant::kNoMintCheck)) return ClaimAnswer{Kind::kExpired};
  }
  Expire(shard, now, kDropsPerClaim);
  if (const uint32_t place = shard.records.Find(claim.key, hash, claim.minted); place != kNone)
    return Answer(shard, place, claim);
  if (claim.of_another_incarnation) return ClaimAnswer{Kind::kUnknown};
  return std::nullopt;
}

ClaimAnswer LocalTable::Begin(Shard& shard, const idempotency::Claim& claim, size_t hash,
                              const Room::Taken& taken, uint32_t bytes) {
  const TableTerms& terms = shard.terms;
  // A token is refused after its validity and the skew, whatever the client's clock said, and what began
  // until then ends after as long again as it may run.
  const DomainTime life =
      (claim.minted ? terms.validity : terms.app_validity) + 3 * terms.skew + terms.max_execution;
  RecordSlab::Entry entry{claim.minted ? Of::kTokens : Of::kKeys, claim.minted.value_or(shard.latest)};
  entry.over = entry.time + life;
  entry.span = life / kSpansPerLife;
  if (Mutated(Mutant::kShortRecords))
    entry.over = shard.latest + (claim.minted ? terms.validity : terms.app_validity) / 2;
  const uint32_t place = shard.records.Add(claim.key, hash, entry);
  RecordSlab::Record& record = shard.records[place];
  record.fingerprint = claim.fingerprint;
  record.execution = executions_.fetch_add(1, std::memory_order_relaxed) + 1;
  record.caller = taken.caller;
  record.bytes = bytes;
  RecordSlab::Tally& tally = shard.records.BatchOf(place).tally;
  tally.Count(record.caller, 1);
  tally.bytes += bytes;
  ++tally.states[static_cast<size_t>(record.state)];
  ++shard.states[static_cast<size_t>(record.state)];
  return {.kind = Kind::kClaimed, .execution = record.execution, .place = place};
}

ClaimAnswer LocalTable::Answer(Shard& shard, uint32_t place, const idempotency::Claim& claim) {
  RecordSlab::Record& record = shard.records[place];
  if (record.fingerprint != claim.fingerprint && !Mutated(Mutant::kFingerprintIgnored))
    return {Kind::kMismatch};
  switch (record.state) {
    case State::kInFlight:
      if (Mutated(Mutant::kCheckThenSet))
        return {.kind = Kind::kClaimed, .execution = record.execution, .place = place};
      return Join(shard, place, claim);
    case State::kCompleted:
      return {.kind = Kind::kReplay,
              .execution = record.execution,
              .status = record.status,
              .answer = shard.records.BatchOf(place).pages.Share(record.answer)};
    case State::kTombstone:
      return {.kind = Kind::kTombstone, .status = record.status};
    case State::kUnknown:
      break;
  }
  if (!claim.runs_again && !Mutated(Mutant::kTakeover)) return {Kind::kUnknown};
  record.execution = executions_.fetch_add(1, std::memory_order_relaxed) + 1;
  Put(shard, place, State::kInFlight);
  return {.kind = Kind::kClaimed, .execution = record.execution, .place = place};
}

ClaimAnswer LocalTable::Join(Shard& shard, uint32_t place, const idempotency::Claim& claim) {
  if (!claim.waiter) return {Kind::kInFlight};
  Shard::Waiting& waiting = shard.waiters[claim.key];
  waiting.place = place;
  std::vector<Waiter>& waiters = waiting.waiters;
  const bool has_room = waiters.size() < shard.terms.waiters || Mutated(Mutant::kWaiterLimitIgnored);
  if (has_room && room_.TakeWaiter()) {
    waiters.push_back(*claim.waiter);
    return {Kind::kWaits};
  }
  if (waiters.empty()) shard.waiters.erase(claim.key);
  return {Kind::kInFlight};
}

void LocalTable::Put(Shard& shard, uint32_t place, State state) const {
  State& now = shard.records[place].state;
  RecordSlab::Tally& tally = shard.records.BatchOf(place).tally;
  for (auto* const states : {&shard.states, &tally.states}) {
    --(*states)[static_cast<size_t>(now)];
    ++(*states)[static_cast<size_t>(state)];
  }
  now = state;
}

ClaimAnswer LocalTable::Claim(Held& held, const idempotency::Claim& claim) {
  if (held.waiter) StopWaiting(held.key, *held.waiter);  // it may have been rung already
  held.waiter.reset();
  held.key = claim.key;
  ClaimAnswer answer = Claim(claim);
  held.place = answer.place;
  if (answer.kind == ClaimAnswer::Kind::kClaimed) held.number = answer.execution;
  if (answer.kind == ClaimAnswer::Kind::kWaits) held.waiter = claim.waiter;
  return answer;
}

void LocalTable::Leave(Held& held) {
  if (held.waiter) StopWaiting(held.key, *held.waiter);
  held.waiter.reset();
  if (held.number != 0) Abandon(held);
}

void LocalTable::StopWaiting(const TokenKey& key, const Waiter& waiter) {
  Shard& shard = ShardOf(key.Hash());
  const Lock lock(shard.mutex);
  const auto found = shard.waiters.find(key);
  if (found == shard.waiters.end()) return;
  room_.GiveWaiters(std::erase_if(found->second.waiters, [&](const Waiter& one) {
    return one.bell == waiter.bell && one.number == waiter.number;
  }));
  if (found->second.waiters.empty()) shard.waiters.erase(found);
}

std::vector<Waiter> LocalTable::TakeWaiters(Shard& shard, const TokenKey& key) {
  if (shard.waiters.empty()) return {};
  const auto found = shard.waiters.find(key);
  if (found == shard.waiters.end()) return {};
  std::vector<Waiter> waiters = std::move(found->second.waiters);
  shard.waiters.erase(found);
  room_.GiveWaiters(waiters.size());
  return waiters;
}

uint32_t LocalTable::FindOpen(const Shard& shard, const Execution& execution, size_t hash, Ended& why) {
  const bool there = shard.records.Is(execution.place, execution.key);
  const uint32_t place = there ? execution.place : shard.records.Find(execution.key, hash);
  why = Ended::kGone;
  if (place == kNone) return kNone;
  const RecordSlab::Record& record = shard.records[place];
  why = Ended::kFenced;
  if (record.execution != execution.number && !Mutated(Mutant::kUnfencedCompletion)) return kNone;
  why = Ended::kAlready;
  if (record.state != State::kInFlight && record.state != State::kUnknown) return kNone;
  why = Ended::kDone;
  return place;
}

LocalTable::Ended LocalTable::Complete(const Execution& execution, std::string_view written,
                                       uint16_t status) {
  // One that would not find room if it had all of it is not worth what others would lose for it.
  const uint64_t most = std::min<uint64_t>(most_bytes_.load(std::memory_order_relaxed), UINT32_MAX / 2);
  if (kRecordBytes + written.size() > most) written = {};
  for (;;) {
    Ended ended = Ended::kDone;
    std::vector<Waiter> waiters;
    if (TryComplete(execution, written, status, ended, waiters)) {
      RingAll(waiters);
      if (ended == Ended::kFenced || ended == Ended::kAlready)
        fenced_.fetch_add(1, std::memory_order_relaxed);
      return ended;
    }
    if (ShedOne() == 0) written = {};
  }
}

// False, and nothing is done: there is no room for the answer.
bool LocalTable::TryComplete(const Execution& execution, std::string_view written, uint16_t status,
                             Ended& ended, std::vector<Waiter>& waiters) {
  const size_t hash = execution.key.Hash();
  Shard& shard = ShardOf(hash);
  const Lock lock(shard.mutex);
  const uint32_t place = FindOpen(shard, execution, hash, ended);
  if (place == kNone) return true;
  const auto bytes = static_cast<uint32_t>(written.size());
  if (!Resize(shard, place, bytes)) return false;
  RecordSlab::Record& record = shard.records[place];
  record.status = status;
  if (record.state == State::kUnknown) late_.fetch_add(1, std::memory_order_relaxed);
  Put(shard, place, written.empty() ? State::kTombstone : State::kCompleted);
  if (!written.empty()) {
    RecordSlab::Batch& batch = shard.records.BatchOf(place);
    record.answer = batch.pages.Keep(written);
    const size_t size = std::min(ClassOf(bytes), kSizeClasses - 1);
    shard.records.NoteSize(place, static_cast<uint8_t>(size));
    answers_[size].fetch_add(1, std::memory_order_relaxed);
    ++batch.tally.answers[size];
    batch.tally.answer_bytes += bytes;
    shard.kept_bytes += bytes;
    shard.sizes.Note(bytes);
  }
  waiters = TakeWaiters(shard, execution.key);
  return true;
}

template <typename Change>
LocalTable::Ended LocalTable::EndWithout(const Execution& execution, Change change) {
  Ended ended = Ended::kDone;
  std::vector<Waiter> waiters;
  {
    const size_t hash = execution.key.Hash();
    Shard& shard = ShardOf(hash);
    const Lock lock(shard.mutex);
    const uint32_t place = FindOpen(shard, execution, hash, ended);
    if (place == kNone) return ended;
    change(shard, place, hash);
    waiters = TakeWaiters(shard, execution.key);
  }
  RingAll(waiters);
  return ended;
}

LocalTable::Ended LocalTable::Release(const Execution& execution) {
  return EndWithout(execution,
                    [this](Shard& shard, uint32_t place, size_t hash) { Drop(shard, place, hash); });
}

LocalTable::Ended LocalTable::Abandon(const Execution& execution) {
  return EndWithout(execution, [this](Shard& shard, uint32_t place, size_t) {
    (void)Resize(shard, place, 0);
    Put(shard, place, State::kUnknown);
  });
}

void LocalTable::DropAnswer(Shard& shard, uint32_t place) {
  RecordSlab::Record& record = shard.records[place];
  if (!record.answer) return;
  RecordSlab::Batch& batch = shard.records.BatchOf(place);
  batch.pages.Drop(record.answer);
  batch.tally.answer_bytes -= record.answer.bytes;
  shard.kept_bytes -= record.answer.bytes;
  --batch.tally.answers[record.size_class];
  answers_[record.size_class].fetch_sub(1, std::memory_order_relaxed);
  record.answer = {};
}

void LocalTable::Drop(Shard& shard, uint32_t place, size_t hash) {
  DropAnswer(shard, place);
  const RecordSlab::Record& record = shard.records[place];
  RecordSlab::Tally& tally = shard.records.BatchOf(place).tally;
  room_.Give(record.caller, 1, record.bytes);
  tally.Count(record.caller, -1);
  tally.bytes -= record.bytes;
  --tally.states[static_cast<size_t>(record.state)];
  --shard.states[static_cast<size_t>(record.state)];
  shard.records.Drop(place, hash);
}

bool LocalTable::Expire(Shard& shard, DomainTime now, size_t most) {
  const bool any = shard.records.DropOver(now, most, [&](RecordSlab::Batch& batch) {
    RecordSlab::Tally& tally = batch.tally;
    tally.ForEachCaller([&](uint32_t caller, uint64_t records) { room_.Give(caller, records, 0); });
    room_.GiveBytes(tally.bytes);
    shard.kept_bytes -= tally.answer_bytes;
    for (size_t i = 0; i < tally.states.size(); ++i) shard.states[i] -= tally.states[i];
    for (size_t i = 0; i < tally.answers.size(); ++i) {
      if (tally.answers[i] > 0) answers_[i].fetch_sub(tally.answers[i], std::memory_order_relaxed);
    }
  });
  if (!any || shard.waiters.empty()) return any;
  // Who waited for what is gone has given up long ago. All of a thousand keys are looked at, so that none may
  // cost a look into every batch.
  absl::erase_if(shard.waiters, [&](const auto& of) {
    const auto& [key, waiting] = of;
    if (shard.records.Is(waiting.place, key)) return false;
    room_.GiveWaiters(waiting.waiters.size());
    return true;
  });
  return true;
}

void LocalTable::Sweep(DomainTime now) {
  for (Shard& shard : shards()) {
    bool more = true;
    while (more) {  // nobody is to wait for all of it
      const Lock lock(shard.mutex);
      shard.latest = std::max(shard.latest, now);
      more = Expire(shard, shard.latest, kDropsPerClaim);
    }
  }
}

// To so many beside the record itself. False, and nothing is changed: there is no room; never where it is
// less than before.
bool LocalTable::Resize(Shard& shard, uint32_t place, uint32_t bytes) {
  RecordSlab::Record& record = shard.records[place];
  const uint32_t before = record.bytes - kRecordBytes;
  if (bytes > before && !room_.TakeBytes(bytes - before)) return false;
  if (bytes < before) room_.GiveBytes(before - bytes);
  record.bytes = kRecordBytes + bytes;
  uint64_t& of_batch = shard.records.BatchOf(place).tally.bytes;
  of_batch = of_batch - before + bytes;
  return true;
}

uint64_t LocalTable::ShedOne() {
  for (size_t size = kSizeClasses; size-- > 0;) {
    if (answers_[size].load(std::memory_order_relaxed) == 0) continue;
    for (size_t i = 0; i < shard_count_; ++i) {
      Shard& shard = shards_[shed_at_.fetch_add(1, std::memory_order_relaxed) % shard_count_];
      const Lock lock(shard.mutex);
      const uint32_t place = shard.records.TakeOfSize(static_cast<uint8_t>(size));
      if (place == kNone) continue;
      const uint64_t bytes = shard.records[place].bytes - kRecordBytes;
      DropAnswer(shard, place);
      (void)Resize(shard, place, 0);
      Put(shard, place, State::kTombstone);
      if (Mutated(Mutant::kShedDropsRecord)) Drop(shard, place, shard.records[place].key.Hash());
      shed_.fetch_add(1, std::memory_order_relaxed);
      return bytes;
    }
  }
  return 0;
}

void LocalTable::Shed(uint64_t bytes) {
  for (uint64_t shed = 0; shed < bytes;) {
    const uint64_t one = ShedOne();
    if (one == 0) return;
    shed += one;
  }
}

std::vector<LocalTable::View> LocalTable::Find(const std::array<uint8_t, 8>& hash) const {
  constexpr std::array<std::string_view, RecordSlab::kStates> kWords = {"in_flight", "completed", "tombstone",
                                                                        "unknown"};
  // So many tokens are hashed under a lock: some tens of microseconds.
  constexpr uint32_t kAtOnce = 128;
  std::vector<View> views;
  for (Shard& shard : shards()) {
    const auto look = [&](uint32_t place, const RecordSlab::Record& record) {
      if (ShortHash(record.key.token) != hash) return;
      views.push_back({.state = kWords[static_cast<size_t>(record.state)],
                       .execution = record.execution,
                       .status = record.status,
                       .answer_bytes = record.answer.bytes,
                       .over = shard.records.BatchOf(place).over});
    };
    for (uint32_t place = 0; place != kNone;) {
      const Lock lock(shard.mutex);
      place = shard.records.ForSome(place, kAtOnce, look);
    }
  }
  return views;
}

LocalTable::Counts LocalTable::Count() const {
  Counts counts;
  for (Shard& shard : shards()) {
    const Lock lock(shard.mutex);
    const auto in = [&](State state) { return shard.states[static_cast<size_t>(state)]; };
    counts.in_flight += in(State::kInFlight);
    counts.completed += in(State::kCompleted);
    counts.tombstones += in(State::kTombstone);
    counts.unknown += in(State::kUnknown);
    counts.answer_bytes += shard.kept_bytes;
  }
  counts.detached = detached_.now();
  counts.room = room_.use();
  counts.shed = shed_.load(std::memory_order_relaxed);
  counts.late = late_.load(std::memory_order_relaxed);
  counts.fenced = fenced_.load(std::memory_order_relaxed);
  counts.full = full_.load(std::memory_order_relaxed) + detached_.refused();
  counts.quota = quota_.load(std::memory_order_relaxed);
  return counts;
}

}  // namespace pillion::idempotency
