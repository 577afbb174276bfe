// For tests: an engine in front of several apps, all on a simulated network and virtual time.
#ifndef PILLION_SIDECAR_WORKER_APPS_FIXTURE_H_
#define PILLION_SIDECAR_WORKER_APPS_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/config/filters.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {

inline constexpr uint16_t kProxyPort = 15001;
inline constexpr uint16_t kFirstApp = 9000;

// An app that answers each request with its status, and the name of its port.
class App {
 public:
  App(const time::Clock& clock, testing::SimNetwork& network, telemetry::Registry& registry, uint16_t port)
      : loop_(network.NewLoop()), engine_(clock, *loop_, registry.NewShard(), port), port_(port) {
    Answer(200);
  }
  void Answer(uint16_t status) {
    auto snapshot = std::make_shared<config::Snapshot>();
    listener_->name = server_->name = "app";
    listener_->address = At(port_);
    if (listener_->chains.empty()) listener_->chains.emplace_back().http = server_;
    auto table = std::make_shared<config::RouteTable>();
    config::Route route;
    route.match.text = "/";
    route.direct = config::DirectResponse{status, "app" + std::to_string(port_ - kFirstApp)};
    table->virtual_hosts.push_back({"all", {"*"}, {route}});
    snapshot->listeners["app"] = {listener_, {table}};
    EXPECT_TRUE(engine_.Apply(Prepare(snapshot, nullptr)).empty());
  }
  bool Run() { return engine_.RunTurn(); }
  time::MonotonicTime next() { return engine_.turn().NextDeadline(); }

 private:
  std::unique_ptr<net::Loop> loop_;
  Engine engine_;
  uint16_t port_;
  std::shared_ptr<config::Listener> listener_ = std::make_shared<config::Listener>();
  std::shared_ptr<config::HttpServer> server_ = std::make_shared<config::HttpServer>();
};

class Apps : public EngineFixture {
 protected:
  // A proxy in front of so many apps, whose cluster is made of `options`.
  void Start(size_t count, config::Cluster options, config::Route route = {}) {
    for (size_t i = 0; i < count; ++i)
      apps_.push_back(
          std::make_unique<App>(clock_, network_, registry_, static_cast<uint16_t>(kFirstApp + i)));
    Configure(count, std::move(options), std::move(route));
  }
  // As Start, without making apps.
  void Configure(size_t count, config::Cluster options, config::Route route = {}) {
    ProxyConfig proxy(kProxyPort, kFirstApp);
    proxy.server->http.filters = filters_;
    proxy.server->http.allow_explain = true;
    options.name = "app";
    proxy.snapshot->clusters["app"] = Cluster(options, 0, count);
    auto table = std::make_shared<config::RouteTable>();
    route.match.text = "/";
    if (route.clusters.empty()) {
      route.clusters = {{"app", 1}};
      route.total_weight = 1;
    }
    for (const auto& [name, entry] : more_clusters_) proxy.snapshot->clusters[name] = entry;
    table->virtual_hosts.push_back({"all", {"*"}, {route}});
    proxy.snapshot->listeners["l"].routes = {table};
    Apply(proxy.snapshot);
  }
  // Of so many apps, the first of which has that number.
  config::ClusterEntry Cluster(const config::Cluster& options, size_t first, size_t count) const {
    auto assignment = std::make_shared<config::Assignment>();
    for (size_t i = first; i < first + count; ++i) {
      config::Endpoint& endpoint = assignment->endpoints.emplace_back(endpoint_);
      endpoint.address = At(static_cast<uint16_t>(kFirstApp + i));
      if (i < healths_.size()) endpoint.health = healths_[i];
    }
    return {std::make_shared<const config::Cluster>(options), assignment};
  }
  void PassAll(time::Duration time) {
    const time::MonotonicTime end = clock_.Now() + time;
    for (;;) {
      bool busy = true;
      while (busy) {
        network_.Deliver();
        busy = engine_.RunTurn();
        for (const auto& app : apps_) busy = app->Run() || busy;
      }
      auto next = std::min(network_.NextEvent(), engine_.turn().NextDeadline());
      for (const auto& app : apps_) next = std::min(next, app->next());
      if (next > end) break;
      clock_.AdvanceTo(next);
    }
    clock_.AdvanceTo(end);
    network_.Deliver();
  }
  // A client that has sent that much of a request, and read what has come of it.
  std::unique_ptr<testing::SimPeer> Ask(const std::string& head = "GET / HTTP/1.1\r\nhost: a\r\n") {
    auto client = std::make_unique<testing::SimPeer>(*peers_, At(kProxyPort));
    PassAll(std::chrono::milliseconds(1));
    client->Send(head + "\r\n");
    PassAll(std::chrono::milliseconds(5));
    client->Read();
    return client;
  }
  // Which app answered, or the status of another answer: "app0", "503".
  std::string Get(const std::string& fields = "") {
    testing::SimPeer client(*peers_, At(kProxyPort));
    PassAll(std::chrono::milliseconds(1));
    client.Send("GET " + path_ + " HTTP/1.1\r\nhost: a\r\n" + fields + "\r\n");
    PassAll(std::chrono::milliseconds(20));
    client.Read();
    answer_ = client.text;
    if (client.text.starts_with("HTTP/1.1 200")) return client.text.substr(client.text.rfind("\r\n") + 2);
    return client.text.substr(std::min<size_t>(9, client.text.size()), 3);
  }
  // How often each was the answer.
  std::map<std::string, int> GetMany(int count) {
    std::map<std::string, int> answers;
    for (int i = 0; i < count; ++i) ++answers[Get()];
    return answers;
  }
  std::string path_ = "/";  // of requests
  // What Configure takes beside its arguments.
  config::Endpoint endpoint_;                                        // each of the apps, but for the address
  std::shared_ptr<const std::vector<config::FilterEntry>> filters_;  // of the listener
  std::vector<config::Health> healths_;                              // of the apps
  std::map<std::string, config::ClusterEntry> more_clusters_;
  std::vector<std::unique_ptr<App>> apps_;
  std::string answer_;  // to the last request
};

}  // namespace pillion::worker

#endif  // PILLION_SIDECAR_WORKER_APPS_FIXTURE_H_
