#include "sidecar/filters/idempotency/app_keys.h"

#include <algorithm>
#include <memory>
#include <string_view>
#include <utility>

#include "sidecar/base/text.h"
#include "sidecar/idempotency/app_key.h"
#include "sidecar/jwt/verify.h"

namespace pillion::filters {

using idempotency::AppKey;
using idempotency::TokenAnswer;
using idempotency::TokenProblem;

namespace {

// RFC 6750 section 2.1. "": there is no such field, or several fields of that name.
std::string_view BearerOf(const http::HeaderList& headers) {
  constexpr std::string_view kScheme = "bearer ";
  std::string_view value;
  for (size_t i = 0; i < headers.size(); ++i) {
    if (!EqualsIgnoreCase(headers[i].name, "authorization")) continue;
    if (!value.empty()) return {};
    value = headers[i].value;
    if (value.empty()) return {};
  }
  value = TrimOws(value);
  if (!EqualsIgnoreCase(value.substr(0, kScheme.size()), kScheme)) return {};
  return TrimOws(value.substr(kScheme.size()));
}

}  // namespace

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

std::variant<std::string, TokenAnswer> TakeUser(const config::KeyPrincipal& wanted,
                                                const http::HeaderList& headers,
                                                std::chrono::sys_seconds now) {
  const std::shared_ptr<const jwt::KeySet> keys = wanted.keys->Get();
  if (keys == nullptr) return TokenAnswer{TokenProblem::kUsersUnknown};
  const std::string_view token = BearerOf(headers);
  if (token.empty()) return TokenAnswer{TokenProblem::kNoUser};
  auto verified = jwt::Verify(token, *keys, wanted.terms, now);
  if (const auto* const problem = std::get_if<jwt::Problem>(&verified))
    return TokenAnswer{.problem = TokenProblem::kBadUser, .why = jwt::ToString(*problem)};
  return std::get<std::string>(std::move(verified));
}

void FinishKeyedReplay(const config::KeyTerms& terms, http::HeaderList& headers,
                       telemetry::WorkerStats& stats) {
  const size_t cookies = terms.principal == nullptr ? headers.Remove("set-cookie") : 0;
  if (cookies > 0) stats.token_cookies_dropped.Add(cookies);
  headers.Remove("idempotent-replayed");
  headers.Add("idempotent-replayed", "true");
}

}  // namespace pillion::filters
