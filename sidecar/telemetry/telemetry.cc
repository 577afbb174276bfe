#include "sidecar/telemetry/events.h"
#include "sidecar/telemetry/stats.h"

namespace pillion::telemetry {

std::string_view ToString(Event event) {
  switch (event) {
#define PILLION_EVENT_WORD(name, word, detail) \
  case Event::name:                            \
    return word;
    PILLION_EVENTS(PILLION_EVENT_WORD)
#undef PILLION_EVENT_WORD
  }
  return "unknown";
}

std::string_view DetailOf(Event event) {
  switch (event) {
#define PILLION_EVENT_DETAIL(name, word, detail) \
  case Event::name:                              \
    return detail;
    PILLION_EVENTS(PILLION_EVENT_DETAIL)
#undef PILLION_EVENT_DETAIL
  }
  return "unknown";
}

time::Duration Histogram::Median() const {
  constexpr uint64_t kEnough = 32;
  uint64_t all = 0;
  for (const Counter& bucket : buckets_) all += bucket.value();
  if (all < kEnough) return {};
  uint64_t below = 0;
  for (size_t i = 0; i + 1 < kBuckets; ++i) {
    below += buckets_[i].value();
    if (2 * below >= all) return std::chrono::microseconds(i == 0 ? 0 : UpperBoundUs(i - 1));
  }
  return std::chrono::microseconds(UpperBoundUs(kBuckets - 2));
}

void RouteStats::CountCode(uint16_t code) {
  for (Code& slot : codes) {
    const uint16_t taken = slot.code.load(std::memory_order_relaxed);
    if (taken == 0) slot.code.store(code, std::memory_order_relaxed);
    if (taken == 0 || taken == code || &slot == &codes.back()) {
      slot.count.Add();
      return;
    }
  }
}

RouteStats& Shard::Route(const RouteKey& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto& stats = routes_[key];
  if (stats == nullptr) stats = std::make_unique<RouteStats>();
  return *stats;
}

TcpStats& Shard::Tcp(const TcpKey& key) {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto& stats = tcp_[key];
  if (stats == nullptr) stats = std::make_unique<TcpStats>();
  return *stats;
}

Shard& Registry::NewShard() { return *shards_.emplace_back(std::make_unique<Shard>()); }

}  // namespace pillion::telemetry
