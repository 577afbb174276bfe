// One seed is one schedule of several processes that share a Redis deployment: who claims which token when,
// how its execution ends, and what goes wrong meanwhile.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_REDIS_STORE_SCHEDULE_H_
#define PILLION_TESTS_SIMULATION_TOKENS_REDIS_STORE_SCHEDULE_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/idempotency/shared/terms.h"
#include "sidecar/testing/sim_network.h"
#include "sidecar/time/clock.h"
#include "tests/simulation/tokens/redis/redis_server.h"

namespace pillion::simulation::tokens {

inline constexpr size_t kHosts = 2;
// Terms that are short enough for a schedule to outlive them.
idempotency::SharedTerms ShortTerms();
inline constexpr std::chrono::milliseconds kStoreSkew{500};
// Of the clocks of all hosts and servers, so that no two of them differ by more than the skew.
inline constexpr std::chrono::milliseconds kMostClockError{249};

// How an execution ends.
enum class Ending : uint8_t {
  kAnswered,   // completed, with its answer
  kTooLarge,   // completed, without
  kAbandoned,  // nobody knows
  kNeverRan,   // released: no byte of the request has reached the app
};

struct StoreToken {
  time::Duration minted{};  // from the beginning on, by the clock of host 0
  bool timeless = false;    // an app's key
  Ending ending = Ending::kAnswered;
  time::Duration takes{};
};

struct StoreAttempt {
  size_t token = 0;
  size_t host = 0;
  time::Duration after{};
  bool waits = false;          // for another's execution
  bool first = false;          // it says that none was sent before it
  bool other_content = false;  // it is another request
  time::Duration patience{};   // then it is dropped
  bool leaves = false;         // drops while it runs, which goes on
};

struct StoreTrouble {
  enum class Kind : uint8_t {
    kFailover,      // the primary dies, a replica follows it, the dead comes back as a replica
    kSplit,         // the primary is parted from its replicas, and some hosts with it; a replica is promoted
    kStall,         // the primary stands still, a replica is promoted, the old one goes on as if nothing were
    kSwitch,        // a replica is promoted though nothing is wrong
    kBackAndForth,  // and a while later the first one again
    kFlush,         // FLUSHALL
    kPower,         // the primary dies and comes back without the last part
    kReplicaDown,
    kServerPause,  // any server
    kMemory,       // the primary has none left
    kClock,        // a server's clock steps, within the skew
    kLeap,         // the primary's clock is wrong beyond the skew; not drawn (see the README)
    kLag,          // between servers everything is late
    kHole,         // between one host and one server
    kHostPause,    // past the lease
    kHostCrash,
  };
  Kind kind = Kind::kFailover;
  time::Duration after{};
  time::Duration lasts{};
  time::Duration detected{};  // kFailover, kSplit, kStall: when a replica is promoted
  time::Duration hears{};     // kSplit, kStall: behind its end, when the old primary hears of it
  time::Duration lost{};      // kPower
  time::Duration step{};      // kClock, kLeap
  size_t host = 0;
  size_t server = 0;                          // kServerPause, kHole, kReplicaDown, kClock
  std::array<bool, kHosts> with_old = {};     // kSplit, kStall: hosts that stay with the old primary
  std::array<time::Duration, kHosts> told{};  // behind a promotion, when a host is sent to the new primary
  RedisServer::Clients clients = RedisServer::Clients::kStay;
  // kSplit: `server`, if it is a replica, stays with the old primary too; then each side has one of three, or
  // of four (see store_limits_test) more.
  bool with_replica = false;
};
std::string_view Name(StoreTrouble::Kind kind);
// Of those that only one at a time is drawn of.
bool OfServers(StoreTrouble::Kind kind);

struct StoreSchedule {
  uint64_t seed = 0;
  idempotency::SharedTerms terms;
  bool runs_again = false;  // policy: what is unknown is run again
  size_t servers = 3;
  uint32_t min_replicas = 1;
  time::Duration link_delay{};
  testing::SimFaults network;
  std::array<time::Duration, kHosts> host_errors{};
  std::vector<time::Duration> server_errors;
  std::vector<StoreToken> tokens;
  std::vector<StoreAttempt> attempts;
  std::vector<StoreTrouble> troubles;
  struct Cut {
    size_t server = 0;
    size_t host = 0;
    uint32_t connection = 0;
    bool answers = false;
    uint64_t bytes = 0;
  };
  std::vector<Cut> cuts;
};

StoreSchedule DrawStoreSchedule(uint64_t seed);

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_REDIS_STORE_SCHEDULE_H_
