#include "control-plane/snapshot/token_store.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "control-plane/snapshot/cluster_policy.h"
#include "control-plane/snapshot/content_hash.h"
#include "control-plane/snapshot/parts.h"
#include "envoy/extensions/transport_sockets/tls/v3/tls.pb.h"
#include "sidecar/base/serialize_in_order.h"

namespace pillion::control {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::extensions::transport_sockets::tls::v3::CertificateValidationContext;
using envoy::extensions::transport_sockets::tls::v3::SubjectAltNameMatcher;
using envoy::extensions::transport_sockets::tls::v3::TlsParameters;
using envoy::extensions::transport_sockets::tls::v3::UpstreamTlsContext;

constexpr std::chrono::seconds kConnectTimeout{5};
// Whatever the TTL: behind one name a failover is another address, and requests with tokens are refused until
// it is seen.
constexpr std::chrono::seconds kDnsRefresh{2};
constexpr std::chrono::seconds kDnsFailureBase{1};
constexpr std::chrono::seconds kDnsFailureMax{2};
constexpr std::chrono::milliseconds kDnsJitter{500};

void AddName(CertificateValidationContext& validation, SubjectAltNameMatcher::SanType type,
             const std::string& name) {
  SubjectAltNameMatcher& matcher = *validation.add_match_typed_subject_alt_names();
  matcher.set_san_type(type);
  matcher.mutable_matcher()->set_exact(name);
}

// As certificates have it: without the dot that ends an absolute name.
std::string NameOf(const StoreAddress& address) {
  return address.host.ends_with('.') ? address.host.substr(0, address.host.size() - 1) : address.host;
}

void SetTls(Cluster& cluster, const StoreTls& tls, const std::vector<StoreAddress>& addresses) {
  UpstreamTlsContext context;
  auto& common = *context.mutable_common_tls_context();
  common.mutable_tls_params()->set_tls_minimum_protocol_version(TlsParameters::TLSv1_2);
  common.mutable_tls_params()->set_tls_maximum_protocol_version(TlsParameters::TLSv1_3);
  if (!tls.certificate_file.empty()) {
    auto& certificate = *common.add_tls_certificates();
    certificate.mutable_certificate_chain()->set_filename(tls.certificate_file);
    certificate.mutable_private_key()->set_filename(tls.private_key_file);
  }
  auto& validation = *common.mutable_validation_context();
  validation.mutable_trusted_ca()->set_filename(tls.ca_file);
  std::string sni = tls.server_name;
  if (!sni.empty()) {
    AddName(validation, SubjectAltNameMatcher::DNS, sni);
  } else {
    std::set<std::string> hosts;
    for (const StoreAddress& address : addresses) {
      const std::string name = NameOf(address);
      if (!hosts.insert(name).second) continue;
      AddName(validation, address.is_name ? SubjectAltNameMatcher::DNS : SubjectAltNameMatcher::IP_ADDRESS,
              name);
    }
    if (hosts.size() == 1 && addresses.front().is_name) sni = *hosts.begin();
  }
  context.set_sni(sni);
  cluster.mutable_transport_socket()->set_name("envoy.transport_sockets.tls");
  cluster.mutable_transport_socket()->mutable_typed_config()->PackFrom(context);
}

void SetDns(Cluster& cluster) {
  cluster.set_type(Cluster::STRICT_DNS);
  cluster.set_dns_lookup_family(Cluster::V4_PREFERRED);
  SetDuration(cluster.mutable_dns_refresh_rate(), kDnsRefresh);
  SetDuration(cluster.mutable_dns_failure_refresh_rate()->mutable_base_interval(), kDnsFailureBase);
  SetDuration(cluster.mutable_dns_failure_refresh_rate()->mutable_max_interval(), kDnsFailureMax);
  SetDuration(cluster.mutable_dns_jitter(), kDnsJitter);
}

std::string OwnCluster(const ObjectName& service) { return "token-store|" + FullName(service); }

Cluster MakeCluster(const std::string& name, const TokenStoreRule& rule) {
  Cluster cluster;
  cluster.set_name(name);
  cluster.set_type(Cluster::STATIC);
  if (std::ranges::any_of(rule.addresses, &StoreAddress::is_name)) SetDns(cluster);
  cluster.set_lb_policy(Cluster::ROUND_ROBIN);
  SetDuration(cluster.mutable_connect_timeout(), kConnectTimeout);
  SetSafeLimits(cluster);
  auto& assignment = *cluster.mutable_load_assignment();
  assignment.set_cluster_name(cluster.name());
  auto& place = *assignment.add_endpoints();
  for (const StoreAddress& one : rule.addresses) {
    auto& address =
        *place.add_lb_endpoints()->mutable_endpoint()->mutable_address()->mutable_socket_address();
    address.set_address(one.host);
    address.set_port_value(one.port);
  }
  if (rule.tls.has_value()) SetTls(cluster, *rule.tls, rule.addresses);
  return cluster;
}

bool ReachedAlike(const TokenStoreRule& a, const TokenStoreRule& b) {
  return a.addresses == b.addresses && a.tls == b.tls;
}

}  // namespace

std::string StoreCluster(const MeshService& service, const TokenStoreRule& store) {
  std::string name = OwnCluster(service.name);
  if (service.tokens.has_value()) {
    const std::optional<TokenStoreRule>& own = service.tokens->store;
    if (own.has_value() && ReachedAlike(*own, store)) return name;
  }
  const std::string content = SerializeInOrder(MakeCluster(name, store));
  absl::StrAppend(&name, "|", absl::Hex(HashOf(content), absl::kZeroPad16));
  return name;
}

std::vector<Cluster> MakeStoreClusters(const MeshService& service) {
  std::vector<Cluster> clusters;
  std::set<std::string> seen;
  for (const EnforcedTokens& one : service.enforced) {
    if (!one.rule.store.has_value()) continue;
    const std::string name = StoreCluster(service, *one.rule.store);
    if (seen.insert(name).second) clusters.push_back(MakeCluster(name, *one.rule.store));
  }
  return clusters;
}

sidecar::v1::TokenStore MakeTokenStore(const ObjectName& service, const TokenStoreRule& rule) {
  sidecar::v1::TokenStore store;
  store.set_cluster(OwnCluster(service));
  store.set_service(service.ToString());
  store.set_user(rule.user);
  if (!rule.password_file.empty()) store.mutable_password()->set_filename(rule.password_file);
  if (!rule.key_file.empty()) store.mutable_key()->set_filename(rule.key_file);
  if (rule.lease.has_value()) SetDuration(store.mutable_lease(), *rule.lease);
  if (rule.replicas.has_value()) store.mutable_replicas()->set_value(*rule.replicas);
  if (rule.replica_wait.has_value()) SetDuration(store.mutable_replica_wait(), *rule.replica_wait);
  if (rule.unconfirmed_doubt.has_value())
    SetDuration(store.mutable_unconfirmed_doubt(), *rule.unconfirmed_doubt);
  store.set_on_down(rule.bypass ? sidecar::v1::TokenStore::BYPASS : sidecar::v1::TokenStore::REFUSE);
  store.set_trust_unseen_settings(rule.trust_unseen_settings);
  return store;
}

std::string StoreIdentity(const TokenStoreRule& rule) {
  std::vector<StoreAddress> addresses = rule.addresses;
  std::ranges::sort(addresses);
  std::string identity;
  for (const StoreAddress& one : addresses) identity += one.host + ' ' + std::to_string(one.port) + ' ';
  return identity;
}

}  // namespace pillion::control
