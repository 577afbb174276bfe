// The finished request as access log and spans want it. Filled only when somebody wants it; a value that
// travels from a worker to the main loop.
#ifndef PILLION_SIDECAR_TELEMETRY_REQUEST_RECORD_H_
#define PILLION_SIDECAR_TELEMETRY_REQUEST_RECORD_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/base/no_retry.h"
#include "sidecar/base/request_error.h"
#include "sidecar/time/clock.h"

namespace pillion::config {
struct Reporting;
}

namespace pillion::telemetry {

using TraceId = std::array<uint8_t, 16>;
using SpanId = std::array<uint8_t, 8>;

// One try, as a client span.
struct AttemptRecord {
  SpanId span{};
  std::string endpoint;
  std::string protocol;
  uint16_t status = 0;     // 0: no answer
  std::string_view error;  // static text; "" when answered
  Outcome outcome = Outcome::kAnswered;
  time::WallTime started{};
  time::WallTime ended{};
  bool reused_connection = false;
  std::string token;         // that it carried: its hash; "": none
  std::string_view verdict;  // what its endpoint's sidecar said of the token; "": nothing
};

struct RequestRecord {
  std::shared_ptr<const config::Reporting> reporting;  // names, log path, collector, service name
  time::WallTime started{};
  time::Duration duration{};
  std::string method;
  std::string authority;
  std::string path;
  std::string protocol;  // the client's; "TCP": a relayed connection, without what only requests have
  std::string route;
  std::string cluster;
  std::string client;  // address
  std::string user_agent;
  std::string request_id;
  uint16_t status = 0;  // 0: none was sent
  std::string flags;    // Envoy's response flags, comma separated; "" when none
  std::string detail;   // the reason, in words
  uint64_t request_bytes = 0;
  uint64_t response_bytes = 0;
  std::vector<AttemptRecord> attempts;
  NoRetry no_retry = NoRetry::kNone;  // why the last of them was
  std::string token;                  // its hash, idempotency::HashForPeople; "": none
  std::string_view verdict;           // what we said of it, at the service; "": nothing, or another said it
  int32_t retry_budget = -1;  // retries that the cluster's budget has left; -1: nothing failed, or no cluster
  // Tracing.
  bool sampled = false;
  TraceId trace{};
  SpanId server_span{};
  SpanId parent_span{};  // all zero: a root
  std::string trace_state;
  // Of the request whose answer this one was told; all zero: none.
  TraceId linked_trace{};
  SpanId linked_span{};

  // What it holds, about.
  size_t bytes() const {
    size_t sum = sizeof(*this) + attempts.size() * (sizeof(AttemptRecord) + 32);
    for (const std::string* text : {&method, &authority, &path, &protocol, &route, &cluster, &client,
                                    &user_agent, &request_id, &flags, &detail, &token, &trace_state}) {
      sum += text->size();
    }
    return sum;
  }
};

// Where a worker leaves finished requests; taken by the worker at the end of a turn. Bounded: a log nobody
// takes away must not grow. One thread.
class RecordBuffer {
 public:
  static constexpr size_t kMaxRecords = 4096;
  // Attack: requests whose fields are as long as their limit.
  static constexpr size_t kMaxBytes = size_t{8} * 1024 * 1024;
  // False: dropped.
  bool Add(RequestRecord record) {
    const size_t bytes = record.bytes();
    if (records_.size() >= kMaxRecords || bytes > kMaxBytes - bytes_) return false;
    bytes_ += bytes;
    records_.push_back(std::move(record));
    return true;
  }
  bool empty() const { return records_.empty(); }
  std::vector<RequestRecord> Take() {
    bytes_ = 0;
    return std::exchange(records_, {});
  }

 private:
  std::vector<RequestRecord> records_;
  size_t bytes_ = 0;  // <= kMaxBytes
};

}  // namespace pillion::telemetry

#endif  // PILLION_SIDECAR_TELEMETRY_REQUEST_RECORD_H_
