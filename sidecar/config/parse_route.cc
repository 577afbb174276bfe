#include "sidecar/config/parse_route.h"
#include "sidecar/config/parse_balancer.h"

#include <algorithm>
#include <map>
#include <set>

#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_edits.h"
#include "sidecar/config/parse_filters.h"

namespace pillion::config {
namespace {

namespace route = envoy::config::route::v3;

constexpr std::string_view kMirrors = "request_mirror_policies";
constexpr std::string_view kFilters = "typed_per_filter_config";

// What one level says.
struct Level {
  HeaderEdits request;
  HeaderEdits response;
};

template <typename Message>
Level ReadLevel(const Message& proto, const std::string& path, ConfigErrors& errors) {
  return {.request = ReadEdits(proto.request_headers_to_add(), proto.request_headers_to_remove(), path,
                               "request", errors),
          .response = ReadEdits(proto.response_headers_to_add(), proto.response_headers_to_remove(), path,
                                "response", errors)};
}

// The levels that a route stands under, from the most general.
class Levels {
 public:
  explicit Levels(bool special_wins) : special_wins_(special_wins) {}
  Levels(const Levels& above, Level own)
      : special_wins_(above.special_wins_), levels_(above.levels_), joined_(above.joined_) {
    if (own.request.empty() && own.response.empty()) return;  // shares what is above
    levels_.push_back(std::make_shared<const Level>(std::move(own)));
    joined_ = {.request = Join(&Level::request), .response = Join(&Level::response)};
  }
  const Edits& joined() const { return joined_; }

 private:
  std::shared_ptr<const HeaderEdits> Join(HeaderEdits Level::* side) const {
    HeaderEdits all;
    const auto append = [&](const std::shared_ptr<const Level>& level) {
      all.insert(all.end(), ((*level).*side).begin(), ((*level).*side).end());
    };
    // Who comes last has the last word.
    if (special_wins_) {
      std::for_each(levels_.begin(), levels_.end(), append);
    } else {
      std::for_each(levels_.rbegin(), levels_.rend(), append);
    }
    return all.empty() ? nullptr : std::make_shared<const HeaderEdits>(std::move(all));
  }

