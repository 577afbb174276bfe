// The records of one domain's tokens in this process: mode `local` (specs/idempotency.md 2.2 and 4.1).
//
//              Claim                Complete
//   absent ------------> in flight ----------> completed -- when memory is short --> tombstone
//     ^                   |  |  |  \________________________ answer not kept _________^
//     |      Release      |  |  | Abandon
//     +-------------------+  |  +--------> unknown   (Complete and Release of the same execution still count)
//     ^                      |
//     +---- its time is over, long after its token is refused
//
// A record is never dropped before its time: its token would run again. When the table is full new tokens are
// refused. Sharded by key where there are several threads, each shard under a lock that is held for one
// look-up; waiters are rung outside of it. Any thread.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_LOCAL_TABLE_H_
#define PILLION_SIDECAR_IDEMPOTENCY_LOCAL_TABLE_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/idempotency/answer_sizes.h"
#include "sidecar/idempotency/bell.h"
#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/record_slab.h"
#include "sidecar/idempotency/room.h"
#include "sidecar/idempotency/saved_answer.h"
#include "sidecar/idempotency/store.h"
#include "sidecar/idempotency/terms.h"
#include "sidecar/idempotency/token_key.h"

namespace pillion::idempotency {

class LocalTable final : public Store {
 public:
  // What a record costs beside its answer.
  static constexpr uint32_t kRecordBytes = 128;

  // For so many threads that claim.
  explicit LocalTable(const TableTerms& terms, unsigned workers = 4);
  ~LocalTable() override;
  LocalTable(const LocalTable&) = delete;
  LocalTable& operator=(const LocalTable&) = delete;

  // From now on; records that are there keep the time that they were given, and none goes before an older one
  // of its shard. What has come at about the same time goes together, so that some live a little longer: by a
  // 16th of their time at most.
  void Adopt(const TableTerms& terms);

  ClaimAnswer Claim(const idempotency::Claim& claim);
  // Its waiter is rung no more; it may have been rung before.
  void StopWaiting(const TokenKey& key, const Waiter& waiter);

  using Ended = idempotency::Ended;  // never kLater
  struct Execution {
    const TokenKey& key;
    uint64_t number;
    uint32_t place = kNowhere;  // of its record, as its claim was told; else it is looked for
  };
  static constexpr uint32_t kNowhere = RecordSlab::kNone;
  // The execution was answered. `written` (WriteAnswer) empty, or too large for the room that is left: only
  // `status` is kept. What memory is short of is taken from the largest answers first.
  Ended Complete(const Execution& execution, std::string_view written, uint16_t status);
  Ended Complete(const TokenKey& key, uint64_t execution, std::string_view written, uint16_t status) {
    return Complete({key, execution}, written, status);
  }
  // It provably never ran.
  Ended Release(const Execution& execution);
  Ended Release(const TokenKey& key, uint64_t execution) { return Release({key, execution}); }
  // It may have run, and no answer came.
  Ended Abandon(const Execution& execution);
  Ended Abandon(const TokenKey& key, uint64_t execution) { return Abandon({key, execution}); }

  // Drops what is over; for a timer, as claims do so by and by.
  void Sweep(DomainTime now);
  // Memory is short: so many bytes of answers are let go of, the largest first, or all there are.
  void Shed(uint64_t bytes);

  // Store. A claim that was rung for waits no longer.
  ClaimAnswer Claim(Held& held, const idempotency::Claim& claim) override;
  std::optional<Ended> Complete(Held& held, std::string_view written, uint16_t status,
                                const std::optional<Waiter>&) override {
    return Complete(TakeExecution(held), written, status);
  }
  std::optional<Ended> HowEnded(const Held&) const override { return Ended::kDone; }
  void Release(Held& held) override { Release(TakeExecution(held)); }
  void Abandon(Held& held) override { Abandon(TakeExecution(held)); }
  void Leave(Held& held) override;
  Detached& detached() override { return detached_; }

  using View = RecordView;
  // Those whose token has this hash. Hashes all tokens that are there (half a million: a fifth of a second),
  // and holds up nobody for long who claims meanwhile.
  std::vector<View> Find(const std::array<uint8_t, 8>& hash) const;

  struct Counts {
    uint64_t in_flight = 0;
    uint64_t completed = 0;
    uint64_t tombstones = 0;
    uint64_t unknown = 0;
    uint32_t detached = 0;
    uint64_t answer_bytes = 0;  // of answers that are kept
    Room::Use room;             // with those that are reserved for others
    // Since the table was made.
    uint64_t shed = 0;    // answers let go of before their time
    uint64_t late = 0;    // executions that were answered when nobody expected it any more
    uint64_t fenced = 0;  // and when another one had begun, by policy, or had been answered: 0, or a bug
    uint64_t full = 0;    // claims refused: no room
    uint64_t quota = 0;   // and: too many of one caller's
  };
  Counts Count() const;

 private:
  struct Shard;
  static Execution TakeExecution(Held& held) {
    return {held.key, std::exchange(held.number, 0), std::exchange(held.place, kNowhere)};
  }
  static constexpr size_t kSizeClasses = RecordSlab::kSizeClasses;  // by the number of bits of their size

  std::span<Shard> shards() const;
  Shard& ShardOf(size_t hash) const;
  ClaimAnswer Refused(Room::Answer why);
  void Put(Shard& shard, uint32_t place, RecordSlab::State state) const;
  // Of a record that is there, in what state it may be.
  ClaimAnswer Answer(Shard& shard, uint32_t place, const idempotency::Claim& claim);
  // nullopt: it is new.
  std::optional<ClaimAnswer> FindAnswer(Shard& shard, const idempotency::Claim& claim, size_t hash);
  ClaimAnswer Begin(Shard& shard, const idempotency::Claim& claim, size_t hash, const Room::Taken& taken,
                    uint32_t bytes);
  ClaimAnswer Join(Shard& shard, uint32_t place, const idempotency::Claim& claim);
  // True: something was over.
  bool Expire(Shard& shard, DomainTime now, size_t most);
  void Drop(Shard& shard, uint32_t place, size_t hash);
  void DropAnswer(Shard& shard, uint32_t place);
  // The place of the execution's record, where it may still be ended; else kNone, and `why` not.
  static uint32_t FindOpen(const Shard& shard, const Execution& execution, size_t hash, Ended& why);
  std::vector<Waiter> TakeWaiters(Shard& shard, const TokenKey& key);
  // An execution ends with no answer: `change` its record, then who waits is rung.
  template <typename Change>
  Ended EndWithout(const Execution& execution, Change change);
  bool TryComplete(const Execution& execution, std::string_view written, uint16_t status, Ended& ended,
                   std::vector<Waiter>& waiters);
  bool Resize(Shard& shard, uint32_t place, uint32_t bytes);
  // 0: there is nothing to shed.
  uint64_t ShedOne();

  std::atomic<uint64_t> most_bytes_;
  Room room_;
  std::atomic<uint64_t> executions_{0};
  std::array<std::atomic<uint64_t>, kSizeClasses> answers_{};  // kept, of each class, in all shards
  std::atomic<size_t> shed_at_{0};                             // the shard to look in next
  Detached detached_;
  std::atomic<uint64_t> shed_{0};
  std::atomic<uint64_t> late_{0};
  std::atomic<uint64_t> fenced_{0};
  std::atomic<uint64_t> full_{0};
  std::atomic<uint64_t> quota_{0};
  // A power of two of them. One thread has one: what it writes for one token is in its cache for the next.
  const size_t shard_count_;
  std::unique_ptr<Shard[]> shards_;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_LOCAL_TABLE_H_
