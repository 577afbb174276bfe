#include "sidecar/upstream/outlier.h"

#include <algorithm>
#include <cmath>

namespace pillion::upstream {
namespace {

using ledger::Streak;

bool Enforced(uint32_t percent, Random& random) { return percent >= 100 || random.Percent(percent); }

void Eject(const Judged& judged, time::MonotonicTime now, Random& random) {
  const config::OutlierDetection& terms = judged.terms;
  judged.cluster.Eject(judged.endpoint, now,
                       {terms.base_ejection, terms.longest_ejection, terms.most_percent, terms.always_one},
                       DrawUpTo(terms.jitter, random));
}

// One more failure of a kind, of which `most` one after the other are too many.
void Fail(const Judged& judged, Streak streak, uint32_t most, uint32_t enforced, time::MonotonicTime now,
          Random& random) {
  if (most == 0) return;
  if (judged.endpoint.Lengthen(streak) < most) return;
  judged.endpoint.Break(streak);  // each so many are one finding
  if (Enforced(enforced, random)) Eject(judged, now, random);
}

// Single writer: no read-modify-write is needed.
void Increment(std::atomic<uint64_t>& count) {
  count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

void NoteResult(const Judged& judged, AttemptResult result, time::MonotonicTime now, Random& random) {
  const config::OutlierDetection& terms = judged.terms;
  ledger::EndpointHealth& endpoint = judged.endpoint;
  ledger::Tally& tally = endpoint.tally(judged.worker);
  if (terms.split_local) {
    Increment(tally.local);
    if (result == AttemptResult::kLocalFailure) {
      Fail(judged, Streak::kLocal, terms.local_failures, terms.enforce_local_failures, now, random);
      return;
    }
    Increment(tally.local_good);
    endpoint.Break(Streak::kLocal);
  }
  Increment(tally.external);
  if (result == AttemptResult::kGood) {
    Increment(tally.external_good);
    endpoint.Break(Streak::kServerError);
    endpoint.Break(Streak::kGateway);
    return;
  }
  if (result == AttemptResult::kServerError) {
    endpoint.Break(Streak::kGateway);
  } else {
    Fail(judged, Streak::kGateway, terms.gateway_failures, terms.enforce_gateway_failures, now, random);
  }
  Fail(judged, Streak::kServerError, terms.server_errors, terms.enforce_server_errors, now, random);
}

std::vector<size_t> FindBelowMean(std::span<const OutlierSample> samples, uint32_t hosts, uint32_t volume,
                                  uint32_t factor) {
  const auto counts = [&](const OutlierSample& one) { return one.attempts > 0 && one.attempts >= volume; };
  const auto rate = [](const OutlierSample& one) {
    return static_cast<double>(one.good) / static_cast<double>(one.attempts);
  };
  double sum = 0;
  double squares = 0;
  size_t count = 0;
  for (const OutlierSample& one : samples) {
    if (!counts(one)) continue;
    ++count;
    sum += rate(one);
  }
  if (count == 0 || count < hosts) return {};
  const double mean = sum / static_cast<double>(count);
  for (const OutlierSample& one : samples)
    squares += counts(one) ? (rate(one) - mean) * (rate(one) - mean) : 0;
  const double least = mean - std::sqrt(squares / static_cast<double>(count)) * factor / 1000;
  std::vector<size_t> found;
  found.reserve(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    if (counts(samples[i]) && rate(samples[i]) < least) found.push_back(i);
  }
  return found;
}

std::vector<size_t> FindFailing(std::span<const OutlierSample> samples, uint32_t hosts, uint32_t volume,
                                uint32_t threshold) {
  const auto counts = [&](const OutlierSample& one) { return one.attempts > 0 && one.attempts >= volume; };
  if (static_cast<size_t>(std::ranges::count_if(samples, counts)) < hosts) return {};
  std::vector<size_t> found;
  found.reserve(samples.size());
  for (size_t i = 0; i < samples.size(); ++i) {
    const OutlierSample& one = samples[i];
    if (counts(one) && (one.attempts - one.good) * 100 >= uint64_t{threshold} * one.attempts)
      found.push_back(i);
  }
  return found;
}

void OutlierSweep::Compare(ledger::ClusterLedger& cluster, const config::OutlierDetection& terms,
                           std::span<const std::shared_ptr<ledger::EndpointHealth>> endpoints,
                           time::MonotonicTime now, Random& random) {
  std::vector<OutlierSample> external;
  std::vector<OutlierSample> local;
  external.reserve(endpoints.size());
  local.reserve(endpoints.size());
  decltype(before_) sums;
  for (const auto& endpoint : endpoints) {
    const ledger::TallySums sum = endpoint->Sum();
    const auto known = before_.find(endpoint);
    const ledger::TallySums before = known == before_.end() ? ledger::TallySums() : known->second;
    external.push_back({sum.external - before.external, sum.external_good - before.external_good});
    local.push_back({sum.local - before.local, sum.local_good - before.local_good});
    sums.emplace(endpoint, sum);
  }
  before_ = std::move(sums);
  const auto eject = [&](const std::vector<size_t>& found, uint32_t enforced) {
    for (const size_t i : found) {
      if (Enforced(enforced, random)) Eject({cluster, *endpoints[i], terms, 0}, now, random);
    }
  };
  eject(
      FindBelowMean(external, terms.success_rate_hosts, terms.success_rate_volume, terms.success_rate_factor),
      terms.enforce_success_rate);
  eject(FindFailing(external, terms.failure_hosts, terms.failure_volume, terms.failure_threshold),
        terms.enforce_failure);
  if (!terms.split_local) return;
  eject(FindBelowMean(local, terms.success_rate_hosts, terms.success_rate_volume, terms.success_rate_factor),
        terms.enforce_local_success_rate);
  eject(FindFailing(local, terms.failure_hosts, terms.failure_volume, terms.failure_threshold),
        terms.enforce_local_failure);
}

time::MonotonicTime OutlierSweep::Run(ledger::ClusterLedger& cluster, const config::OutlierDetection& terms,
                                      std::span<const std::shared_ptr<ledger::EndpointHealth>> endpoints,
                                      time::MonotonicTime now, Random& random) {
  cluster.Uneject(now);
  if (next_ == time::MonotonicTime()) next_ = now + terms.interval;
  if (now >= next_) {
    cluster.Forgive();
    Compare(cluster, terms, endpoints, now, random);
    next_ = now + terms.interval;
  }
  // Who is ejected meanwhile comes back no sooner than that.
  return std::min({next_, now + terms.base_ejection, cluster.NextReturn()});
}

}  // namespace pillion::upstream
