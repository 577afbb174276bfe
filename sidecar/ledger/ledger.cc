#include "sidecar/ledger/ledger.h"

#include <algorithm>
#include <utility>

namespace pillion::ledger {
namespace {

template <typename Map>
void DropExpired(Map& map, size_t& sweep_at) {
  if (map.size() < sweep_at) return;
  std::erase_if(map, [](const auto& item) { return item.second.expired(); });
  sweep_at = std::max<size_t>(16, 2 * map.size());
}

}  // namespace

TallySums EndpointHealth::Sum() const {
  TallySums sums;
  for (const Tally& tally : tallies_) {
    sums.external += tally.external.load(std::memory_order_relaxed);
    sums.external_good += tally.external_good.load(std::memory_order_relaxed);
    sums.local += tally.local.load(std::memory_order_relaxed);
    sums.local_good += tally.local_good.load(std::memory_order_relaxed);
  }
  return sums;
}

std::shared_ptr<EndpointHealth> ClusterLedger::HealthOf(const std::string& address) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::weak_ptr<EndpointHealth>& known = endpoints_[address];
  std::shared_ptr<EndpointHealth> health = known.lock();
  if (health == nullptr) {
    health = std::make_shared<EndpointHealth>(workers_);
    known = health;
    DropExpired(endpoints_, sweep_at_);
  }
  return health;
}

std::shared_ptr<SharedCount> ClusterLedger::ConnectionsOf(const std::string& address) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::weak_ptr<SharedCount>& known = connections_[address];
  std::shared_ptr<SharedCount> count = known.lock();
  if (count == nullptr) {
    count = std::make_shared<SharedCount>();
    known = count;
    DropExpired(connections_, sweep_connections_at_);
  }
  return count;
}

template <typename Do>
void ClusterLedger::ForEach(Do what) const {
  for (const auto& [address, weak] : endpoints_) {
    if (const auto endpoint = weak.lock()) what(*endpoint);
  }
}

bool ClusterLedger::SetFlags(EndpointHealth& endpoint, uint32_t set, uint32_t clear) {
  const uint32_t before = endpoint.flags();
  const uint32_t after = (before & ~clear) | set;
  if (before == after) return false;
  endpoint.flags_.store(after, std::memory_order_relaxed);
  epoch_.fetch_add(1, std::memory_order_release);
  return true;
}

bool ClusterLedger::Eject(EndpointHealth& endpoint, time::MonotonicTime now, const EjectionTerms& terms,
                          time::Duration jitter) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if ((endpoint.flags() & EndpointHealth::kEjected) != 0) return false;
  size_t all = 0;
  size_t out = 0;   // ejected
  size_t stay = 0;  // others that would serve
  ForEach([&](EndpointHealth& other) {
    ++all;
    if ((other.flags() & EndpointHealth::kEjected) != 0) ++out;
    if (&other != &endpoint &&
        (other.flags() & (EndpointHealth::kEjected | EndpointHealth::kCheckFailed)) == 0)
      ++stay;
  });
  if (stay == 0) return false;
  const bool within = (out + 1) * 100 <= size_t{terms.most_percent} * all;
  if (!within && !(terms.always_one && out == 0)) return false;
  ++endpoint.times_ejected_;
  const auto longest = std::max(terms.base, terms.longest);
  const auto times = static_cast<int64_t>(endpoint.times_ejected_);
  const auto wait = terms.base.count() > longest.count() / times ? longest : terms.base * times;
  endpoint.ejected_until_ = now + wait + jitter;
  ejections_.fetch_add(1, std::memory_order_relaxed);
  return SetFlags(endpoint, EndpointHealth::kEjected, 0);
}

void ClusterLedger::Return(EndpointHealth& endpoint) {
  for (auto& streak : endpoint.streaks_) streak.store(0, std::memory_order_relaxed);
  SetFlags(endpoint, 0, EndpointHealth::kEjected);
}

size_t ClusterLedger::Uneject(time::MonotonicTime now) {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t count = 0;
  ForEach([&](EndpointHealth& endpoint) {
    if ((endpoint.flags() & EndpointHealth::kEjected) == 0 || now < endpoint.ejected_until_) return;
    Return(endpoint);
    ++count;
  });
  return count;
}

