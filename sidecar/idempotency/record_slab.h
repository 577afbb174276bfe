// The records of one shard of a table: found by key, and in lists of which each record is in at most one
// place each, in about 130 bytes per record. Places are numbers, good until the record is dropped. Not
// locked.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_RECORD_SLAB_H_
#define PILLION_SIDECAR_IDEMPOTENCY_RECORD_SLAB_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/place_index.h"
#include "sidecar/idempotency/saved_answer.h"
#include "sidecar/idempotency/terms.h"
#include "sidecar/idempotency/token_key.h"

namespace pillion::idempotency {

class RecordSlab {
 public:
  RecordSlab() = default;
  RecordSlab(const RecordSlab&) = delete;
  RecordSlab& operator=(const RecordSlab&) = delete;
  static constexpr uint32_t kNone = PlaceIndex::kNone;
  enum class State : uint8_t { kInFlight, kCompleted, kTombstone, kUnknown };
  static constexpr size_t kStates = 4;
  // The lists that a record may be in.
  enum class By : uint8_t { kAge, kSize };
  struct Link {
    uint32_t before = kNone;
    uint32_t after = kNone;
  };
  struct Record {
    TokenKey key;
    Digest fingerprint;
    uint64_t execution = 0;
    SavedAnswer answer;
    DomainTime over{};  // when it is dropped
    std::array<Link, 2> links;
    uint32_t caller = 0;
    uint32_t bytes = 0;  // taken from the room
    uint16_t status = 0;
    State state = State::kInFlight;
    uint8_t list = 0;  // which of those by age; likewise by size
    uint8_t size_list = 0;
  };
  // Oldest first.
  struct List {
    uint32_t first = kNone;
    uint32_t last = kNone;
    bool empty() const { return first == kNone; }
  };

  Record& operator[](uint32_t place) { return (*blocks_[place / kBlock])[place % kBlock]; }
  const Record& operator[](uint32_t place) const { return (*blocks_[place / kBlock])[place % kBlock]; }
  // `hash`: the key's. kNone: it is not there.
  uint32_t Find(const TokenKey& key, size_t hash) const {
    return places_.Find(TagOf(hash), [&](uint32_t place) { return (*this)[place].key == key; });
  }
  // `key` is not there yet; `hash` is its.
  uint32_t Add(const TokenKey& key, size_t hash) {
    uint32_t place = free_;
    if (place == kNone) {
      place = made_++;
      if (place / kBlock == blocks_.size()) blocks_.push_back(std::make_unique<Block>());
    } else {
      free_ = (*this)[place].links[0].after;
      (*this)[place] = Record();
    }
    (*this)[place].key = key;
    places_.Insert(TagOf(hash), place);
    return place;
  }
  // It is in no list any more.
  void Drop(uint32_t place) {
    places_.Erase(TagOf((*this)[place].key.Hash()), place);
    (*this)[place] = Record();
    (*this)[place].links[0].after = free_;
    free_ = place;
  }
  void Append(List& list, By by, uint32_t place) {
    Link& link = LinkOf(place, by);
    link = {list.last, kNone};
    (list.last == kNone ? list.first : LinkOf(list.last, by).after) = place;
    list.last = place;
  }
  void Remove(List& list, By by, uint32_t place) {
    const Link link = LinkOf(place, by);
    (link.before == kNone ? list.first : LinkOf(link.before, by).after) = link.after;
    (link.after == kNone ? list.last : LinkOf(link.after, by).before) = link.before;
    LinkOf(place, by) = Link();
  }
  size_t size() const { return places_.size(); }
  // Those of places from `first` on, `most` places at a time; the place to go on with, kNone: that was all.
  template <typename Use>
  uint32_t ForSome(uint32_t first, uint32_t most, Use use) const {
    uint32_t place = first;
    for (uint32_t i = 0; i < most && place < made_; ++i, ++place) {
      const Record& record = (*this)[place];
      if (Find(record.key, record.key.Hash()) == place) use(record);
    }
    return place < made_ ? place : kNone;
  }

 private:
  Link& LinkOf(uint32_t place, By by) { return (*this)[place].links[static_cast<size_t>(by)]; }
  static uint32_t TagOf(size_t hash) { return static_cast<uint32_t>(hash >> 32); }

  static constexpr uint32_t kBlock = 64;
  using Block = std::array<Record, kBlock>;
  std::vector<std::unique_ptr<Block>> blocks_;
  uint32_t made_ = 0;
  uint32_t free_ = kNone;  // chained by links[0].after
  PlaceIndex places_;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_RECORD_SLAB_H_
