#include "sidecar/worker/health_keeper.h"

#include <algorithm>
#include <utility>

#include "grpc/health/v1/health.pb.h"
#include "sidecar/filter/order.h"

namespace pillion::worker {
namespace {

constexpr std::string_view kGrpcCheck = "/grpc.health.v1.Health/Check";

using Verdict = HealthProbe::Verdict;

bool IsIn(const std::vector<std::pair<uint32_t, uint32_t>>& ranges, uint32_t status) {
  return std::ranges::any_of(
      ranges, [&](const auto& range) { return status >= range.first && status < range.second; });
}

net::Address CheckAddress(const config::Endpoint& endpoint, const config::HealthCheck& check) {
  const uint16_t port = endpoint.check_port != 0 ? endpoint.check_port : check.alt_port.value_or(0);
  if (port == 0) return endpoint.address;
  return net::Address::Parse(endpoint.address.ip(), port).value_or(endpoint.address);
}

// Clusters of several checks have a name for each.
std::string CheckName(const std::string& cluster, size_t check) {
  return check == 0 ? cluster : cluster + "/check/" + std::to_string(check);
}

}  // namespace

HealthProbe::HealthProbe(const Parts& parts, Subject subject)
    : parts_(parts), subject_(std::move(subject)), timer_(this), due_(parts.env.turn.now()) {
  due_ += DrawUpTo(subject_.check.initial_jitter, parts_.env.random);
  parts_.env.turn.Wake(*this);
}

stream::Progress HealthProbe::Run() {
  const time::MonotonicTime now = parts_.env.turn.now();
  if (busy()) {
    Found found = Look();
    if (found == Found::kNothing && now >= due_) found = Found::kFail;  // it took too long
    if (found != Found::kNothing) Judge(found);
  }
  if (!busy() && now >= due_) Begin();
  parts_.env.turn.Arm(timer_, due_);
  return stream::Progress::kIdle;
}

void HealthProbe::Begin() {
  const config::HealthCheck& check = subject_.check;
  stream::Turn& turn = parts_.env.turn;
  due_ = turn.now() + check.timeout;
  switch (check.kind) {
    case config::HealthCheck::Kind::kHttp: {
      http::RequestHead head;
      head.method = http::ParseMethod(check.method);
      head.method_text = check.method;
      head.path = check.path;
      head.scheme = subject_.cluster->tls != nullptr ? "https" : "http";
      head.authority = subject_.authority;
      head.has_authority = true;
      head.headers.Add(http::Known::kUserAgent, "pillion-health-check");
      call_ = std::make_unique<stream::SideCall>(turn, *this);
      auto client = call_->Open(std::move(head), subject_.address);
      call_->Finish();
      parts_.side_calls.Begin(subject_.cluster->name, std::move(client));
      break;
    }
    case config::HealthCheck::Kind::kGrpc: {
      grpc::health::v1::HealthCheckRequest request;
      request.set_service(check.service);
      answer_.clear();
      grpc_ = std::make_unique<stream::GrpcCall>(turn, *this);
      auto client = grpc_->Open(kGrpcCheck, subject_.authority, subject_.address);
      grpc_->Send(request.SerializeAsString());
      grpc_->FinishSending();
      parts_.side_calls.Begin(subject_.cluster->name, std::move(client));
      break;
    }
    case config::HealthCheck::Kind::kTcp:
      tcp_ = std::make_unique<TcpCheck>(session::DialParts{parts_.loop, parts_.env.stats.worker, parts_.tls},
                                        *subject_.cluster, check, subject_.address, turn, *this);
      turn.Wake(*this);
      break;
  }
}

HealthProbe::Found HealthProbe::Look() {
  if (call_ != nullptr) return LookAtHttp();
  if (grpc_ != nullptr) return LookAtGrpc();
  switch (tcp_->Advance()) {
    case TcpCheck::State::kConnecting:
    case TcpCheck::State::kTalking:
      return Found::kNothing;
    case TcpCheck::State::kPassed:
      return Found::kPass;
    case TcpCheck::State::kFailed:
      return Found::kFail;
  }
  return Found::kFail;
}

// An answer that comes to its end leaves the connection to the next check.
HealthProbe::Found HealthProbe::LookAtHttp() {
  call_->content.Clear();
  call_->Consumed();
  if (call_->error || call_->answered_locally) return Found::kFail;
  if (!call_->ended) return Found::kNothing;
  if (IsIn(subject_.check.expected, call_->response.status)) return Found::kPass;
  return IsIn(subject_.check.retriable, call_->response.status) ? Found::kFail : Found::kFailAtOnce;
}

HealthProbe::Found HealthProbe::LookAtGrpc() {
  for (std::string& message : grpc_->Receive()) answer_ = std::move(message);
  const auto status = grpc_->status();
  if (!status) return Found::kNothing;
  grpc::health::v1::HealthCheckResponse response;
  const bool serving = status->code == 0 && response.ParseFromString(answer_) &&
                       response.status() == grpc::health::v1::HealthCheckResponse::SERVING;
  return serving ? Found::kPass : Found::kFail;
}

void HealthProbe::Judge(Found found) {
  call_.reset();
  grpc_.reset();
  tcp_.reset();
  const config::HealthCheck& check = subject_.check;
  const Verdict before = verdict_;
  const Verdict says = found == Found::kPass ? Verdict::kHealthy : Verdict::kUnhealthy;
  subject_.traffic->NoteCheck(found == Found::kPass);
  if (says == Verdict::kHealthy && subject_.health != nullptr)
    subject_.traffic->EndEjection(*subject_.health);
  if (says == verdict_) {
    in_a_row_ = 0;
  } else {
    ++in_a_row_;
    const uint32_t needed = says == Verdict::kHealthy ? check.healthy_threshold : check.unhealthy_threshold;
    // The first one decides alone: a new endpoint is neither kept waiting nor trusted.
    if (verdict_ == Verdict::kUnknown || found == Found::kFailAtOnce || in_a_row_ >= needed) {
      verdict_ = says;
      in_a_row_ = 0;
      parts_.env.turn.Wake(subject_.told);
    }
  }
  due_ = parts_.env.turn.now() + Jittered(NextInterval(before));
}

time::Duration HealthProbe::NextInterval(Verdict before) const {
  const config::HealthCheck& check = subject_.check;
  const bool edge = before != verdict_ && before != Verdict::kUnknown;
  if (verdict_ == Verdict::kUnhealthy) return edge ? check.unhealthy_edge_interval : check.unhealthy_interval;
  if (edge) return check.healthy_edge_interval;
  return subject_.traffic->has_traffic() ? check.interval : check.no_traffic_interval;
}

time::Duration HealthProbe::Jittered(time::Duration interval) {
  const config::HealthCheck& check = subject_.check;
  const auto most = check.jitter + interval / 100 * static_cast<int64_t>(check.jitter_percent);
  return interval + DrawUpTo<time::Duration>(most, parts_.env.random);
}

HealthKeeper::HealthKeeper(exchange::Environment& env, net::Loop& loop, telemetry::Shard& stats,
                           tls::WorkerTools& tls)
    : engine_(env),
      loop_(loop),
      tls_(tls),
      clusters_({ledger_, 0}),
      env_{env.turn, clusters_, env.source, env.random, stats, env.records, filter::MakeFilters(no_stores_)},
      side_calls_(env_),
      timer_(this) {}

// As the checked one, but for what is about its requests; nothing limits or judges the checks.
void HealthKeeper::MakeCheckClusters(const config::ClusterEntry& entry, Kept& kept) const {
  kept.checks.clear();
  kept.checks.reserve(entry.cluster->health_checks.size());
  for (size_t i = 0; i < entry.cluster->health_checks.size(); ++i) {
    const config::HealthCheck& check = entry.cluster->health_checks[i];
    auto cluster = std::make_shared<config::Cluster>(*entry.cluster);
    cluster->name = CheckName(entry.cluster->name, i);
    cluster->protocol = check.http2 ? config::UpstreamProtocol::kHttp2 : config::UpstreamProtocol::kHttp1;
    cluster->connect_timeout = check.timeout;
    cluster->circuits.fill({UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX});
    cluster->balancer = {};
    cluster->outlier.reset();
    cluster->health_checks.clear();
    cluster->subsets.reset();
    auto endpoints = std::make_shared<config::Assignment>();
    for (const config::Endpoint& endpoint : entry.endpoints->endpoints) {
      if (!endpoint.checked) continue;
      config::Endpoint checked;
      checked.address = CheckAddress(endpoint, check);
      endpoints->endpoints.push_back(std::move(checked));
    }
    kept.checks.push_back({std::move(cluster), std::move(endpoints)});
  }
}

void HealthKeeper::UpdateProbes(const upstream::ClusterState& state, Kept& kept) {
  const std::optional<config::OutlierDetection>& outlier = kept.cluster->outlier;
  const bool unejects = outlier && outlier->checks_uneject;
  std::map<net::Address, Endpoint> before = std::exchange(kept.checked, {});
  for (const auto& endpoint : state.endpoints()) {
    const auto& health = endpoint->health();
    if (health == nullptr) continue;
    if (!endpoint->config().checked || kept.checks.empty()) {
      kept.ledger->ForgetChecks(*health);
      continue;
    }
    Endpoint& one = kept.checked[endpoint->address()];
    if (const auto known = before.find(endpoint->address());
        known != before.end() && known->second.health == health)
      one = std::move(known->second);
    if (one.health == nullptr) kept.ledger->SetUnchecked(*health);
    one.health = health;
    for (size_t i = 0; i < kept.checks.size(); ++i) {
      const config::HealthCheck& check = kept.cluster->health_checks[i];
      const net::Address address = CheckAddress(endpoint->config(), check);
      if (i < one.probes.size() && one.probes[i]->address() == address) continue;
      const std::string& own_host = endpoint->config().check_host;
      const std::string& host = own_host.empty() ? check.host : own_host;
      auto probe = std::make_unique<HealthProbe>(
          HealthProbe::Parts{env_, side_calls_, loop_, tls_},
          HealthProbe::Subject{kept.checks[i].cluster, check, address, host.empty() ? state.name() : host,
                               kept.ledger, unejects ? health : nullptr, *this});
      if (i < one.probes.size()) {
        one.probes[i] = std::move(probe);
      } else {
        one.probes.push_back(std::move(probe));
      }
    }
  }
}

void HealthKeeper::Update(const upstream::ClusterState& state, const config::ClusterEntry& entry,
                          Kept& kept) {
  const bool same = kept.cluster == entry.cluster;
  if (same && kept.endpoints == entry.endpoints) return;
  if (!same) {
    kept.checked.clear();  // their checks are those of the cluster before
    kept.ledger = state.shared_ledger();
  }
  std::vector<config::ClusterEntry> checks_before = kept.checks;
  kept.cluster = entry.cluster;
  kept.endpoints = entry.endpoints;
  MakeCheckClusters(entry, kept);
  if (same) {
    // The clusters are the same ones, so that their connections stay.
    for (size_t i = 0; i < kept.checks.size(); ++i) kept.checks[i].cluster = checks_before[i].cluster;
  }
  kept.all.clear();
  kept.all.reserve(state.endpoints().size());
  for (const auto& endpoint : state.endpoints()) {
    if (endpoint->health() != nullptr) kept.all.push_back(endpoint->health());
  }
}

void HealthKeeper::Apply(const config::Snapshot& snapshot) {
  std::erase_if(kept_, [&](const auto& item) { return snapshot.clusters.count(item.first) == 0; });
  config::Snapshot checks;
  for (const auto& [name, entry] : snapshot.clusters) {
    const bool judged = entry.cluster->outlier || !entry.cluster->health_checks.empty();
    const upstream::ClusterState* const state = engine_.clusters.Find(name);
    if (!judged || state == nullptr) {
      kept_.erase(name);
      continue;
    }
    Kept& kept = kept_[name];
    Update(*state, entry, kept);
    for (const config::ClusterEntry& check : kept.checks) checks.clusters[check.cluster->name] = check;
  }
  clusters_.Apply(checks);
  for (auto& [name, kept] : kept_) UpdateProbes(*engine_.clusters.Find(name), kept);
  engine_.turn.Wake(*this);
}

// An endpoint is well when all of its checks say so.
void HealthKeeper::Tell(Kept& kept) {
  for (auto& [address, endpoint] : kept.checked) {
    const auto says = [&](Verdict verdict) {
      return [verdict](const auto& probe) { return probe->verdict() == verdict; };
    };
    if (std::ranges::any_of(endpoint.probes, says(Verdict::kUnhealthy))) {
      kept.ledger->SetChecked(*endpoint.health, false);
    } else if (std::ranges::all_of(endpoint.probes, says(Verdict::kHealthy))) {
      kept.ledger->SetChecked(*endpoint.health, true);
    }
  }
}

stream::Progress HealthKeeper::Run() {
  auto due = time::MonotonicTime::max();
  for (auto& [name, kept] : kept_) {
    Tell(kept);
    if (const std::optional<config::OutlierDetection>& terms = kept.cluster->outlier) {
      due = std::min(due, kept.sweep.Run(*kept.ledger, *terms, kept.all, engine_.turn.now(), engine_.random));
    }
  }
  if (due != time::MonotonicTime::max()) engine_.turn.Arm(timer_, due);
  return stream::Progress::kIdle;
}

}  // namespace pillion::worker
