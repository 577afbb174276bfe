// The store of one schedule of mode `shared`: a modelled Redis deployment, what goes wrong with it, and what
// is seen there of the claims and ends of executions. Whose they are is known by their fingerprints: no two
// requests of a schedule are alike.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_STORE_SIDE_H_
#define PILLION_TESTS_SIMULATION_TOKENS_STORE_SIDE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/http/head.h"
#include "tests/simulation/tokens/ledger.h"
#include "tests/simulation/tokens/redis/redis_deployment.h"
#include "tests/simulation/tokens/schedule.h"
#include "tests/simulation/tokens/sidecar.h"

namespace pillion::simulation::tokens {

class StoreSide {
 public:
  // What it asks of its world.
  struct World {
    // To do that, so much later.
    std::function<void(time::Duration, std::function<void()>)> after;
    // A replica's sidecar is told that this server is the primary.
    std::function<void(size_t replica, size_t server)> point;
    // An answer of that replica's is in the store now.
    std::function<void(size_t replica)> stored;
  };
  // All outlive it. The schedule is of mode shared.
  StoreSide(const Machine& machine, const Schedule& schedule, Ledger& ledger, World world);
  StoreSide(const StoreSide&) = delete;
  StoreSide& operator=(const StoreSide&) = delete;

  // Before there is any sidecar: until the primary has counted its replicas. What asks it to write before is
  // told that they are too few.
  void Settle();
  bool Run() { return redis_.Run(); }
  time::MonotonicTime NextDeadline() const { return redis_.NextDeadline(); }
  void Strike(const Trouble& trouble);
  void Recover(const Trouble& trouble);
  // When the answer of that request, with that content, was in the store; nullopt: it never was.
  std::optional<time::MonotonicTime> StoredAt(uint64_t id, bool other) const;
  // Records at the primary that are not over.
  size_t CountRecords();
  // The only claim of that request that was held when it ran was given back later.
  bool IsGivenBack(uint64_t id, bool other) const { return given_back_.contains({id, other}); }
  const std::vector<std::string>& wrong() const { return wrong_; }

 private:
  using Of = std::pair<uint64_t, bool>;  // a request, and whether it has the other content
  struct Claimed {
    Of of;
    // Its request was run while it was held: by it, or, where `others` were, by one of them.
    bool runs = false;
    bool others = false;
    bool released = false;
    std::optional<time::MonotonicTime> stored;
  };
  void NameRequests();
  void Name(const http::RequestHead& head, Of of, size_t bytes);
  // It is about to be run. True: its claim is where it must be.
  bool IsConfirmed(Of of);
  void See(const RedisModel::Ran& ran);
  void SeeEnd(uint64_t execution);
  static void TakeOver(RedisServer& primary);
  void Part(const Trouble& trouble, bool on);
  void Promote(const Trouble& trouble);
  void PromoteOne(size_t server, const Trouble& trouble);

  const Machine& machine_;
  const SharedSettings& settings_;
  const Schedule& schedule_;
  Ledger& ledger_;
  const World world_;
  RedisDeployment redis_;
  std::map<std::string, Of> names_;      // by fingerprint
  std::map<uint64_t, Claimed> claimed_;  // by ExecutionNumber
  size_t old_primary_ = 0;               // of the trouble that goes on
  std::set<size_t> deaf_;                // servers that do not hear of a promotion
  std::set<Of> given_back_;
  std::vector<std::string> wrong_;
};

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_STORE_SIDE_H_