void ClusterLedger::Forgive() {
  const std::lock_guard<std::mutex> lock(mutex_);
  ForEach([](EndpointHealth& endpoint) {
    if ((endpoint.flags() & EndpointHealth::kEjected) == 0 && endpoint.times_ejected_ > 0)
      --endpoint.times_ejected_;
  });
}

time::MonotonicTime ClusterLedger::NextReturn() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  auto next = time::MonotonicTime::max();
  ForEach([&](EndpointHealth& endpoint) {
    if ((endpoint.flags() & EndpointHealth::kEjected) != 0) next = std::min(next, endpoint.ejected_until_);
  });
  return next;
}

size_t ClusterLedger::ejected() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  size_t count = 0;
  ForEach([&](EndpointHealth& endpoint) {
    if ((endpoint.flags() & EndpointHealth::kEjected) != 0) ++count;
  });
  return count;
}

void ClusterLedger::EndEjection(EndpointHealth& endpoint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if ((endpoint.flags() & EndpointHealth::kEjected) != 0) Return(endpoint);
}

void ClusterLedger::SetChecked(EndpointHealth& endpoint, bool healthy) {
  const std::lock_guard<std::mutex> lock(mutex_);
  constexpr uint32_t kFailed = EndpointHealth::kCheckFailed;
  SetFlags(endpoint, healthy ? 0 : kFailed, EndpointHealth::kUnchecked | (healthy ? kFailed : 0));
}

void ClusterLedger::SetUnchecked(EndpointHealth& endpoint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  SetFlags(endpoint, EndpointHealth::kUnchecked, 0);
}

void ClusterLedger::ForgetChecks(EndpointHealth& endpoint) {
  const std::lock_guard<std::mutex> lock(mutex_);
  SetFlags(endpoint, 0, EndpointHealth::kCheckFailed | EndpointHealth::kUnchecked);
}

ClusterCounts ClusterLedger::Counts() const {
  ClusterCounts counts;
  const auto load = [](const auto& count) { return count.load(std::memory_order_relaxed); };
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ForEach([&](EndpointHealth& endpoint) {
      const uint32_t flags = endpoint.flags();
      ++counts.endpoints;
      if ((flags & EndpointHealth::kEjected) != 0) ++counts.ejected;
      if ((flags & EndpointHealth::kCheckFailed) != 0) ++counts.check_failed;
      if ((flags & EndpointHealth::kUnchecked) != 0) ++counts.unchecked;
    });
  }
  counts.ejections = load(ejections_);
  counts.checks_passed = load(checks_passed_);
  counts.checks_failed = load(checks_failed_);
  for (size_t priority = 0; priority < kCircuitPriorities; ++priority) {
    for (size_t circuit = 0; circuit < kCircuits; ++circuit) {
      counts.held[priority][circuit] =
          static_cast<uint64_t>(std::max<int64_t>(0, circuits_[priority][circuit].told()));
      counts.refused[priority][circuit] = load(refused_[priority][circuit]);
    }
  }
  for (const BudgetLevel& budget : budgets_) {
    if (const double level = load(budget.level); level >= 0)
      counts.retries = counts.retries.value_or(0) + level;
  }
  return counts;
}

std::map<std::string, ClusterCounts> Ledger::Counts() const {
  std::map<std::string, std::shared_ptr<ClusterLedger>> held;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [name, known] : clusters_) {
      if (auto cluster = known.lock()) held.emplace(name, std::move(cluster));
    }
  }
  std::map<std::string, ClusterCounts> counts;
  for (const auto& [name, cluster] : held) counts.emplace(name, cluster->Counts());
  return counts;
}

std::shared_ptr<ClusterLedger> Ledger::ClusterOf(const std::string& name) {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::weak_ptr<ClusterLedger>& known = clusters_[name];
  std::shared_ptr<ClusterLedger> cluster = known.lock();
  if (cluster == nullptr) {
    cluster = std::make_shared<ClusterLedger>(workers_);
    known = cluster;
    DropExpired(clusters_, sweep_at_);
  }
  return cluster;
}

}  // namespace pillion::ledger
