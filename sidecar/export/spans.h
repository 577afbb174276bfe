// A finished request as OpenTelemetry spans: one server span and below it a client span per attempt.
// Attribute names are those of the semantic conventions for HTTP 1.23 where they have one; ours begin with
// "pillion.".
#ifndef PILLION_SIDECAR_EXPORT_SPANS_H_
#define PILLION_SIDECAR_EXPORT_SPANS_H_

#include <string>
#include <vector>

#include "opentelemetry/proto/trace/v1/trace.pb.h"
#include "sidecar/base/random.h"
#include "sidecar/telemetry/request_record.h"

namespace pillion::exporting {

// What one text of a client's may take of a span. Attack: collector and sidecar memory, by long paths.
inline constexpr size_t kMaxAttributeBytes = 1024;

// The server span comes first. An attempt that ended before its head was sent has no span id yet: nobody
// below knows it, so it gets one of `random`'s.
std::vector<opentelemetry::proto::trace::v1::Span> SpansOf(const telemetry::RequestRecord& record,
                                                           Random& random);

}  // namespace pillion::exporting

#endif  // PILLION_SIDECAR_EXPORT_SPANS_H_
