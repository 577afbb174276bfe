// One seed is one schedule: who asks what when, what the apps do with it, and what goes wrong meanwhile.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_SCHEDULE_H_
#define PILLION_TESTS_SIMULATION_TOKENS_SCHEDULE_H_

#include <array>
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
enum class Mode : bool { kLocal, kShared };
inline constexpr size_t kMostReplicas = 3;
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
// Of mode shared. Of clocks of servers and of replicas, where a store may lose records, so that no two of
// them differ by more than the skew.
inline constexpr std::chrono::milliseconds kLease{1000};
inline constexpr std::chrono::milliseconds kRecent{2000};
inline constexpr std::chrono::milliseconds kUnconfirmedDoubt{5000};
inline constexpr std::chrono::milliseconds kMostServerError{70};
inline constexpr std::chrono::milliseconds kMostReplicaError{220};

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
    // Of mode shared alone.
    kFailover,      // the primary dies, a replica follows it, the dead comes back as a replica
    kSplit,         // the primary is parted from its replicas, and some sidecars with it; one is promoted
    kStall,         // the primary stands still, a replica is promoted, the old one goes on as if nothing were
    kSwitch,        // a replica is promoted though nothing is wrong
    kBackAndForth,  // and a while later the first one again
    kFlush,         // FLUSHALL
    kPower,         // the primary dies and comes back without the last part
    kStoreReplica,  // one is down
    kStorePause,    // any server stands still
    kMemory,        // the primary has none left
    kStoreClock,    // a server's clock steps, within the skew
    kLag,           // between servers everything is late
    kStoreHole,     // between one sidecar and one server
    kTakenOver,     // a process whose policy runs what is unknown takes over what is in flight; not drawn
    kSlowLinks,     // between servers, so that replicas are too late now and then
    kDies,          // a replica's sidecar, when its first answer has been stored and not been told
  };
  Kind kind = Kind::kCut;
  size_t host = 0;  // of replicas, else of clients' sidecars
  time::Duration after{};
  time::Duration lasts{};
  net::Address at = {};   // kHole
  time::Duration step{};  // kClock, kStoreClock
  struct OfStore {
    size_t server = 0;
    time::Duration detected{};  // when a replica is promoted
    time::Duration hears{};     // behind its end, when the old primary hears of it
    time::Duration lost{};      // of the file of who comes back
    bool closes = false;        // connections, when a server's part changes
    bool with_replica = false;  // kSplit: `server`, if it is a replica, stays with the old primary
    // By replica.
    std::array<bool, kMostReplicas> with_old = {};        // kSplit, kStall: it stays with the old primary
    std::array<time::Duration, kMostReplicas> told = {};  // behind a promotion, when it is told the address
  };
  OfStore store = {};
};
std::string Tell(const Trouble& trouble);

// Of the store.
struct SharedSettings {
  size_t servers = 3;
  uint32_t replicas = 1;  // that must have a claim
  uint32_t min_replicas = 1;
  time::Duration link_delay{};
  bool runs_when_down = false;
  bool told_primary = false;  // the configuration names the primary alone, else all servers
  std::vector<time::Duration> server_errors;
  // Until the first records may be made: tokens that are older are in doubt.
  time::Duration lead() const { return std::chrono::milliseconds(replicas > 0 ? 2500 : 8000); }
};

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
  Mode mode = Mode::kLocal;
  SharedSettings shared;  // of kShared
  bool is_shared() const { return mode == Mode::kShared; }
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
  time::Duration lead() const { return settings.is_shared() ? settings.shared.lead() : time::Duration{0}; }
  // Something happens to the store.
  bool StoreFails() const;
  bool Has(Trouble::Kind kind) const;
};

// From kFailover to kTakenOver.
bool IsOfStore(Trouble::Kind kind);
// Fills the ledger's items.
Schedule Draw(uint64_t seed, Ledger& ledger, Mode mode = Mode::kLocal);

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_SCHEDULE_H_
