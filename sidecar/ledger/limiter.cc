#include "sidecar/ledger/limiter.h"

#include <absl/hash/hash.h>

#include <algorithm>

namespace pillion::ledger {

Limiter::Limiter(BucketShape shape, uint32_t max_clients)
    : shape_(shape), max_clients_(std::max<uint32_t>(max_clients, 1)) {}

Taken Limiter::TakeOf(std::string_view client, time::MonotonicTime now, bool& forgotten) {
  const size_t digest = absl::HashOf(client);
  std::string shortened;
  if (client.size() > kMaxClientNameBytes) {
    shortened = std::string(client.substr(0, kMaxClientNameBytes)) + '#' + std::to_string(digest);
    client = shortened;
  }
  // No more shards than clients, so that the limit is one.
  const size_t shards = std::min<size_t>(kShards, max_clients_);
  Shard& shard = shards_.at(digest % shards);
  const std::lock_guard<std::mutex> lock(shard.mutex);
  const auto known = shard.by_name.find(client);
  if (known != shard.by_name.end()) {
    shard.clients.splice(shard.clients.begin(), shard.clients, known->second);
    return shard.clients.front().bucket.Take(shape_, now);
  }
  if (shard.clients.size() >= max_clients_ / shards) {
    shard.by_name.erase(shard.clients.back().name);
    shard.clients.pop_back();
    forgotten = true;
  }
  shard.clients.emplace_front(client);
  shard.by_name.emplace(shard.clients.front().name, shard.clients.begin());
  return shard.clients.front().bucket.Take(shape_, now);
}

size_t Limiter::clients() const {
  size_t sum = 0;
  for (Shard& shard : shards_) {
    const std::lock_guard<std::mutex> lock(shard.mutex);
    sum += shard.clients.size();
  }
  return sum;
}

std::shared_ptr<Limiter> Limits::Find(const std::string& name, const BucketShape& shape,
                                      uint32_t max_clients) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (limiters_.size() >= sweep_at_) {
    std::erase_if(limiters_, [](const auto& entry) { return entry.second.expired(); });
    sweep_at_ = std::max<size_t>(64, limiters_.size() * 2);
  }
  std::weak_ptr<Limiter>& place = limiters_[name];
  auto known = place.lock();
  if (known != nullptr && known->shape() == shape && known->max_clients() == max_clients) return known;
  auto made = std::make_shared<Limiter>(shape, max_clients);
  place = made;
  return made;
}

}  // namespace pillion::ledger
