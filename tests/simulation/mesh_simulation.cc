#include "tests/simulation/mesh_simulation.h"

#include <algorithm>
#include <cstdio>

#include "tests/simulation/peers.h"

namespace pillion::simulation {
namespace {

constexpr auto kStoryLimit = std::chrono::hours(2);  // virtual

net::Address At(uint16_t port) { return net::Address::Parse("127.0.0.1", port).value_or(net::Address()); }
constexpr uint16_t kOutboundPort = 15001;
constexpr uint16_t kInboundPort = 15006;
constexpr uint16_t kAppPort = 8080;

config::ClusterEntry ClusterTo(const std::string& name, uint16_t port, bool pillion) {
  auto cluster = std::make_shared<config::Cluster>();
  cluster->name = name;
  auto assignment = std::make_shared<config::Assignment>();
  config::Endpoint endpoint;
  endpoint.address = At(port);
  endpoint.pillion_sidecar = pillion;
  assignment->endpoints.push_back(endpoint);
  return {cluster, assignment};
}

std::shared_ptr<const worker::PreparedSnapshot> Sidecar(bool inbound, Random& random) {
  auto snapshot = std::make_shared<config::Snapshot>();
  auto listener = std::make_shared<config::Listener>();
  listener->name = inbound ? "inbound" : "outbound";
  listener->direction = inbound ? config::Direction::kInbound : config::Direction::kOutbound;
  listener->address = At(inbound ? kInboundPort : kOutboundPort);
  listener->http.accept_peer_headers = inbound;
  listener->http.access_log = config::AccessLog{"kept for the verdict"};
  listener->stream_buffer_bytes = 1024 + random.Next() % 100000;
  auto table = std::make_shared<config::RouteTable>();
  config::Route route;
  route.name = "all";
  route.clusters = {{"next", 1}};
  route.total_weight = 1;
  route.timeout = std::chrono::seconds(60);
  table->virtual_hosts.push_back({"all", {"*"}, {route}});
  snapshot->listeners["l"] = {listener, table};
  snapshot->clusters["next"] = ClusterTo("next", inbound ? kAppPort : kInboundPort, !inbound);
  return worker::Prepare(snapshot, nullptr);
}

std::deque<Plan> MakePlans(Random& random, uint64_t first_id, Ledger& ledger) {
  std::deque<Plan> plans;
  const size_t count = 1 + random.Next() % 6;
  const auto size = [&random]() -> size_t {
    switch (random.Next() % 4) {
      case 0:
        return 0;
      case 1:
        return random.Next() % 100;
      case 2:
        return random.Next() % 20000;
      default:
        return random.Next() % 200000;
    }
  };
  for (size_t i = 0; i < count; ++i) {
    Plan plan;
    plan.id = first_id + i;
    plan.post = random.Next() % 2 == 0;
    plan.chunked = plan.post && random.Next() % 2 == 0;
    plan.request_bytes = plan.post ? size() : 0;
    plan.response_bytes = size();
    plan.response_chunked = random.Next() % 3 == 0;
    plan.app_closes = random.Next() % 5 == 0;
    plans.push_back(plan);
    ledger.plans[plan.id] = plan;
  }
  return plans;
}

void TellFailures(const char* who, worker::Engine& engine) {
  for (const telemetry::RequestRecord& record : engine.records().Take()) {
    if (record.flags.empty()) continue;
    std::printf("%s: %s %s -> %d %s: %s\n", who, record.method.c_str(), record.path.c_str(), record.status,
                record.flags.c_str(), record.detail.c_str());
    for (const telemetry::AttemptRecord& attempt : record.attempts) {
      std::printf("    attempt: %s, %d, %s\n", attempt.protocol.c_str(), attempt.status,
                  std::string(attempt.error).c_str());
    }
  }
}

std::vector<std::string> Verdict(const Options& options, const Ledger& ledger) {
  std::vector<std::string> wrong = ledger.wrong;
  const auto count = [](const std::map<uint64_t, int>& where, uint64_t id) {
    const auto found = where.find(id);
    return found == where.end() ? 0 : found->second;
  };
  for (const auto& [id, plan] : ledger.plans) {
    const int ok = count(ledger.answered_200, id);
    const int failed = count(ledger.answered_error, id) + count(ledger.broken, id);
    const int run = count(ledger.run_by_app, id);
    const std::string who = "request " + std::to_string(id) + (plan.post ? " (POST)" : " (GET)");
    if (ok + failed != 1) wrong.push_back(who + " ended " + std::to_string(ok + failed) + " times");
    if (!options.faults && ok != 1) wrong.push_back(who + " failed without a fault");
    if (ok == 1 && run == 0) wrong.push_back(who + " was answered but never run");
    if (plan.post && run > 1) wrong.push_back(who + " ran " + std::to_string(run) + " times");
  }
  return wrong;
}

}  // namespace

std::string BodyOf(uint64_t id, size_t bytes, char salt) {
  std::string body(bytes, '\0');
  uint64_t x = id * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(salt);
  for (size_t i = 0; i < bytes; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    body[i] = static_cast<char>('!' + (x >> 58));
  }
  return body;
}

std::vector<std::string> RunStory(const Options& options, Ledger& ledger) {
  Random random(options.seed);
  testing::VirtualClock clock;
  testing::SimFaults faults;
  faults.buffer_bytes = 2000 + random.Next() % 100000;
  if (options.faults) {
    faults.reset_percent = static_cast<double>(random.Next() % 4);
    faults.connect_refused_percent = static_cast<double>(random.Next() % 10);
  }
  testing::SimNetwork network(clock, random.Next(), faults);
  telemetry::Registry registry;
  const auto outbound_loop = network.NewLoop();
  const auto inbound_loop = network.NewLoop();
  const auto peer_loop = network.NewLoop();
  std::vector<std::string> wrong;
  {
    worker::Engine outbound(clock, *outbound_loop, registry.NewShard(), random.Next());
    worker::Engine inbound(clock, *inbound_loop, registry.NewShard(), random.Next());
    outbound.Apply(Sidecar(false, random));
    inbound.Apply(Sidecar(true, random));
    SimApp app(*peer_loop, At(kAppPort), ledger, random.Next());
    std::vector<std::unique_ptr<SimClient>> clients;
    const size_t count = 1 + random.Next() % 8;
    clients.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      clients.push_back(std::make_unique<SimClient>(*peer_loop, At(kOutboundPort),
                                                    MakePlans(random, 1 + i * 100, ledger), ledger));
    }
    const time::MonotonicTime end = clock.Now() + kStoryLimit;
    const auto all_done = [&] {
      return std::all_of(clients.begin(), clients.end(), [](const auto& c) { return c->done(); });
    };
    while (!all_done() && clock.Now() < end) {
      network.Deliver();
      bool worked = true;
      while (worked) {
        worked = false;
        for (auto& client : clients) worked = client->Run() || worked;
        worked = app.Run() || worked;
        // Engines take turns in a random order; each runs to rest before time goes on.
        worker::Engine* engines[2] = {&outbound, &inbound};
        if (random.Next() % 2 == 0) std::swap(engines[0], engines[1]);
        for (worker::Engine* engine : engines) worked = engine->RunTurn() || worked;
      }
      const time::MonotonicTime next =
          std::min({network.NextEvent(), outbound.turn().NextDeadline(), inbound.turn().NextDeadline()});
      if (next == time::MonotonicTime::max()) break;
      clock.AdvanceTo(std::max(next, clock.Now() + time::Duration(1)));
    }
    if (options.verbose) {
      TellFailures("outbound", outbound);
      TellFailures("inbound", inbound);
    }
    if (!all_done()) wrong.push_back("the story does not end: something waits for ever");
    if (outbound.environment().active_outbound != 0 && all_done() && !options.faults) {
      wrong.push_back("an exchange outlived its request");
    }
  }
  if (network.open_sockets() != 0 && wrong.empty())
    wrong.push_back(std::to_string(network.open_sockets()) + " sockets leaked");
  const std::vector<std::string> verdict = Verdict(options, ledger);
  wrong.insert(wrong.end(), verdict.begin(), verdict.end());
  return wrong;
}

}  // namespace pillion::simulation
