// One seed is one schedule: who asks what when, what the apps do with it, and what goes wrong meanwhile.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_SCHEDULE_H_
#define PILLION_TESTS_SIMULATION_TOKENS_SCHEDULE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sidecar/testing/sim_network.h"
#include "sidecar/time/clock.h"
#include "tests/simulation/tokens/ledger.h"

namespace pillion::simulation::tokens {

inline constexpr uint16_t kOutboundPort = 15001;
inline constexpr uint16_t kInboundPort = 16001;
inline constexpr uint16_t kAppPort = 17001;
inline constexpr uint16_t kGrpcAppPort = 18001;
// The first of those ports and the number of a host. The network has one machine.
const net::Address& At(uint16_t first, size_t number);

// The terms of the domain, short enough for a schedule to outlive them. A record lives as long as
// kValidity + 3 * kSkew + kMaxExecution.
inline constexpr std::chrono::milliseconds kValidity{2000};
inline constexpr std::chrono::milliseconds kSkew{300};
inline constexpr std::chrono::milliseconds kMaxExecution{1500};
inline constexpr std::chrono::milliseconds kRouteTimeout{2000};
inline constexpr size_t kMaxRequestBytes = 400;
inline constexpr size_t kMaxResponseBytes = 900;
inline constexpr uint32_t kWaiters = 2;

// A request of a client app; its number is its place in the ledger.
struct Ask {
  uint64_t id = 0;
  size_t outbound = 0;
  time::Duration after{};
  size_t body_bytes = 0;
  bool chunked = false;
  bool reuses = false;        // a connection of one before it, if there is one that is idle
  time::Duration patience{};  // it leaves then; 0: it waits
};

// The peer that sends again: a sidecar that is none of ours. It keeps what must be kept, that is that it
// tells where the first attempt of a token went, and nothing else.
struct Send {
  size_t token = 0;
  size_t replica = 0;
  time::Duration after{};
  bool other = false;                            // other content
  time::Duration deadline = time::Duration(-1);  // that it tells; less than nothing: none
  bool leaves = false;                           // it resets the stream a little later
};
struct PeerToken {
  uint64_t id = 0;
  time::Duration minted{};  // beside the domain's clock
};

struct Trouble {
  enum class Kind : uint8_t {
    kCut,           // of a connection at a byte
    kHole,          // what is sent to a host comes when it is over
    kPause,         // of a sidecar
    kCrash,         // of a replica's sidecar, which is then started again
    kClientCrash,   // of a client's
    kDrain,         // of a replica's sidecar, which is then ended and started again
    kAppDown,       // of a replica's app, which is then started again
    kClock,         // of a replica's wall clock, which steps
    kDomain,        // a replica's sidecar enforces the next version of the policy
    kClientDomain,  // a client's sidecar stamps for it
    kUnnamed,       // no domain is named at a replica for a while
    kUnlisted,      // a replica is no endpoint for a while
    kShed,          // what answers hold is let go of
    kPressure,      // a replica's sidecar takes no requests for a while
    kNone,          // of a replica that has never enforced anything
    kTight,         // tables are small
    kRefuse,        // the network refuses, or loses, some connections, and resets some
    kPerTry,        // attempts have little time
    kLeaves,        // clients have little patience
    kSends,         // a peer sends again
    kApp,           // an app that fails
    kLarge,         // messages larger than what is held of them
  };
  Kind kind = Kind::kCut;
  size_t host = 0;  // of replicas, else of clients' sidecars
  time::Duration after{};
  time::Duration lasts{};
  net::Address at = {};   // kHole
  time::Duration step{};  // kClock
};
std::string Tell(const Trouble& trouble);

// Of the sidecars' configurations.
struct Settings {
  size_t replicas = 2;
  size_t outbounds = 1;
  uint32_t records = 1000;
  uint64_t bytes = 1 << 20;
  uint32_t max_waiters = 1000;
  uint32_t max_detached = 1000;
  bool conflict = false;
  bool keeps_answers = true;
  bool own_retry = false;  // of the route; else the tokens' own
  time::Duration per_try{};
  bool tells_timeout = false;
  bool poor = false;            // few retries may be made
  size_t enforcing = SIZE_MAX;  // replicas before this one enforce the domain
};

struct Schedule {
  uint64_t seed = 0;
  Settings settings;
  testing::SimFaults network;
  std::vector<testing::SimNetwork::Cut> cuts;
  std::vector<Ask> asks;
  std::vector<Send> sends;  // of each token the first comes first
  std::vector<PeerToken> tokens;
  std::vector<Trouble> troubles;
  // Nothing happens but what tokens are made for: connections between sidecars break, twice at most. Then
  // every request is answered by its app.
  bool gentle = false;
  bool Has(Trouble::Kind kind) const;
};

// Fills the ledger's items.
Schedule Draw(uint64_t seed, Ledger& ledger);

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_SCHEDULE_H_
