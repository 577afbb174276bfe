// One finished request as one line of JSON.
#ifndef PILLION_SIDECAR_EXPORT_ACCESS_LOG_H_
#define PILLION_SIDECAR_EXPORT_ACCESS_LOG_H_

#include <cstddef>
#include <string>

#include "sidecar/telemetry/request_record.h"

namespace pillion::exporting {

// What one value of a client's may take of a line. Attack: a log that grows faster than its disk is emptied.
inline constexpr size_t kMaxLoggedBytes = 8192;

// With its '\n'; no other line end is in it, whatever the client sent (CWE-117). Names are Envoy's where
// Envoy has them: start_time, method, authority, path, protocol, response_code, response_flags ("-": none),
// response_code_details, bytes_received, bytes_sent, duration_ms, route, cluster, upstream_host, attempts,
// client, user_agent, request_id; trace_id when sampled. response_code 0: the client got no answer.
std::string AccessLogLine(const telemetry::RequestRecord& record);

}  // namespace pillion::exporting

#endif  // PILLION_SIDECAR_EXPORT_ACCESS_LOG_H_
