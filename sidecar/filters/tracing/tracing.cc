#include "sidecar/filters/tracing/tracing.h"

#include <algorithm>
#include <cstring>

#include "sidecar/base/hex.h"

namespace pillion::filters {
namespace {

template <size_t N>
bool AllZero(const std::array<uint8_t, N>& bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
}

template <size_t N>
void Fill(Random& random, std::array<uint8_t, N>& bytes) {
  do {  // an id of zeros means "none"
    for (size_t i = 0; i < N; i += sizeof(uint64_t)) {
      const uint64_t word = random.Next();
      std::memcpy(bytes.data() + i, &word, sizeof(word));
    }
  } while (AllZero(bytes));
}

}  // namespace

std::optional<TraceParent> ParseTraceParent(std::string_view value) {
  constexpr size_t kVersion00Size = 55;
  if (value.size() < kVersion00Size || value[2] != '-' || value[35] != '-' || value[52] != '-')
    return std::nullopt;
  std::array<uint8_t, 1> version;
  std::array<uint8_t, 1> flags;
  TraceParent parent;
  if (!ParseHex(value.substr(0, 2), version) || version[0] == 0xFF) return std::nullopt;
  if (version[0] == 0 && value.size() != kVersion00Size) return std::nullopt;
  if (value.size() > kVersion00Size && value[kVersion00Size] != '-') return std::nullopt;
  if (!ParseHex(value.substr(3, 32), parent.trace) || AllZero(parent.trace)) return std::nullopt;
  if (!ParseHex(value.substr(36, 16), parent.span) || AllZero(parent.span)) return std::nullopt;
  if (!ParseHex(value.substr(53, 2), flags)) return std::nullopt;
  parent.sampled = (flags[0] & 1) != 0;
  return parent;
}

std::string FormatTraceParent(const TraceParent& parent) {
  std::string text = "00-";
  text.reserve(55);
  AppendHex(parent.trace, text);
  text += '-';
  AppendHex(parent.span, text);
  text += parent.sampled ? "-01" : "-00";
  return text;
}

filter::Decision Tracing::OnRequestHead(const filter::RequestView& request) const {
  if (!request.options.tracing) return filter::Decision::kContinue;  // the app's own headers pass untouched
  const config::Tracing& policy = *request.options.tracing;
  auto& trace = request.state.trace;
  const auto header = request.head.headers.Find(http::Known::kTraceparent);
  const auto parent = header ? ParseTraceParent(*header) : std::nullopt;
  if (parent) {
    trace.trace = parent->trace;
    trace.parent = parent->span;
    trace.sampled = parent->sampled;
  } else {
    Fill(request.random, trace.trace);
    trace.sampled = request.random.Percent(policy.random_sampling);
    request.head.headers.Remove(http::Known::kTracestate);  // it belongs to the traceparent that is not there
  }
  if (trace.sampled && policy.overall_sampling < 100) {
    trace.sampled = request.random.Percent(policy.overall_sampling);
  }
  Fill(request.random, trace.server_span);
  trace.active = true;
  return filter::Decision::kContinue;
}

void Tracing::OnAttemptHead(const filter::RequestView& request) const {
  auto& trace = request.state.trace;
  if (!trace.active) return;
  Fill(request.random, trace.attempt);
  // An unsampled request has no spans of ours to hang below: the caller's span stays the parent.
  const bool own_parent = trace.sampled || std::all_of(trace.parent.begin(), trace.parent.end(),
                                                       [](uint8_t b) { return b == 0; });
  request.head.headers.Set(
      http::Known::kTraceparent,
      FormatTraceParent({trace.trace, own_parent ? trace.attempt : trace.parent, trace.sampled}));
}

}  // namespace pillion::filters
