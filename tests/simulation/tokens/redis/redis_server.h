// A server of a modelled Redis deployment: a host of the simulated network that takes connections, and a
// primary or a replica of others.
//
//   primary --changes, each some time later--> replica      the order is kept; a cut link holds them back
//           <--how much it has: once a second, and when WAIT asks--
//
// As Redis 7 does: WAIT blocks its connection, and what is sent behind it; who has sent WAIT is answered when
// so many replicas have what was changed before, or in time; a primary counts once a second the replicas that
// it has heard of lately, and takes no writes when these are too few; what is blocked is sent away when the
// primary becomes a replica; scripts are known to one process, and not replicated; a replica that follows
// somebody anew is sent all that he has. A process that starts again has what was in its file some time ago.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_REDIS_REDIS_SERVER_H_
#define PILLION_TESTS_SIMULATION_TOKENS_REDIS_REDIS_SERVER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/net/loop.h"
#include "sidecar/testing/sim_network.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/time/clock.h"
#include "tests/simulation/tokens/redis/redis_model.h"

namespace pillion::simulation::tokens {

// All outlive their servers.
struct ServerParts {
  testing::VirtualClock& clock;
  testing::SimNetwork& network;
  Random& random;
};

struct ServerSettings {
  std::vector<net::Address> addresses;  // where it listens: one for each who must be parted from it alone
  uint32_t min_replicas = 0;            // that are heard of, and without which nothing is written
  time::Duration link_delay = std::chrono::milliseconds(2);  // at most, between servers
  time::Duration clock_error{};
  std::function<void(const RedisModel::Ran&)> ran = nullptr;
};

class RedisServer final : public net::Observer {
 public:
  // A primary, with nothing in it.
  RedisServer(const ServerParts& parts, ServerSettings settings);
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  void OnReady(bool, bool) override { called_ = true; }
  // True: there was something to do.
  bool Run();
  time::MonotonicTime NextDeadline() const;

  // As by SIGKILL, or a machine that dies.
  void Kill();
  // Another process, which has lost what was changed `lost` ago and later. A replica follows whom it has
  // followed.
  void Start(time::Duration lost);
  bool alive() const { return loop_ != nullptr; }
  // It does nothing before then.
  void PauseUntil(time::MonotonicTime then) { paused_until_ = std::max(paused_until_, then); }
  void StepClock(time::Duration by) { settings_.clock_error += by; }
  void SetClockError(time::Duration error) { settings_.clock_error = error; }
  void SetOutOfMemory(bool out) { model_.standing.out_of_memory = out; }
  void SetLinkDelay(time::Duration most) { settings_.link_delay = most; }
  void FlushAll();
  // Of a primary: as HSET by somebody.
  void Set(const std::string& key, const Fields& fields);

  enum class Clients : bool { kStay, kAreClosed };
  void Lead(Clients clients);
  // Which outlives it. Not itself.
  void Follow(RedisServer& primary, Clients clients);
  RedisServer* followed() const { return primary_; }
  bool master() const { return primary_ == nullptr; }
  // Nothing passes between it and whom it follows, until it follows somebody anew.
  void CutLink(bool cut) { link_cut_ = cut; }

  ServerTime Now() const;
  const DataSet& data() const { return model_.data; }
  const std::string& run_id() const { return model_.standing.run_id; }
  // Of an execution: whether its claim has been here at any time.
  bool HasSeen(uint64_t execution) const { return seen_.contains(execution); }

 private:
  class Connection;
  struct Logged {
    time::MonotonicTime at;
    Effect effect;
  };
  // To a replica: a change, or the question how much it has.
  struct Sent {
    time::MonotonicTime arrives;
    std::optional<Effect> effect;
  };
  struct Ack {
    time::MonotonicTime arrives;
    uint64_t offset;
  };
  // Of a primary.
  struct Follower {
    RedisServer* server;
    uint64_t acked;
    std::chrono::seconds heard;  // by this clock
  };
  time::MonotonicTime now() const { return parts_.clock.Now(); }
  bool acts() const { return alive() && now() >= paused_until_; }
  std::chrono::seconds Second() const { return std::chrono::floor<std::chrono::seconds>(Now()); }
  void Listen();
  void Leave();
  void CloseAll();
  bool Accept();
  bool Serve(Connection& connection);
  void Execute(Connection& connection, std::span<const std::string> command);
  void StartWait(Connection& connection, std::span<const std::string> command);
  bool EndWait(Connection& connection);
  void Change(std::vector<Effect> effects);
  void Keep(const Effect& effect);
  void Tell(const Effect& message);
  void AskFollowers();
  void SendTo(RedisServer& replica, std::optional<Effect> effect) const;
  void SendAck();
  bool LinkWorks() const { return !link_cut_ && primary_ != nullptr && primary_->acts(); }
  bool Replicate();
  bool Synchronize();
  void TakeAck(const RedisServer& replica, uint64_t offset);
  void LoseFollower(const RedisServer& replica);
  void CountReplicas();
  bool EverySecond();

  const ServerParts parts_;
  ServerSettings settings_;
  RedisModel model_;
  std::unique_ptr<net::Loop> loop_;
  std::vector<std::unique_ptr<net::ListenSocket>> listening_;
  std::vector<std::unique_ptr<Connection>> connections_;
  time::MonotonicTime paused_until_{};
  time::MonotonicTime next_second_{};
  // What its file has: all that was there once, and each change since.
  DataSet base_;
  std::vector<Logged> log_;
  uint64_t offset_ = 0;      // of changes, also those before base_
  std::set<uint64_t> seen_;  // by ExecutionNumber
  // Of a primary.
  std::vector<Follower> followers_;
  // Of a replica.
  RedisServer* primary_ = nullptr;
  std::optional<time::MonotonicTime> synchronizes_;  // when it will be sent all
  std::deque<Sent> stream_;
  std::deque<Ack> acks_;
  bool link_cut_ = false;
  bool called_ = false;
};

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_REDIS_REDIS_SERVER_H_
