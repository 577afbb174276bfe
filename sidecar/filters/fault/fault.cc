#include "sidecar/filters/fault/fault.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <string_view>
#include <variant>

#include "sidecar/config/filters.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/route/match.h"

namespace pillion::filters {
namespace {

using filter::Decision;

constexpr std::string_view kDelay = "x-envoy-fault-delay-request";
constexpr std::string_view kDelayShare = "x-envoy-fault-delay-request-percentage";
constexpr std::string_view kAbort = "x-envoy-fault-abort-request";
constexpr std::string_view kAbortGrpc = "x-envoy-fault-abort-grpc-request";
constexpr std::string_view kAbortShare = "x-envoy-fault-abort-request-percentage";

// A whole number that a request says; nullopt: it says none.
std::optional<uint32_t> Told(const http::RequestHead& head, std::string_view name) {
  const auto text = head.headers.Find(name);
  uint32_t value = 0;
  if (!text) return std::nullopt;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
  if (error != std::errc() || end != text->data() + text->size()) return std::nullopt;
  return value;
}

// What the request may ask for is at most what the policy says.
config::Fraction Asked(config::Fraction share, const http::RequestHead& head, std::string_view name) {
  share.numerator = std::min(share.numerator, Told(head, name).value_or(share.numerator));
  return share;
}

// 0: none.
time::Duration DelayOf(const config::Fault::Delay& delay, const filter::RequestView& request) {
  if (delay.time.count() > 0) return delay.share.Hits(request.random) ? delay.time : time::Duration{0};
  const auto told = Told(request.head, kDelay);
  if (!told || !Asked(delay.share, request.head, kDelayShare).Hits(request.random)) return {};
  return std::chrono::milliseconds(*told);
}

struct Statuses {
  uint16_t http;
  uint8_t grpc;
};
Statuses OfHttp(uint32_t status) {
  const auto http = static_cast<uint16_t>(status);
  return {http, static_cast<uint8_t>(filter::GrpcStatusOfHttp(http))};
}
Statuses OfGrpc(uint32_t status) { return {filter::HttpStatusOfGrpc(status), static_cast<uint8_t>(status)}; }

// What a request that comes to its abort is told; nullopt: it goes on.
std::optional<Statuses> AbortOf(const config::Fault::Abort& abort, const filter::RequestView& request) {
  using Kind = config::Fault::Abort::Kind;
  if (abort.kind != Kind::kByRequest) {
    if (!abort.share.Hits(request.random)) return std::nullopt;
    return abort.kind == Kind::kGrpc ? OfGrpc(abort.status) : OfHttp(abort.status);
  }
  const auto http = Told(request.head, kAbort);
  const auto grpc = Told(request.head, kAbortGrpc);
  const bool by_http = http && *http >= 200 && *http <= 599;
  if (!by_http && !(grpc && *grpc >= 1 && *grpc <= 16)) return std::nullopt;
  if (!Asked(abort.share, request.head, kAbortShare).Hits(request.random)) return std::nullopt;
  return by_http ? OfHttp(*http) : OfGrpc(*grpc);
}

}  // namespace

Decision Fault::OnRequestHead(const filter::RequestView& request) const {
  const config::FilterOptions* const options =
      config::OptionsOf(config::FilterKind::kFault, request.options, request.route);
  if (options == nullptr) return Decision::kContinue;
  const auto* const fault = std::get_if<config::Fault>(options);
  const auto matches = [&](const config::HeaderMatch& match) { return route::Matches(match, request.head); };
  if (fault == nullptr || !std::ranges::all_of(fault->headers, matches)) return Decision::kContinue;
  telemetry::WorkerStats& stats = request.caller->stats;
  if (request.state.wait == nullptr) {
    const bool full = fault->active->load(std::memory_order_relaxed) >= fault->max_active;
    const time::Duration delay = fault->delay ? DelayOf(*fault->delay, request) : time::Duration{0};
    if (delay.count() > 0 && !full) {
      request.state.wait = std::make_unique<filter::Wait>(request.caller->now + delay, fault->active);
      stats.faults_delayed.Add();
      return Decision::kWait;
    }
    if (full) {
      if (delay.count() > 0) stats.faults_skipped.Add();
      return Decision::kContinue;
    }
  }
  const auto abort = fault->abort ? AbortOf(*fault->abort, request) : std::nullopt;
  if (!abort) return Decision::kContinue;
  stats.faults_aborted.Add();
  filter::Refusal& refusal = request.caller->refusal;
  // As an answer of what it stands for: nobody is told that the request was not processed, and may be tried
  // again.
  refusal.error = {ErrorKind::kFault, Side::kLocal, Outcome::kAnswered, "policy makes it fail"};
  refusal.status = abort->http;
  refusal.grpc_status = abort->grpc;
  return Decision::kRefuse;
}

}  // namespace pillion::filters
