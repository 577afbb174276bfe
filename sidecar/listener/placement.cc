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

uint64_t Placement::OpenAt(size_t worker) const {
  const uint64_t closed = slots_[worker]->stats->client_connections_closed.value();
  const uint64_t placed = slots_[worker]->placed.load(std::memory_order_relaxed);
  return placed > closed ? placed - closed : 0;  // read apart: never below zero
}

bool Placement::Full() const {
  uint64_t open = 0;
  for (size_t i = 0; i < slots_.size(); ++i) open += OpenAt(i);
  return open >= max_open_;
}

size_t Placement::Choose(size_t self) {
  const uint64_t own = OpenAt(self);
  size_t best = self;
  uint64_t fewest = own;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const uint64_t open = OpenAt(i);
    if (open >= fewest) continue;
    best = i;
    fewest = open;
  }
  if (own <= fewest + fewest / kToleratedFraction) best = self;
  slots_[best]->placed.fetch_add(1, std::memory_order_relaxed);
  return best;
}

}  // namespace pillion::listener
