// What a Redis server says of itself, and whether tokens may be entrusted to it (specs/idempotency.md 3.5).
// Values; no I/O.
#ifndef PILLION_SIDECAR_REDIS_SERVER_CHECK_H_
#define PILLION_SIDECAR_REDIS_SERVER_CHECK_H_

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/redis/reply.h"

namespace pillion::redis {

// Policy. The default is for claims that are confirmed by replicas (WAIT).
struct Requirements {
  // That are connected, and without which the server writes nothing. 0: none is asked for, neither is
  // min-replicas-to-write nor min-replicas-max-lag; only for `wait off`.
  uint32_t replicas = 1;
  std::chrono::seconds max_lag{2};
  // Settings that the server does not show us (an ACL may forbid CONFIG GET, and INFO does not tell all).
  enum class Unseen : uint8_t { kRefuse, kTrust };
  Unseen unseen = Unseen::kRefuse;
};

struct ServerFacts {
  std::string run_id;
  std::string role;       // "master", "slave"
  std::string version;    // "7.0.15"
  uint32_t replicas = 0;  // connected, and up to date
  // nullopt: it does not show it.
  std::optional<std::string> maxmemory_policy;
  std::optional<std::string> appendonly;  // "yes", "no"
  std::optional<uint32_t> min_replicas_to_write;
  std::optional<uint32_t> min_replicas_max_lag;
  bool master() const { return role == "master"; }
};

// The settings that CONFIG GET is asked for, one by one: then one that is not known, or forbidden, hides no
// other.
inline constexpr std::array<std::string_view, 4> kCheckedSettings = {
    "maxmemory-policy", "appendonly", "min-replicas-to-write", "min-replicas-max-lag"};

// Of the text that INFO answers. What it does not hold is left as it was.
void ReadInfo(std::string_view info, ServerFacts& facts);
// Of what `CONFIG GET <setting>` answers; an error, or nothing, leaves what INFO said.
void ReadSetting(std::string_view setting, const Reply& reply, ServerFacts& facts);

// "": it will do. Else each thing that is wrong, what was found and what was expected, for the operator. Does
// not look at the role.
std::string FindFaults(const ServerFacts& facts, const Requirements& requirements);

}  // namespace pillion::redis

#endif  // PILLION_SIDECAR_REDIS_SERVER_CHECK_H_
