#include "sidecar/filters/idempotency/app_keys.h"

#include <algorithm>
#include <utility>

#include "sidecar/idempotency/app_key.h"

namespace pillion::filters {

using idempotency::AppKey;
using idempotency::TokenProblem;

const config::TokenDomain* DomainForKeys(const config::TokenDomains& domains, const http::RequestHead& head) {
  const auto found = std::ranges::find_if(domains.all, [&](const config::TokenDomain& domain) {
    return domain.keys.counts() && domain.keys.of.Takes(head);
  });
  return found == domains.all.end() ? nullptr : &*found;
}

std::variant<std::string, TokenProblem> TakeKey(const config::KeyTerms& terms,
                                                const http::HeaderList& headers, bool stamped) {
  if (!terms.counts()) return TokenProblem::kNoToken;
  AppKey key = idempotency::ReadAppKey(headers);
  switch (key.kind) {
    case AppKey::Kind::kNone:
      if (stamped) return TokenProblem::kNoToken;
      if (terms.required) return TokenProblem::kNoKey;
      return std::string();
    case AppKey::Kind::kBad:
      return TokenProblem::kBadKey;
    case AppKey::Kind::kKey:
      break;
  }
  if (terms.elsewhere) return TokenProblem::kKeysElsewhere;
  return std::move(key.text);
}

bool TakesMinted(const config::KeyTerms& terms, const http::HeaderList& headers) {
  if (!terms.counts()) return true;
  return terms.source == config::KeySource::kAppOrMint && !headers.Has(http::Known::kIdempotencyKey);
}

void FinishKeyedReplay(http::HeaderList& headers, telemetry::WorkerStats& stats) {
  const size_t cookies = headers.Remove("set-cookie");
  if (cookies > 0) stats.token_cookies_dropped.Add(cookies);
  headers.Remove("idempotent-replayed");
  headers.Add("idempotent-replayed", "true");
}

}  // namespace pillion::filters
