// The records of one shard of a table: found by key or by the size of their answers, and dropped in batches,
// each of what came within some time. In some 110 bytes each, beside their answers. Places are numbers, good
// until the record is dropped. Not locked.
//
// Hundreds of thousands of records come and go in turn, and a line of memory that no cache has costs as much
// as some hundred instructions. So a batch is written from its beginning to its end, its records and their
// answers, and is given up as a whole without being looked at again; and a token is found by the time of its
// making first: the index of the present's batch is small, and near.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_RECORD_SLAB_H_
#define PILLION_SIDECAR_IDEMPOTENCY_RECORD_SLAB_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sidecar/idempotency/answer_pages.h"
#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/place_index.h"
#include "sidecar/idempotency/terms.h"
#include "sidecar/idempotency/token_key.h"

namespace pillion::idempotency {

class RecordSlab {
 public:
  static constexpr uint32_t kNone = PlaceIndex::kNone;
  enum class State : uint8_t { kInFlight, kCompleted, kTombstone, kUnknown };
  static constexpr size_t kStates = 4;
  enum class Of : uint8_t { kTokens, kKeys };
  static constexpr size_t kSizeClasses = 32;
  struct Record {
    TokenKey key;
    Digest fingerprint;
    uint64_t execution = 0;
    AnswerPages::Kept answer;
    uint32_t caller = 0;
    uint32_t bytes = 0;  // taken from the room
    uint16_t status = 0;
    State state = State::kInFlight;
    uint8_t size_class = 0;  // of its answer
    bool live = false;
  };
  // What the records of a batch come to, for who drops it; kept by who changes them.
  struct Tally {
    std::array<uint64_t, kStates> states{};
    uint64_t bytes = 0;
    uint64_t answer_bytes = 0;
    std::array<uint32_t, kSizeClasses> answers{};  // kept, of each class
    // So many more records are of that caller, or fewer.
    void Count(uint32_t caller, int64_t records) {
      if (caller != last_caller_) others_[std::exchange(last_caller_, caller)] += std::exchange(last_, 0);
      last_ += records;
    }
    template <typename Use>
    void ForEachCaller(Use use) {
      Count(last_caller_ + 1, 0);
      for (const auto& [caller, records] : others_) {
        if (records > 0) use(caller, static_cast<uint64_t>(records));
      }
    }

   private:
    // As a rule many after each other are of one.
    uint32_t last_caller_ = 0;
    int64_t last_ = 0;
    absl::flat_hash_map<uint32_t, int64_t> others_;
  };
  struct Batch {
    Batch(Of kind, SparePages& spare) : pages(spare), of(kind) {}
    Tally tally;
    AnswerPages pages;
    DomainTime over{};  // when it is dropped

   private:
    friend class RecordSlab;
    struct OfSize {
      uint8_t size_class;
      std::vector<uint32_t> places;
    };
    // As it was when it was new, but that its memory is used again. False: it has grown too large for that.
    bool Renew();
    Of of;
    DomainTime latest{};  // of the times of its records
    PlaceIndex index;     // of tokens
    std::vector<uint32_t> blocks;
    // Places whose record was dropped before its time; some of them are in use again, or another batch's.
    std::vector<uint32_t> released;
    std::vector<OfSize> sizes;  // a few
  };
  // A record of a token that was made at `time`, always the same one; or of a key, which comes then and has
  // no time of its own. Its batch, whose records' times are `span` apart at most as a rule, is dropped at
  // `over` or later.
  struct Entry {
    Of of = Of::kTokens;
    DomainTime time{};
    DomainTime over{};
    DomainTime span{};
  };

  RecordSlab() = default;
  RecordSlab(const RecordSlab&) = delete;
  RecordSlab& operator=(const RecordSlab&) = delete;

