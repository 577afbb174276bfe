// The larger admin pages as JSON text.
#ifndef PILLION_SIDECAR_ADMIN_VIEWS_H_
#define PILLION_SIDECAR_ADMIN_VIEWS_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/admin/admin.h"
#include "sidecar/idempotency/local_table.h"
#include "sidecar/idempotency/shared_tally.h"
#include "sidecar/idempotency/tables.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/tls/credentials.h"
#include "sidecar/upstream/cluster_state.h"
#include "sidecar/xds/ads_client.h"
#include "sidecar/xds/resource_store.h"

namespace pillion::admin {

// What one worker knows of its clusters: plain numbers that travel to the main loop.
struct ClusterFacts {
  struct Endpoint {
    bool pillion_sidecar = false;
    std::string_view health;  // why it gets no requests, or is the last choice; "healthy"
    uint32_t weight = 0;
    uint32_t priority = 0;
    std::string zone;
    uint64_t active_attempts = 0;
    uint64_t http1_connections = 0;
    uint64_t http2_connections = 0;
  };
  bool http2 = false;
  std::map<std::string, Endpoint> endpoints;  // by address
};
using ClusterFactsByName = std::map<std::string, ClusterFacts>;

// On the worker's own thread.
ClusterFactsByName CollectClusters(const upstream::ClusterTable& table);
// One host name of a cluster that is by DNS.
struct HostNameView {
  std::string cluster;
  std::string host;
  std::vector<std::string> addresses;
  bool resolved = false;  // once, well or badly
  std::string failure;    // the last one; "": there was none
  uint64_t failure_age_s = 0;
  uint64_t refresh_in_s = 0;
};
// Sums over workers; clusters that are waited for have nothing but names.
std::string ClustersPage(const std::vector<ClusterFactsByName>& workers,
                         const std::vector<HostNameView>& names = {});

// One listener's or cluster's certificates.
struct CertificateView {
  std::string owner;
  bool in_use = false;
  std::string failure;
  uint64_t rotations = 0;
  std::vector<tls::CertificateFacts> certificates;
};
// No keys; `now_s` since 1970.
std::string CertificatesPage(const std::vector<CertificateView>& views, int64_t now_s);

// Of all domains, and of the routes of `registry` that have seen tokens.
std::string TokensPage(const idempotency::Tables& tables, const telemetry::Registry& registry);
// The records of the token with that hash. `now_ms` since 1970.
std::string TokenPage(const std::map<idempotency::DomainId, std::shared_ptr<idempotency::LocalTable>>& tables,
                      const TokenHash& hash, int64_t now_ms);

// `ads` may be null: a static configuration. Resources are printed as proto3 JSON.
std::string ConfigDumpPage(const config::Bootstrap& bootstrap, const xds::ResourceStore& store,
                           const xds::AdsClient* ads, uint64_t generation);

}  // namespace pillion::admin

#endif  // PILLION_SIDECAR_ADMIN_VIEWS_H_
