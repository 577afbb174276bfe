#include "sidecar/config/parse_bootstrap.h"

#include <algorithm>
#include <map>
#include <set>

#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_cluster.h"
#include "sidecar/config/parse_listener.h"
#include "sidecar/config/parse_tls.h"

namespace pillion::config {
namespace {

namespace bootstrap = envoy::config::bootstrap::v3;
namespace core = envoy::config::core::v3;
using envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager;

using ClustersByName = std::map<std::string, std::shared_ptr<const Cluster>, std::less<>>;

// A source that can only be waited for without end: there is nothing to serve without it.
bool ReadDynamicSource(const core::ConfigSource& source, const std::string& path, ConfigErrors& errors) {
  ReadAdsSource(source, path, errors);
  if (source.has_initial_fetch_timeout() && source.initial_fetch_timeout().seconds() != 0) {
    Add(errors, FieldPath(path, "initial_fetch_timeout"), "expected 0s here; others are not implemented");
  }
  return true;
}

// The way to the control plane has to be open again within 2 s of the end of any outage, also of one in which
// packets just vanished. So a connection is given up soon after its peer fell silent (before TCP's growing
// retransmission intervals reach 2 s), and so is an attempt to make one (it sends at 0 s and 1 s).
constexpr auto kSilentControlPlane = std::chrono::seconds(3);
constexpr auto kControlPlaneConnect = std::chrono::milliseconds(1500);

void WatchClosely(const std::string& name, std::vector<std::shared_ptr<const Cluster>>& clusters) {
  for (std::shared_ptr<const Cluster>& cluster : clusters) {
    if (cluster->name != name) continue;
    auto watched = std::make_shared<Cluster>(*cluster);
    watched->silent_peer_timeout = kSilentControlPlane;
    watched->connect_timeout = std::min<nanoseconds>(watched->connect_timeout, kControlPlaneConnect);
    cluster = std::move(watched);
  }
}

void ReadAds(const core::ApiConfigSource& ads, const std::string& path, const ClustersByName& clusters,
             Bootstrap& result, ConfigErrors& errors) {
  if (ads.api_type() != core::ApiConfigSource::GRPC) {
    Add(errors, FieldPath(path, "api_type"), "expected GRPC; others are not implemented");
  }
  if (ads.transport_api_version() != core::V3 && ads.transport_api_version() != core::AUTO) {
    Add(errors, FieldPath(path, "transport_api_version"), "expected V3");
  }
  const std::string services_path = FieldPath(path, "grpc_services");
  if (ads.grpc_services_size() != 1) {
    Add(errors, services_path, "expected exactly one; others are not implemented");
    return;
  }
  const std::string service_path = ElementPath(services_path, 0);
  if (ads.grpc_services(0).has_timeout()) {
    Add(errors, FieldPath(service_path, "timeout"), "expected none; the stream stays open");
  }
  const size_t before = errors.size();
  const std::string name = ReadGrpcCluster(ads.grpc_services(0), service_path, errors);
  result.ads_cluster = name;
  if (errors.size() > before) return;
  const std::string name_path = FieldPath(FieldPath(service_path, "envoy_grpc"), "cluster_name");
  const auto cluster = clusters.find(name);
  if (cluster == clusters.end() || cluster->second->discovery == Cluster::Discovery::kEds ||
      cluster->second->original_destination) {
    Add(errors, name_path,
        "expected the name of a cluster in static_resources.clusters that is neither EDS nor ORIGINAL_DST");
  } else if (cluster->second->protocol != UpstreamProtocol::kHttp2) {
    Add(errors, name_path, "expected a cluster that speaks HTTP/2 (http2_protocol_options)");
  } else if (cluster->second->tls != nullptr) {
    ForEachSecret(*cluster->second->tls, [&](const SecretName& secret) {
      if (secret.pushed)
        Add(errors, name_path, "expected a cluster that needs no secret from the control plane");
    });
  }
  WatchClosely(name, result.clusters);
}

ClustersByName ReadClusters(const bootstrap::Bootstrap::StaticResources& proto, const std::string& path,
                            Bootstrap& result, ConfigErrors& errors) {
  ClustersByName by_name;
  for (int i = 0; i < proto.clusters_size(); ++i) {
    const std::string cluster_path = ElementPath(path, static_cast<size_t>(i));
    auto cluster = std::make_shared<const Cluster>(ReadCluster(proto.clusters(i), cluster_path, errors));
    if (!cluster->name.empty() && !by_name.emplace(cluster->name, cluster).second) {
      Add(errors, FieldPath(cluster_path, "name"), "expected each name once");
    }
    result.clusters.push_back(std::move(cluster));
  }
  return by_name;
}

void ReadListeners(const bootstrap::Bootstrap::StaticResources& proto, const std::string& path,
                   Bootstrap& result, ConfigErrors& errors) {
  std::set<std::string> names;
  std::set<net::Address> addresses;
  for (int i = 0; i < proto.listeners_size(); ++i) {
    const std::string listener_path = ElementPath(path, static_cast<size_t>(i));
    auto listener = std::make_shared<const Listener>(
        ReadListener(proto.listeners(i), listener_path, Origin::kFile, errors));
    const bool any_port = listener->address.port() == 0;
    if (!any_port && !addresses.insert(listener->address).second) {
      Add(errors, FieldPath(listener_path, "address"),
          "expected each address once; " + listener->address.ToString() + " is there before");
    }
    if (!listener->name.empty() && !names.insert(listener->name).second) {
      Add(errors, FieldPath(listener_path, "name"), "expected each name once");
    }
    result.listeners.push_back(std::move(listener));
  }
}

// Calls need(path of the name, name) for each cluster that the routes of a listener name.
template <typename Need>
void ForEachRouteCluster(const HttpConnectionManager& http, const std::string& path, Need need) {
  const auto& table = http.route_config();
  if (table.has_validate_clusters() && !table.validate_clusters().value()) return;
  for (int i = 0; i < table.virtual_hosts_size(); ++i) {
    const std::string host_path =
        ElementPath(FieldPath(FieldPath(path, "route_config"), "virtual_hosts"), static_cast<size_t>(i));
    for (int k = 0; k < table.virtual_hosts(i).routes_size(); ++k) {
      const auto& action = table.virtual_hosts(i).routes(k).route();
      const std::string action_path =
          FieldPath(ElementPath(FieldPath(host_path, "routes"), static_cast<size_t>(k)), "route");
      if (!action.cluster().empty()) need(FieldPath(action_path, "cluster"), action.cluster());
      const std::string weighted_path = FieldPath(FieldPath(action_path, "weighted_clusters"), "clusters");
      for (int w = 0; w < action.weighted_clusters().clusters_size(); ++w) {
        const std::string& name = action.weighted_clusters().clusters(w).name();
        const std::string name_path = FieldPath(ElementPath(weighted_path, static_cast<size_t>(w)), "name");
        if (!name.empty()) need(name_path, name);
      }
    }
  }
}

// That what a filter chain names is there, or can come.
template <typename Need>
void CheckChain(const envoy::config::listener::v3::FilterChain& proto, const std::string& path,
                const FilterChain& read, const Bootstrap& result, Need need, ConfigErrors& errors) {
  const std::string config_path = path + ".filters[0].typed_config";
  if (read.tcp != nullptr) {
    if (result.dynamic_clusters) return;  // it may come by CDS
    for (const WeightedCluster& target : read.tcp->clusters) {
      if (!target.cluster.empty()) need(config_path, target.cluster);
    }
  }
  if (read.http == nullptr) return;
  HttpConnectionManager http;
  if (!proto.filters(0).typed_config().UnpackTo(&http)) return;
  ForEachRouteCluster(http, config_path, need);
  if (http.has_rds() && !result.ads_cluster) {
    Add(errors, FieldPath(config_path, "rds"), "expected dynamic_resources.ads_config beside this");
  }
  // A collector may come by CDS; without it spans are dropped and counted.
  const auto& tracing = read.http->http.tracing;
  if (tracing && !result.dynamic_clusters && !tracing->collector_cluster.empty()) {
    need(FieldPath(config_path, "tracing.provider.typed_config.grpc_service.envoy_grpc.cluster_name"),
         tracing->collector_cluster);
  }
}

void ReadSecrets(const bootstrap::Bootstrap::StaticResources& proto, const std::string& path,
                 Bootstrap& result, ConfigErrors& errors) {
  std::set<std::string> names;
  for (int i = 0; i < proto.secrets_size(); ++i) {
    const std::string secret_path = ElementPath(path, static_cast<size_t>(i));
    auto secret = std::make_shared<const Secret>(ReadSecret(proto.secrets(i), secret_path, errors));
    if (!secret->name.empty() && !names.insert(secret->name).second)
      Add(errors, FieldPath(secret_path, "name"), "expected each name once");
    result.secrets.push_back(std::move(secret));
  }
}

// That the secrets which the static TLS of `path` names are there, or can come.
template <typename Tls>
void CheckSecrets(const Tls& tls, const std::string& path, const Bootstrap& result, ConfigErrors& errors) {
  ForEachSecret(tls, [&](const SecretName& secret) {
    const bool known =
        std::ranges::any_of(result.secrets, [&](const auto& one) { return one->name == secret.name; });
    if (secret.pushed && !result.ads_cluster) {
      Add(errors, path, "expected dynamic_resources.ads_config for secret " + secret.name);
    } else if (!secret.pushed && !known) {
      Add(errors, path, "expected a secret of static_resources.secrets; there is no " + secret.name);
    }
  });
}

// That what the static listeners and clusters name is there, or can come.
void CheckReferences(const bootstrap::Bootstrap& proto, const ClustersByName& clusters,
                     const Bootstrap& result, ConfigErrors& errors) {
  const auto need = [&](const std::string& path, const std::string& name) {
    if (!clusters.contains(name)) Add(errors, path, "expected a known cluster; there is no " + name);
  };
  const std::string listeners_path = "static_resources.listeners";
  for (int i = 0; i < proto.static_resources().listeners_size(); ++i) {
    const auto& listener = proto.static_resources().listeners(i);
    const std::string path = ElementPath(listeners_path, static_cast<size_t>(i));
    const Listener& read = *result.listeners[static_cast<size_t>(i)];
    for (int c = 0; c < listener.filter_chains_size(); ++c) {
      CheckChain(listener.filter_chains(c), ElementPath(path + ".filter_chains", static_cast<size_t>(c)),
                 read.chains[static_cast<size_t>(c)], result, need, errors);
    }
    if (listener.has_default_filter_chain()) {
      CheckChain(listener.default_filter_chain(), path + ".default_filter_chain",
                 read.chain(read.chains.size()), result, need, errors);
    }
  }
  for (int i = 0; i < proto.static_resources().listeners_size(); ++i) {
    const Listener& listener = *result.listeners[static_cast<size_t>(i)];
    for (size_t k = 0; k < listener.chain_count(); ++k) {
      const std::string chain_path =
          FieldPath(ElementPath(listeners_path, static_cast<size_t>(i)), "filter_chains");
      if (const auto& tls = listener.chain(k).tls; tls != nullptr)
        CheckSecrets(*tls, FieldPath(ElementPath(chain_path, k), "transport_socket"), result, errors);
    }
  }
  for (size_t i = 0; i < result.clusters.size(); ++i) {
    if (const auto& tls = result.clusters[i]->tls; tls != nullptr)
      CheckSecrets(*tls, FieldPath(ElementPath("static_resources.clusters", i), "transport_socket"), result,
                   errors);
    if (result.clusters[i]->discovery == Cluster::Discovery::kEds && !result.ads_cluster) {
      Add(errors, FieldPath(ElementPath("static_resources.clusters", i), "eds_cluster_config"),
          "expected dynamic_resources.ads_config beside this");
    }
  }
}

void ReadDynamic(const bootstrap::Bootstrap& proto, const ClustersByName& clusters, Bootstrap& result,
                 ConfigErrors& errors) {
  const std::string path = "dynamic_resources";
  const auto& dynamic = proto.dynamic_resources();
  if (dynamic.has_lds_config()) {
    result.dynamic_listeners = ReadDynamicSource(dynamic.lds_config(), FieldPath(path, "lds_config"), errors);
  }
  if (dynamic.has_cds_config()) {
    result.dynamic_clusters = ReadDynamicSource(dynamic.cds_config(), FieldPath(path, "cds_config"), errors);
  }
  const std::string ads_path = FieldPath(path, "ads_config");
  if (dynamic.has_ads_config()) {
    ReadAds(dynamic.ads_config(), ads_path, clusters, result, errors);
    RequireText(proto.node().id(), "node.id", errors);
  } else if (result.dynamic_listeners || result.dynamic_clusters) {
    Add(errors, ads_path, "expected the stream that lds_config and cds_config speak of");
  }
}

void ReadOwnPlace(const bootstrap::Bootstrap& proto, const ClustersByName& clusters, Bootstrap& result,
                  ConfigErrors& errors) {
  result.own.place = {proto.node().locality().region(), proto.node().locality().zone(),
                      proto.node().locality().sub_zone()};
  result.own.cluster = proto.cluster_manager().local_cluster_name();
  if (result.own.cluster.empty() || result.dynamic_clusters) return;  // it may come by CDS
  if (!clusters.contains(result.own.cluster))
    Add(errors, "cluster_manager.local_cluster_name",
        "expected a known cluster; there is no " + result.own.cluster);
}

}  // namespace

Validated<Bootstrap> ParseBootstrap(const bootstrap::Bootstrap& proto) {
  ConfigErrors errors;
  Bootstrap result;
  result.node_id = proto.node().id();
  result.node_cluster = proto.node().cluster();
  proto.node().SerializeToString(&result.serialized_node);
  const std::string path = "static_resources";
  const ClustersByName clusters =
      ReadClusters(proto.static_resources(), FieldPath(path, "clusters"), result, errors);
  ReadListeners(proto.static_resources(), FieldPath(path, "listeners"), result, errors);
  ReadSecrets(proto.static_resources(), FieldPath(path, "secrets"), result, errors);
  ReadDynamic(proto, clusters, result, errors);
  ReadOwnPlace(proto, clusters, result, errors);
  CheckReferences(proto, clusters, result, errors);
  if (proto.admin().has_address()) {
    result.admin_address = ReadAddress(proto.admin().address(), "admin.address", errors, true);
  }
  return Finish(std::move(result), std::move(errors), proto);
}

}  // namespace pillion::config
