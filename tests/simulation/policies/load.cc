#include "tests/simulation/policies/load.h"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace pillion::simulation {
namespace {

using testing::SimPeer;

constexpr uint16_t kSidecarPort = 16000;
constexpr uint16_t kAppPort = 8000;
constexpr int kMaxRounds = 10000;
constexpr std::string_view kBody = "abc";

net::Address At(size_t port) {
  return net::Address::Parse("127.0.0.1", static_cast<uint16_t>(port)).value_or(net::Address());
}

// An end that knows when something has come.
class Peer : public SimPeer {
 public:
  using SimPeer::SimPeer;
  void OnReady(bool readable, bool) override { ready = ready || readable; }
  bool ready = false;
  std::deque<time::MonotonicTime> due;  // of an app's end: answers
};

using Executions = std::unordered_map<uint64_t, uint32_t>;

// Runs each request as soon as it is here, and answers it later.
class App final : public net::Observer {
 public:
  App(net::Loop& loop, const net::Address& at, time::Duration takes) : loop_(loop), takes_(takes) {
    int error = 0;
    listening_ = loop.Listen(at, *this, &error);
  }
  void OnReady(bool, bool) override { waiting_ = true; }
  bool Run(time::MonotonicTime now, Executions& executions) {
    bool worked = std::exchange(waiting_, false);
    while (auto socket = listening_->Accept()) {
      peers_.push_back(std::make_unique<Peer>(loop_, std::move(socket)));
      peers_.back()->ready = true;
    }
    for (auto& peer : peers_) {
      for (; !peer->due.empty() && peer->due.front() <= now; peer->due.pop_front()) {
        worked = true;
        peer->Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
      }
      if (!std::exchange(peer->ready, false)) continue;
      worked = true;
      peer->Read();
      while (TakeRequest(*peer, executions)) peer->due.push_back(now + takes_);
    }
    std::erase_if(peers_, [](const auto& peer) { return peer->ended || peer->reset; });
    return worked;
  }
  time::MonotonicTime NextDeadline() const {
    auto next = time::MonotonicTime::max();
    for (const auto& peer : peers_) {
      if (!peer->due.empty()) next = std::min(next, peer->due.front());
    }
    return next;
  }

 private:
  static bool TakeRequest(Peer& peer, Executions& executions) {
    const size_t end = peer.text.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const size_t whole = end + 4 + (peer.text.starts_with("POST") ? kBody.size() : 0);
    if (peer.text.size() < whole) return false;
    ++executions[std::strtoull(peer.text.c_str() + peer.text.find('/') + 1, nullptr, 10)];
    peer.text.erase(0, whole);
    return true;
  }

  net::Loop& loop_;
  const time::Duration takes_;
  std::unique_ptr<net::ListenSocket> listening_;
  std::vector<std::unique_ptr<Peer>> peers_;
  bool waiting_ = false;
};

class Load {
 public:
  explicit Load(const LoadPlan& plan)
      : plan_(plan), network_(clock_, plan.seed, Calm()), random_(plan.seed), loop_(network_.NewLoop()) {
    apps_.resize(plan.apps);
    for (size_t hop = 0; hop < plan.hops; ++hop) AddSidecar(hop);
  }

  LoadResult Run() {
    const time::MonotonicTime began = clock_.Now();
    const time::Duration gap = time::Duration(std::chrono::seconds(1)) / plan_.requests_per_second;
    const auto count = static_cast<uint64_t>(plan_.lasts / gap);
    size_t changed = 0;
    while (result_.ok + failed_ + result_.lost < count) {
      const time::MonotonicTime now = clock_.Now();
      for (; changed < plan_.changes.size() && began + plan_.changes[changed].after <= now; ++changed)
        Change(plan_.changes[changed]);
      while (result_.requests < count && began + static_cast<int64_t>(result_.requests) * gap <= now) Ask();
      network_.Deliver();
      for (int rounds = 0; RunAll() && rounds < kMaxRounds; ++rounds) {
      }
      time::MonotonicTime next = network_.NextEvent();
      for (const auto& app : apps_) next = std::min(next, app == nullptr ? next : app->NextDeadline());
      for (const auto& engine : engines_) next = std::min(next, engine->turn().NextDeadline());
      if (result_.requests < count)
        next = std::min(next, began + static_cast<int64_t>(result_.requests) * gap);
      if (changed < plan_.changes.size()) next = std::min(next, began + plan_.changes[changed].after);
      clock_.AdvanceTo(std::max(next, clock_.Now() + time::Duration(1)));
    }
    registry_.ForEachRoute([&](const telemetry::RouteKey& key, const auto& shards) {
      if (key.listener != "hop-" + std::to_string(plan_.hops - 1)) return;
      for (const telemetry::RouteStats* stats : shards) result_.attempts += stats->attempts.value();
    });
    for (const auto& [id, count] : executions_) {
      result_.executed += count;
      result_.most = std::max(result_.most, count);
    }
    return result_;
  }

 private:
  static testing::SimFaults Calm() {
    testing::SimFaults faults;
    faults.cut_percent = 0;
    faults.max_delay = std::chrono::microseconds(200);
    return faults;
  }

