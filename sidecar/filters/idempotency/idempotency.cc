#include "sidecar/filters/idempotency/idempotency.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "sidecar/base/mutant.h"
#include "sidecar/config/filters.h"
#include "sidecar/filter/chain.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/filter/peer_identity.h"
#include "sidecar/filters/idempotency/guard.h"
#include "sidecar/filters/idempotency/token_answers.h"
#include "sidecar/idempotency/hello.h"

namespace pillion::filters {
namespace {

using filter::Decision;

const config::TokenDomain* FindDomain(const config::TokenDomains* domains, const filter::TokenState& fields) {
  const auto id = idempotency::ParseDomainId(fields.domain);
  if (domains == nullptr || !id) return nullptr;
  const auto found = std::ranges::find(domains->all, *id, &config::TokenDomain::id);
  return found == domains->all.end() ? nullptr : &*found;
}

// As the sidecar that sent it has told. max: it has none.
time::MonotonicTime DeadlineOf(const filter::RequestView& request) {
  if (Mutated(Mutant::kDeadlineIgnored)) return time::MonotonicTime::max();
  std::optional<time::Duration> left;
  if (const auto text = request.head.headers.Find(http::Known::kPillionDeadline)) {
    uint32_t value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error == std::errc() && end == text->data() + text->size()) left = std::chrono::milliseconds(value);
  }
  const auto grpc = request.head.headers.Find(http::Known::kGrpcTimeout);
  if (grpc && http::IsGrpc(request.head.headers)) {
    const auto asked = filter::ParseGrpcTimeout(*grpc);
    if (asked) left = std::min(left.value_or(*asked), *asked);
  }
  return left ? request.caller->now + *left : time::MonotonicTime::max();
}

// Null: it gets no token.
const config::TokenPolicy* PolicyFor(const filter::RequestView& request) {
  const config::FilterOptions* const options =
      config::OptionsOf(config::FilterKind::kIdempotency, request.options, request.route);
  const auto* const policy = options == nullptr ? nullptr : std::get_if<config::TokenPolicy>(options);
  if (policy == nullptr || policy->paused) return nullptr;
  const http::RequestHead& head = request.head;
  using Kind = http::ContentLength::Kind;
  const bool large = head.content.kind == Kind::kSized && head.content.bytes > policy->max_request_bytes;
  if (large || !head.upgrade.empty() || head.method == http::Method::kConnect) return nullptr;
  const bool chosen = http::IsGrpc(head.headers)
                          ? policy->grpc_methods.contains(head.path)
                          : std::ranges::find(policy->methods, head.method_text) != policy->methods.end();
  return chosen ? policy : nullptr;
}

Decision Refuse(const filter::RequestView& request, TokenProblem problem) {
  request.state.token->verdict =
      FillAnswer({problem}, GrpcTypeOf(request.head.headers), request.response, request.response_body);
  return Decision::kRespond;
}

}  // namespace

Decision Idempotency::OnRequestHead(const filter::RequestView& request) const {
  if (request.state.token == nullptr) {
    if (const config::TokenPolicy* const policy = PolicyFor(request)) {
      request.state.token = std::make_unique<filter::TokenState>();
      request.state.token->policy = policy;
    }
    return Decision::kContinue;
  }
  filter::TokenState* const fields = request.state.token.get();
  if (fields->policy != nullptr) return Decision::kContinue;
  // What has one and is not protected by it must not run: whoever sent it may send it again.
  const config::TokenDomain* const domain = FindDomain(config::TokenDomainsOf(request.options), *fields);
  if (domain == nullptr) return Refuse(request, TokenProblem::kOtherDomain);
  const auto token = idempotency::Token::Parse(fields->token);
  const auto first = idempotency::ParseIncarnation(fields->first);
  if (!token || !first) return Refuse(request, TokenProblem::kNoToken);
  Tokened tokened;
  tokened.token = *token;
  tokened.of_another_incarnation =
      *first != domain->holder->incarnation && !Mutated(Mutant::kRestartNotNoticed);
  tokened.translated = request.state.chain != nullptr;
  tokened.caller = filter::PeerIdentity(request.caller->security);
  tokened.deadline = DeadlineOf(request);
  // Beside what it keeps of a message it takes what one step brings.
  const filter::HeldLimits limits{domain->max_request_bytes + 2 * filter::kStepBytes,
                                  domain->max_response_bytes + 2 * filter::kStepBytes};
  fields->taken = *token;
  filter::AddTransform(request.state,
                       std::make_unique<Guard>(*domain, *digester_, *fields, std::move(tokened)), limits);
  return Decision::kHold;
}

}  // namespace pillion::filters
