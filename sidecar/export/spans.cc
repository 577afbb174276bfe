#include "sidecar/export/spans.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

#include "sidecar/base/json_writer.h"
#include "sidecar/config/listener.h"

namespace pillion::exporting {
namespace {

using opentelemetry::proto::trace::v1::Span;
using opentelemetry::proto::trace::v1::Status;
using telemetry::AttemptRecord;
using telemetry::RequestRecord;

constexpr uint32_t kSampledFlag = 1;  // W3C Trace Context 3.2.2.5.1

std::string Text(std::string_view text) { return ValidUtf8(text, kMaxAttributeBytes); }

void AddText(Span& span, const char* key, std::string_view value) {
  if (value.empty()) return;
  auto& attribute = *span.add_attributes();
  attribute.set_key(key);
  attribute.mutable_value()->set_string_value(Text(value));
}

void AddNumber(Span& span, const char* key, int64_t value) {
  auto& attribute = *span.add_attributes();
  attribute.set_key(key);
  attribute.mutable_value()->set_int_value(value);
}

uint64_t UnixNanos(time::WallTime at) {
  return static_cast<uint64_t>(std::max<int64_t>(0, at.time_since_epoch().count()));
}

template <size_t N>
std::string Bytes(const std::array<uint8_t, N>& id) {
  return {id.begin(), id.end()};
}

template <size_t N>
bool AllZero(const std::array<uint8_t, N>& id) {
  return std::all_of(id.begin(), id.end(), [](uint8_t b) { return b == 0; });
}

// "host:port" or "[v6]:port" in two attributes; the port is optional.
void AddHostAndPort(Span& span, const char* host_key, const char* port_key, std::string_view authority) {
  const size_t bracket = authority.rfind(']');
  const size_t colon = authority.rfind(':');
  const bool has_port =
      colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket);
  std::string_view host = has_port ? authority.substr(0, colon) : authority;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  AddText(span, host_key, host);
  if (!has_port) return;
  uint16_t port = 0;
  const std::string_view digits = authority.substr(colon + 1);
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (parsed.ec == std::errc() && parsed.ptr == digits.data() + digits.size())
    AddNumber(span, port_key, port);
}

void AddProtocol(Span& span, std::string_view protocol) {
  const size_t slash = protocol.find('/');
  if (slash != std::string_view::npos) AddText(span, "network.protocol.version", protocol.substr(slash + 1));
}

void Fail(Span& span, std::string_view type, std::string_view message) {
  span.mutable_status()->set_code(Status::STATUS_CODE_ERROR);
  span.mutable_status()->set_message(Text(message));
  AddText(span, "error.type", type);
}

Span Common(const RequestRecord& record) {
  Span span;
  span.set_trace_id(Bytes(record.trace));
  span.set_trace_state(Text(record.trace_state));
  span.set_flags(kSampledFlag);
  AddText(span, "http.request.method", record.method);
  AddText(span, "pillion.cluster", record.cluster);
  return span;
}

Span ServerSpan(const RequestRecord& record) {
  Span span = Common(record);
  span.set_span_id(Bytes(record.server_span));
  if (!AllZero(record.parent_span)) span.set_parent_span_id(Bytes(record.parent_span));
  span.set_kind(Span::SPAN_KIND_SERVER);
  // Few names: the path is an attribute, never part of the name.
  span.set_name(Text(record.route.empty() ? record.method : record.method + " " + record.route));
  span.set_start_time_unix_nano(UnixNanos(record.started));
  span.set_end_time_unix_nano(UnixNanos(record.started + std::max(record.duration, time::Duration(0))));
  // Without the query: it may hold secrets, and a collector is not where they belong.
  AddText(span, "url.path", std::string_view(record.path).substr(0, record.path.find('?')));
  AddText(span, "url.scheme", "http");
  AddHostAndPort(span, "server.address", "server.port", record.authority);
  AddHostAndPort(span, "client.address", "client.port", record.client);
  AddProtocol(span, record.protocol);
  AddText(span, "user_agent.original", record.user_agent);
  if (record.status != 0) AddNumber(span, "http.response.status_code", record.status);
  AddText(span, "pillion.route", record.route);
  if (record.reporting != nullptr) AddText(span, "pillion.listener", record.reporting->listener);
  AddText(span, "pillion.request_id", record.request_id);
  AddText(span, "pillion.response_flags", record.flags);
  AddText(span, "pillion.detail", record.detail);
  AddNumber(span, "pillion.attempts", static_cast<int64_t>(record.attempts.size()));
  AddText(span, "pillion.not_retried", ToString(record.no_retry));
  AddText(span, "pillion.token_hash", record.token);
  AddText(span, "pillion.verdict", record.verdict);
  if (!AllZero(record.linked_span)) {
    auto& link = *span.add_links();
    link.set_trace_id(Bytes(record.linked_trace));
    link.set_span_id(Bytes(record.linked_span));
  }
  if (record.status >= 500) {
    Fail(span, std::to_string(record.status), record.detail);
  } else if (record.status == 0) {
    Fail(span, record.flags.empty() ? "no_answer" : record.flags, record.detail);
  }
  return span;
}

Span ClientSpan(const RequestRecord& record, size_t number, Random& random) {
  const AttemptRecord& attempt = record.attempts[number];
  Span span = Common(record);
  telemetry::SpanId id = attempt.span;
  while (AllZero(id)) {
    const uint64_t word = random.Next();
    std::memcpy(id.data(), &word, id.size());
  }
  span.set_span_id(Bytes(id));
  span.set_parent_span_id(Bytes(record.server_span));
  span.set_kind(Span::SPAN_KIND_CLIENT);
  span.set_name(Text(record.cluster.empty() ? record.method : record.method + " " + record.cluster));
  span.set_start_time_unix_nano(UnixNanos(attempt.started));
  span.set_end_time_unix_nano(UnixNanos(std::max(attempt.started, attempt.ended)));
  AddHostAndPort(span, "server.address", "server.port", record.authority);
  AddHostAndPort(span, "network.peer.address", "network.peer.port", attempt.endpoint);
  AddProtocol(span, attempt.protocol);
  if (number > 0) AddNumber(span, "http.request.resend_count", static_cast<int64_t>(number));
  AddText(span, "pillion.outcome", ToString(attempt.outcome));
  if (!attempt.token.empty()) {
    AddNumber(span, "pillion.attempt", static_cast<int64_t>(number + 1));
    AddText(span, "pillion.token_hash", attempt.token);
    AddText(span, "pillion.verdict", attempt.verdict);
  }
  if (attempt.reused_connection) AddText(span, "pillion.connection", "reused");
  if (attempt.status != 0) AddNumber(span, "http.response.status_code", attempt.status);
  if (attempt.status >= 400) {
    Fail(span, std::to_string(attempt.status), attempt.error);
  } else if (attempt.status == 0 || !attempt.error.empty()) {
    // An answer that broke off is no answer.
    Fail(span, "no_answer", attempt.error);
  }
  return span;
}

}  // namespace

std::vector<Span> SpansOf(const RequestRecord& record, Random& random) {
  std::vector<Span> spans;
  spans.reserve(1 + record.attempts.size());
  spans.push_back(ServerSpan(record));
  for (size_t i = 0; i < record.attempts.size(); ++i) spans.push_back(ClientSpan(record, i, random));
  return spans;
}

}  // namespace pillion::exporting
