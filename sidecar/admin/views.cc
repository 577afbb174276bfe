#include "sidecar/admin/views.h"

#include <google/protobuf/util/json_util.h>

#include <algorithm>
#include <string_view>

#include "sidecar/admin/redact.h"
#include "sidecar/base/json_writer.h"
#include "sidecar/idempotency/hello.h"

namespace pillion::admin {
namespace {

void WriteHeld(const std::string& name, const xds::ResourceStore::Held& held, JsonWriter& json) {
  json.BeginObject();
  json.Field("name", name);
  json.Field("version", held.version);
  json.BoolField("stale", held.stale);
  if (!held.rejected_version.empty() || !held.rejected_reason.empty()) {
    json.Field("rejected_version", held.rejected_version);
    json.Field("rejected_reason", held.rejected_reason);
  }
  if (!held.resource.value().empty()) {  // else it never was good
    google::protobuf::util::JsonPrintOptions options;
    options.preserve_proto_field_names = true;  // as the xDS reference and bootstrap files write them
    std::string resource;
    google::protobuf::Any shown = held.resource;
    RedactKeys(shown);
    const auto printed = google::protobuf::util::MessageToJsonString(shown, &resource, options);
    if (printed.ok()) {
      json.Key("resource");
      json.Raw(resource);
    } else {  // something inside an Any that we let through and have no message for
      json.Field("resource_not_printable", {printed.message().data(), printed.message().size()});
    }
  }
  json.EndObject();
}

void WriteType(xds::Type type, const xds::ResourceStore& store, const xds::AdsClient* ads, JsonWriter& json) {
  json.BeginObject();
  json.Field("type_url", xds::UrlOf(type));
  if (ads != nullptr) {
    const xds::AdsClient::TypeState& state = ads->state(type);
    json.Field("accepted_version", state.version);
    json.NumberField("acks", state.acks);
    json.NumberField("nacks", state.nacks);
    json.Field("last_error", state.last_error);
  }
  json.Key("resources");
  json.BeginArray();
  for (const auto& [name, held] : store.held(type)) WriteHeld(name, held, json);
  json.EndArray();
  json.EndObject();
}

// Of that cluster; nothing where it has none.
void WriteHostNames(const std::string& cluster, const std::vector<HostNameView>& names, JsonWriter& json) {
  const auto of_it = [&](const HostNameView& name) { return name.cluster == cluster; };
  if (std::ranges::none_of(names, of_it)) return;
  json.Key("names");
  json.BeginArray();
  for (const HostNameView& name : names) {
    if (!of_it(name)) continue;
    json.BeginObject();
    json.Field("host", name.host);
    json.BoolField("resolved", name.resolved);
    json.Key("addresses");
    json.BeginArray();
    for (const std::string& address : name.addresses) json.String(address);
    json.EndArray();
    if (!name.failure.empty()) {
      json.Field("last_failure", name.failure);
      json.NumberField("last_failure_age_s", name.failure_age_s);
    }
    json.NumberField("refresh_in_s", name.refresh_in_s);
    json.EndObject();
  }
  json.EndArray();
}

}  // namespace

ClusterFactsByName CollectClusters(const upstream::ClusterTable& table) {
  ClusterFactsByName facts;
  for (const auto& [name, cluster] : table.all()) {
    ClusterFacts& of_cluster = facts[name];
    of_cluster.http2 = cluster->config().protocol == config::UpstreamProtocol::kHttp2;
    for (const auto& endpoint : cluster->endpoints()) {
      ClusterFacts::Endpoint& of_endpoint = of_cluster.endpoints[endpoint->address().ToString()];
      of_endpoint.pillion_sidecar = endpoint->pillion_sidecar();
      of_endpoint.health = upstream::DescribeStanding(*endpoint);
      of_endpoint.weight = endpoint->config().weight;
      if (const config::Locality* const locality = endpoint->locality()) {
        of_endpoint.priority = locality->priority;
        of_endpoint.zone = locality->zone;
      }
      of_endpoint.active_attempts = endpoint->active_attempts;
      if (endpoint->http1_pool != nullptr)
        of_endpoint.http1_connections = endpoint->http1_pool->connections();
      if (endpoint->http2_pool != nullptr)
        of_endpoint.http2_connections = endpoint->http2_pool->connections();
    }
  }
  return facts;
}

std::string ClustersPage(const std::vector<ClusterFactsByName>& workers,
                         const std::vector<HostNameView>& names) {
  ClusterFactsByName sums;
  for (const HostNameView& name : names) sums[name.cluster];
  for (const ClusterFactsByName& worker : workers) {
    for (const auto& [name, facts] : worker) {
      ClusterFacts& sum = sums[name];
      sum.http2 = facts.http2;
      for (const auto& [address, endpoint] : facts.endpoints) {
        ClusterFacts::Endpoint& total = sum.endpoints[address];
        total.pillion_sidecar = endpoint.pillion_sidecar;
        total.health = endpoint.health;
        total.weight = endpoint.weight;
        total.priority = endpoint.priority;
        total.zone = endpoint.zone;
        total.active_attempts += endpoint.active_attempts;
        total.http1_connections += endpoint.http1_connections;
        total.http2_connections += endpoint.http2_connections;
      }
    }
  }
  std::string page;
  JsonWriter json(page);
  json.BeginArray();
  for (const auto& [name, facts] : sums) {
    json.BeginObject();
    json.Field("name", name);
    json.Field("protocol", facts.http2 ? "HTTP/2" : "HTTP/1.1");
    json.Key("endpoints");
    json.BeginArray();
    for (const auto& [address, endpoint] : facts.endpoints) {
      json.BeginObject();
      json.Field("address", address);
      json.BoolField("pillion_sidecar", endpoint.pillion_sidecar);
      json.Field("health", endpoint.health);
      json.NumberField("weight", endpoint.weight);
      json.NumberField("priority", endpoint.priority);
      if (!endpoint.zone.empty()) json.Field("zone", endpoint.zone);
      json.NumberField("active_attempts", endpoint.active_attempts);
      json.NumberField("http1_connections", endpoint.http1_connections);
      json.NumberField("http2_connections", endpoint.http2_connections);
      json.EndObject();
    }
    json.EndArray();
    WriteHostNames(name, names, json);
    json.EndObject();
  }
  json.EndArray();
  return page + "\n";
}

std::string CertificatesPage(const std::vector<CertificateView>& views, int64_t now_s) {
  constexpr int64_t kDay = 86400;
  std::string page;
  JsonWriter json(page);
  json.BeginArray();
  for (const CertificateView& view : views) {
    json.BeginObject();
    json.Field("owner", view.owner);
    json.BoolField("in_use", view.in_use);
    if (!view.failure.empty()) json.Field("failure", view.failure);
    json.NumberField("rotations", view.rotations);
    json.Key("certificates");
    json.BeginArray();
    for (const tls::CertificateFacts& facts : view.certificates) {
      json.BeginObject();
      json.Field("kind", facts.ca ? "trusted" : "own");
      json.Field("subject", facts.subject);
      json.Key("names");
      json.BeginArray();
      for (const std::string& name : facts.names) json.String(name);
      json.EndArray();
      json.Field("serial", facts.serial);
      json.BoolField("expired", facts.not_after_s <= now_s);
      json.NumberField(
          "days_until_expiry",
          static_cast<uint64_t>(facts.not_after_s <= now_s ? 0 : (facts.not_after_s - now_s) / kDay));
      json.EndObject();
    }
    json.EndArray();
    json.EndObject();
  }
  json.EndArray();
  return page + "\n";
}

namespace {

using Tables = std::map<idempotency::DomainId, std::shared_ptr<idempotency::LocalTable>>;

void WriteVerdicts(const std::vector<const telemetry::RouteStats*>& shards, JsonWriter& json) {
  for (size_t i = 0; i < idempotency::kVerdicts; ++i) {
    uint64_t sum = 0;
    for (const telemetry::RouteStats* stats : shards) sum += stats->token_verdicts[i].value();
    if (sum > 0) json.NumberField(idempotency::ToString(static_cast<idempotency::Verdict>(i)), sum);
  }
}

bool AnyTokens(const std::vector<const telemetry::RouteStats*>& shards) {
  return std::ranges::any_of(shards, [](const telemetry::RouteStats* stats) {
    return stats->token_attempts.value() > 0 ||
           std::ranges::any_of(stats->token_verdicts, [](const auto& one) { return one.value() > 0; });
  });
}

// Of domains whose records are shared.
void WriteStores(const idempotency::Tables& tables, JsonWriter& json) {
  json.Key("stores");
  json.BeginArray();
  for (const auto& [id, tally] : tables.AllTallies()) {
    const idempotency::SharedTally::View view = tally->Look();
    json.BeginObject();
    json.Field("domain", idempotency::ToHex(id));
    json.NumberField("workers", view.stores);
    for (const auto& one : idempotency::StoreTotals::all())
      json.NumberField(one.name, view.totals.*one.number);
    json.NumberField("refused_full", view.refused_full);
    json.NumberField("detached", view.detached);
    json.Field("trouble", view.trouble);
    json.EndObject();
  }
  json.EndArray();
}

}  // namespace

std::string TokensPage(const idempotency::Tables& tables, const telemetry::Registry& registry) {
  std::string page;
  JsonWriter json(page);
  json.BeginObject();
  json.Key("domains");
  json.BeginArray();
  for (const auto& [id, table] : tables.All()) {
    const idempotency::LocalTable::Counts counts = table->Count();
    json.BeginObject();
    json.Field("domain", idempotency::ToHex(id));
    json.NumberField("in_flight", counts.in_flight);
    json.NumberField("completed", counts.completed);
    json.NumberField("tombstone", counts.tombstones);
    json.NumberField("unknown", counts.unknown);
    json.NumberField("waiters", counts.room.waiters);
    json.NumberField("detached", counts.detached);
    json.NumberField("bytes", counts.room.bytes);
    json.EndObject();
  }
  json.EndArray();
  WriteStores(tables, json);
  json.Key("routes");
  json.BeginArray();
  registry.ForEachRoute(
      [&](const telemetry::RouteKey& key, const std::vector<const telemetry::RouteStats*>& shards) {
        if (!AnyTokens(shards)) return;
        uint64_t attempts = 0;
        for (const telemetry::RouteStats* stats : shards) attempts += stats->token_attempts.value();
        json.BeginObject();
        json.Field("listener", key.listener);
        json.Field("route", key.route);
        json.Field("cluster", key.cluster);
        if (attempts > 0) json.NumberField("attempts_with_token", attempts);
        json.Key("verdicts");
        json.BeginObject();
        WriteVerdicts(shards, json);
        json.EndObject();
        json.EndObject();
      });
  json.EndArray();
  json.EndObject();
  return page + "\n";
}

std::string TokenPage(const Tables& tables, const TokenHash& hash, int64_t now_ms) {
  std::string page;
  JsonWriter json(page);
  json.BeginArray();
  for (const auto& [id, table] : tables) {
    for (const idempotency::LocalTable::View& view : table->Find(hash)) {
      json.BeginObject();
      json.Field("domain", idempotency::ToHex(id));
      json.Field("state", view.state);
      json.NumberField("execution", view.execution);
      if (view.status != 0) json.NumberField("status", view.status);
      if (view.answer_bytes != 0) json.NumberField("answer_bytes", view.answer_bytes);
      json.NumberField("kept_for_ms",
                       static_cast<uint64_t>(std::max<int64_t>(0, view.over.count() - now_ms)));
      json.EndObject();
    }
  }
  json.EndArray();
  return page + "\n";
}

std::string ConfigDumpPage(const config::Bootstrap& bootstrap, const xds::ResourceStore& store,
                           const xds::AdsClient* ads, uint64_t generation) {
  std::string page;
  JsonWriter json(page);
  json.BeginObject();
  json.Field("node", bootstrap.node_id);
  json.NumberField("generation", generation);
  json.BoolField("stale", store.stale());
  json.BoolField("control_plane_connected", ads != nullptr && ads->connected());
  if (ads != nullptr) {
    json.Field("control_plane_last_failure", ads->last_failure());
    json.NumberField("control_plane_streams", ads->streams());
    json.NumberField("responses_not_asked_for", ads->ignored());
    if (ads->ignored() > 0) json.Field("last_type_not_asked_for", ads->last_ignored_type());
  }
  json.Key("waiting_for");
  json.BeginArray();
  for (const std::string& what : store.Waiting()) json.String(what);
  json.EndArray();
  json.Key("unsupported_fields");
  json.BeginArray();
  for (const std::string& warning : store.warnings()) json.String(warning);
  json.EndArray();
  json.Key("static_listeners");
  json.BeginArray();
  for (const auto& listener : bootstrap.listeners)
    json.String(listener->name + " " + listener->address.ToString());
  json.EndArray();
  json.Key("static_clusters");
  json.BeginArray();
  for (const auto& cluster : bootstrap.clusters) json.String(cluster->name);
  json.EndArray();
  json.Key("xds");
  json.BeginArray();
  for (const xds::Type type : {xds::Type::kCluster, xds::Type::kEndpoints, xds::Type::kListener,
                               xds::Type::kRoutes, xds::Type::kSecrets}) {
    WriteType(type, store, ads, json);
  }
  json.EndArray();
  json.EndObject();
  return page + "\n";
}

}  // namespace pillion::admin
