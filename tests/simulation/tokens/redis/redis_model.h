// One Redis server as far as tokens need it: its data set, its clock's time as it is told, the scripts that
// it knows, and its answers to what redis::Client and SharedStore send. No connections, no replicas, no time
// of its own: those are its deployment's.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_REDIS_REDIS_MODEL_H_
#define PILLION_TESTS_SIMULATION_TOKENS_REDIS_REDIS_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/idempotency/shared/scripts.h"
#include "sidecar/redis/reply.h"
#include "tests/simulation/tokens/redis/data_set.h"
#include "tests/simulation/tokens/redis/script_model.h"

namespace pillion::simulation::tokens {

// What a server says of itself, and is configured to.
struct Standing {
  std::string run_id;
  std::string replid = "0";
  bool master = true;
  size_t replicas = 0;       // that are connected and up to date
  size_t good_replicas = 0;  // of these, heard of not longer ago than max_lag_s, when it looked last
  uint32_t min_replicas = 0;
  uint32_t max_lag_s = 2;
  bool out_of_memory = false;
};

class RedisModel {
 public:
  // What a script was asked to do, and answered.
  struct Ran {
    idempotency::ScriptName name;
    std::span<const std::string> keys;
    std::span<const std::string> arguments;
    const redis::Reply& reply;
  };
  // `ran`, which may be empty, is called after each script.
  explicit RedisModel(std::function<void(const Ran&)> ran = nullptr) : ran_(std::move(ran)) {}

  // PING, AUTH, INFO, CONFIG GET, SCRIPT LOAD, EVAL, EVALSHA; an error for all others. Adds what it
  // changed to `effects`.
  redis::Reply Execute(std::span<const std::string> command, ServerTime now, std::vector<Effect>& effects);
  // A primary's: what has expired is deleted.
  void DeleteExpired(ServerTime now, std::vector<Effect>& effects);

  // Another process of it.
  void Restart(std::string run_id, DataSet holds);
  DataSet data;
  Standing standing;

 private:
  redis::Reply Eval(std::span<const std::string> command, bool by_sha, ServerTime now,
                    std::vector<Effect>& effects);
  Circumstances CircumstancesAt(ServerTime now) const;
  std::string Info() const;
  redis::Reply Setting(std::string_view name) const;

  static const idempotency::Scripts& Known();
  std::function<void(const Ran&)> ran_;
  std::set<size_t> loaded_;
};

// As the server writes it.
void AppendReply(const redis::Reply& reply, std::string& out);

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_REDIS_REDIS_MODEL_H_
