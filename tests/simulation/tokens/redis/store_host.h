// A process that has a SharedStore of the sidecar's own code, on a loop of the simulated network: its worker,
// without what else a sidecar does.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_REDIS_STORE_HOST_H_
#define PILLION_TESTS_SIMULATION_TOKENS_REDIS_STORE_HOST_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/bell.h"
#include "sidecar/idempotency/shared/shared_store.h"
#include "sidecar/redis/client.h"
#include "sidecar/stream/turn.h"
#include "sidecar/testing/sim_network.h"
#include "sidecar/tls/worker_tools.h"
#include "tests/simulation/tokens/redis/redis_server.h"

namespace pillion::simulation::tokens {

// Whom each dials; the network knows who that is for whom.
inline const net::Address& StoreAddress() {
  static const net::Address address = net::Address::Parse("127.0.0.1", 6379).value_or(net::Address());
  return address;
}

// What a client has for a command, and between trials.
inline constexpr std::chrono::milliseconds kCommandTimeout{500};
inline constexpr std::chrono::milliseconds kLongestBackoff{200};

class StoreHost {
 public:
  // `work`: what its guards do, in a turn of it, when they were woken: by the bell, or by WakeGuards.
  StoreHost(const ServerParts& parts, const idempotency::SharedTerms& terms, std::function<void()> work)
      : parts_(parts), terms_(terms), work_(std::move(work)) {}
  ~StoreHost() {
    if (alive()) Kill();
  }
  StoreHost(const StoreHost&) = delete;
  StoreHost& operator=(const StoreHost&) = delete;

  void Start() { process_ = std::make_unique<Process>(parts_, terms_, work_); }
  // As by SIGKILL.
  void Kill() {
    testing::SimNetwork::Kill(*process_->loop);
    process_.reset();
    paused_until_ = {};
  }
  void PauseUntil(time::MonotonicTime then) { paused_until_ = std::max(paused_until_, then); }
  // In the past: it acts.
  time::MonotonicTime paused_until() const { return paused_until_; }
  bool alive() const { return process_ != nullptr; }
  bool acts() const { return alive() && parts_.clock.Now() >= paused_until_; }
  // True: it ran.
  bool Run() {
    if (!acts()) return false;
    stream::Turn& turn = process_->turn;
    if (!turn.has_work() && turn.NextDeadline() > parts_.clock.Now()) return false;
    turn.Run();
    return true;
  }
  time::MonotonicTime NextDeadline() {
    if (!alive()) return time::MonotonicTime::max();
    return acts() ? process_->turn.NextDeadline() : paused_until_;
  }
  void WakeGuards() {
    if (alive()) process_->turn.Wake(process_->guards);
  }
  idempotency::SharedStore& store() { return process_->store; }
  const std::shared_ptr<idempotency::Bell>& bell() const { return process_->bell; }
  const net::Loop& loop() const { return *process_->loop; }
  // Why it had no connection the last time.
  const std::string& trouble() const { return process_->commands.trouble(); }

 private:
  struct Guards final : stream::Runnable {
    explicit Guards(const std::function<void()>& work) : work_(work) {}
    stream::Progress Run() override {
      work_();
      return stream::Progress::kIdle;
    }
    const std::function<void()>& work_;
  };
  struct Process {
    Process(const ServerParts& parts, const idempotency::SharedTerms& terms,
            const std::function<void()>& work)
        : loop(parts.network.NewLoop()),
          turn(parts.clock),
          random(parts.random.Next()),
          commands({turn, *loop, tls, random}, Settings(terms), redis::Client::Use::kCommander),
          subscriber({turn, *loop, tls, random}, Settings(terms), redis::Client::Use::kSubscriber),
          store({turn, random, commands, subscriber, times}, terms),
          guards(work),
          bell(std::make_shared<idempotency::Bell>([this] { turn.Wake(guards); })) {}
    ~Process() { bell->Silence(); }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    static redis::ClientSettings Settings(const idempotency::SharedTerms& terms) {
      redis::ClientSettings settings;
      settings.addresses = {StoreAddress()};
      settings.connect_timeout = kCommandTimeout;
      settings.command_timeout = kCommandTimeout;
      settings.backoff_base = std::chrono::milliseconds(10);
      settings.backoff_cap = kLongestBackoff;
      settings.requirements.replicas = terms.replicas;
      return settings;
    }
    std::unique_ptr<net::Loop> loop;
    stream::Turn turn;
    tls::WorkerTools tls;
    Random random;
    redis::Client commands;
    redis::Client subscriber;
    telemetry::TokenStoreTimes times;
    idempotency::SharedStore store;
    Guards guards;
    std::shared_ptr<idempotency::Bell> bell;
  };
  const ServerParts parts_;
  const idempotency::SharedTerms& terms_;
  const std::function<void()> work_;
  std::unique_ptr<Process> process_;
  time::MonotonicTime paused_until_{};
};

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_REDIS_STORE_HOST_H_