  bool special_wins_;
  std::vector<std::shared_ptr<const Level>> levels_;
  Edits joined_;
};

// The labels of a route, and over them those of one of its clusters. Null: none.
std::shared_ptr<const LabelMatch> ReadEndpointLabels(const std::optional<Labels>& above,
                                                     const std::optional<Labels>& own) {
  if (!above && !own) return nullptr;
  Labels labels = own.value_or(Labels());
  if (above) labels.insert(above->begin(), above->end());
  return std::make_shared<const LabelMatch>(LabelMatch::Of(std::move(labels)));
}

void ReadWeights(const route::WeightedCluster& proto, const std::string& path, const Levels& above,
                 const std::optional<Labels>& labels, Route& result, ConfigErrors& errors) {
  const std::string clusters_path = FieldPath(path, "clusters");
  for (int i = 0; i < proto.clusters_size(); ++i) {
    const auto& one = proto.clusters(i);
    const std::string one_path = ElementPath(clusters_path, static_cast<size_t>(i));
    RequireText(one.name(), FieldPath(one_path, "name"), errors);
    const auto own = ReadLabelMatch(one.metadata_match(), FieldPath(one_path, "metadata_match"), errors);
    result.clusters.push_back({.cluster = one.name(),
                               .weight = one.weight().value(),
                               .edits = Levels(above, ReadLevel(one, one_path, errors)).joined(),
                               .labels = ReadEndpointLabels(labels, own)});
    result.total_weight += one.weight().value();
  }
  if (result.total_weight < 1 || result.total_weight > UINT32_MAX) {
    Add(errors, clusters_path, "expected clusters whose weights sum up to 1 to 4294967295");
  }
}

void ReadMaxDuration(const route::RouteAction::MaxStreamDuration& proto, const std::string& path,
                     Route& result, ConfigErrors& errors) {
  if (proto.has_max_stream_duration()) {
    result.max_duration =
        ReadDuration(proto.max_stream_duration(), FieldPath(path, "max_stream_duration"), errors);
  }
  if (proto.has_grpc_timeout_header_max()) {
    result.grpc_timeout_max =
        ReadDuration(proto.grpc_timeout_header_max(), FieldPath(path, "grpc_timeout_header_max"), errors);
  }
  if (proto.has_grpc_timeout_header_offset()) {
    result.grpc_timeout_offset = ReadDuration(proto.grpc_timeout_header_offset(),
                                              FieldPath(path, "grpc_timeout_header_offset"), errors);
  }
}

void ReadUpgrades(const route::RouteAction& proto, const std::string& path, Route& result,
                  ConfigErrors& errors) {
  for (int i = 0; i < proto.upgrade_configs_size(); ++i) {
    const auto& one = proto.upgrade_configs(i);
    const std::string one_path = ElementPath(path, static_cast<size_t>(i));
    ReadUpgrade(one.upgrade_type(), !one.has_enabled() || one.enabled().value(), one_path, result.upgrades,
                errors);
    if (!one.has_connect_config()) continue;
    if (!EqualsIgnoreCase(one.upgrade_type(), "CONNECT"))
      Add(errors, FieldPath(one_path, "connect_config"), "expected only with upgrade_type CONNECT");
    result.ends_connect = true;
  }
}

uint16_t ReadNoClusterStatus(const route::RouteAction& proto, const std::string& path, ConfigErrors& errors) {
  switch (proto.cluster_not_found_response_code()) {
    case route::RouteAction::SERVICE_UNAVAILABLE:
      return 503;
    case route::RouteAction::NOT_FOUND:
      return 404;
    case route::RouteAction::INTERNAL_SERVER_ERROR:
      return 500;
    default:
      Add(errors, path, "expected SERVICE_UNAVAILABLE, NOT_FOUND or INTERNAL_SERVER_ERROR");
      return 503;
  }
}

using Mirrors = std::shared_ptr<const std::vector<Mirror>>;

// Whole lists take each other's place, not element by element.
Mirrors ReadMirrors(const google::protobuf::RepeatedPtrField<route::RouteAction::RequestMirrorPolicy>& proto,
                    const Mirrors& above, const std::string& path, ConfigErrors& errors) {
  if (proto.empty()) return above;
  if (proto.size() > kMaxMirrorPolicies)
    Add(errors, path, "expected at most " + std::to_string(kMaxMirrorPolicies) + " elements");
  auto result = std::make_shared<std::vector<Mirror>>();
  for (int i = 0; i < proto.size(); ++i) {
    const auto& one = proto.Get(i);
    const std::string one_path = ElementPath(path, static_cast<size_t>(i));
    RequireText(one.cluster(), FieldPath(one_path, "cluster"), errors);
    Mirror& mirror = result->emplace_back();
    mirror.cluster = one.cluster();
    mirror.add_suffix = !one.disable_shadow_host_suffix_append();
    if (one.has_runtime_fraction())
      mirror.share = ReadFraction(one.runtime_fraction(), FieldPath(one_path, "runtime_fraction"), errors);
  }
  return result;
}

void ReadAction(const route::RouteAction& proto, const std::string& path, const Levels& levels, Route& result,
                ConfigErrors& errors) {
  const auto labels = ReadLabelMatch(proto.metadata_match(), FieldPath(path, "metadata_match"), errors);
  if (proto.has_weighted_clusters()) {
    ReadWeights(proto.weighted_clusters(), FieldPath(path, "weighted_clusters"), levels, labels, result,
                errors);
  } else {
    RequireText(proto.cluster(), FieldPath(path, "cluster"), errors);
    result.clusters.push_back({.cluster = proto.cluster(),
                               .weight = 1,
                               .edits = levels.joined(),
                               .labels = ReadEndpointLabels(labels, std::nullopt)});
    result.total_weight = 1;
  }
  result.no_cluster_status =
      ReadNoClusterStatus(proto, FieldPath(path, "cluster_not_found_response_code"), errors);
  if (proto.priority() == envoy::config::core::v3::HIGH) {
    result.priority = 1;
  } else if (proto.priority() != envoy::config::core::v3::DEFAULT) {
    Add(errors, FieldPath(path, "priority"), "expected DEFAULT or HIGH");
  }
  result.hash_policy = ReadHashPolicies(proto, FieldPath(path, "hash_policy"), errors);
  result.path_rewrite = ReadPathRewrite(proto, result.match, path, errors);
  result.host_rewrite = ReadHostRewrite(proto, path, errors);
  result.append_forwarded_host = proto.append_x_forwarded_host();
  result.mirrors = ReadMirrors(proto.request_mirror_policies(), nullptr, FieldPath(path, kMirrors), errors);
  if (proto.has_timeout()) {
    result.timeout = ReadDuration(proto.timeout(), FieldPath(path, "timeout"), errors);
    result.tells_timeout = result.timeout.count() > 0;
  }
  if (proto.has_idle_timeout()) {
    result.idle_timeout = ReadDuration(proto.idle_timeout(), FieldPath(path, "idle_timeout"), errors);
  }
  if (proto.has_retry_policy()) {
    result.retry = ReadRetryPolicy(proto.retry_policy(), FieldPath(path, "retry_policy"), errors);
  }
  ReadUpgrades(proto, FieldPath(path, "upgrade_configs"), result, errors);
  ReadMaxDuration(proto.max_stream_duration(), FieldPath(path, "max_stream_duration"), result, errors);
}

DirectResponse ReadDirectResponse(const route::DirectResponseAction& proto, const std::string& path,
                                  ConfigErrors& errors) {
  DirectResponse result;
  if (proto.status() < 200 || proto.status() > 599) {
    Add(errors, FieldPath(path, "status"), "expected a status from 200 to 599");
  }
  result.status = static_cast<uint16_t>(proto.status());
  if (!proto.has_body()) return result;
  const std::string body_path = FieldPath(path, "body");
  const auto& body = proto.body();
  if (!body.has_inline_bytes() && !body.has_inline_string()) {
    Add(errors, body_path, "expected inline_string or inline_bytes");
  }
  result.body = body.has_inline_bytes() ? body.inline_bytes() : body.inline_string();
  if (result.body.size() > kMaxDirectBodyBytes) {
    Add(errors, body_path, "expected at most " + std::to_string(kMaxDirectBodyBytes) + " bytes");
  }
  return result;
}

Route ReadRoute(const route::Route& proto, const std::string& path, const Levels& above,
                ConfigErrors& errors) {
  Route result;
  const Levels levels(above, ReadLevel(proto, path, errors));
  result.edits = levels.joined();
  result.name = proto.name();
  result.match = ReadRouteMatch(proto.match(), FieldPath(path, "match"), errors);
  if (proto.has_direct_response()) {
    result.direct = ReadDirectResponse(proto.direct_response(), FieldPath(path, "direct_response"), errors);
  } else if (proto.has_redirect()) {
    result.redirect = ReadRedirect(proto.redirect(), FieldPath(path, "redirect"), errors);
  } else if (proto.has_route()) {
    ReadAction(proto.route(), FieldPath(path, "route"), levels, result, errors);
  } else {
    Add(errors, path, "expected route, redirect or direct_response");
  }
  return result;
}

// What the clusters of a route say of filters: read when it is known what the route says.
void ReadClusterFilters(const route::WeightedCluster& proto, const std::string& path,
                        const std::string& place, Route& result, ConfigErrors& errors) {
  for (int i = 0; i < proto.clusters_size(); ++i) {
    const auto& filters = proto.clusters(i).typed_per_filter_config();
    const auto index = static_cast<size_t>(i);
    if (filters.empty()) continue;
    result.clusters[index].filters = ReadPerFilterConfig(
        filters, result.filters, place + "/" + proto.clusters(i).name(),
        FieldPath(ElementPath(FieldPath(path, "clusters"), index), kFilters), errors, FilterLevel::kCluster);
  }
}

// `*` alone, at the start or at the end, and nowhere else.
bool IsDomain(std::string_view domain) {
  const size_t star = domain.find('*');
  if (domain.empty() || domain.rfind('*') != star) return false;
  return star == std::string_view::npos || star == 0 || star == domain.size() - 1;
}

void ReadDomains(const route::VirtualHost& proto, const std::string& path, std::set<std::string>& all_domains,
                 VirtualHost& result, ConfigErrors& errors) {
  if (proto.domains().empty()) Add(errors, path, "expected at least one domain");
  for (int i = 0; i < proto.domains_size(); ++i) {
    const std::string domain_path = ElementPath(path, static_cast<size_t>(i));
    std::string domain = proto.domains(i);
    std::ranges::transform(domain, domain.begin(), AsciiLower);
    if (!IsDomain(domain)) {
      Add(errors, domain_path, "expected a host, *suffix, prefix* or *");
    } else if (!all_domains.insert(domain).second) {
      Add(errors, domain_path, "expected each domain once in the table; " + domain + " is there before");
    }
    result.domains.push_back(std::move(domain));
  }
}

using Overrides = std::shared_ptr<const std::vector<FilterEntry>>;

VirtualHost ReadVirtualHost(const route::VirtualHost& proto, const std::string& table_name,
                            const std::string& path, const Overrides& above, const Mirrors& table_mirrors,
                            const Levels& table, std::set<std::string>& all_domains, ConfigErrors& errors) {
  VirtualHost result;
  result.name = proto.name();
  RequireText(proto.name(), FieldPath(path, "name"), errors);
  ReadDomains(proto, FieldPath(path, "domains"), all_domains, result, errors);
  std::optional<RetryPolicy> retry;
  if (proto.has_retry_policy()) {
    retry = ReadRetryPolicy(proto.retry_policy(), FieldPath(path, "retry_policy"), errors);
  }
  const std::string place = table_name + "/" + proto.name();
  const Overrides filters =
      ReadPerFilterConfig(proto.typed_per_filter_config(), above, place, FieldPath(path, kFilters), errors);
  const Mirrors mirrors =
      ReadMirrors(proto.request_mirror_policies(), table_mirrors, FieldPath(path, kMirrors), errors);
  std::map<std::string, int> seen;  // routes may have one name, or none
  const Levels levels(table, ReadLevel(proto, path, errors));
  for (int i = 0; i < proto.routes_size(); ++i) {
    const std::string route_path = ElementPath(FieldPath(path, "routes"), static_cast<size_t>(i));
    Route one = ReadRoute(proto.routes(i), route_path, levels, errors);
    const std::string route_place = place + "/" + one.name + "/" + std::to_string(seen[one.name]++);
    one.filters = ReadPerFilterConfig(proto.routes(i).typed_per_filter_config(), filters, route_place,
                                      FieldPath(route_path, kFilters), errors);
    const route::RouteAction& action = proto.routes(i).route();
    ReadClusterFilters(action.weighted_clusters(),
                       FieldPath(FieldPath(route_path, "route"), "weighted_clusters"), route_place, one,
                       errors);
    if (one.name.empty()) one.name = result.name + "/" + std::to_string(i);
    // As a whole, not field by field, and only where there is something to retry.
    if (!one.retry && !one.answers()) one.retry = retry;
    const auto& hedge = action.has_hedge_policy() ? action.hedge_policy() : proto.hedge_policy();
    if (one.retry) one.retry->hedge.on_per_try_timeout = hedge.hedge_on_per_try_timeout();
    if (one.mirrors == nullptr && !one.answers()) one.mirrors = mirrors;
    result.routes.push_back(std::move(one));
  }
  return result;
}

}  // namespace

RouteTable ReadRouteTable(const route::RouteConfiguration& proto, const std::string& path, Origin origin,
                          ConfigErrors& errors) {
  RouteTable result;
  result.name = proto.name();
  std::set<std::string> all_domains;
  std::set<std::string> names;
  const Overrides filters = ReadPerFilterConfig(proto.typed_per_filter_config(), nullptr, proto.name(),
                                                FieldPath(path, "typed_per_filter_config"), errors);
  const Mirrors mirrors =
      ReadMirrors(proto.request_mirror_policies(), nullptr, FieldPath(path, kMirrors), errors);
  const Levels levels(Levels(proto.most_specific_header_mutations_wins()), ReadLevel(proto, path, errors));
  for (int i = 0; i < proto.virtual_hosts_size(); ++i) {
    const std::string host_path = ElementPath(FieldPath(path, "virtual_hosts"), static_cast<size_t>(i));
    const auto& host = proto.virtual_hosts(i);
    if (!host.name().empty() && !names.insert(host.name()).second) {
      Add(errors, FieldPath(host_path, "name"), "expected each name once in the table");
    }
    result.virtual_hosts.push_back(
        ReadVirtualHost(host, proto.name(), host_path, filters, mirrors, levels, all_domains, errors));
  }
  if (origin == Origin::kPushed && proto.validate_clusters().value()) {
    Add(errors, FieldPath(path, "validate_clusters"), "expected false; clusters may come after their routes");
  }
  return result;
}

Validated<RouteTable> ParseRouteTable(const route::RouteConfiguration& proto, const std::string& version,
                                      Origin origin) {
  ConfigErrors errors;
  RouteTable result = ReadRouteTable(proto, "", origin, errors);
  RequireText(proto.name(), "name", errors);
  result.version = version;
  return Finish(std::move(result), std::move(errors), proto);
}

}  // namespace pillion::config
