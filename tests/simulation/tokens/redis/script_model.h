// What the six scripts of sidecar/idempotency/shared/scripts.h do at a server, in C++: the same replies, and
// the same changes in the same order. Without Lua; that both are the same is shown by redis_model_test.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_REDIS_SCRIPT_MODEL_H_
#define PILLION_TESTS_SIMULATION_TOKENS_REDIS_SCRIPT_MODEL_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "sidecar/idempotency/shared/scripts.h"
#include "sidecar/redis/reply.h"
#include "tests/simulation/tokens/redis/data_set.h"

namespace pillion::simulation::tokens {

// How a server is while it runs a command.
struct Circumstances {
  ServerTime now{};
  enum class Writes : uint8_t { kTaken, kReadOnly, kTooFewReplicas };
  Writes writes = Writes::kTaken;
  bool out_of_memory = false;
  std::string replid = {};  // which history of data it has, as INFO says
};

// Changes `data`, and adds each change to `effects`.
redis::Reply RunScript(idempotency::ScriptName name, std::span<const std::string> keys,
                       std::span<const std::string> arguments, const Circumstances& circumstances,
                       DataSet& data, std::vector<Effect>& effects);

// Why a server would not write now: READONLY or NOREPLICAS; nil: it would.
redis::Reply RefusalToWrite(const Circumstances& circumstances);

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_REDIS_SCRIPT_MODEL_H_
