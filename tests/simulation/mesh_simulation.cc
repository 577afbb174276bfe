#include "tests/simulation/mesh_simulation.h"

#include <algorithm>
#include <cstdio>
#include <memory>

#include "tests/simulation/http1_app.h"
#include "tests/simulation/http1_client.h"
#include "tests/simulation/http2_peers.h"
#include "tests/simulation/plans.h"
#include "tests/simulation/relay_peer.h"
#include "tests/simulation/sidecar_host.h"
#include "tests/simulation/verdict.h"

namespace pillion::simulation {
namespace {

// Virtual.
// A client may wait an hour, three times in a row, for a server that cannot be reached to speak first.
constexpr auto kStoryLimit = std::chrono::hours(6);
constexpr auto kStopLimit = std::chrono::minutes(10);  // when no client is left
constexpr auto kArrivalPatience = std::chrono::milliseconds(5);
constexpr int kMaxRounds = 10000;  // at one moment: more is spinning

class Mesh {
 public:
  Mesh(const Script& script, Random& random, Ledger& ledger);
  // Until every client is done, then until every engine is empty. False: something waits for ever.
  bool Play();
  // Of the engines that are gone.
  void TakeRecords();
  void TellFailures();
  void Judge(const Ledger& ledger, std::vector<std::string>& wrong);
  telemetry::Registry& registry() { return registry_; }
  uint64_t Now() const { return static_cast<uint64_t>(clock_.Now().time_since_epoch().count()); }

 private:
  void Disturb(bool arrived);
  bool RunAll();
  bool PassTime();
  bool ClientsDone() const;
  bool AppsAtRest() const;
  bool Stopped() const;

