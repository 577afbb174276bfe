#include "sidecar/exchange/hash_policy.h"

#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "sidecar/base/text.h"
#include "sidecar/http/cookie.h"
#include "sidecar/route/match.h"
#include "sidecar/upstream/hash_table.h"

namespace pillion::exchange {
namespace {

using Kind = config::HashPolicy::Kind;

std::string CookieFor(const stream::ClientStream& client) {
  const std::string ends = client.peer().ToString() + client.local().ToString();
  return absl::StrCat(absl::Hex(upstream::HashOf(ends), absl::kZeroPad16));
}

std::optional<uint64_t> HashOfField(const http::HeaderList& fields, std::string_view name) {
  std::optional<uint64_t> hash;
  for (size_t i = 0; i < fields.size(); ++i) {
    const http::HeaderList::Field field = fields[i];
    if (!EqualsIgnoreCase(field.name, name)) continue;
    const uint64_t one = upstream::HashOf(field.value);
    hash = hash ? upstream::MixHashes(*hash, one) : one;
  }
  return hash;
}

std::optional<uint64_t> HashOne(const config::HashPolicy& policy, const http::RequestHead& request,
                                const stream::ClientStream& client) {
  switch (policy.kind) {
    case Kind::kHeader:
      if (!policy.name.starts_with(':')) return HashOfField(request.headers, policy.name);
      if (const auto value = route::RequestLineField(request, policy.name)) return upstream::HashOf(*value);
      return std::nullopt;
    case Kind::kCookie:
      if (const auto value = http::FindCookie(request.headers, policy.name)) return upstream::HashOf(*value);
      if (!policy.ttl) return std::nullopt;
      return upstream::HashOf(CookieFor(client));
    case Kind::kSourceIp:
      return upstream::HashOf(client.peer().ip());
    case Kind::kQuery:
      if (const size_t mark = request.path.find('?'); mark != std::string::npos) {
        const auto value = route::FindParameter(std::string_view(request.path).substr(mark + 1), policy.name);
        if (value) return upstream::HashOf(*value);
      }
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

std::optional<uint64_t> HashOfRequest(std::span<const config::HashPolicy> policies,
                                      const http::RequestHead& request, const stream::ClientStream& client) {
  std::optional<uint64_t> hash;
  for (const config::HashPolicy& policy : policies) {
    const std::optional<uint64_t> one = HashOne(policy, request, client);
    if (one) hash = hash ? upstream::MixHashes(*hash, *one) : *one;
    if (hash && policy.terminal) break;
  }
  return hash;
}

void AddHashCookies(std::span<const config::HashPolicy> policies, const http::RequestHead& request,
                    const stream::ClientStream& client, http::HeaderList& response) {
  bool hashed = false;
  for (const config::HashPolicy& policy : policies) {
    if (policy.kind == Kind::kCookie && policy.ttl && !http::FindCookie(request.headers, policy.name)) {
      std::string cookie = policy.name + "=" + CookieFor(client);
      if (policy.ttl->count() > 0) absl::StrAppend(&cookie, "; Max-Age=", policy.ttl->count());
      if (!policy.path.empty()) absl::StrAppend(&cookie, "; Path=", policy.path);
      response.Add("set-cookie", cookie + "; HttpOnly");
    }
    hashed = hashed || HashOne(policy, request, client).has_value();
    if (hashed && policy.terminal) break;
  }
}

}  // namespace pillion::exchange
