#include "sidecar/filter/client_address.h"

#include <optional>
#include <string_view>
#include <vector>

#include "sidecar/base/text.h"

namespace pillion::filter {
namespace {

std::optional<std::string> Forwarded(const config::HttpPolicy& policy, const http::HeaderList& headers) {
  // With use_remote_address the peer is the last of the list by now, or would be.
  uint32_t from_right = policy.trusted_hops;
  if (from_right == 0) return std::nullopt;
  if (policy.use_remote_address && policy.skip_xff_append) --from_right;
  std::vector<std::string> entries;
  for (size_t i = 0; i < headers.size(); ++i) {
    if (!EqualsIgnoreCase(headers[i].name, "x-forwarded-for")) continue;
    ForEachListElement(headers[i].value, [&](std::string_view e) { entries.emplace_back(e); });
  }
  if (from_right >= entries.size()) return std::nullopt;
  return entries[entries.size() - 1 - from_right];
}

}  // namespace

std::string ClientAddress(const config::HttpPolicy& policy, const net::Address& peer,
                          const http::HeaderList& headers) {
  return Forwarded(policy, headers).value_or(peer.ToString());
}

std::string ClientHost(const config::HttpPolicy& policy, const net::Address& peer,
                       const http::HeaderList& headers) {
  return Forwarded(policy, headers).value_or(peer.ip());
}

}  // namespace pillion::filter
