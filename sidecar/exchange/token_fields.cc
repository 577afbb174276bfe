#include "sidecar/exchange/token_fields.h"

#include <string>

#include "sidecar/base/mutant.h"
#include "sidecar/idempotency/hello.h"

namespace pillion::exchange {

std::unique_ptr<filter::TokenState> TakeTokenFields(http::HeaderList& headers) {
  using http::Known;
  const bool has_token = headers.Has(Known::kPillionToken);
  std::unique_ptr<filter::TokenState> fields;
  if (has_token) fields = std::make_unique<filter::TokenState>();
  const auto take = [&](Known known, std::string filter::TokenState::* field) {
    if (!headers.Has(known)) return;
    if (has_token) (*fields).*field = headers.Find(known).value_or("");
    headers.Remove(known);
  };
  take(Known::kPillionToken, &filter::TokenState::token);
  take(Known::kPillionAttempt, &filter::TokenState::attempt);
  take(Known::kPillionFirst, &filter::TokenState::first);
  take(Known::kPillionDomain, &filter::TokenState::domain);
  headers.Remove(Known::kPillionDedup);  // of answers only
  headers.Remove(Known::kPillionOther);
  return fields;
}

void WriteTokenFields(const idempotency::Token& token, const filter::TokenState& state, uint32_t attempt,
                      http::HeaderList& headers) {
  using http::Known;
  headers.Add(Known::kPillionToken, token.ToString());
  headers.Add(Known::kPillionAttempt, std::to_string(attempt));
  if (!Mutated(Mutant::kFirstOnlyOnce) || attempt == 1)
    headers.Add(Known::kPillionFirst, idempotency::ToHex(state.process));
  headers.Add(Known::kPillionDomain, idempotency::ToHex(state.policy->domain));
}

void RemoveTokenFields(http::HeaderList& headers) {
  using http::Known;
  for (const Known known :
       {Known::kPillionToken, Known::kPillionAttempt, Known::kPillionFirst, Known::kPillionDomain})
    headers.Remove(known);
}

}  // namespace pillion::exchange
