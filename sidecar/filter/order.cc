#include "sidecar/filter/order.h"

#include <memory>
#include <optional>
#include <utility>

#include "sidecar/config/filters.h"
#include "sidecar/filters/cors/cors.h"
#include "sidecar/filters/fault/fault.h"
#include "sidecar/filters/grpc_http1_bridge/grpc_http1_bridge.h"
#include "sidecar/filters/grpc_http1_reverse_bridge/grpc_http1_reverse_bridge.h"
#include "sidecar/filters/grpc_web/grpc_web.h"
#include "sidecar/filters/idempotency/idempotency.h"
#include "sidecar/filters/json_transcoder/json_transcoder.h"
#include "sidecar/filters/local_ratelimit/local_ratelimit.h"
#include "sidecar/filters/rbac/rbac.h"
#include "sidecar/filters/request_id/request_id.h"
#include "sidecar/filters/stateful_session/stateful_session.h"
#include "sidecar/filters/tracing/tracing.h"

namespace pillion::filter {

FilterList MakeFilters(const idempotency::WorkerStores& stores) {
  FilterList list;
  using config::FilterKind;
  const auto add = [&list](std::optional<FilterKind> kind, std::unique_ptr<const Filter> filter) {
    list.all.push_back({kind, std::move(filter)});
  };
  // First: everything after it, and every log line, names the request by this id.
  add(std::nullopt, std::make_unique<filters::RequestId>());
  // Before anything that may answer, so that refused requests have a span too.
  add(std::nullopt, std::make_unique<filters::Tracing>());
  list.always = list.all.size();
  // Before what changes the message: a preflight is answered as it came, and every answer, of whatever filter
  // or server, gets its leave.
  add(FilterKind::kCors, std::make_unique<filters::Cors>());
  // Who may not ask takes nothing from those who may, learns nothing, and costs no more than this look.
  add(FilterKind::kRbac, std::make_unique<filters::Rbac>(config::AccessJudged::kAsTheyCome));
  // Before what costs more than a look: bodies that are held, bytes that are translated.
  add(FilterKind::kLocalRateLimit, std::make_unique<filters::LocalRateLimit>());
  // The next three make gRPC of what is none. No request is two of them: each goes by the content type, and
  // the transcoder leaves alone what is gRPC by then.
  add(FilterKind::kGrpcWeb, std::make_unique<filters::GrpcWeb>());
  add(FilterKind::kGrpcHttp1Bridge, std::make_unique<filters::GrpcHttp1Bridge>());
  add(FilterKind::kJsonTranscoder, std::make_unique<filters::JsonTranscoder>());
  // For lists that say so: judged is what will be asked for, by the route that it takes.
  add(FilterKind::kRbac, std::make_unique<filters::Rbac>(config::AccessJudged::kAsTranslated));
  // Behind what translates: it plays the part of what is called, and its answers are translated like the
  // other's.
  add(FilterKind::kFault, std::make_unique<filters::Fault>());
  // Behind what may have the route matched again, for it goes by the route, and what answers by itself, which
  // needs no endpoint.
  add(FilterKind::kStatefulSession, std::make_unique<filters::StatefulSession>());
  // Behind all that may refuse, wait or change the request: what it lets pass runs, and its record says so.
  add(FilterKind::kIdempotency, std::make_unique<filters::Idempotency>(stores));
  // Last: it takes gRPC apart, also what the others have made, for a server that speaks none.
  add(FilterKind::kGrpcHttp1ReverseBridge, std::make_unique<filters::GrpcHttp1ReverseBridge>());
  return list;
}

}  // namespace pillion::filter
