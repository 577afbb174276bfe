#include "sidecar/idempotency/record_slab.h"

#include <algorithm>
#include <tuple>

namespace pillion::idempotency {

uint32_t RecordSlab::Find(const TokenKey& key, size_t hash) const {
  uint32_t place = FindIn(keys_, key, hash);
  for (auto batch = batches_[0].begin(); place == kNone && batch != batches_[0].end(); ++batch)
    place = FindIn(batch->second.index, key, hash);
  return place;
}

bool RecordSlab::Batch::Renew() {
  if (blocks.size() * kBlock > 2 * kBatch) return false;
  tally = {};
  pages.Clear();
  over = latest = {};
  index.Clear();
  blocks.clear();
  released.clear();
  for (OfSize& of_size : sizes) of_size.places.clear();
  return true;
}

RecordSlab::Batch& RecordSlab::Open(const Entry& entry, Expected expected) {
  Batches& batches = BatchesOf(entry.of);
  auto opened = batches.end();
  if (entry.of == Of::kTokens && expected == Expected::kMany && !spare_.empty()) {
    spare_.key() = entry.time;
    opened = batches.insert(std::move(spare_)).position;
  } else {
    opened = batches.try_emplace(entry.time, entry.of, spare_pages_).first;
  }
  if (entry.of == Of::kTokens && std::next(opened) == batches.end())
    std::tie(newest_from_, newest_) = std::pair(entry.time, &opened->second);
  return opened->second;
}

// The times of two batches must not overlap: who looks for a token knows its time alone.
bool RecordSlab::EndsBefore(const Entry& entry, DomainTime from, const Batch& batch) {
  return entry.time > batch.latest && (IsFull(batch) || entry.time >= from + entry.span);
}

RecordSlab::Batch& RecordSlab::MakeBatch(const Entry& entry) {
  Batches& batches = BatchesOf(entry.of);
  const bool newest = entry.of == Of::kTokens && newest_ != nullptr && entry.time >= newest_from_;
  if (newest && !EndsBefore(entry, newest_from_, *newest_)) return *newest_;
  const auto next = batches.upper_bound(entry.time);
  if (next != batches.begin()) {
    auto& [from, batch] = *std::prev(next);
    if (!EndsBefore(entry, from, batch)) return batch;
    return Open(entry, IsFull(batch) ? Expected::kMany : Expected::kFew);
  }
  if (next == batches.end() || next->second.latest >= entry.time + entry.span)
    return Open(entry, Expected::kFew);
  // The oldest one's times begin with it.
  auto oldest = batches.extract(next);
  oldest.key() = entry.time;
  const auto begins = batches.insert(std::move(oldest)).position;
  if (newest_ == &begins->second) newest_from_ = entry.time;
  return begins->second;
}

uint32_t RecordSlab::TakeReleased(Batch& batch) {
  while (!batch.released.empty()) {
    const uint32_t place = batch.released.back();
    batch.released.pop_back();
    const Block& block = blocks_[place / kBlock];
    if (block.batch == &batch && place % kBlock < block.made && !IsLive(place)) return place;
  }
  return kNone;
}

uint32_t RecordSlab::TakePlace(Batch& batch) {
  if (const uint32_t released = TakeReleased(batch); released != kNone) return released;
  if (batch.blocks.empty() || blocks_[batch.blocks.back()].made == kBlock) {
    if (free_blocks_.empty()) {
      free_blocks_.push_back(static_cast<uint32_t>(blocks_.size()));
      blocks_.emplace_back().records = std::make_unique<std::array<Record, kBlock>>();
    }
    batch.blocks.push_back(free_blocks_.back());
    free_blocks_.pop_back();
    blocks_[batch.blocks.back()].batch = &batch;
  }
  Block& block = blocks_[batch.blocks.back()];
  const uint32_t at = block.made++;
  // The next one's, some time from now.
  if (block.made < kBlock) __builtin_prefetch(&(*block.records)[block.made] + 1, 1);
  return batch.blocks.back() * kBlock + at;
}

uint32_t RecordSlab::Add(const TokenKey& key, size_t hash, const Entry& entry) {
  Batch& batch = MakeBatch(entry);
  batch.latest = std::max(batch.latest, entry.time);
  batch.over = std::max(batch.over, entry.over);
  const uint32_t place = TakePlace(batch);
  Record& record = (*this)[place];
  record = Record();
  record.key = key;
  record.live = true;
  ++blocks_[place / kBlock].live;
  IndexOf(batch).Insert(TagOf(hash), place);
  return place;
}

void RecordSlab::Drop(uint32_t place, size_t hash) {
  Batch& batch = BatchOf(place);
  IndexOf(batch).Erase(TagOf(hash), place);
  (*this)[place].live = false;
  batch.released.push_back(place);
  if (--blocks_[place / kBlock].live == 0) GiveUp(batch, place / kBlock);
}

void RecordSlab::FreeBlock(uint32_t number) {
  blocks_[number].batch = nullptr;
  blocks_[number].made = blocks_[number].live = 0;
  free_blocks_.push_back(number);
}

// What is claimed and released all the time must not take memory until it would have been over: nobody counts
// it against what there is room for.
void RecordSlab::GiveUp(Batch& batch, uint32_t number) {
  std::erase(batch.blocks, number);
  FreeBlock(number);
  if (!batch.blocks.empty()) return;
  Batches& batches = BatchesOf(batch.of);
  const auto empty = std::prev(batches.upper_bound(batch.latest));
  if (std::next(empty) != batches.end()) batches.erase(empty);
}

void RecordSlab::DropOldest(Of of) {
  const auto oldest = BatchesOf(of).begin();
  for (const uint32_t number : oldest->second.blocks) {
    const Block& block = blocks_[number];
    for (uint32_t i = 0; of == Of::kKeys && i < block.made; ++i) {
      const Record& record = (*block.records)[i];
      if (record.live) keys_.Erase(TagOf(record.key.Hash()), number * kBlock + i);
    }
    FreeBlock(number);
  }
  if (newest_ == &oldest->second) newest_ = nullptr;
  auto node = BatchesOf(of).extract(oldest);
  if (of == Of::kTokens && IsFull(node.mapped()) && node.mapped().Renew()) spare_ = std::move(node);
}

void RecordSlab::NoteSize(uint32_t place, uint8_t size_class) {
  (*this)[place].size_class = size_class;
  Batch& batch = BatchOf(place);
  DomainTime& oldest = OldestOf(batch.of, size_class);
  oldest = std::min(oldest, batch.latest);
  auto found = std::ranges::find(batch.sizes, size_class, &Batch::OfSize::size_class);
  if (found == batch.sizes.end()) found = batch.sizes.insert(found, {size_class, {}});
  found->places.push_back(place);
}

uint32_t RecordSlab::TakeOfSize(uint8_t size_class) {
  for (const Of of : {Of::kTokens, Of::kKeys}) {
    DomainTime& from = OldestOf(of, size_class);
    auto batch = BatchesOf(of).upper_bound(from);
    if (batch != BatchesOf(of).begin()) --batch;
    for (; batch != BatchesOf(of).end(); ++batch) {
      from = batch->first;
      const auto found = std::ranges::find(batch->second.sizes, size_class, &Batch::OfSize::size_class);
      while (found != batch->second.sizes.end() && !found->places.empty()) {
        const uint32_t place = found->places.back();
        found->places.pop_back();
        // It may have been dropped, and its place be another's, or nobody's.
        if (!IsLive(place) || &BatchOf(place) != &batch->second) continue;
        const Record& record = (*this)[place];
        if (record.answer && record.size_class == size_class) return place;
      }
    }
    from = DomainTime::max();
  }
  return kNone;
}

}  // namespace pillion::idempotency
