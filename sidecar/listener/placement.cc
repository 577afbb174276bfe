#include "sidecar/listener/placement.h"

#include <utility>

namespace pillion::listener {
namespace {
// Handing over costs a wake-up of the other thread: with many connections a small difference is left alone.
constexpr uint64_t kToleratedFraction = 8;
}  // namespace

Placement::Placement(const std::vector<const telemetry::WorkerStats*>& workers, Deliver deliver,
                     uint64_t max_open)
    : deliver_(std::move(deliver)), max_open_(max_open) {
  for (const telemetry::WorkerStats* stats : workers) {
    slots_.push_back(std::make_unique<Slot>());
    slots_.back()->stats = stats;
  }
}

uint64_t Placement::OpenOf(const Slot& slot, uint64_t placed) {
  const uint64_t closed = slot.stats->client_connections_closed.value();
  return placed > closed ? placed - closed : 0;  // read apart: never below zero
}

bool Placement::Full() const {
  uint64_t open = 0;
  for (const auto& slot : slots_) open += OpenOf(*slot, slot->placed.load(std::memory_order_relaxed));
  return open >= max_open_;
}

size_t Placement::Choose(size_t self) {
  for (;;) {
    const uint64_t placed = slots_[self]->placed.load(std::memory_order_relaxed);
    const uint64_t own = OpenOf(*slots_[self], placed);
    size_t best = self;
    uint64_t best_placed = placed;
    uint64_t fewest = own;
    for (size_t i = 0; i < slots_.size(); ++i) {
      const uint64_t there = slots_[i]->placed.load(std::memory_order_relaxed);
      const uint64_t open = OpenOf(*slots_[i], there);
      if (open >= fewest) continue;
      best = i;
      best_placed = there;
      fewest = open;
    }
    if (own <= fewest + fewest / kToleratedFraction) {
      best = self;
      best_placed = placed;
    }
    // Another worker may have chosen the same in between: then its choice counts, and this one is made again.
    if (slots_[best]->placed.compare_exchange_strong(best_placed, best_placed + 1, std::memory_order_relaxed))
      return best;
  }
}

}  // namespace pillion::listener
