// Counters and histograms, one shard per worker: one writer, plain adds without a lock prefix; the main loop
// sums the shards when asked. Handles are resolved when a configuration is taken over, not per request.
#ifndef PILLION_SIDECAR_TELEMETRY_STATS_H_
#define PILLION_SIDECAR_TELEMETRY_STATS_H_

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <tuple>
#include <vector>

#include "sidecar/base/no_retry.h"
#include "sidecar/base/request_error.h"
#include "sidecar/idempotency/verdict.h"
#include "sidecar/net/security.h"
#include "sidecar/time/clock.h"

namespace pillion::telemetry {

// Written by one thread, read by any.
class Counter {
 public:
  void Add(uint64_t n = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void Subtract(uint64_t n = 1) { Add(~n + 1); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Durations in buckets of 2^k and 1.5 * 2^k microseconds.
class Histogram {
 public:
  static constexpr size_t kBuckets = 56;  // up to 2^28 us, about 4.5 minutes; the last is everything above
  void Record(time::Duration duration) {
    const auto us = static_cast<uint64_t>(duration.count() < 0 ? 0 : duration.count() / 1000);
    buckets_[BucketOf(us)].Add();
    sum_us_.Add(us);
  }
  static size_t BucketOf(uint64_t us) {
    if (us < 2) return 0;
    const auto top = static_cast<size_t>(std::bit_width(us) - 1);
    const size_t half = us >> (top - 1) & 1;
    const size_t bucket = top * 2 + half - 1;
    return bucket < kBuckets ? bucket : kBuckets - 1;
  }
  // Values of bucket `i` are below this many microseconds; 0 for the last, which has no bound.
  static uint64_t UpperBoundUs(size_t i) {
    if (i + 1 >= kBuckets) return 0;
    const size_t next = i + 2;  // = top * 2 + half of the first value above
    return (uint64_t{2} + (next & 1)) << (next / 2) >> 1;
  }
  uint64_t bucket(size_t i) const { return buckets_[i].value(); }
  uint64_t sum_us() const { return sum_us_.value(); }

 private:
  std::array<Counter, kBuckets> buckets_;
  Counter sum_us_;
};

// What the last few hundred durations were like, in the histogram's buckets: what is new counts in full, and
// each time that kMost are there all of them count half. One thread.
class RecentTimes {
 public:
  static constexpr uint32_t kMost = 512;
  static constexpr uint32_t kEnough = 32;
  void Record(time::Duration duration);
  // A share of `quantile` (0 to 1) took this long or less. 0 while there are too few to say.
  time::Duration Quantile(double quantile) const;
  // Half took this long or longer; 0 likewise.
  time::Duration Median() const;

 private:
  size_t BucketAt(double quantile) const;
  std::array<uint16_t, Histogram::kBuckets> buckets_{};
  uint32_t all_ = 0;
};

// What is counted per (listener, route, cluster).
struct RouteStats {
  static constexpr size_t kCodes = 24;
  // Status codes seen; a slot is taken at the first sight of its code. The last slot takes what finds none.
  struct Code {
    std::atomic<uint16_t> code{0};
    Counter count;
  };
  std::array<Code, kCodes> codes;
  Counter started;
  Counter finished;  // active = started - finished
  Counter retries;
  Counter attempts;
  Counter hedges;      // attempts made beside one that had not answered
  Counter hedges_won;  // and answers that were delivered while an earlier attempt had not answered
  std::array<Counter, kOutcomes> outcomes;  // of them, by Outcome
  std::array<Counter, kNoRetryReasons>
      not_retried;                  // requests whose last attempt a retry could have followed
  Counter token_attempts;           // that carried a token
  Counter token_retries_not_run;    // of those, after attempts that did not run
  Counter token_retries_ambiguous;  // and after one that may have
  // What was said of those; at the service, of requests with a token.
  std::array<Counter, idempotency::kVerdicts> token_verdicts;
  Counter request_bytes;
  Counter response_bytes;
  Histogram request_duration;   // head received .. response complete
  Histogram attempt_duration;   // picked .. response head or failure
  RecentTimes recent_attempts;  // likewise, and how long those took that were given up; for the worker alone
  void AttemptTook(time::Duration duration) {
    attempt_duration.Record(duration);
    recent_attempts.Record(duration);
  }
  void CountCode(uint16_t code);
};

struct RouteKey {
  std::string listener;
  std::string route;
  std::string cluster;
  friend auto operator<=>(const RouteKey&, const RouteKey&) = default;
};

// What is counted of relayed connections per (listener, cluster).
struct TcpStats {
  Counter opened;
  Counter closed;          // active = opened - closed
  Counter received_bytes;  // from clients
  Counter sent_bytes;      // to clients
  Counter failed;          // no upstream connection could be had
  Histogram duration;      // accepted .. closed
};

struct TcpKey {
  std::string listener;
  std::string cluster;
  friend auto operator<=>(const TcpKey&, const TcpKey&) = default;
};

// Handshakes of one side.
struct TlsStats {
  Counter handshakes;  // that succeeded
  Counter resumed;
  Counter early_data_accepted;
  Counter early_data_rejected;
  std::array<Counter, net::kTlsFailures - 1> failures;  // by net::TlsFailure, without kNone
  void Failed(net::TlsFailure why) {
    if (why != net::TlsFailure::kNone) failures[static_cast<size_t>(why) - 1].Add();
  }
  void Succeeded(const net::Security& security) {
    handshakes.Add();
    if (security.resumed) resumed.Add();
    if (security.early_data_offered)
      (security.early_data_accepted ? early_data_accepted : early_data_rejected).Add();
  }
};

// Connections of one side.
struct WireStats {
  Counter bytes_read;
  Counter bytes_written;
  Counter silent;  // ended by the kernel: the peer has answered nothing for too long
};

// How long a store of tokens that processes share takes over what it is asked.
struct TokenStoreTimes {
  Histogram claims;         // asked .. answered; not of those that waited for another execution
  Histogram confirmations;  // granted .. enough replicas have it
  Histogram ends;           // told the end of an execution .. it is there
};

// Per worker, not per route.
struct WorkerStats {
  Counter client_connections;
  Counter client_connections_closed;
  Counter client_connections_shed;  // closed unheard: no descriptor was left, or the kernel watches no more
  Counter client_connections_unmatched;   // closed: no filter chain is for them
  Counter client_connections_undetected;  // closed: their protocol was not known in time
  Counter client_connections_refused;     // over the limit of the process
  Counter client_protocol_errors;
  Counter client_heads_too_large;  // 431
  Counter client_heads_refused;    // HTTP/2: too much of them was under way on the connection
  Counter client_slow_heads;       // a head or body that took too long: 408
  Counter client_slow_reads;       // answers that were not taken
  Counter client_expired;          // connections and streams that reached their longest life
  Counter client_idle;             // connections, relayed ones included, that were silent for too long
  Counter client_streams_refused;  // HTTP/2: more at once than allowed, by one that could not know it yet
  Counter http2_frame_floods;      // connections ended: frames that ask for work and carry nothing
  Counter http2_reset_floods;      // connections ended: streams opened only to be reset
  Counter http2_unread_floods;     // connections ended: answers to frames were not read
  Counter http2_header_floods;     // connections ended: header blocks without end
  Counter http2_stream_floods;     // connections ended: more streams at once than allowed
  Counter http2_pings_unanswered;  // connections ended
  Counter shed_requests;           // answered 503: memory is short
  Counter shed_streams;            // reset: they held the most memory
  Counter shed_connections;        // closed unheard: memory is short
  Counter upstream_connections_http1;
  Counter upstream_connections_http2;
  Counter upstream_connections_tcp;
  Counter upstream_connections_closed;
  Counter upstream_connect_failures;
  Counter upstream_connect_timeouts;
  Counter upstream_protocol_errors;
  WireStats client_wires;
  WireStats upstream_wires;
  Counter stale_reuse;  // a pooled connection that was dead when used
  Counter http2_resets_seen;
  Counter log_records_dropped;
  Counter spans_dropped;
  Counter faults_delayed;        // requests that a policy lets wait
  Counter faults_aborted;        // and that it answers
  Counter faults_skipped;        // passed without: too many wait already
  Counter rate_limited;          // requests refused: more than a policy allows
  Counter rate_limit_overrun;    // and those that passed all the same: it is not enforced, or not for all
  Counter rate_limit_forgotten;  // clients that had to give their bucket up for others
  Counter access_allowed;        // requests that rules of access judged
  Counter access_denied;
  Counter access_logged;          // of those that LOG rules allow, what a policy of theirs matched
  Counter access_shadow_allowed;  // as shadow rules would have it
  Counter access_shadow_denied;
  Counter mirrors;           // copies of requests that were begun
  Counter mirrors_left_out;  // and those that were not: too many at once
  Counter mirrors_given_up;  // while their requests went on: their clusters did not take the content
  Counter turns;
  Counter certificate_loads;     // times that certificates, keys and lists were taken into use
  Counter certificate_failures;  // that they could not be used; those before, if any, stayed
  Counter dns_answers;           // resolutions of names that brought an answer, also that there is no address
  Counter dns_failures;          // that brought none
  Counter dns_addresses_left_out;  // beyond what one name may have
  TlsStats client_tls;
  TlsStats upstream_tls;
  // Requests that ended with an error, by ErrorKind without kNone.
  std::array<std::array<Counter, kSides>, kErrorKinds - 1> request_errors;
  void RequestFailed(const RequestError& why) {
    request_errors[static_cast<size_t>(why.kind) - 1][static_cast<size_t>(why.side)].Add();
  }
  Histogram token_waits;  // for an execution that was under way, of requests that were told its answer
  Counter token_cookies_dropped;  // from answers that were told again for a key of an app's
  Histogram token_replay_ages;    // since the execution began whose answer was told again
  TokenStoreTimes token_store;
};

class Shard {
 public:
  WorkerStats worker;
  // Stable for the life of the shard. Takes a lock: call at swaps, not per request.
  RouteStats& Route(const RouteKey& key);
  // As Route: once per connection.
  TcpStats& Tcp(const TcpKey& key);

 private:
  friend class Registry;
  std::mutex mutex_;
  std::map<RouteKey, std::unique_ptr<RouteStats>> routes_;
  std::map<TcpKey, std::unique_ptr<TcpStats>> tcp_;
};

// All shards of the process. Shards are added at start and live as long.
class Registry {
 public:
  Shard& NewShard();
  // Calls use(key, stats of that key of every shard). Any thread.
  template <typename Use>
  void ForEachRoute(Use use) const {
    std::map<RouteKey, std::vector<const RouteStats*>> merged;
    for (const auto& shard : shards_) {
      const std::lock_guard<std::mutex> lock(shard->mutex_);
      for (const auto& [key, stats] : shard->routes_) merged[key].push_back(stats.get());
    }
    for (const auto& [key, stats] : merged) use(key, stats);
  }
  template <typename Use>
  void ForEachTcp(Use use) const {
    std::map<TcpKey, std::vector<const TcpStats*>> merged;
    for (const auto& shard : shards_) {
      const std::lock_guard<std::mutex> lock(shard->mutex_);
      for (const auto& [key, stats] : shard->tcp_) merged[key].push_back(stats.get());
    }
    for (const auto& [key, stats] : merged) use(key, stats);
  }
  const std::vector<std::unique_ptr<Shard>>& shards() const { return shards_; }

 private:
  std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace pillion::telemetry

#endif  // PILLION_SIDECAR_TELEMETRY_STATS_H_