  const Script& script_;
  Random& random_;
  testing::VirtualClock clock_;
  testing::SimNetwork network_;
  telemetry::Registry registry_;
  PeerTls peer_tls_;
  std::unique_ptr<net::Loop> peer_loop_;
  std::vector<std::unique_ptr<SidecarHost>> hosts_;
  std::vector<std::unique_ptr<Http1App>> apps_;
  std::unique_ptr<Http2App> grpc_app_;
  std::vector<std::unique_ptr<Http1Client>> http1_clients_;
  std::vector<std::unique_ptr<Http2Client>> http2_clients_;
  std::vector<std::unique_ptr<TcpApp>> tcp_apps_;
  std::vector<std::unique_ptr<RelayClient>> relay_clients_;
  std::vector<telemetry::RequestRecord> records_;
  time::MonotonicTime began_;
  size_t disturbed_ = 0;
};

Mesh::Mesh(const Script& script, Random& random, Ledger& ledger)
    : script_(script),
      random_(random),
      network_(clock_, random.Next(), script.faults),
      peer_loop_(network_.NewLoop()),
      began_(clock_.Now()) {
  peer_tls_.Prove(script.mood.tls, Proof::kFirst);
  const PeerParts parts{clock_, *peer_loop_, ledger, peer_tls_};
  const size_t ways = script.mood.two_ways ? 2 : 1;
  const auto host = [&](std::optional<size_t> inbound) {
    hosts_.push_back(
        std::make_unique<SidecarHost>(clock_, network_, registry_, inbound, script.mood, random_));
  };
  host(std::nullopt);
  for (size_t i = 0; i < ways; ++i) {
    host(i);
    apps_.push_back(std::make_unique<Http1App>(parts, At(kAppPorts[i]), random.Next()));
  }
  for (size_t i = 0; i < ways; ++i) {
    tcp_apps_.push_back(std::make_unique<TcpApp>(parts, At(kTcpAppPorts[i]), i, random.Next()));
  }
  grpc_app_ = std::make_unique<Http2App>(parts, At(kGrpcPort), random.Next());
  for (const auto& ids : script.http1_clients) {
    http1_clients_.push_back(std::make_unique<Http1Client>(parts, At(kOutboundPort), ids, random.Next()));
  }
  for (const auto& ids : script.http2_clients) {
    http2_clients_.push_back(std::make_unique<Http2Client>(parts, At(kOutboundPort), ids, random.Next()));
  }
  for (const auto& ids : script.relay_clients) {
    relay_clients_.push_back(
        std::make_unique<RelayClient>(parts, At(kOutboundRelayPort), ids, random.Next()));
  }
}

bool Mesh::ClientsDone() const {
  const auto done = [](const auto& client) { return client->done(); };
  return std::all_of(http1_clients_.begin(), http1_clients_.end(), done) &&
         std::all_of(http2_clients_.begin(), http2_clients_.end(), done) &&
         std::all_of(relay_clients_.begin(), relay_clients_.end(), done);
}

bool Mesh::AppsAtRest() const {
  return std::all_of(tcp_apps_.begin(), tcp_apps_.end(), [](const auto& app) { return app->at_rest(); });
}

bool Mesh::Stopped() const {
  return std::all_of(hosts_.begin(), hosts_.end(), [](const auto& host) { return host->stopped(); });
}

bool Mesh::Play() {
  time::MonotonicTime end = began_ + kStoryLimit;
  while (!ClientsDone()) {
    if (clock_.Now() > end || !PassTime()) return false;
  }
  for (auto& host : hosts_) host->Stop();
  end = clock_.Now() + kStopLimit;
  // An app may still be reading when the last sidecar is gone.
  while (!Stopped() || !AppsAtRest()) {
    if (clock_.Now() > end || !PassTime()) return false;
  }
  return true;
}

void Mesh::Disturb(bool arrived) {
  for (; disturbed_ < script_.disturbances.size(); ++disturbed_) {
    const Disturbance& next = script_.disturbances[disturbed_];
    if (began_ + next.after > clock_.Now()) return;
    if (next.on_arrival && !arrived && began_ + next.after + kArrivalPatience > clock_.Now()) return;
    if (next.host == hosts_.size()) {
      peer_tls_.Prove(script_.mood.tls, next.proof);
      continue;
    }
    SidecarHost& host = *hosts_[next.host];
    switch (next.trouble) {
      case Trouble::kChange:
        host.Change(disturbed_ + hosts_.size() >= script_.disturbances.size());
        break;
      case Trouble::kRestart:
        host.Restart(next.patience ? std::optional(clock_.Now() + *next.patience) : std::nullopt);
        break;
      case Trouble::kCertificate:
        host.Prove(next.proof);
        break;
    }
  }
}

// Everybody runs to rest, then the clock goes to the next event. False: nothing will ever happen.
bool Mesh::PassTime() {
  const bool arrived = network_.NextEvent() <= clock_.Now();
  network_.Deliver();
  if (!ClientsDone()) Disturb(arrived);
  for (int rounds = 0; RunAll(); ++rounds) {
    if (rounds > kMaxRounds) return false;
  }
  auto next = std::min(network_.NextEvent(), time::MonotonicTime::max());
  for (const auto& host : hosts_) next = std::min(next, host->NextDeadline());
  for (const auto& app : apps_) next = std::min(next, app->NextDeadline());
  for (const auto& client : http1_clients_) next = std::min(next, client->NextDeadline());
  for (const auto& client : http2_clients_) next = std::min(next, client->NextDeadline());
  for (const auto& client : relay_clients_) next = std::min(next, client->NextDeadline());
  for (const auto& app : tcp_apps_) next = std::min(next, app->NextDeadline());
  if (disturbed_ < script_.disturbances.size() && !ClientsDone()) {
    const auto due = began_ + script_.disturbances[disturbed_].after;
    next = std::min(next, due > clock_.Now() ? due : due + kArrivalPatience);
  }
  if (next == time::MonotonicTime::max()) return ClientsDone() && AppsAtRest();
  clock_.AdvanceTo(std::max(next, clock_.Now() + time::Duration(1)));
  return true;
}

bool Mesh::RunAll() {
  peer_tls_.tools.pacer.BeginTurn();
  bool worked = false;
  for (auto& client : http1_clients_) worked = client->Run() || worked;
  for (auto& client : http2_clients_) worked = client->Run() || worked;
  for (auto& client : relay_clients_) worked = client->Run() || worked;
  for (auto& app : tcp_apps_) worked = app->Run() || worked;
  for (auto& app : apps_) worked = app->Run() || worked;
  worked = grpc_app_->Run() || worked;
  // Engines take turns in a random order; each runs to rest before time goes on.
  const size_t first = random_.Next() % hosts_.size();
  for (size_t i = 0; i < hosts_.size(); ++i) {
    worked = hosts_[(first + i) % hosts_.size()]->RunTurn() || worked;
  }
  return worked || peer_tls_.tools.pacer.waiting();
}

void Mesh::TakeRecords() {
  for (auto& host : hosts_) {
    for (telemetry::RequestRecord& record : host->TakeRecords()) records_.push_back(std::move(record));
  }
}

void Mesh::TellFailures() {
  for (const telemetry::RequestRecord& record : records_) {
    if (record.flags.empty() && record.protocol != "TCP") continue;
    std::printf("%s: %s%s %s %lu -> %lu %d %s: %s\n", record.reporting->listener.c_str(),
                record.protocol.c_str(), record.method.c_str(), record.path.c_str(), record.request_bytes,
                record.response_bytes, record.status, record.flags.c_str(), record.detail.c_str());
    for (const telemetry::AttemptRecord& attempt : record.attempts) {
      std::printf("    attempt: %s %s, %d, %s\n", attempt.endpoint.c_str(), attempt.protocol.c_str(),
                  attempt.status, std::string(attempt.error).c_str());
    }
  }
}

void Mesh::Judge(const Ledger& ledger, std::vector<std::string>& wrong) {
  for (const auto& host : hosts_) {
    for (const std::string& failure : host->failures()) wrong.push_back(host->name() + ": " + failure);
  }
  hosts_.clear();
  apps_.clear();
  grpc_app_.reset();
  http1_clients_.clear();
  http2_clients_.clear();
  relay_clients_.clear();
  tcp_apps_.clear();
  if (network_.open_sockets() != 0)
    wrong.push_back(std::to_string(network_.open_sockets()) + " sockets leaked");
  JudgeCounters(registry_, wrong);
  JudgeRelayCounters(ledger, registry_, records_, wrong);
  JudgeToldClients(ledger, records_, wrong);
}

void TellStory(const Script& script, const Ledger& ledger) {
  const Mood& mood = script.mood;
  std::printf("%s, drain time-out %ld ms%s%s\n", mood.two_ways ? "two ways" : "one way",
              static_cast<long>(mood.drain_timeout / std::chrono::milliseconds(1)),
              mood.lasting_weights ? ", a weight of 0" : "", Describe(mood.tls).c_str());
  if (mood.retry) {
    std::printf("retry policy: on %x, %u retries, per try %ld ms%s\n", mood.retry->on,
                mood.retry->max_retries,
                static_cast<long>(mood.retry->per_try_timeout / std::chrono::milliseconds(1)),
                mood.retry->non_idempotent ? ", also what is not idempotent" : "");
  }
  for (const auto& [id, fate] : ledger.fates) {
    std::printf("%s: ran %d, ok %d, error %d (%d), broken %d, left %d\n", Describe(fate.plan).c_str(),
                fate.run, fate.ok, fate.error, fate.status, fate.broken, fate.left);
  }
  for (const auto& [id, fate] : ledger.relays) std::printf("%s\n", Tell(fate).c_str());
  for (const Disturbance& one : script.disturbances) {
    static constexpr const char* kTroubles[] = {"change", "restart", "certificate"};
    std::printf("after %ld us: %s host %zu\n", static_cast<long>(one.after / std::chrono::microseconds(1)),
                kTroubles[static_cast<size_t>(one.trouble)], one.host);
  }
}

}  // namespace

Outcome RunStory(const Options& options, Ledger& ledger) {
  Random random(options.seed);
  ledger.calm = !options.stormy;
  const Script script = MakeScript(options, random, ledger);
  Outcome outcome;
  Mesh mesh(script, random, ledger);
  const bool ended = mesh.Play();
  if (!ended) outcome.wrong.push_back("the story does not end: something waits for ever");
  mesh.TakeRecords();
  if (options.verbose) {
    mesh.TellFailures();
    TellStory(script, ledger);
  }
  mesh.Judge(ledger, outcome.wrong);
  outcome.fingerprint = mesh.Now();
  for (const auto& shard : mesh.registry().shards()) {
    const telemetry::WorkerStats& stats = shard->worker;
    outcome.stale_reuse += stats.stale_reuse.value();
    outcome.handshakes += stats.client_tls.handshakes.value() + stats.upstream_tls.handshakes.value();
    outcome.resumed += stats.client_tls.resumed.value() + stats.upstream_tls.resumed.value();
    for (const telemetry::Counter* bytes :
         {&stats.client_wires.bytes_read, &stats.client_wires.bytes_written, &stats.upstream_wires.bytes_read,
          &stats.upstream_wires.bytes_written}) {
      outcome.fingerprint = outcome.fingerprint * 1000003 + bytes->value();
    }
  }
  outcome.wrong.insert(outcome.wrong.end(), ledger.wrong.begin(), ledger.wrong.end());
  JudgeRequests(script, ledger, outcome.wrong);
  JudgeRelays(script, ledger, outcome.wrong);
  JudgeShares(script, ledger, mesh.registry(), outcome.wrong);
  return outcome;
}

}  // namespace pillion::simulation
