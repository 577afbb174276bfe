#include "sidecar/export/access_log.h"

#include <array>
#include <cstdio>

#include "sidecar/base/hex.h"
#include "sidecar/base/json_writer.h"

namespace pillion::exporting {
namespace {

// RFC 3339 section 5.6, UTC, milliseconds.
std::string Rfc3339(time::WallTime at) {
  using std::chrono::floor;
  const auto ms = floor<std::chrono::milliseconds>(at);
  const auto day = floor<std::chrono::days>(ms);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss<std::chrono::milliseconds> clock(ms - day);
  std::array<char, 48> text;
  const int size = std::snprintf(
      text.data(), text.size(), "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
      static_cast<int>(clock.hours().count()), static_cast<int>(clock.minutes().count()),
      static_cast<int>(clock.seconds().count()), static_cast<int>(clock.subseconds().count()));
  return {text.data(), static_cast<size_t>(size)};
}

}  // namespace

std::string AccessLogLine(const telemetry::RequestRecord& record) {
  constexpr auto kCut = kMaxLoggedBytes;
  std::string line;
  JsonWriter json(line);
  json.BeginObject();
  json.Field("start_time", Rfc3339(record.started));
  json.Field("method", std::string_view(record.method).substr(0, kCut));
  json.Field("authority", std::string_view(record.authority).substr(0, kCut));
  json.Field("path", std::string_view(record.path).substr(0, kCut));
  json.Field("protocol", record.protocol);
  json.NumberField("response_code", record.status);
  json.Field("response_flags", record.flags.empty() ? "-" : record.flags);
  json.Field("response_code_details", record.detail);
  json.NumberField("bytes_received", record.request_bytes);
  json.NumberField("bytes_sent", record.response_bytes);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(record.duration).count();
  json.NumberField("duration_ms", ms < 0 ? 0 : static_cast<uint64_t>(ms));
  json.Field("route", record.route);
  json.Field("cluster", record.cluster);
  json.Field("upstream_host", record.attempts.empty() ? "" : record.attempts.back().endpoint);
  json.NumberField("attempts", record.attempts.size());
  if (!record.attempts.empty()) json.Field("outcome", ToString(record.attempts.back().outcome));
  if (record.no_retry != NoRetry::kNone) json.Field("not_retried", ToString(record.no_retry));
  if (!record.token.empty()) json.Field("token_hash", record.token);
  const std::string_view verdict = !record.verdict.empty()   ? record.verdict
                                   : record.attempts.empty() ? std::string_view()
                                                             : record.attempts.back().verdict;
  if (!verdict.empty()) json.Field("token_verdict", verdict);
  if (record.retry_budget >= 0) json.NumberField("retry_budget", static_cast<uint64_t>(record.retry_budget));
  json.Field("client", record.client);
  json.Field("user_agent", std::string_view(record.user_agent).substr(0, kCut));
  json.Field("request_id", std::string_view(record.request_id).substr(0, kCut));
  if (record.sampled) json.Field("trace_id", ToHex(record.trace));
  json.EndObject();
  line += '\n';
  return line;
}

}  // namespace pillion::exporting
