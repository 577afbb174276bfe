#include "sidecar/filters/idempotency/idempotency.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "sidecar/base/mutant.h"
#include "sidecar/config/filters.h"
#include "sidecar/filter/chain.h"
#include "sidecar/filter/grpc.h"
#include "sidecar/filter/peer_identity.h"
#include "sidecar/filters/idempotency/app_keys.h"
#include "sidecar/filters/idempotency/guard.h"
#include "sidecar/filters/idempotency/token_answers.h"
#include "sidecar/idempotency/app_key.h"
#include "sidecar/idempotency/token.h"

namespace pillion::filters {
namespace {

using filter::Decision;

const config::TokenDomain* FindDomain(const config::TokenDomains* domains, const filter::TokenState& fields) {
  if (domains == nullptr) return nullptr;
  const auto found = std::ranges::find(domains->all, fields.domain, &config::TokenDomain::id);
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

// Null: it is none of those.
const config::TokenPolicy* PolicyFor(const filter::RequestView& request) {
  const config::FilterOptions* const options =
      config::OptionsOf(config::FilterKind::kIdempotency, request.options, request.route, request.of_cluster);
  const auto* const policy = options == nullptr ? nullptr : std::get_if<config::TokenPolicy>(options);
  if (policy == nullptr || policy->paused) return nullptr;
  const http::RequestHead& head = request.head;
  using Kind = http::ContentLength::Kind;
  const bool large = head.content.kind == Kind::kSized && head.content.bytes > policy->max_request_bytes;
  if (large || !head.upgrade.empty() || head.method == http::Method::kConnect) return nullptr;
  return policy->of.Takes(head) ? policy : nullptr;
}

// Of the client's side. Null: its attempts carry no token. What stands for a key and is none is for the
// service's side to refuse.
std::unique_ptr<filter::TokenState> MakeState(const config::TokenPolicy& policy,
                                              const http::HeaderList& headers) {
  auto state = std::make_unique<filter::TokenState>();
  state->policy = &policy;
  if (policy.source == config::KeySource::kMint) return state;
  const idempotency::AppKey key = idempotency::ReadAppKey(headers);
  if (key.kind == idempotency::AppKey::Kind::kKey) {
    state->key = idempotency::BytesOfKey(key.text);
    return state;
  }
  const bool mints = policy.source == config::KeySource::kAppOrMint;
  if (key.kind == idempotency::AppKey::Kind::kBad || !mints) return nullptr;
  return state;
}

Decision Refuse(const filter::RequestView& request, const TokenAnswer& answer) {
  request.state.token->verdict =
      FillAnswer(answer, GrpcTypeOf(request.head.headers), request.response, request.response_body);
  return Decision::kRespond;
}
Decision Refuse(const filter::RequestView& request, TokenProblem problem) {
  return Refuse(request, TokenAnswer{problem});
}

// The key takes the token's place, beside the user whose it is where policy names one. kContinue: it has.
Decision NameByKey(const filter::RequestView& request, const config::KeyTerms& terms, std::string_view key) {
  std::string user;
  if (terms.principal != nullptr) {
    const auto now = std::chrono::floor<std::chrono::seconds>(request.caller->wall);
    auto taken = TakeUser(*terms.principal, request.head.headers, now);
    if (const auto* const answer = std::get_if<TokenAnswer>(&taken)) return Refuse(request, *answer);
    user = std::get<std::string>(std::move(taken));
  }
  request.state.token->taken = idempotency::BytesOfKey(key, user);
  return Decision::kContinue;
}

}  // namespace

struct Idempotency::OfWorker {
  explicit OfWorker(const idempotency::WorkerStores& stores) : tools{stores, {}} {}
  // Connections bring many requests of one caller after each other.
  std::string identity;
  idempotency::CallerId caller = 0;
  GuardTools tools;
  idempotency::CallerId CallerOf(std::string_view of) {
    if (of != identity) {
      identity = of;
      caller = idempotency::CallerOf(of);
    }
    return caller;
  }
};

Idempotency::Idempotency(const idempotency::WorkerStores& stores)
    : worker_(std::make_unique<OfWorker>(stores)) {}
Idempotency::~Idempotency() = default;

Decision Idempotency::OnRequestHead(const filter::RequestView& request) const {
  std::unique_ptr<filter::TokenState>& state = request.state.token;
  if (state != nullptr) return state->policy == nullptr ? TakeStamped(request) : Decision::kContinue;
  if (const config::TokenPolicy* const policy = PolicyFor(request)) {
    state = MakeState(*policy, request.head.headers);
  } else if (const auto* const domains = config::TokenDomainsOf(request.options)) {
    if (const config::TokenDomain* const domain = DomainForKeys(*domains, request.head))
      return TakeUnstamped(request, *domain);
  }
  return Decision::kContinue;
}

// What has a token and is not protected by it must not run: whoever sent it may send it again.
Decision Idempotency::TakeStamped(const filter::RequestView& request) const {
  filter::TokenState& fields = *request.state.token;
  const config::TokenDomain* const domain = FindDomain(config::TokenDomainsOf(request.options), fields);
  if (domain == nullptr) return Refuse(request, TokenProblem::kOtherDomain);
  using Says = filter::TokenState::Says;
  Tokened tokened;
  const bool elsewhere = fields.first && *fields.first != domain->holder->incarnation;
  tokened.of_another_incarnation = elsewhere && !Mutated(Mutant::kRestartNotNoticed);
  if (fields.says == Says::kAppKey) {
    auto key = TakeKey(domain->keys, request.head.headers, true);
    if (const auto* const problem = std::get_if<TokenProblem>(&key)) return Refuse(request, *problem);
    const Decision named = NameByKey(request, domain->keys, std::get<std::string>(key));
    if (named != Decision::kContinue) return named;
  } else {
    if (fields.says != Says::kToken || !TakesMinted(domain->keys, request.head.headers))
      return Refuse(request, TokenProblem::kNoToken);
    tokened.minted = idempotency::Token::MintedOf(*fields.taken);
  }
  return Guarded(request, *domain, tokened);
}

// Of a client with or without a sidecar, which has not stamped it.
Decision Idempotency::TakeUnstamped(const filter::RequestView& request,
                                    const config::TokenDomain& domain) const {
  auto key = TakeKey(domain.keys, request.head.headers, false);
  const auto* const problem = std::get_if<TokenProblem>(&key);
  if (problem == nullptr && std::get<std::string>(key).empty()) return Decision::kContinue;
  request.state.token = std::make_unique<filter::TokenState>();
  if (problem != nullptr) return Refuse(request, *problem);
  const Decision named = NameByKey(request, domain.keys, std::get<std::string>(key));
  if (named != Decision::kContinue) return named;
  return Guarded(request, domain, {});
}

Decision Idempotency::Guarded(const filter::RequestView& request, const config::TokenDomain& domain,
                              Tokened tokened) const {
  tokened.translated = request.state.chain != nullptr;
  tokened.caller = worker_->CallerOf(filter::PeerIdentity(request.caller->security));
  tokened.deadline = DeadlineOf(request);
  // Beside what it keeps of a message it takes what one step brings.
  const filter::HeldLimits limits{domain.max_request_bytes + 2 * filter::kStepBytes,
                                  domain.max_response_bytes + 2 * filter::kStepBytes};
  filter::AddTransform(
      request.state, std::make_unique<Guard>(domain, worker_->tools, *request.state.token, tokened), limits);
  return Decision::kHold;
}

}  // namespace pillion::filters
