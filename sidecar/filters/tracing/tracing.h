// W3C Trace Context (https://www.w3.org/TR/trace-context/): takes traceparent and tracestate up and passes
// them on; one server span per request, one client span per attempt. tracestate is never changed.
#ifndef PILLION_SIDECAR_FILTERS_TRACING_TRACING_H_
#define PILLION_SIDECAR_FILTERS_TRACING_TRACING_H_

#include <optional>
#include <string>
#include <string_view>

#include "sidecar/filter/filter.h"

namespace pillion::filters {

class Tracing final : public filter::Filter {
 public:
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;
  void OnAttemptHead(const filter::RequestView& request) const override;
};

struct TraceParent {
  telemetry::TraceId trace{};
  telemetry::SpanId span{};
  bool sampled = false;
};
// nullopt when the value is not a legal traceparent: it is then as if it had not been sent (section 3.2 of
// the standard).
std::optional<TraceParent> ParseTraceParent(std::string_view value);
std::string FormatTraceParent(const TraceParent& parent);

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_TRACING_TRACING_H_
