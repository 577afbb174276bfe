#include "sidecar/exchange/token_fields.h"

#include <string>

#include "sidecar/base/mutant.h"
#include "sidecar/idempotency/app_key.h"
#include "sidecar/idempotency/hello.h"

namespace pillion::exchange {
namespace {

using http::Known;

constexpr http::KnownSet kOfRequests = {Known::kPillionToken, Known::kPillionAttempt, Known::kPillionFirst,
                                        Known::kPillionDomain};
// Of answers, and of other versions.
constexpr http::KnownSet kOfNobody = {Known::kPillionDedup, Known::kPillionOther};

}  // namespace

std::unique_ptr<filter::TokenState> TakeTokenFields(http::HeaderList& headers) {
  std::unique_ptr<filter::TokenState> state;
  if (const auto token = headers.Find(Known::kPillionToken)) {
    state = std::make_unique<filter::TokenState>();
    using Says = filter::TokenState::Says;
    const auto minted = idempotency::Token::Parse(*token);
    if (minted) state->taken = minted->array();
    state->says = minted                                ? Says::kToken
                  : *token == idempotency::kKeyForToken ? Says::kAppKey
                                                        : Says::kNonsense;
    if (const auto domain = headers.Find(Known::kPillionDomain))
      state->domain = idempotency::ParseDomainId(*domain).value_or(0);
    if (const auto first = headers.Find(Known::kPillionFirst)) {
      state->first = idempotency::ParseIncarnation(*first);
      if (!state->first) state->says = Says::kNonsense;
    }
  }
  RemoveTokenFields(headers);
  headers.RemoveAny(kOfNobody);
  return state;
}

void WriteTokenFields(const filter::TokenState& state, uint32_t attempt, http::HeaderList& headers) {
  if (state.minted) {
    const idempotency::Token::Text token = state.minted->text();
    headers.Add(Known::kPillionToken, {token.data(), token.size()});
  } else {
    headers.Add(Known::kPillionToken, idempotency::kKeyForToken);
  }
  const idempotency::DomainText domain = idempotency::TextOf(state.policy->domain);
  headers.Add(Known::kPillionDomain, {domain.data(), domain.size()});
  if (attempt == 1) return;
  headers.Add(Known::kPillionAttempt, std::to_string(attempt));
  if (state.may_run && state.process && !Mutated(Mutant::kFirstOnlyOnce))
    headers.Add(Known::kPillionFirst, idempotency::ToHex(*state.process));
}

void RemoveTokenFields(http::HeaderList& headers) { headers.RemoveAny(kOfRequests); }

}  // namespace pillion::exchange
