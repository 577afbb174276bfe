#include "sidecar/exchange/dialled_address.h"

#include <optional>
#include <string_view>

#include "sidecar/upstream/cluster_state.h"

namespace pillion::exchange {
namespace {

constexpr RequestError kNoAddressInField = {
    ErrorKind::kNoEndpoint, Side::kLocal, Outcome::kNotSent,
    "the field that names the endpoint has no IP address with a port"};

}  // namespace

Dialled DialledAddress(const config::OriginalDestination& rules, stream::ClientStream& client) {
  if (!rules.field.empty()) {
    if (const std::optional<std::string_view> named = client.request().headers.Find(rules.field)) {
      const auto address = net::Address::ParseWithPort(*named);
      const auto called = address ? rules.Of(*address) : std::nullopt;
      return called ? Dialled{*called, {}} : Dialled{{}, kNoAddressInField};
    }
  }
  const std::optional<net::Address> called = rules.Of(client.local());
  return called ? Dialled{*called, {}} : Dialled{{}, upstream::kNothingDialled};
}

}  // namespace pillion::exchange
