#include "sidecar/export/otlp.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "opentelemetry/proto/collector/trace/v1/trace_service.pb.h"
#include "sidecar/export/spans.h"

namespace pillion::exporting {
namespace {

using opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
using opentelemetry::proto::collector::trace::v1::ExportTraceServiceResponse;
using opentelemetry::proto::trace::v1::Span;

constexpr std::string_view kMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

void AddAttribute(opentelemetry::proto::resource::v1::Resource& resource, const char* key,
                  const std::string& value) {
  auto& attribute = *resource.add_attributes();
  attribute.set_key(key);
  attribute.mutable_value()->set_string_value(value);
}

}  // namespace

// The spans of one service name that wait for one collector.
struct SpanExporter::Service {
  std::deque<Span> spans;
  time::MonotonicTime since{};  // when the oldest came
};

struct SpanExporter::Collector {
  struct Call {
    std::unique_ptr<stream::GrpcCall> call;
    size_t spans = 0;
    time::MonotonicTime deadline{};
  };
  std::map<std::string, Service> services;
  size_t queued = 0;
  std::vector<Call> calls;
  time::Duration timeout{};  // of the policy seen last; 0: none
  time::Duration backoff = kMinBackoff;
  time::MonotonicTime retry_at{};
};

SpanExporter::SpanExporter(stream::Turn& turn, Random& random, telemetry::WorkerStats& stats,
                           std::string instance_id, Begin begin)
    : turn_(turn),
      random_(random),
      stats_(stats),
      instance_id_(std::move(instance_id)),
      begin_(std::move(begin)),
      timer_(this) {}

SpanExporter::~SpanExporter() = default;

void SpanExporter::Add(const telemetry::RequestRecord& record) {
  if (!record.sampled || record.reporting == nullptr) return;
  const std::optional<config::Tracing>& tracing = record.reporting->tracing;
  if (!tracing) return;
  const config::Tracing& policy = *tracing;
  Collector& collector = collectors_[policy.collector_cluster];
  collector.timeout = policy.export_timeout;
  const size_t spans = 1 + record.attempts.size();
  if (collector.queued + spans > kMaxQueuedSpans) {
    stats_.spans_dropped.Add(spans);
    return;
  }
  Service& service = collector.services[policy.service_name];
  const bool first = service.spans.empty();
  if (first) service.since = turn_.now();
  for (Span& span : SpansOf(record, random_)) service.spans.push_back(std::move(span));
  collector.queued += spans;
  // In between the timer or a call's end wakes us.
  if (first || service.spans.size() >= kBatchSpans) turn_.Wake(*this);
}

void SpanExporter::Hurry() {
  hurry_ = true;
  turn_.Wake(*this);
}

bool SpanExporter::idle() const {
  return std::all_of(collectors_.begin(), collectors_.end(),
                     [](const auto& item) { return item.second.queued == 0 && item.second.calls.empty(); });
}

stream::Progress SpanExporter::Run() {
  time::MonotonicTime next = time::MonotonicTime::max();
  for (auto it = collectors_.begin(); it != collectors_.end();) {
    Collector& collector = it->second;
    next = std::min(next, Drive(it->first, collector));
    // Collectors come and go with the configuration. One that failed is remembered past its back-off, or a
    // little traffic towards a dead one would begin with the shortest each time.
    const bool unused =
        collector.queued == 0 && collector.calls.empty() && collector.retry_at + kMaxBackoff <= turn_.now();
    it = unused ? collectors_.erase(it) : std::next(it);
  }
  timer_.Cancel();
  if (next != time::MonotonicTime::max()) turn_.Arm(timer_, next);
  return stream::Progress::kIdle;
}

time::MonotonicTime SpanExporter::Drive(const std::string& cluster, Collector& collector) {
  const time::MonotonicTime now = turn_.now();
  Reap(collector);
  time::MonotonicTime next = collector.retry_at > now ? collector.retry_at : time::MonotonicTime::max();
  for (auto it = collector.services.begin(); it != collector.services.end();) {
    Service& service = it->second;
    while (!service.spans.empty() && collector.calls.size() < kMaxCalls && collector.retry_at <= now &&
           (hurry_ || service.spans.size() >= kBatchSpans || now >= service.since + kBatchAge)) {
      Send(cluster, collector, it->first, service);
    }
    // A due batch that found both calls taken waits for the end of one, not for a time.
    const time::MonotonicTime due = service.since + kBatchAge;
    if (!service.spans.empty() && due > now) next = std::min(next, due);
    it = service.spans.empty() ? collector.services.erase(it) : std::next(it);
  }
  for (const Collector::Call& call : collector.calls) next = std::min(next, call.deadline);
  return next;
}

// Takes away the calls that have ended or taken too long.
void SpanExporter::Reap(Collector& collector) {
  std::erase_if(collector.calls, [&](Collector::Call& call) {
    // The answer is read before the status is asked for: GrpcCall's contract.
    for (const std::string& message : call.call->Receive()) {
      ExportTraceServiceResponse response;
      if (!response.ParseFromString(message)) continue;
      const int64_t rejected = response.partial_success().rejected_spans();
      if (rejected > 0)
        stats_.spans_dropped.Add(std::min<uint64_t>(static_cast<uint64_t>(rejected), call.spans));
    }
    const auto status = call.call->status();
    if (!status && turn_.now() < call.deadline) return false;
    Settle(collector, call.spans, status && status->code == 0);
    return true;
  });
}

void SpanExporter::Settle(Collector& collector, size_t spans, bool sent) {
  if (sent) {
    collector.backoff = kMinBackoff;
    return;
  }
  stats_.spans_dropped.Add(spans);
  // Calls that fail together are one failure.
  if (turn_.now() < collector.retry_at) return;
  const auto half = static_cast<uint64_t>(collector.backoff.count() / 2);
  // Jitter: the sidecars of a mesh lose their collector in one moment.
  collector.retry_at = turn_.now() + time::Duration(static_cast<int64_t>(half + random_.Next() % (half + 1)));
  collector.backoff = std::min<time::Duration>(collector.backoff * 2, kMaxBackoff);
}

void SpanExporter::Send(const std::string& cluster, Collector& collector, const std::string& service_name,
                        Service& service) {
  ExportTraceServiceRequest request;
  auto& of_resource = *request.add_resource_spans();
  AddAttribute(*of_resource.mutable_resource(), "service.name", service_name);
  if (!instance_id_.empty())
    AddAttribute(*of_resource.mutable_resource(), "service.instance.id", instance_id_);
  auto& of_scope = *of_resource.add_scope_spans();
  of_scope.mutable_scope()->set_name("pillion-sidecar");
  const size_t count = std::min(kBatchSpans, service.spans.size());
  for (size_t i = 0; i < count; ++i) {
    *of_scope.add_spans() = std::move(service.spans.front());
    service.spans.pop_front();
  }
  collector.queued -= count;
  service.since = turn_.now();
  Collector::Call call;
  call.call = std::make_unique<stream::GrpcCall>(turn_, *this);
  call.spans = count;
  call.deadline =
      collector.timeout.count() > 0 ? turn_.now() + collector.timeout : time::MonotonicTime::max();
  begin_(cluster, call.call->Open(kMethod, cluster));
  call.call->Send(request.SerializeAsString());
  call.call->FinishSending();
  collector.calls.push_back(std::move(call));
}

}  // namespace pillion::exporting
