// One schedule of processes that share a Redis deployment, from its beginning to its end, on virtual time,
// and what must be true of it: of specs/idempotency.md 4.2,
//
//   I1  a token's request is run at most once, unless policy runs again what is unknown
//   I2  what is told as an execution's answer is the answer of the one that it names
//   I5  a record is completed for an execution that was begun, and given back for one that did not run
//   I6  it is run when so many replicas have had its claim
//   I9  each claim is answered in time, and each end reported
//
// and that nothing is left in a store when all is over.
//
//   attempts --Claim, Complete, Release, Drop--> StoreHosts ==RESP==> RedisDeployment
#ifndef PILLION_TESTS_SIMULATION_TOKENS_REDIS_STORE_WORLD_H_
#define PILLION_TESTS_SIMULATION_TOKENS_REDIS_STORE_WORLD_H_

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/shared/shared_store.h"
#include "sidecar/testing/sim_network.h"
#include "tests/simulation/tokens/redis/redis_deployment.h"
#include "tests/simulation/tokens/redis/store_host.h"
#include "tests/simulation/tokens/redis/store_schedule.h"

namespace pillion::simulation::tokens {

struct StoreResult {
  std::vector<std::string> wrong;  // empty: a good schedule
  uint64_t executions = 0;
  uint64_t claims = 0;  // answered
  std::array<uint64_t, idempotency::ClaimAnswer::kKinds> answers = {};
  std::array<uint64_t, 5> ends = {};  // by Ended
  uint64_t history = 0;               // of what was told, and when: equal for two runs of one schedule
  void Add(const StoreResult& other);
  std::string Tell() const;
};

class StoreWorld {
 public:
  // `schedule` outlives it. `verbose`: prints what happens.
  StoreWorld(const StoreSchedule& schedule, bool verbose);
  StoreWorld(const StoreWorld&) = delete;
  StoreWorld& operator=(const StoreWorld&) = delete;
  // Once.
  StoreResult Play();

 private:
  using Kind = idempotency::ClaimAnswer::Kind;
  // The guard of one request, which lives and dies with its host's process.
  struct Attempt {
    enum class State : uint8_t { kPlanned, kComes, kClaims, kRuns, kEnds, kOver };
    State state = State::kPlanned;
    idempotency::Ticket ticket = 0;
    uint64_t run = 0;            // of its token's, counted from 1
    uint64_t execution = 0;      // kRuns, kEnds
    time::MonotonicTime since;   // it was claimed, or ended
    time::MonotonicTime due;     // its execution is over
    time::MonotonicTime leaves;  // its patience is over
  };
  struct Ran {
    size_t token = 0;
    std::string content;
    bool ended = false;  // its end was told to the store
    bool other_content = false;
    bool counts = true;  // the app has it; else it never ran
  };
  struct Token {
    idempotency::Digest key;
    idempotency::Digest fingerprint;
    idempotency::Digest other_fingerprint;
    uint64_t runs = 0;
    time::MonotonicTime last_end;  // of what it ran, or of its lease
  };

  void At(time::MonotonicTime when, std::function<void()> act) { acts_.emplace(when, std::move(act)); }
  void After(time::Duration after, std::function<void()> act) { At(clock_.Now() + after, std::move(act)); }
  void Plan(const StoreTrouble& trouble);
  void Strike(const StoreTrouble& trouble);
  void StrikeServers(const StoreTrouble& trouble);
  void Recover(const StoreTrouble& trouble);
  void RecoverServers(const StoreTrouble& trouble);
  void Promote(const StoreTrouble& trouble);
  void PromoteOne(size_t server, const StoreTrouble& trouble);
  void Part(const StoreTrouble& trouble, bool on);
  void SendTo(size_t host, size_t server);
  void StartHost(size_t host);
  void KillHost(size_t host);

  void Come(size_t number);
  void Begin(size_t number);
  // In a turn of the host.
  void Work(size_t host);
  // Guards whose time has come.
  void WakeDue();
  // All guards from time to time: one that nobody rings finds out that it waits for too long.
  void Patrol();
  void WorkOff(size_t number);
  void TakeAnswer(size_t number, const idempotency::ClaimAnswer& answer);
  void Run(size_t number, const idempotency::ClaimAnswer& answer);
  void End(size_t number);
  void TakeEnd(size_t number, idempotency::Ended ended);
  void Finish(size_t number);
  void SeeScript(const RedisModel::Ran& ran);
  void CheckReplay(const idempotency::ClaimAnswer& answer, const Token& token, size_t number);
  void CheckEnd();
  void Wrong(std::string what);
  void Note(const std::string& what);
  void Mix(uint64_t word) { result_.history = (result_.history ^ word) * 0x100000001b3; }

  bool Act();
  bool RunAll();
  bool Done() const;
  time::MonotonicTime Next();

  const StoreSchedule& schedule_;
  const bool verbose_;
  Random random_;
  testing::VirtualClock clock_;
  testing::SimNetwork network_;
  const time::MonotonicTime began_;
  RedisDeployment redis_;
  std::vector<std::unique_ptr<StoreHost>> hosts_;
  std::array<size_t, kHosts> target_{};
  std::array<std::set<uint64_t>, kHosts> rung_;
  std::vector<Token> tokens_;
  std::vector<Attempt> attempts_;
  std::map<uint64_t, Ran> ran_;  // by ExecutionNumber
  std::set<uint64_t> released_;
  std::multimap<time::MonotonicTime, std::function<void()>> acts_;
  size_t old_primary_ = 0;       // of the trouble that goes on
  std::set<size_t> deaf_;        // servers that do not hear of a promotion
  time::MonotonicTime quiet_{};  // nothing goes wrong any more
  StoreResult result_;
};

// Draws and plays it.
StoreResult RunStoreSchedule(uint64_t seed, bool verbose = false);

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_REDIS_STORE_WORLD_H_
