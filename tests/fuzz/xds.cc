// Any bytes as a pushed resource: it is refused with a path, or gives a domain object.
//
//   byte 0: the kind of resource; then its serialized message
#include <google/protobuf/message.h>

#include "sidecar/base/check.h"
#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_endpoints.h"
#include "sidecar/config/parse_listener.h"
#include "sidecar/config/parse_route.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {
namespace {

template <typename Proto, typename Parse>
void Check(std::string_view bytes, Parse parse) {
  Proto proto;
  if (!proto.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const auto result = parse(proto);
  PILLION_CHECK((result.value == nullptr) == !result.errors.empty());
  for (const auto& error : result.errors) PILLION_CHECK(!error.message.empty());
}

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pillion;
  fuzz::Input input(data, size);
  const uint8_t kind = input.Byte();
  const std::string_view bytes = input.Rest();
  switch (kind % 4) {
    case 0:
      fuzz::Check<envoy::config::listener::v3::Listener>(bytes, [](const auto& proto) {
        return config::ParseListener(proto, "1", config::Origin::kPushed);
      });
      break;
    case 1:
      fuzz::Check<envoy::config::cluster::v3::Cluster>(
          bytes, [](const auto& proto) { return config::ParseCluster(proto, "1"); });
      break;
    case 2:
      fuzz::Check<envoy::config::route::v3::RouteConfiguration>(bytes, [](const auto& proto) {
        return config::ParseRouteTable(proto, "1", config::Origin::kPushed);
      });
      break;
    default:
      fuzz::Check<envoy::config::endpoint::v3::ClusterLoadAssignment>(
          bytes, [](const auto& proto) { return config::ParseAssignment(proto, "1"); });
      break;
  }
  return 0;
}
