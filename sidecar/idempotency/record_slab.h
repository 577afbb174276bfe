// The records of one shard of a table: found by key, and in lists of which each record is in at most one
// place each, in about 130 bytes per record. Places are numbers, good until the record is dropped. Not
// locked.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_RECORD_SLAB_H_
#define PILLION_SIDECAR_IDEMPOTENCY_RECORD_SLAB_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "absl/container/flat_hash_set.h"
#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/saved_answer.h"
#include "sidecar/idempotency/terms.h"

namespace pillion::idempotency {

class RecordSlab {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  enum class State : uint8_t { kInFlight, kCompleted, kTombstone, kUnknown };
  static constexpr size_t kStates = 4;
  // The lists that a record may be in.
  enum class By : uint8_t { kAge, kSize };
  struct Link {
    uint32_t before = kNone;
    uint32_t after = kNone;
  };
  struct Record {
    Digest key;
    Digest fingerprint;
    std::array<uint8_t, 16> token{};  // its bytes; of an app's key, of its digest
    uint64_t execution = 0;
    std::shared_ptr<const SavedAnswer> answer;
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

  Record& operator[](uint32_t place) { return records_[place]; }
  const Record& operator[](uint32_t place) const { return records_[place]; }
  // kNone: it is not there.
  uint32_t Find(const Digest& key) const {
    const auto found = places_.find(key);
    return found == places_.end() ? kNone : *found;
  }
  // `key` is not there yet.
  uint32_t Add(const Digest& key) {
    uint32_t place = free_;
    if (place == kNone) {
      place = static_cast<uint32_t>(records_.size());
      records_.emplace_back();
    } else {
      free_ = records_[place].links[0].after;
      records_[place] = Record();
    }
    records_[place].key = key;
    places_.insert(place);
    return place;
  }
  // It is in no list any more.
  void Drop(uint32_t place) {
    places_.erase(place);
    records_[place] = Record();
    records_[place].links[0].after = free_;
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
    for (uint32_t i = 0; i < most && place < records_.size(); ++i, ++place) {
      if (Find(records_[place].key) == place) use(records_[place]);
    }
    return place < records_.size() ? place : kNone;
  }

 private:
  Link& LinkOf(uint32_t place, By by) { return records_[place].links[static_cast<size_t>(by)]; }
  struct Hash {
    using is_transparent = void;
    const std::deque<Record>* records;
    size_t operator()(uint32_t place) const { return (*records)[place].key.Hash(); }
    size_t operator()(const Digest& key) const { return key.Hash(); }
  };
  struct Equal {
    using is_transparent = void;
    const std::deque<Record>* records;
    bool operator()(uint32_t a, uint32_t b) const { return a == b; }
    bool operator()(uint32_t a, const Digest& key) const { return (*records)[a].key == key; }
    bool operator()(const Digest& key, uint32_t a) const { return (*records)[a].key == key; }
  };

  std::deque<Record> records_;
  uint32_t free_ = kNone;  // chained by links[0].after
  absl::flat_hash_set<uint32_t, Hash, Equal> places_{0, Hash{&records_}, Equal{&records_}};
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_RECORD_SLAB_H_
