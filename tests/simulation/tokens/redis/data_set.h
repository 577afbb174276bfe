// What one modelled Redis server holds: hashes and lists that may expire, and the changes that are made to
// them, which are what its replicas are told and what its file has.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_REDIS_DATA_SET_H_
#define PILLION_TESTS_SIMULATION_TOKENS_REDIS_DATA_SET_H_

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/idempotency/terms.h"

namespace pillion::simulation::tokens {

// Milliseconds since 1970 by the clock of a server, which may be wrong.
using ServerTime = idempotency::DomainTime;
using Fields = std::vector<std::pair<std::string, std::string>>;

struct Effect {
  enum class Kind : uint8_t { kSet, kPush, kPop, kExpireAt, kDelete, kFlush, kPublish };
  Kind kind = Kind::kSet;
  std::string key = {};   // kPublish: the channel
  Fields fields = {};     // kSet
  ServerTime at{};        // kExpireAt
  std::string text = {};  // kPublish, kPush
};

// Or a list, which has no fields.
struct Hash {
  std::map<std::string, std::string> fields;
  std::deque<std::string> list = {};
  std::optional<ServerTime> expires;
  bool ExpiredBy(ServerTime now) const { return expires && now > *expires; }
};

class DataSet {
 public:
  // As a replica does: what expires in the past stays until it is deleted.
  void Apply(const Effect& effect);
  // Null: there is none, expired or not.
  const Hash* Find(const std::string& key) const;
  const std::map<std::string, Hash>& all() const { return all_; }

 private:
  std::map<std::string, Hash> all_;
};

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_REDIS_DATA_SET_H_
