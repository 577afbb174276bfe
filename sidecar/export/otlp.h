// Spans to OpenTelemetry collectors: OTLP over gRPC (specification 1.5, "OTLP/gRPC"), one unary call per
// batch, as a side call on the main loop.
//
//   Add -> [queue per collector <= 4096 spans, by service name] --512 spans, or 1 s after the first--> Export
//       at most 2 calls under way per collector; each ends by its answer or by the policy's export time-out
//
// A collector that fails costs what it was sent, and what does not fit the queue while the back-off runs;
// both are counted in spans_dropped. Nothing is sent twice: a late answer must not become a double span, and
// a dead collector must not become a storm. Owner: the main loop; single-threaded.
#ifndef PILLION_SIDECAR_EXPORT_OTLP_H_
#define PILLION_SIDECAR_EXPORT_OTLP_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "opentelemetry/proto/trace/v1/trace.pb.h"
#include "sidecar/base/random.h"
#include "sidecar/config/listener.h"
#include "sidecar/stream/grpc_call.h"
#include "sidecar/stream/turn.h"
#include "sidecar/telemetry/request_record.h"
#include "sidecar/telemetry/stats.h"

namespace pillion::exporting {

class SpanExporter final : public stream::Runnable {
 public:
  static constexpr size_t kBatchSpans = 512;
  static constexpr auto kBatchAge = std::chrono::seconds(1);
  // Attack: memory, by traced requests towards a collector that is slow.
  static constexpr size_t kMaxQueuedSpans = 4096;  // per collector, those under way not counted
  static constexpr size_t kMaxCalls = 2;           // per collector
  static constexpr auto kMinBackoff = std::chrono::milliseconds(250);
  static constexpr auto kMaxBackoff = std::chrono::seconds(5);

  using Begin = std::function<void(std::string_view cluster, std::unique_ptr<stream::ClientStream>)>;

  // All outlive the exporter. `instance_id` tells this sidecar from others of its service
  // (service.instance.id); `begin` starts a side call.
  SpanExporter(stream::Turn& turn, Random& random, telemetry::WorkerStats& stats, std::string instance_id,
               Begin begin);
  ~SpanExporter() override;

  // Takes the spans of a sampled request; others are passed over.
  void Add(const telemetry::RequestRecord& record);
  // Shutting down: whatever is queued is sent without waiting for more.
  void Hurry();
  // Nothing is queued and no call is under way.
  bool idle() const;
  stream::Progress Run() override;

 private:
  struct Collector;
  struct Service;
  // One Run's part for one collector; returns when it has to be looked at again.
  time::MonotonicTime Drive(const std::string& cluster, Collector& collector);
  void Reap(Collector& collector);
  void Settle(Collector& collector, size_t spans, bool sent);
  void Send(const std::string& cluster, Collector& collector, const std::string& service_name,
            Service& service);

  stream::Turn& turn_;
  Random& random_;
  telemetry::WorkerStats& stats_;
  std::string instance_id_;
  Begin begin_;
  stream::Timer timer_;
  std::map<std::string, Collector, std::less<>> collectors_;  // by cluster
  bool hurry_ = false;
};

}  // namespace pillion::exporting

#endif  // PILLION_SIDECAR_EXPORT_OTLP_H_
