// Where records are found: a number of each, by 32 bits of its hash, in one array without pointers, so that a
// look-up, an insertion and an erasure read one line of memory each, as a rule, and no record but that which
// is meant. Linear probing, and what follows moves up when one is erased (Knuth, volume 3, section 6.4,
// algorithm R). Not locked.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_PLACE_INDEX_H_
#define PILLION_SIDECAR_IDEMPOTENCY_PLACE_INDEX_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace pillion::idempotency {

class PlaceIndex {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;  // no place has this number

  // The place with that tag of which `is(place)` is true; kNone: there is none.
  template <typename Is>
  uint32_t Find(uint32_t tag, Is is) const {
    if (size_ == 0) return kNone;
    for (size_t at = tag & mask_; entries_[at].place != kNone; at = (at + 1) & mask_) {
      if (entries_[at].tag == tag && is(entries_[at].place)) return entries_[at].place;
    }
    return kNone;
  }
  // It is not there yet.
  void Insert(uint32_t tag, uint32_t place) {
    if ((size_ + 1) * 4 > entries_.size() * 3) Grow();
    ++size_;
    Put({tag, place});
  }
  // Its memory stays.
  void Clear() {
    std::ranges::fill(entries_, Entry());
    size_ = 0;
  }
  // It is there.
  void Erase(uint32_t tag, uint32_t place) {
    size_t hole = tag & mask_;
    while (entries_[hole].place != place) hole = (hole + 1) & mask_;
    --size_;
    for (size_t at = (hole + 1) & mask_; entries_[at].place != kNone; at = (at + 1) & mask_) {
      // It may not move to before where one looks for it first.
      const size_t from_home = (at - entries_[at].tag) & mask_;
      if (from_home < ((at - hole) & mask_)) continue;
      entries_[hole] = entries_[at];
      hole = at;
    }
    entries_[hole].place = kNone;
  }
  size_t size() const { return size_; }

 private:
  struct Entry {
    uint32_t tag = 0;
    uint32_t place = kNone;
  };
  void Put(Entry entry) {
    size_t at = entry.tag & mask_;
    while (entries_[at].place != kNone) at = (at + 1) & mask_;
    entries_[at] = entry;
  }
  void Grow() {
    constexpr size_t kLeast = 16;
    std::vector<Entry> old(entries_.empty() ? kLeast : 2 * entries_.size());
    old.swap(entries_);
    mask_ = entries_.size() - 1;
    for (const Entry& entry : old) {
      if (entry.place != kNone) Put(entry);
    }
  }

  std::vector<Entry> entries_;  // a power of two of them, at most three quarters taken
  size_t mask_ = 0;
  size_t size_ = 0;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_PLACE_INDEX_H_
