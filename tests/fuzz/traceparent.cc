// Any text as a traceparent: refused, or read back from what we would write of it.
#include "sidecar/base/check.h"
#include "sidecar/filters/tracing/tracing.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pillion;
  fuzz::Input input(data, size);
  const auto parent = filters::ParseTraceParent(input.Rest());
  if (!parent) return 0;
  PILLION_CHECK(parent->trace != telemetry::TraceId{} && parent->span != telemetry::SpanId{});
  const auto again = filters::ParseTraceParent(filters::FormatTraceParent(*parent));
  PILLION_CHECK(again && again->trace == parent->trace && again->span == parent->span &&
                again->sampled == parent->sampled);
  return 0;
}
