// Typed configurations of HTTP filters -> FilterEntry, through one catalogue of types. Pure, except that a
// descriptor set may be named as a file; any thread.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_FILTERS_H_
#define PILLION_SIDECAR_CONFIG_PARSE_FILTERS_H_

#include <google/protobuf/any.pb.h>
#include <google/protobuf/map.h>

#include <optional>
#include <string>
#include <vector>

#include "sidecar/config/filters.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// Bytes of a descriptor set. Attack: a control plane, or a file, that makes us hold more.
inline constexpr size_t kMaxDescriptorSetBytes = size_t{16} * 1024 * 1024;

// What a listener's list says; nullopt, without an error, when the type is not in the catalogue.
std::optional<FilterEntry> ReadFilter(const std::string& name, const google::protobuf::Any& typed_config,
                                      const std::string& path, ConfigErrors& errors);

// Where something is said of a filter: kRoute stands for routes, their hosts and tables.
enum class FilterLevel : uint8_t { kListener, kRoute, kCluster };

using PerFilterConfig = google::protobuf::Map<std::string, google::protobuf::Any>;
// What a route, virtual host or table says, or a route of one of its clusters, over what the level above it
// says (which may be null). `place`: its own, by names that stay when others come and go.
std::shared_ptr<const std::vector<FilterEntry>> ReadPerFilterConfig(
    const PerFilterConfig& proto, std::shared_ptr<const std::vector<FilterEntry>> above,
    const std::string& place, const std::string& path, ConfigErrors& errors,
    FilterLevel level = FilterLevel::kRoute);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_FILTERS_H_
