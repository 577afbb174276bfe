// One schedule from its beginning to its end, on virtual time.
//
//   Callers --HTTP/1.1, gRPC--> clients' sidecars ==HTTP/2==> replicas' sidecars --HTTP/1.1, gRPC--> Apps
//                                 Resender ==HTTP/2==============^            |
//                                            mode shared: StoreSide <--RESP2--+
#ifndef PILLION_TESTS_SIMULATION_TOKENS_WORLD_H_
#define PILLION_TESTS_SIMULATION_TOKENS_WORLD_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "tests/simulation/tokens/app.h"
#include "tests/simulation/tokens/caller.h"
#include "tests/simulation/tokens/resender.h"
#include "tests/simulation/tokens/schedule.h"
#include "tests/simulation/tokens/sidecar.h"
#include "tests/simulation/tokens/store_side.h"

namespace pillion::simulation::tokens {

class World {
 public:
  // Both outlive it.
  World(const Schedule& schedule, Ledger& ledger);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  // Once. What is wrong while it goes on is added to `wrong`.
  void Play(std::vector<std::string>& wrong);

  const std::vector<Told>& told() const { return callers_.told(); }
  const Resender& resender() const { return resender_; }
  std::vector<std::unique_ptr<Sidecar>>& replicas() { return replicas_; }
  std::vector<std::unique_ptr<Sidecar>>& clients() { return clients_; }
  // Null: mode local.
  StoreSide* store() { return store_.get(); }
  testing::VirtualClock& clock() { return clock_; }
  time::MonotonicTime began() const { return began_; }

 private:
  void At(time::Duration after, std::function<void()> act) {
    acts_.emplace(began_ + schedule_.lead() + after, std::move(act));
  }
  void After(time::Duration after, std::function<void()> act) {
    acts_.emplace(clock_.Now() + after, std::move(act));
  }
  std::unique_ptr<StoreSide> MakeStore(Ledger& ledger);
  // A replica's answer is stored: in some schedules the first that has one dies of it.
  void OnStored(size_t replica);
  void Plan(const Trouble& trouble);
  void Strike(const Trouble& trouble);
  void Recover(const Trouble& trouble);
  void Restart(Sidecar& sidecar) const;
  Sidecar& HostOf(const Trouble& trouble);
  // What is due. True: something was.
  bool Act();
  bool RunAll();
  bool Done() const;
  time::MonotonicTime Next() const;
  // Records that are over are dropped, as a timer of the process does, and what is held is within its limits.
  void Watch(std::vector<std::string>& wrong);

  const Schedule& schedule_;
  Random random_;
  testing::VirtualClock clock_;
  testing::SimNetwork network_;
  telemetry::Registry registry_;
  const Machine machine_;
  const time::MonotonicTime began_;
  std::unique_ptr<net::Loop> loop_;  // of all who are not sidecars
  std::unique_ptr<StoreSide> store_;
  std::vector<std::unique_ptr<App>> apps_;
  std::vector<std::unique_ptr<Sidecar>> replicas_;
  std::vector<std::unique_ptr<Sidecar>> clients_;
  Callers callers_;
  Resender resender_;
  std::multimap<time::MonotonicTime, std::function<void()>> acts_;
  time::MonotonicTime watched_{};
  bool died_ = false;  // kDies
};

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_WORLD_H_
