#include "sidecar/filters/rbac/rbac.h"

#include <sys/socket.h>

#include <variant>

#include "sidecar/config/filters.h"
#include "sidecar/filters/rbac/judge_access.h"

namespace pillion::filters {

using filter::Decision;
using Action = config::AccessRules::Action;

Decision Rbac::OnRequestHead(const filter::RequestView& request) const {
  if (request.options.access_judged != place_) return Decision::kContinue;
  const config::FilterOptions* const options =
      config::OptionsOf(config::FilterKind::kRbac, request.options, request.route);
  const auto* const control = options == nullptr ? nullptr : std::get_if<config::AccessControl>(options);
  if (control == nullptr) return Decision::kContinue;
  const filter::Caller& caller = *request.caller;
  const AccessFacts facts{request.head,       request.options.policy, caller.peer, caller.ends->direct_peer,
                          caller.ends->local, caller.security};
  telemetry::WorkerStats& stats = caller.stats;
  if (control->shadow) {
    const bool allowed = Allows(*control->shadow, Matches(*control->shadow, facts));
    (allowed ? stats.access_shadow_allowed : stats.access_shadow_denied).Add();
  }
  if (!control->rules) return Decision::kContinue;
  const bool matches = Matches(*control->rules, facts);
  if (control->rules->action == Action::kLog && matches) stats.access_logged.Add();
  // Of a connection that is gone nobody knows the ends: a rule that denies by them would let it pass.
  const bool known = facts.direct_peer.family() != AF_UNSPEC && facts.destination.family() != AF_UNSPEC;
  const bool judged = known || control->rules->action == Action::kLog;
  if (judged && Allows(*control->rules, matches)) {
    stats.access_allowed.Add();
    return Decision::kContinue;
  }
  stats.access_denied.Add();
  filter::Refusal& refusal = caller.refusal;
  // As an answer of what it protects: nobody is told that the request was not processed, and may be tried
  // again.
  refusal.error = {ErrorKind::kAccessDenied, Side::kLocal, Outcome::kAnswered,
                   !known    ? "its connection is gone"
                   : matches ? "a policy denies it"
                             : "no policy allows it"};
  refusal.status = 403;
  refusal.grpc_status = 7;
  return Decision::kRefuse;
}

}  // namespace pillion::filters
