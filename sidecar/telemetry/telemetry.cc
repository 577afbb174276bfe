#include <algorithm>
#include <array>

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
  constexpr auto kDetails = std::to_array<std::string_view>({
#define PILLION_EVENT_DETAIL(name, word, detail) detail,
      PILLION_EVENTS(PILLION_EVENT_DETAIL)
#undef PILLION_EVENT_DETAIL
  });
  return kDetails[static_cast<size_t>(event)];
}

void RecentTimes::Record(time::Duration duration) {
  const auto us = static_cast<uint64_t>(duration.count() < 0 ? 0 : duration.count() / 1000);
  ++buckets_[Histogram::BucketOf(us)];
  if (++all_ < kMost) return;
  all_ = 0;
  for (uint16_t& bucket : buckets_) {
    bucket /= 2;
    all_ += bucket;
  }
}

// `all_` is kEnough or more.
size_t RecentTimes::BucketAt(double quantile) const {
  uint32_t below = 0;
  for (size_t i = 0; i + 1 < buckets_.size(); ++i) {
    below += buckets_[i];
    if (static_cast<double>(below) >= quantile * static_cast<double>(all_)) return i;
  }
  return buckets_.size() - 1;
}

time::Duration RecentTimes::Quantile(double quantile) const {
  if (all_ < kEnough) return {};
  const size_t last = buckets_.size() - 2;  // the one above has no bound
  return std::chrono::microseconds(Histogram::UpperBoundUs(std::min(BucketAt(quantile), last)));
}

time::Duration RecentTimes::Median() const {
  if (all_ < kEnough) return {};
  const size_t bucket = BucketAt(0.5);
  return std::chrono::microseconds(bucket == 0 ? 0 : Histogram::UpperBoundUs(bucket - 1));
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
