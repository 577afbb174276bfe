// What the control plane has sent, what of it is good, and what is complete enough to serve (warming).
//
//   response --Apply--> checked one by one: the good are held, the bad are named, the last good stays
//   held resources --Build--> Snapshot with only what is complete:
//       a listener whose route tables and secrets are here (or were waited for long enough), a cluster whose
//       endpoints (or first addresses, by DNS) and secrets are
//   Until a changed listener is complete the one before it serves.
//
// A wait runs while the control plane is connected, and anew when it is back (gRPC A57): an outage must not
// turn what serves into nothing.
//
// Pure: no I/O, no clock. Owner: the main loop.
#ifndef PILLION_SIDECAR_XDS_RESOURCE_STORE_H_
#define PILLION_SIDECAR_XDS_RESOURCE_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "sidecar/config/bootstrap.h"
#include "sidecar/config/snapshot.h"
#include "sidecar/config/validated.h"
#include "sidecar/time/clock.h"

namespace pillion::xds {

// In the order in which they are subscribed: what is named before what names it.
enum class Type : uint8_t { kCluster, kEndpoints, kListener, kRoutes, kSecrets };
inline constexpr size_t kTypes = 5;
std::string_view UrlOf(Type type);                 // "type.googleapis.com/envoy..."
bool TypeOfUrl(std::string_view url, Type& type);  // false: none of ours

// Unimplemented fields kept for people. Attack: resources under ever new names.
inline constexpr size_t kMaxWarnings = 1000;

struct Rejection {
  std::string resource;  // its name; "" when it could not even be read
  std::string reason;    // "path: what was expected", all of them
};

class ResourceStore {
 public:
  struct Options {
    bool warn_unsupported = false;
    // What is wrong with the PEM that stands in TLS itself (not in files, not in other secrets); "": nothing.
    // Null: it is not looked at.
    std::function<std::string(const config::CommonTls&)> tls_problem = nullptr;
  };
  // Static resources are part of every snapshot and win over pushed ones of the same name.
  ResourceStore(std::shared_ptr<const config::Bootstrap> bootstrap, Options options);

  // One response. The good resources are taken over; the rest is returned, one entry each. Endpoints and
  // routes that nothing refers to are ignored. `stale`: it comes from disk.
  std::vector<Rejection> Apply(const envoy::service::discovery::v3::DiscoveryResponse& response, Type type,
                               time::MonotonicTime now, bool stale);
  // The names to subscribe to; empty for clusters and listeners, which are asked for as a whole.
  std::vector<std::string> Wanted(Type type) const;
  // The configuration now; the generation grows when it differs from the last one. `connected`: to the
  // control plane; call again when it changes. `resolved`: of the clusters that ByDns tells, those that need
  // not be waited for any more; call again when it changes.
  std::shared_ptr<const config::Snapshot> Build(time::MonotonicTime now, bool connected = true,
                                                const config::ResolvedEndpoints& resolved = {});
  // The clusters whose endpoints are by DNS, static ones and pushed ones.
  std::vector<std::shared_ptr<const config::Cluster>> ByDns() const;
  // When Build has to be called again because a wait is over; max(): no wait runs.
  time::MonotonicTime NextTimeout() const;

  // For admin and /ready.
  struct Held {
    google::protobuf::Any resource;
    std::string version;
    bool stale = false;
    std::string rejected_version;  // the last push of it that was refused, and why
    std::string rejected_reason;
  };
  const std::map<std::string, Held>& held(Type type) const { return held_[static_cast<size_t>(type)]; }
  // Unimplemented fields let through by --unsupported-fields=warn, "resource: path: message", each once, the
  // first kMaxWarnings.
  const std::set<std::string>& warnings() const { return warnings_; }
  // What is waited for, in words; empty: everything that is configured serves.
  std::vector<std::string> Waiting() const;
  // All that was configured has been complete (or been waited for long enough) at one time: from then on a
  // wait leaves what it is to replace serving.
  bool settled() const { return settled_; }
  bool stale() const;
  // All held resources, for the disk; no secrets: keys do not lie about.
  std::vector<envoy::service::discovery::v3::DiscoveryResponse> Export() const;

 private:
  struct Incoming;  // one resource of the response under way
  template <typename Proto, typename Domain, typename Parse>
  void Take(Incoming& in, std::map<std::string, std::shared_ptr<const Domain>>& domain, Parse parse);
  void TakeOne(Incoming& in);
  bool Unwrap(Incoming& in, google::protobuf::Any& inner);
  bool LetThrough(const std::string& name, const config::ConfigErrors& unsupported);
  void Remove(Type type, const std::set<std::string>& keep);
  void RefuseSharedAddresses(const std::map<std::string, std::shared_ptr<const config::Listener>>& before,
                             const std::map<std::string, Held>& held_before,
                             std::vector<Rejection>& rejected);
  void DropUnreferenced(Type type);
  bool WaitedLongEnough(const std::string& what, time::Duration limit, time::MonotonicTime now);
  std::map<std::string, std::shared_ptr<const config::Cluster>> AllClusters() const;
  std::shared_ptr<const config::Assignment> FindEndpoints(const config::Cluster& cluster,
                                                          const config::ResolvedEndpoints& resolved,
                                                          time::MonotonicTime now);
  void BuildClusters(config::Snapshot& snapshot, const config::ResolvedEndpoints& resolved,
                     time::MonotonicTime now);
  void BuildListeners(config::Snapshot& snapshot, time::MonotonicTime now);
  std::string Problem(const config::Cluster& cluster) const;
  std::string Problem(const config::Listener& listener) const;
  std::string Problem(const config::Secret& secret) const;
  template <typename Other>
  std::string Problem(const Other&) const {
    return {};
  }
  template <typename Tls>
  bool SecretsAreHere(const Tls& tls, const std::string& whose, time::MonotonicTime now);
  bool FindRoutes(config::ListenerEntry& entry, time::MonotonicTime now);
  void EndWaits(const config::Snapshot& snapshot);

  std::shared_ptr<const config::Bootstrap> bootstrap_;
  Options options_;
  std::map<std::string, Held> held_[kTypes];
  std::map<std::string, std::shared_ptr<const config::Cluster>> clusters_;
  std::map<std::string, std::shared_ptr<const config::Assignment>> endpoints_;
  std::map<std::string, std::shared_ptr<const config::Listener>> listeners_;
  std::map<std::string, std::shared_ptr<const config::RouteTable>> routes_;
  std::map<std::string, std::shared_ptr<const config::Secret>> secrets_;
  struct Wait {
    time::MonotonicTime since;
    time::Duration limit;  // 0: for ever
    bool over = false;
  };
  std::map<std::string, Wait> waits_;  // "routes x of listener y"
  std::set<std::string> waiting_now_;
  std::set<std::string> warnings_;
  bool connected_ = true;
  bool settled_ = false;
  // What a wait that is over is served with; the same object each time, or every Build would be a change.
  const std::shared_ptr<const config::Assignment> no_endpoints_ = std::make_shared<config::Assignment>();
  const std::shared_ptr<const config::RouteTable> no_routes_ = std::make_shared<config::RouteTable>();
  std::shared_ptr<const config::Snapshot> last_;
};

}  // namespace pillion::xds

#endif  // PILLION_SIDECAR_XDS_RESOURCE_STORE_H_
