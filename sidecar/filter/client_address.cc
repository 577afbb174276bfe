#include "sidecar/filter/client_address.h"

#include <optional>
#include <string_view>

#include "sidecar/base/text.h"

namespace pillion::filter {
namespace {

template <typename Use>
void ForEachForwarded(const http::HeaderList& headers, Use use) {
  for (size_t i = 0; i < headers.size(); ++i) {
    if (EqualsIgnoreCase(headers[i].name, "x-forwarded-for")) ForEachListElement(headers[i].value, use);
  }
}

// A view of the fields.
std::optional<std::string_view> Forwarded(const config::HttpPolicy& policy, const http::HeaderList& headers) {
  // With use_remote_address the peer is the last of the list by now, or would be.
  uint32_t from_right = policy.trusted_hops;
  if (from_right == 0) return std::nullopt;
  if (policy.use_remote_address && policy.skip_xff_append) --from_right;
  size_t entries = 0;
  ForEachForwarded(headers, [&](std::string_view) { ++entries; });
  if (from_right >= entries) return std::nullopt;
  std::string_view found;
  ForEachForwarded(headers, [&](std::string_view entry) {
    if (--entries == from_right) found = entry;
  });
  return found;
}

}  // namespace

std::string ClientAddress(const config::HttpPolicy& policy, const net::Address& peer,
                          const http::HeaderList& headers) {
  const auto told = Forwarded(policy, headers);
  return told ? std::string(*told) : peer.ToString();
}

std::string ClientHost(const config::HttpPolicy& policy, const net::Address& peer,
                       const http::HeaderList& headers) {
  const auto told = Forwarded(policy, headers);
  return told ? std::string(*told) : peer.ip();
}

net::Address ClientIp(const config::HttpPolicy& policy, const net::Address& peer,
                      const http::HeaderList& headers) {
  const auto told = Forwarded(policy, headers);
  const auto address = told ? net::Address::Parse(*told, 0) : std::nullopt;
  return address ? address->Unmapped() : peer;
}

}  // namespace pillion::filter
