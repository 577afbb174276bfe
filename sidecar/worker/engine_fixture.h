// For tests: one engine on a simulated network and virtual time, and a loop for those who talk to it.
#ifndef PILLION_SIDECAR_WORKER_ENGINE_FIXTURE_H_
#define PILLION_SIDECAR_WORKER_ENGINE_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "sidecar/testing/sim_network.h"
#include "sidecar/worker/engine.h"

namespace pillion::worker {

inline net::Address At(uint16_t port) {
  return net::Address::Parse("127.0.0.1", port).value_or(net::Address());
}

// An inbound listener on `port` whose requests all go to one HTTP/1 app. Its parts may be changed before it
// is applied.
struct ProxyConfig {
  ProxyConfig(uint16_t port, uint16_t app_port) {
    cluster->name = "app";
    auto assignment = std::make_shared<config::Assignment>();
    assignment->endpoints.emplace_back().address = At(app_port);
    snapshot->clusters["app"] = {cluster, assignment};
    auto listener = std::make_shared<config::Listener>();
    listener->name = server->name = "l";
    listener->address = At(port);
    listener->direction = server->direction = config::Direction::kInbound;
    listener->chains.emplace_back().http = server;
    auto table = std::make_shared<config::RouteTable>();
    config::Route route;
    route.match.text = "/";
    route.clusters = {{"app", 1}};
    route.total_weight = 1;
    table->virtual_hosts.push_back({"all", {"*"}, {route}});
    snapshot->listeners["l"] = {listener, {table}};
  }
  std::shared_ptr<config::Snapshot> snapshot = std::make_shared<config::Snapshot>();
  std::shared_ptr<config::Cluster> cluster = std::make_shared<config::Cluster>();
  std::shared_ptr<config::HttpServer> server = std::make_shared<config::HttpServer>();
};

class EngineFixture : public ::testing::Test {
 protected:
  static constexpr size_t kNetworkBytes = 4096;  // held by the network, each way
  explicit EngineFixture(time::Duration max_delay = {}, time::Duration longest_turn = stream::Turn::kLongest)
      : network_(clock_, 1,
                 {.reset_percent = 0,
                  .connect_refused_percent = 0,
                  .max_delay = max_delay,
                  .buffer_bytes = kNetworkBytes}),
        loop_(network_.NewLoop()),
        peers_(network_.NewLoop()),
        stats_(registry_.NewShard()),
        engine_(clock_, *loop_, stats_, 1,
                {.pressure = &pressure_,
                 .look = [this](time::MonotonicTime) { return memory_is_short_; },
                 .longest_turn = longest_turn}) {}

  void Apply(const std::shared_ptr<config::Snapshot>& snapshot) {
    EXPECT_TRUE(engine_.Apply(Prepare(snapshot, nullptr)).empty());
  }
  void Rest() {
    while (engine_.RunTurn()) {
    }
  }
  // Lets `time` pass, with all that happens in it.
  void Pass(time::Duration time) {
    const time::MonotonicTime end = clock_.Now() + time;
    while (true) {
      network_.Deliver();
      Rest();
      const time::MonotonicTime next = std::min(network_.NextEvent(), engine_.turn().NextDeadline());
      if (next > end) break;
      clock_.AdvanceTo(next);
    }
    clock_.AdvanceTo(end);
    network_.Deliver();
    Rest();
  }
  // Bytes travel, but the engine does not get to run.
  void Travel() {
    clock_.AdvanceTo(clock_.Now() + std::chrono::seconds(1));
    network_.Deliver();
  }

  testing::VirtualClock clock_;
  testing::SimNetwork network_;
  telemetry::Registry registry_;
  std::unique_ptr<net::Loop> loop_;
  std::unique_ptr<net::Loop> peers_;
  telemetry::Shard& stats_;
  bool memory_is_short_ = false;
  PressureGauge pressure_;
  Engine engine_;
};

}  // namespace pillion::worker

#endif  // PILLION_SIDECAR_WORKER_ENGINE_FIXTURE_H_