  // Two ways lead to each sidecar but the first, so that there is always another endpoint to try.
  void AddSidecar(size_t hop) {
    const bool last = hop + 1 == plan_.hops;
    auto cluster = std::make_shared<config::Cluster>();
    cluster->name = "next";
    cluster->retry_budget = plan_.budget;
    auto assignment = std::make_shared<config::Assignment>();
    for (size_t i = 0; i < (last ? plan_.apps : 2); ++i) {
      config::Endpoint endpoint;
      endpoint.address = At(last ? kAppPort + i : kSidecarPort + 10 * (hop + 1) + i);
      endpoint.pillion_sidecar = !last;
      assignment->endpoints.push_back(endpoint);
    }
    auto table = std::make_shared<config::RouteTable>();
    config::Route route;
    route.name = "all";
    route.match.text = "/";
    route.clusters = {{"next", 1}};
    route.total_weight = 1;
    route.timeout = std::chrono::seconds(5);
    route.retry = plan_.retry;
    table->virtual_hosts.push_back({"all", {"*"}, {route}});
    auto snapshot = std::make_shared<config::Snapshot>();
    snapshot->generation = 1;
    snapshot->clusters["next"] = {cluster, assignment};
    for (size_t i = 0; i < 2; ++i) {
      auto listener = std::make_shared<config::Listener>();
      listener->name = "hop-" + std::to_string(hop) + (i == 0 ? "" : "-b");
      listener->direction = config::Direction::kOutbound;
      listener->address = At(kSidecarPort + 10 * hop + i);
      auto server = std::make_shared<config::HttpServer>();
      server->name = "hop-" + std::to_string(hop);
      server->direction = listener->direction;
      server->http.accept_peer_headers = true;
      listener->chains = {{.name = "", .match = {}, .http = server, .tcp = nullptr, .tls = nullptr}};
      snapshot->listeners[listener->name] = {listener, {table}};
    }
    loops_.push_back(network_.NewLoop());
    engines_.push_back(std::make_unique<worker::Engine>(clock_, *loops_.back(), registry_.NewShard(),
                                                        random_.Next(), worker::Place()));
    for (const std::string& failure : engines_.back()->Apply(worker::Prepare(snapshot, nullptr)))
      PILLION_CHECK(failure.empty());
  }

  void Change(const LoadPlan::Change& change) {
    auto& app = apps_[change.app];
    app.reset();  // what it was about to answer is lost
    if (change.up) app = std::make_unique<App>(*loop_, At(kAppPort + change.app), plan_.takes);
  }

  std::string Request(uint64_t id) const {
    const std::string path = " /" + std::to_string(id) + " HTTP/1.1\r\nHost: a\r\n";
    if (!plan_.post) return "GET" + path + "\r\n";
    return "POST" + path + "Content-Length: " + std::to_string(kBody.size()) + "\r\n\r\n" +
           std::string(kBody);
  }

  void Ask() {
    const uint64_t id = ++result_.requests;
    if (idle_.empty()) {
      clients_.push_back(std::make_unique<Peer>(*loop_, At(kSidecarPort)));
      unsent_.emplace_back(clients_.back().get(), id);
      return;
    }
    idle_.back()->Send(Request(id));
    idle_.pop_back();
  }

  bool RunAll() {
    bool worked = false;
    for (auto& app : apps_) worked = (app != nullptr && app->Run(clock_.Now(), executions_)) || worked;
    for (auto& engine : engines_) worked = engine->RunTurn() || worked;
    std::erase_if(unsent_, [&](const auto& waiting) {
      if (!waiting.first->connected()) return false;
      waiting.first->Send(Request(waiting.second));
      worked = true;
      return true;
    });
    for (auto& client : clients_) {
      if (!std::exchange(client->ready, false)) continue;
      client->Read();
      worked = TakeAnswer(*client) || worked;
    }
    return worked;
  }

  // Every answer has a length; who said so in an earlier one is ready for the next.
  bool TakeAnswer(Peer& client) {
    const size_t end = client.text.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const size_t length = client.text.find("ength: ");
    const size_t body = std::strtoull(client.text.c_str() + length + 7, nullptr, 10);
    if (client.text.size() < end + 4 + body) return false;
    ++(client.text.starts_with("HTTP/1.1 200") ? result_.ok : failed_);
    client.text.clear();
    idle_.push_back(&client);
    return true;
  }

  const LoadPlan& plan_;
  testing::VirtualClock clock_;
  testing::SimNetwork network_;
  Random random_;
  telemetry::Registry registry_;
  std::unique_ptr<net::Loop> loop_;
  std::vector<std::unique_ptr<net::Loop>> loops_;
  std::vector<std::unique_ptr<App>> apps_;
  std::vector<std::unique_ptr<worker::Engine>> engines_;
  std::vector<std::unique_ptr<Peer>> clients_;
  std::vector<std::pair<Peer*, uint64_t>> unsent_;  // who is still connecting, and its request
  std::vector<Peer*> idle_;
  Executions executions_;
  LoadResult result_;
  uint64_t failed_ = 0;
};

}  // namespace

LoadResult RunLoad(const LoadPlan& plan) { return Load(plan).Run(); }

}  // namespace pillion::simulation
