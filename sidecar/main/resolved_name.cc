#include "sidecar/main/resolved_name.h"

#include <algorithm>

namespace pillion {
bool ResolvedName::Take(const net::DnsAnswer& answer, time::MonotonicTime now, Random& random) {
  using Kind = net::DnsAnswer::Kind;
  const bool failed = answer.kind == Kind::kFailed || (answer.kind == Kind::kNone && use_ == Use::kFirst);
  bool differs = answers_++ == 0;
  time::Duration pause = options_.refresh;
  if (failed) {
    failure_ = answer.kind == Kind::kFailed ? answer.failure : "the name has no address";
    failed_at_ = now;
    pause = PauseBehindFailure(random);
    ++failures_;
  } else {
    failures_ = 0;
    std::vector<net::Address> addresses = answer.addresses;
    // Servers turn the order to spread load; that is no change.
    if (use_ == Use::kAll) std::ranges::sort(addresses);
    if (use_ == Use::kFirst) addresses.resize(1);
    differs = differs || addresses != addresses_;
    addresses_ = std::move(addresses);
    if (options_.respect_ttl && answer.ttl.count() > 0)
      pause = std::min<time::Duration>(answer.ttl, kLongestTtl);
  }
  next_ = now + pause + DrawUpTo(options_.jitter, random);
  if (differs) ++revision_;
  return differs;
}

time::Duration ResolvedName::PauseBehindFailure(Random& random) {
  if (!options_.backoff) return options_.refresh;
  time::Duration pause = options_.backoff->base;
  for (uint64_t i = 0; i < failures_ && pause < options_.backoff->max; ++i)
    pause = pause > options_.backoff->max / 2 ? options_.backoff->max : pause * 2;
  return pause / 2 + DrawUpTo(pause - pause / 2, random);
}

}  // namespace pillion
