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
using By = RecordSlab::By;
constexpr uint32_t kNone = RecordSlab::kNone;

// Records that are over and that one claim drops, so that none costs much and they do not pile up.
constexpr size_t kDropsPerClaim = 4;
// So many answers may at least be waited for at once, as far as bytes go.
constexpr uint64_t kLeastReservations = 16;

size_t ClassOf(uint64_t bytes) { return static_cast<size_t>(std::bit_width(bytes)); }

void RingAll(const std::vector<Waiter>& waiters) {
  if (Mutated(Mutant::kWaitersNotRung)) return;
  for (const Waiter& waiter : waiters) waiter.bell->Ring(waiter.number);
}

}  // namespace

struct LocalTable::Shard {
  std::mutex mutex;
  RecordSlab records;
  // In the order in which they are over: of tokens, and of keys without a time, which live longer.
  std::array<RecordSlab::List, 2> by_age;
  std::array<RecordSlab::List, kSizeClasses> by_size;  // those with an answer
  absl::flat_hash_map<TokenKey, std::vector<Waiter>> waiters;
  std::array<uint64_t, RecordSlab::kStates> states{};  // how many are in each
  uint64_t kept_bytes = 0;                             // of answers
  AnswerPages pages;
  AnswerSizes sizes;
  TableTerms terms;
  DomainTime latest{};  // what it was told last: claims of several threads may come in another order
};

LocalTable::LocalTable(const TableTerms& terms)
    : most_bytes_(terms.room.bytes),
      room_(terms.room),
      shards_(std::make_unique<std::array<Shard, kShards>>()) {
  Adopt(terms);
}
LocalTable::~LocalTable() = default;

LocalTable::Shard& LocalTable::ShardOf(size_t hash) const { return (*shards_)[hash % kShards]; }

