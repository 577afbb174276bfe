// A primary and its replicas, on a simulated network, and who decides which is which: as a Sentinel and an
// operator would. Clients are hosts with a number; each reaches each server at an address of its own, so that
// it can be parted from that server alone.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_REDIS_REDIS_DEPLOYMENT_H_
#define PILLION_TESTS_SIMULATION_TOKENS_REDIS_REDIS_DEPLOYMENT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "sidecar/net/loop.h"
#include "sidecar/time/clock.h"
#include "tests/simulation/tokens/redis/redis_server.h"

namespace pillion::simulation::tokens {

struct DeploymentSettings {
  size_t servers = 3;
  size_t clients = 2;
  uint32_t min_replicas = 1;
  time::Duration link_delay = std::chrono::milliseconds(2);
  std::function<void(const RedisModel::Ran&)> ran = nullptr;
};

// Where that client reaches that server.
net::Address ServerAddress(size_t server, size_t client);

class RedisDeployment {
 public:
  // The first server is the primary of the others.
  RedisDeployment(const ServerParts& parts, const DeploymentSettings& settings);
  RedisDeployment(const RedisDeployment&) = delete;
  RedisDeployment& operator=(const RedisDeployment&) = delete;

  bool Run();
  time::MonotonicTime NextDeadline() const;

  size_t size() const { return servers_.size(); }
  RedisServer& server(size_t number) { return *servers_[number]; }
  // Whom clients are told to use.
  size_t primary() const { return primary_; }
  net::Address AddressOf(size_t server, size_t client) const { return ServerAddress(server, client); }

  // A server becomes the primary, and all others follow it, now or when they are back; but for those that do
  // not hear of this: they by Rejoin.
  void Promote(size_t server, RedisServer::Clients clients, const std::set<size_t>& deaf = {});
  void Rejoin(size_t server, RedisServer::Clients clients);
  // Nothing passes between that server and those that follow it, but for one, nor whom it follows.
  void CutOff(size_t server, std::optional<size_t> keeps = std::nullopt);
  void Join(size_t server);
  // The process of a server that was killed begins again, and those that follow it begin to follow it anew.
  void StartAgain(size_t server, time::Duration lost);
  // So many servers have had an execution's claim.
  size_t HowManyHaveSeen(uint64_t execution) const;

 private:
  std::vector<std::unique_ptr<RedisServer>> servers_;
  size_t primary_ = 0;
};

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_REDIS_REDIS_DEPLOYMENT_H_