  Record& operator[](uint32_t place) { return (*blocks_[place / kBlock].records)[place % kBlock]; }
  const Record& operator[](uint32_t place) const {
    return (*blocks_[place / kBlock].records)[place % kBlock];
  }
  Batch& BatchOf(uint32_t place) { return *blocks_[place / kBlock].batch; }
  // The record of that key is there.
  bool Is(uint32_t place, const TokenKey& key) const { return IsLive(place) && (*this)[place].key == key; }
  // `hash`: the key's; `time`: a token's, nullopt of a key. kNone: it is not there.
  uint32_t Find(const TokenKey& key, size_t hash, std::optional<DomainTime> time) const {
    const PlaceIndex* const index = time ? IndexOf(*time) : &keys_;
    return index == nullptr ? kNone : FindIn(*index, key, hash);
  }
  // Whatever its time is: batches are looked through.
  uint32_t Find(const TokenKey& key, size_t hash) const;
  // `key` is not there yet; `hash` is its.
  uint32_t Add(const TokenKey& key, size_t hash, const Entry& entry);
  // Before its time: its key may be added again. It has no answer any more.
  void Drop(uint32_t place, size_t hash);
  // Drops what is over, `most` batches of either kind; no batch goes before one that is older. `drops(batch)`
  // is called for each. True: there was one.
  template <typename Drops>
  bool DropOver(DomainTime now, size_t most, Drops drops) {
    bool any = false;
    for (const Of of : {Of::kTokens, Of::kKeys}) {
      Batches& batches = BatchesOf(of);
      for (size_t i = 0; i < most && !batches.empty() && batches.begin()->second.over <= now; ++i) {
        drops(batches.begin()->second);
        DropOldest(of);
        any = true;
      }
    }
    return any;
  }
  // Its record has an answer of that class, for TakeOfSize.
  void NoteSize(uint32_t place, uint8_t size_class);
  // One of the oldest batch that has answers of that class; it is not found so again. kNone: there is none.
  uint32_t TakeOfSize(uint8_t size_class);
  // Those of places from `first` on, `most` places at a time; the place to go on with, kNone: that was all.
  template <typename Use>
  uint32_t ForSome(uint32_t first, uint32_t most, Use use) const {
    uint32_t place = first;
    const auto end = static_cast<uint32_t>(blocks_.size() * kBlock);
    for (uint32_t i = 0; i < most && place < end; ++i, ++place) {
      if (IsLive(place)) use(place, (*this)[place]);
    }
    return place < end ? place : kNone;
  }

 private:
  // A batch has so many records, and then the next one begins, as a rule.
  static constexpr size_t kBatch = 256;
  static constexpr uint32_t kBlock = 32;
  struct Block {
    std::unique_ptr<std::array<Record, kBlock>> records;
    Batch* batch = nullptr;  // null: it is free
    uint32_t made = 0;       // the places from it on have no record
    uint32_t live = 0;
  };
  // By the earliest time that theirs may have: each has the times up to the next one's.
  using Batches = std::map<DomainTime, Batch>;

  static uint32_t TagOf(size_t hash) { return static_cast<uint32_t>(hash >> 32); }
  bool IsLive(uint32_t place) const {
    return place / kBlock < blocks_.size() && place % kBlock < blocks_[place / kBlock].made &&
           (*this)[place].live;
  }
  uint32_t FindIn(const PlaceIndex& index, const TokenKey& key, size_t hash) const {
    return index.Find(TagOf(hash), [&](uint32_t place) { return Is(place, key); });
  }
  // Of a token's batch; null: there is none.
  const PlaceIndex* IndexOf(DomainTime time) const {
    const Batches& tokens = batches_[0];
    if (newest_ != nullptr && time >= newest_from_) return &newest_->index;
    const auto next = tokens.upper_bound(time);
    return next == tokens.begin() ? nullptr : &std::prev(next)->second.index;
  }
  Batches& BatchesOf(Of of) { return batches_[static_cast<size_t>(of)]; }
  PlaceIndex& IndexOf(Batch& batch) { return batch.of == Of::kTokens ? batch.index : keys_; }
  static bool IsFull(const Batch& batch) { return batch.blocks.size() * kBlock >= kBatch; }
  // What is like that begins a batch behind this one.
  static bool EndsBefore(const Entry& entry, DomainTime from, const Batch& batch);
  // Where a record of that time belongs, which begins one where none does.
  Batch& MakeBatch(const Entry& entry);
  // kMany: as many as fill one are expected.
  enum class Expected : bool { kFew, kMany };
  Batch& Open(const Entry& entry, Expected expected);
  uint32_t TakePlace(Batch& batch);
  // kNone: there is none.
  uint32_t TakeReleased(Batch& batch);
  void FreeBlock(uint32_t number);
  // The batch, which may go too, has no record in that block any more.
  void GiveUp(Batch& batch, uint32_t number);
  void DropOldest(Of of);
  // No batch in front of it has answers of that class.
  DomainTime& OldestOf(Of of, uint8_t size_class) { return oldest_[static_cast<size_t>(of)][size_class]; }

  std::vector<Block> blocks_;
  std::vector<uint32_t> free_blocks_;
  SparePages spare_pages_;  // before those who have pages of it
  std::array<Batches, 2> batches_;
  Batches::node_type spare_;  // of tokens; or there is none
  PlaceIndex keys_;
  std::array<std::array<DomainTime, kSizeClasses>, 2> oldest_{};
  // Of tokens, the last batch: nearly all look-ups are for it.
  Batch* newest_ = nullptr;
  DomainTime newest_from_{};
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_RECORD_SLAB_H_