void LocalTable::Adopt(const TableTerms& terms) {
  most_bytes_.store(terms.room.bytes, std::memory_order_relaxed);
  room_.Adopt(terms.room);
  for (Shard& shard : *shards_) {
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
  if (const uint32_t place = shard.records.Find(claim.key, hash); place != kNone)
    return Answer(shard, place, claim);
  if (claim.of_another_incarnation) return ClaimAnswer{Kind::kUnknown};
  return std::nullopt;
}

ClaimAnswer LocalTable::Begin(Shard& shard, const idempotency::Claim& claim, size_t hash,
                              const Room::Taken& taken, uint32_t bytes) {
  const uint32_t place = shard.records.Add(claim.key, hash);
  RecordSlab::Record& record = shard.records[place];
  ++shard.states[static_cast<size_t>(record.state)];
  record.fingerprint = claim.fingerprint;
  record.execution = executions_.fetch_add(1, std::memory_order_relaxed) + 1;
  record.caller = taken.caller;
  record.bytes = bytes;
  record.list = claim.minted ? 0 : 1;
  const DomainTime validity = claim.minted ? shard.terms.validity : shard.terms.app_validity;
  // Its token is refused after the validity and twice the skew, whatever the client's clock said.
  record.over = shard.latest + validity + 3 * shard.terms.skew + shard.terms.max_execution;
  // They go in the order in which they came, also when policy has shortened their time meanwhile.
  RecordSlab::List& by_age = shard.by_age[record.list];
  if (!by_age.empty()) record.over = std::max(record.over, shard.records[by_age.last].over);
  if (Mutated(Mutant::kShortRecords)) record.over = shard.latest + validity / 2;
  shard.records.Append(by_age, By::kAge, place);
  return {.kind = Kind::kClaimed, .execution = record.execution};
}

ClaimAnswer LocalTable::Answer(Shard& shard, uint32_t place, const idempotency::Claim& claim) {
  RecordSlab::Record& record = shard.records[place];
  if (record.fingerprint != claim.fingerprint && !Mutated(Mutant::kFingerprintIgnored))
    return {Kind::kMismatch};
  switch (record.state) {
    case State::kInFlight:
      if (Mutated(Mutant::kCheckThenSet)) return {.kind = Kind::kClaimed, .execution = record.execution};
      return Join(shard, claim);
    case State::kCompleted:
      return {.kind = Kind::kReplay,
              .execution = record.execution,
              .status = record.status,
              .answer = record.answer};
    case State::kTombstone:
      return {.kind = Kind::kTombstone, .status = record.status};
    case State::kUnknown:
      break;
  }
  if (!claim.runs_again && !Mutated(Mutant::kTakeover)) return {Kind::kUnknown};
  record.execution = executions_.fetch_add(1, std::memory_order_relaxed) + 1;
  Put(shard, place, State::kInFlight);
  return {.kind = Kind::kClaimed, .execution = record.execution};
}

ClaimAnswer LocalTable::Join(Shard& shard, const idempotency::Claim& claim) {
  if (!claim.waiter) return {Kind::kInFlight};
  std::vector<Waiter>& waiters = shard.waiters[claim.key];
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
  --shard.states[static_cast<size_t>(now)];
  ++shard.states[static_cast<size_t>(state)];
  now = state;
}

ClaimAnswer LocalTable::Claim(Held& held, const idempotency::Claim& claim) {
  if (held.waiter) StopWaiting(held.key, *held.waiter);  // it may have been rung already
  held.waiter.reset();
  held.key = claim.key;
  ClaimAnswer answer = Claim(claim);
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
  room_.GiveWaiters(std::erase_if(found->second, [&](const Waiter& one) {
    return one.bell == waiter.bell && one.number == waiter.number;
  }));
  if (found->second.empty()) shard.waiters.erase(found);
}

std::vector<Waiter> LocalTable::TakeWaiters(Shard& shard, const TokenKey& key) {
  if (shard.waiters.empty()) return {};
  const auto found = shard.waiters.find(key);
  if (found == shard.waiters.end()) return {};
  std::vector<Waiter> waiters = std::move(found->second);
  shard.waiters.erase(found);
  room_.GiveWaiters(waiters.size());
  return waiters;
}

uint32_t LocalTable::FindOpen(const Shard& shard, const TokenKey& key, size_t hash, uint64_t execution,
                              Ended& why) {
  const uint32_t place = shard.records.Find(key, hash);
  why = Ended::kGone;
  if (place == kNone) return kNone;
  const RecordSlab::Record& record = shard.records[place];
  why = Ended::kFenced;
  if (record.execution != execution && !Mutated(Mutant::kUnfencedCompletion)) return kNone;
  why = Ended::kAlready;
  if (record.state != State::kInFlight && record.state != State::kUnknown) return kNone;
  why = Ended::kDone;
  return place;
}

LocalTable::Ended LocalTable::Complete(const TokenKey& key, uint64_t execution, std::string_view written,
                                       uint16_t status) {
  // One that would not find room if it had all of it is not worth what others would lose for it.
  const uint64_t most = std::min<uint64_t>(most_bytes_.load(std::memory_order_relaxed), UINT32_MAX / 2);
  if (kRecordBytes + written.size() > most) written = {};
  for (;;) {
    Ended ended = Ended::kDone;
    std::vector<Waiter> waiters;
    if (TryComplete(key, execution, written, status, ended, waiters)) {
      RingAll(waiters);
      if (ended == Ended::kFenced || ended == Ended::kAlready)
        fenced_.fetch_add(1, std::memory_order_relaxed);
      return ended;
    }
    if (ShedOne() == 0) written = {};
  }
}

// False, and nothing is done: there is no room for the answer.
bool LocalTable::TryComplete(const TokenKey& key, uint64_t execution, std::string_view written,
                             uint16_t status, Ended& ended, std::vector<Waiter>& waiters) {
  const size_t hash = key.Hash();
  Shard& shard = ShardOf(hash);
  const Lock lock(shard.mutex);
  const uint32_t place = FindOpen(shard, key, hash, execution, ended);
  if (place == kNone) return true;
  RecordSlab::Record& record = shard.records[place];
  const auto bytes = static_cast<uint32_t>(written.size());
  if (!Resize(record, bytes)) return false;
  record.status = status;
  if (record.state == State::kUnknown) late_.fetch_add(1, std::memory_order_relaxed);
  Put(shard, place, written.empty() ? State::kTombstone : State::kCompleted);
  if (!written.empty()) {
    record.answer = shard.pages.Keep(written);
    record.size_list = static_cast<uint8_t>(std::min(ClassOf(bytes), kSizeClasses - 1));
    shard.records.Append(shard.by_size[record.size_list], By::kSize, place);
    answers_[record.size_list].fetch_add(1, std::memory_order_relaxed);
    shard.kept_bytes += bytes;
    shard.sizes.Note(bytes);
  }
  waiters = TakeWaiters(shard, key);
  return true;
}

template <typename Change>
LocalTable::Ended LocalTable::EndWithout(const TokenKey& key, uint64_t execution, Change change) {
  Ended ended = Ended::kDone;
  std::vector<Waiter> waiters;
  {
    const size_t hash = key.Hash();
    Shard& shard = ShardOf(hash);
    const Lock lock(shard.mutex);
    const uint32_t place = FindOpen(shard, key, hash, execution, ended);
    if (place == kNone) return ended;
    change(shard, place);
    waiters = TakeWaiters(shard, key);
  }
  RingAll(waiters);
  return ended;
}

LocalTable::Ended LocalTable::Release(const TokenKey& key, uint64_t execution) {
  return EndWithout(key, execution, [this](Shard& shard, uint32_t place) { Drop(shard, place); });
}

LocalTable::Ended LocalTable::Abandon(const TokenKey& key, uint64_t execution) {
  return EndWithout(key, execution, [this](Shard& shard, uint32_t place) {
    (void)Resize(shard.records[place], 0);
    Put(shard, place, State::kUnknown);
  });
}

void LocalTable::DropAnswer(Shard& shard, uint32_t place) {
  RecordSlab::Record& record = shard.records[place];
  if (!record.answer) return;
  shard.records.Remove(shard.by_size[record.size_list], By::kSize, place);
  answers_[record.size_list].fetch_sub(1, std::memory_order_relaxed);
  shard.kept_bytes -= record.bytes - kRecordBytes;
  record.answer = {};
}

void LocalTable::Drop(Shard& shard, uint32_t place) {
  DropAnswer(shard, place);
  const RecordSlab::Record& record = shard.records[place];
  room_.Give(record.caller, record.bytes);
  --shard.states[static_cast<size_t>(record.state)];
  shard.records.Remove(shard.by_age[record.list], By::kAge, place);
  shard.records.Drop(place);
}

void LocalTable::Expire(Shard& shard, DomainTime now, size_t most) {
  for (const RecordSlab::List& list : shard.by_age) {
    for (size_t i = 0; i < most && !list.empty() && shard.records[list.first].over <= now; ++i) {
      TakeWaiters(shard, shard.records[list.first].key);  // who waited has given up long ago
      Drop(shard, list.first);
    }
  }
}

void LocalTable::Sweep(DomainTime now) {
  for (Shard& shard : *shards_) {
    const Lock lock(shard.mutex);
    shard.latest = std::max(shard.latest, now);
    Expire(shard, shard.latest, SIZE_MAX);
  }
}

// To so many beside the record itself. False, and nothing is changed: there is no room; never where it is
// less than before.
bool LocalTable::Resize(RecordSlab::Record& record, uint32_t bytes) {
  const uint32_t before = record.bytes - kRecordBytes;
  if (bytes > before && !room_.TakeBytes(bytes - before)) return false;
  if (bytes < before) room_.GiveBytes(before - bytes);
  record.bytes = kRecordBytes + bytes;
  return true;
}

uint64_t LocalTable::ShedOne() {
  for (size_t size = kSizeClasses; size-- > 0;) {
    if (answers_[size].load(std::memory_order_relaxed) == 0) continue;
    for (size_t i = 0; i < kShards; ++i) {
      Shard& shard = (*shards_)[shed_at_.fetch_add(1, std::memory_order_relaxed) % kShards];
      const Lock lock(shard.mutex);
      const RecordSlab::List& list = shard.by_size[size];
      if (list.empty()) continue;
      const uint32_t place = list.first;
      RecordSlab::Record& record = shard.records[place];
      const uint64_t bytes = record.bytes - kRecordBytes;
      DropAnswer(shard, place);
      (void)Resize(record, 0);
      Put(shard, place, State::kTombstone);
      if (Mutated(Mutant::kShedDropsRecord)) Drop(shard, place);
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
  const auto look = [&](const RecordSlab::Record& record) {
    if (ShortHash(record.key.token) != hash) return;
    views.push_back({.state = kWords[static_cast<size_t>(record.state)],
                     .execution = record.execution,
                     .status = record.status,
                     .answer_bytes = record.answer.bytes(),
                     .over = record.over});
  };
  for (Shard& shard : *shards_) {
    for (uint32_t place = 0; place != kNone;) {
      const Lock lock(shard.mutex);
      place = shard.records.ForSome(place, kAtOnce, look);
    }
  }
  return views;
}

LocalTable::Counts LocalTable::Count() const {
  Counts counts;
  for (Shard& shard : *shards_) {
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
