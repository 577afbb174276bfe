// One host of the mesh: a sidecar's configuration, which changes, and its engines, which are drained and
// followed by fresh ones at the same address.
#ifndef PILLION_TESTS_SIMULATION_SIDECAR_HOST_H_
#define PILLION_TESTS_SIMULATION_SIDECAR_HOST_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/config/snapshot.h"
#include "sidecar/net/loop.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/testing/sim_network.h"
#include "sidecar/worker/engine.h"
#include "tests/simulation/mesh_identity.h"

namespace pillion::simulation {

// The mesh, by port.
inline constexpr uint16_t kOutboundPort = 15001;
inline constexpr uint16_t kInboundPorts[2] = {15006, 15007};
inline constexpr uint16_t kAppPorts[2] = {8080, 8081};
inline constexpr uint16_t kGrpcPort = 9090;
inline constexpr uint16_t kOutboundRelayPort = 15011;
inline constexpr uint16_t kInboundRelayPorts[2] = {15016, 15017};
inline constexpr uint16_t kTcpAppPorts[2] = {7000, 7001};
net::Address At(uint16_t port);

// What a story's configurations may say.
struct Mood {
  bool harmless = true;   // no request can fail by a change
  bool two_ways = false;  // two inbound sidecars, two apps
  std::optional<config::RetryPolicy> retry;
  time::Duration route_timeout = std::chrono::seconds(60);
  time::Duration drain_timeout = std::chrono::seconds(5);
  bool lasting_weights = false;  // the second of the weighted clusters always has weight 0
  // Relays. What a sidecar holds of each way is `relay_buffer_bytes` and one read.
  time::Duration relay_idle = std::chrono::seconds(30);
  size_t relay_buffer_bytes = size_t{64} * 1024;
  TlsMood tls;
  bool proxy_headers = false;  // inbound sidecars expect PROXY protocol, and do without
  bool short_turns = false;    // no turn does all there is to do
  bool shared_port = false;    // the outbound listener for relays takes HTTP too, and tells them apart
};

// A configuration that is changed piece by piece; what does not change stays the same object, as in
// ResourceStore.
class SidecarConfig {
 public:
  // `inbound`: number of the inbound host, or none for the outbound one.
  SidecarConfig(std::optional<size_t> inbound, const Mood& mood, Random& random);
  std::shared_ptr<const worker::PreparedSnapshot> Build();
  // Leaves the configuration with or without a hole; MakeWhole fills it.
  void Change();
  void MakeWhole();
  // Connections that come from here on see another certificate.
  void Prove(Proof proof);
  config::Direction direction() const { return direction_; }
  // Of the listeners.
  std::vector<net::Address> addresses() const { return {listener_->address, relay_->address}; }

 private:
  void UseTls();
  void NewListener();
  void NewRelay();
  void NewRoutes();
  void NewCluster(const std::string& name);
  void NewEndpoints(const std::string& name);
  config::Route RouteTo(const std::string& prefix, const std::string& cluster);
  size_t Up(size_t bound) { return random_.Next() % bound; }

  std::optional<size_t> inbound_;
  config::Direction direction_;
  const Mood& mood_;
  Random& random_;
  std::shared_ptr<const config::Listener> listener_;
  std::shared_ptr<const config::Listener> relay_;
  std::shared_ptr<const config::RouteTable> routes_;
  std::map<std::string, config::ClusterEntry, std::less<>> clusters_;
  std::map<std::string, config::ClusterEntry, std::less<>> first_;
  std::shared_ptr<const worker::PreparedSnapshot> last_;
  std::shared_ptr<config::ServerTls> server_tls_;  // null: plain text, as below
  std::shared_ptr<config::ClientTls> client_tls_;
  Proof proof_ = Proof::kFirst;
  std::string left_out_;  // a cluster that is not there now
  bool listening_ = true;
};

class SidecarHost {
 public:
  SidecarHost(testing::VirtualClock& clock, testing::SimNetwork& network, telemetry::Registry& registry,
              std::optional<size_t> inbound, const Mood& mood, Random& random);
  ~SidecarHost();
  // One turn of each engine; true when work is left.
  bool RunTurn();
  time::MonotonicTime NextDeadline();
  // Applies a changed configuration; the last one has no hole.
  void Change(bool last);
  void Prove(Proof proof) { config_.Prove(proof); }
  // Drains what runs and starts a fresh engine at the same address; at `deadline` the old one is ended.
  void Restart(std::optional<time::MonotonicTime> deadline);
  // No engine has a session or exchange left, after Stop.
  void Stop();
  bool stopped() const { return engine_ == nullptr && leaving_.empty(); }
  std::vector<telemetry::RequestRecord> TakeRecords();
  const std::vector<std::string>& failures() const { return failures_; }
  const std::string& name() const { return name_; }
  // Of all engines that this host ever had.
  const std::vector<telemetry::Shard*>& shards() const { return shards_; }

 private:
  struct Leaving {
    std::unique_ptr<worker::Engine> engine;
    telemetry::Shard* shard;
    time::MonotonicTime closed;  // from here on it takes no new request
    std::optional<time::MonotonicTime> deadline;
    time::MonotonicTime drained = time::MonotonicTime::max();
    std::optional<uint64_t> begun;  // requests, until it was closed
  };
  void Start();
  bool inbound() const { return config_.direction() == config::Direction::kInbound; }
  void Leave(std::optional<time::MonotonicTime> deadline);
  uint64_t Begun(telemetry::Shard& shard) const;
  void End(Leaving& leaving);

  testing::VirtualClock& clock_;
  testing::SimNetwork& network_;
  telemetry::Registry& registry_;
  const Mood& mood_;
  Random& random_;
  std::string name_;
  std::unique_ptr<net::Loop> loop_;
  SidecarConfig config_;
  std::unique_ptr<worker::Engine> engine_;
  std::vector<Leaving> leaving_;
  std::vector<telemetry::RequestRecord> records_;
  std::vector<std::string> failures_;
  std::vector<telemetry::Shard*> shards_;
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_SIDECAR_HOST_H_
