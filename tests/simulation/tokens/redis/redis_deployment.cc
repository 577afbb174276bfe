#include "tests/simulation/tokens/redis/redis_deployment.h"

#include <algorithm>

#include "sidecar/base/check.h"

namespace pillion::simulation::tokens {
namespace {

using Clients = RedisServer::Clients;

constexpr uint16_t kFirstPort = 6400;
constexpr size_t kMostClients = 10;

}  // namespace

net::Address ServerAddress(size_t server, size_t client) {
  const auto port = static_cast<uint16_t>(kFirstPort + kMostClients * server + client);
  return net::Address::Parse("127.0.0.1", port).value_or(net::Address());
}

RedisDeployment::RedisDeployment(const ServerParts& parts, const DeploymentSettings& settings) {
  PILLION_CHECK(settings.clients <= kMostClients);
  for (size_t i = 0; i < settings.servers; ++i) {
    ServerSettings one;
    for (size_t client = 0; client < settings.clients; ++client)
      one.addresses.push_back(AddressOf(i, client));
    one.min_replicas = settings.min_replicas;
    one.link_delay = settings.link_delay;
    one.ran = settings.ran;
    servers_.push_back(std::make_unique<RedisServer>(parts, std::move(one)));
  }
  for (size_t i = 1; i < servers_.size(); ++i) servers_[i]->Follow(*servers_[0], Clients::kStay);
}

bool RedisDeployment::Run() {
  bool worked = false;
  for (const auto& server : servers_) worked = server->Run() || worked;
  return worked;
}

time::MonotonicTime RedisDeployment::NextDeadline() const {
  time::MonotonicTime next = time::MonotonicTime::max();
  for (const auto& server : servers_) next = std::min(next, server->NextDeadline());
  return next;
}

void RedisDeployment::Promote(size_t server, Clients clients, const std::set<size_t>& deaf) {
  primary_ = server;
  servers_[server]->Lead(clients);
  for (size_t i = 0; i < servers_.size(); ++i) {
    if (!deaf.contains(i)) Rejoin(i, clients);
  }
}

void RedisDeployment::Rejoin(size_t server, Clients clients) {
  if (server == primary_) return;
  servers_[server]->Follow(*servers_[primary_], clients);
}

void RedisDeployment::CutOff(size_t server, std::optional<size_t> keeps) {
  for (size_t i = 0; i < servers_.size(); ++i) {
    const bool follows = servers_[i]->followed() == servers_[server].get() && keeps != i;
    if (i == server || follows) servers_[i]->CutLink(true);
  }
}

void RedisDeployment::Join(size_t server) {
  for (const auto& one : servers_) {
    if (one.get() == servers_[server].get() || one->followed() == servers_[server].get()) one->CutLink(false);
  }
}

void RedisDeployment::StartAgain(size_t server, time::Duration lost) {
  servers_[server]->Start(lost);
  for (const auto& one : servers_) {
    if (one->followed() == servers_[server].get()) one->Follow(*servers_[server], Clients::kStay);
  }
}

size_t RedisDeployment::HowManyHaveSeen(uint64_t execution) const {
  return static_cast<size_t>(
      std::ranges::count_if(servers_, [&](const auto& server) { return server->HasSeen(execution); }));
}

}  // namespace pillion::simulation::tokens
