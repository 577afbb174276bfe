// What the control plane has sent, what of it is good, and what is complete enough to serve (warming).
//
//   response --Apply--> checked one by one: the good are held, the bad are named, the last good stays
//   held resources --Build--> Snapshot with only what is complete:
//       a listener whose route table is here (or was waited for long enough), a cluster whose endpoints are
//   Until a changed listener is complete the one before it serves.
//
// Pure: no I/O, no clock. Owner: the main loop.
#ifndef PILLION_SIDECAR_XDS_RESOURCE_STORE_H_
#define PILLION_SIDECAR_XDS_RESOURCE_STORE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "envoy/service/discovery/v3/discovery.pb.h"
#include "sidecar/config/bootstrap.h"
#include "sidecar/config/snapshot.h"
#include "sidecar/time/clock.h"

namespace pillion::xds {

// In the order in which they are subscribed: what is named before what names it.
enum class Type : uint8_t { kCluster, kEndpoints, kListener, kRoutes };
inline constexpr size_t kTypes = 4;
std::string_view UrlOf(Type type);                 // "type.googleapis.com/envoy..."
bool TypeOfUrl(std::string_view url, Type& type);  // false: none of ours

struct Rejection {
  std::string resource;  // its name; "" when it could not even be read
  std::string reason;    // "path: what was expected", all of them
};

class ResourceStore {
 public:
  struct Options {
    bool warn_unsupported = false;
  };
  // Static resources are part of every snapshot and win over pushed ones of the same name.
  ResourceStore(std::shared_ptr<const config::Bootstrap> bootstrap, Options options);

  // One response. The good resources are taken over; the rest is returned, one entry each. `stale`: it comes
  // from disk.
  std::vector<Rejection> Apply(const envoy::service::discovery::v3::DiscoveryResponse& response, Type type,
                               time::MonotonicTime now, bool stale);
  // The names to subscribe to; empty for clusters and listeners, which are asked for as a whole.
  std::vector<std::string> Wanted(Type type) const;
  // The configuration now; the generation grows when it differs from the last one.
  std::shared_ptr<const config::Snapshot> Build(time::MonotonicTime now);
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
  // Unimplemented fields let through by --unsupported-fields=warn, "resource: path: message", each once.
  const std::set<std::string>& warnings() const { return warnings_; }
  // What is waited for, in words; empty: everything that is configured serves.
  std::vector<std::string> Waiting() const;
  bool stale() const;
  // All held resources, for the disk.
  std::vector<envoy::service::discovery::v3::DiscoveryResponse> Export() const;

 private:
  struct Parsed;
  template <typename Proto, typename Domain, typename Parse>
  std::string Take(const google::protobuf::Any& any, const std::string& version, Type type,
                   std::map<std::string, std::shared_ptr<const Domain>>& domain, Parse parse,
                   Rejection& rejection);
  std::string TakeOne(const google::protobuf::Any& any, const std::string& version, Type type,
                      Rejection& rejection);
  void Remove(Type type, const std::set<std::string>& keep);
  void DropUnreferenced(Type type);
  bool WaitedLongEnough(const std::string& what, time::Duration limit, time::MonotonicTime now);
  void BuildClusters(config::Snapshot& snapshot, time::MonotonicTime now);
  void BuildListeners(config::Snapshot& snapshot, time::MonotonicTime now);

  std::shared_ptr<const config::Bootstrap> bootstrap_;
  Options options_;
  std::map<std::string, Held> held_[kTypes];
  std::map<std::string, std::shared_ptr<const config::Cluster>> clusters_;
  std::map<std::string, std::shared_ptr<const config::Assignment>> endpoints_;
  std::map<std::string, std::shared_ptr<const config::Listener>> listeners_;
  std::map<std::string, std::shared_ptr<const config::RouteTable>> routes_;
  std::map<std::string, time::MonotonicTime> waiting_since_;  // "routes x of listener y" -> since
  std::set<std::string> waiting_now_;
  std::set<std::string> warnings_;
  std::map<std::string, time::Duration> wait_limits_;
  std::shared_ptr<const config::Snapshot> last_;
};

}  // namespace pillion::xds

#endif  // PILLION_SIDECAR_XDS_RESOURCE_STORE_H_
