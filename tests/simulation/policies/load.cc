#include "tests/simulation/policies/load.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string_view>
#include <utility>

namespace pillion::simulation {
namespace {

constexpr uint16_t kSidecarPort = 16000;
constexpr uint16_t kAppPort = 8000;
constexpr int kMaxRounds = 10000;

net::Address At(size_t port) {
  return net::Address::Parse("127.0.0.1", static_cast<uint16_t>(port)).value_or(net::Address());
}

class Client : public Peer {
 public:
  using Peer::Peer;
  time::MonotonicTime asked{};
};

class Load {
 public:
  explicit Load(const LoadPlan& plan)
      : plan_(plan), network_(clock_, plan.seed, Calm()), random_(plan.seed), loop_(network_.NewLoop()) {
    apps_.resize(plan.apps);
    for (size_t hop = 0; hop < plan.hops; ++hop) AddSidecar(hop);
  }

  LoadResult Run() {
    const time::Duration gap = time::Duration(std::chrono::seconds(1)) / plan_.requests_per_second;
    const auto count = static_cast<uint64_t>(plan_.lasts / gap);
    size_t changed = 0;
    began_ = clock_.Now();
    Watch second{began_, 0, 0};
    while (result_.answers.size() < count) {
      const time::MonotonicTime now = clock_.Now();
      if (now >= second.began + std::chrono::seconds(1)) EndSecond(second);
      for (; changed < plan_.changes.size() && began_ + plan_.changes[changed].after <= now; ++changed)
        Change(plan_.changes[changed]);
      while (result_.requests < count && began_ + static_cast<int64_t>(result_.requests) * gap <= now) Ask();
      network_.Deliver();
      for (int rounds = 0; RunAll() && rounds < kMaxRounds; ++rounds) {
      }
      time::MonotonicTime next = network_.NextEvent();
      for (const auto& app : apps_) next = std::min(next, app == nullptr ? next : app->NextDeadline());
      for (const auto& engine : engines_) next = std::min(next, engine->turn().NextDeadline());
      if (result_.requests < count)
        next = std::min(next, began_ + static_cast<int64_t>(result_.requests) * gap);
      if (changed < plan_.changes.size()) next = std::min(next, began_ + plan_.changes[changed].after);
      clock_.AdvanceTo(std::max(next, clock_.Now() + time::Duration(1)));
    }
    result_.attempts = Attempts();
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

  struct Watch {
    time::MonotonicTime began;
    uint64_t requests;
    uint64_t attempts;
  };
  void EndSecond(Watch& second) {
    const Watch next = {clock_.Now(), result_.requests, Attempts()};
    const uint64_t asked = next.requests - second.requests;
    const auto attempts = static_cast<double>(next.attempts - second.attempts);
    if (asked > 0) result_.peak = std::max(result_.peak, attempts / static_cast<double>(asked));
    second = next;
  }

  uint64_t Attempts() const {
    uint64_t sum = 0;
    registry_.ForEachRoute([&](const telemetry::RouteKey& key, const auto& shards) {
      if (key.listener != "hop-" + std::to_string(plan_.hops - 1)) return;
      for (const telemetry::RouteStats* stats : shards) sum += stats->attempts.value();
    });
    return sum;
  }

  // Two ways lead to each sidecar but the first, so that there is always another endpoint to try.
  void AddSidecar(size_t hop) {
    const bool last = hop + 1 == plan_.hops;
    auto cluster = std::make_shared<config::Cluster>();
    cluster->name = "next";
    cluster->connect_timeout = plan_.connect_timeout;
    cluster->retry_budget = plan_.budget;
    cluster->balancer = plan_.balancer;
    cluster->circuits = {plan_.circuits, plan_.circuits};
    cluster->outlier = plan_.outlier;
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
    route.timeout = plan_.timeout;
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
    using To = LoadPlan::Change::To;
    auto& app = apps_[change.app];
    const net::Address at = At(kAppPort + change.app);
    switch (change.to) {
      case To::kUp:
        app.reset();
        app = std::make_unique<App>(*loop_, at, plan_.app);
        return;
      case To::kDown:
        return app.reset();
      case To::kSlow:
        return app->set_slowness(change.factor);
      case To::kBlackHole:
        return network_.BlackHole(at, true);
      case To::kHeard:
        return network_.BlackHole(at, false);
      case To::kConnsReset:
        return app->ResetConnections();
    }
  }

  std::string Request(uint64_t id) const {
    const std::string path = " /" + std::to_string(id) + " HTTP/1.1\r\nHost: a\r\n";
    if (!plan_.post) return "GET" + path + "\r\n";
    return "POST" + path + "Content-Length: " + std::to_string(kRequestBody.size()) + "\r\n\r\n" +
           std::string(kRequestBody);
  }

  void Ask() {
    const uint64_t id = ++result_.requests;
    if (idle_.empty()) {
      clients_.push_back(std::make_unique<Client>(client_called_, *loop_, At(kSidecarPort)));
      clients_.back()->asked = clock_.Now();
      unsent_.emplace_back(clients_.back().get(), id);
      return;
    }
    idle_.back()->asked = clock_.Now();
    idle_.back()->Send(Request(id));
    idle_.pop_back();
  }

  bool RunAll() {
    bool worked = false;
    for (auto& app : apps_) worked = (app != nullptr && app->Run(clock_.Now(), executions_)) || worked;
    for (auto& engine : engines_) worked = engine->RunTurn() || worked;
    if (!std::exchange(client_called_, false)) return worked;
    worked = true;
    std::erase_if(unsent_, [&](const auto& waiting) {
      if (!waiting.first->connected()) return false;
      waiting.first->Send(Request(waiting.second));
      return true;
    });
    for (auto& client : clients_) {
      if (!std::exchange(client->ready, false)) continue;
      client->Read();
      TakeAnswer(*client);
    }
    std::erase_if(clients_, [&](const auto& client) { return client->gone() && Lose(*client); });
    return worked;
  }

  // Its connection has ended; true: nothing refers to it any more.
  bool Lose(Client& client) {
    if (std::erase(idle_, &client) == 0) {
      ++result_.lost;
      result_.answers.push_back({client.asked - began_, clock_.Now() - client.asked, false});
    }
    std::erase_if(unsent_, [&](const auto& waiting) { return waiting.first == &client; });
    return true;
  }

  // Every answer has a length; who said so in an earlier one is ready for the next.
  void TakeAnswer(Client& client) {
    const size_t end = client.text.find("\r\n\r\n");
    if (end == std::string::npos) return;
    const size_t length = client.text.find("ength: ");
    const size_t body = std::strtoull(client.text.c_str() + length + 7, nullptr, 10);
    if (client.text.size() < end + 4 + body) return;
    const bool ok = client.text.starts_with("HTTP/1.1 200");
    if (ok) ++result_.ok;
    result_.answers.push_back({client.asked - began_, clock_.Now() - client.asked, ok});
    client.text.clear();
    idle_.push_back(&client);
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
  bool client_called_ = false;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<std::pair<Client*, uint64_t>> unsent_;  // who is still connecting, and its request
  std::vector<Client*> idle_;
  Executions executions_;
  LoadResult result_;
  time::MonotonicTime began_{};
};

}  // namespace

time::Duration LoadResult::Percentile(double percent, time::Duration from, time::Duration until) const {
  std::vector<time::Duration> took;
  took.reserve(answers.size());
  for (const Answer& answer : answers) {
    if (answer.ok && answer.asked >= from && answer.asked < until) took.push_back(answer.took);
  }
  if (took.empty()) return time::Duration::max();
  const auto rank = static_cast<size_t>(percent / 100 * static_cast<double>(took.size() - 1));
  std::nth_element(took.begin(), took.begin() + static_cast<ptrdiff_t>(rank), took.end());
  return took[rank];
}

time::Duration LoadResult::Recovery(time::Duration end, time::Duration slow) const {
  constexpr time::Duration kWindow = std::chrono::milliseconds(250);
  struct Window {
    uint64_t all = 0;
    uint64_t ok = 0;
    uint64_t soon = 0;
  };
  std::map<int64_t, Window> windows;
  for (const Answer& answer : answers) {
    if (answer.asked < end) continue;
    Window& window = windows[(answer.asked - end) / kWindow];
    ++window.all;
    if (answer.ok) ++window.ok;
    if (answer.ok && answer.took <= slow) ++window.soon;
  }
  time::Duration recovered{0};
  for (const auto& [number, window] : windows) {
    if (window.ok * 100 < window.all * 99 || window.soon * 100 < window.ok * 99)
      recovered = (number + 1) * kWindow;
  }
  return recovered;
}

LoadResult RunLoad(const LoadPlan& plan) { return Load(plan).Run(); }

}  // namespace pillion::simulation
