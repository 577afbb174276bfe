// One limit of the process: a bucket for all requests that it counts, or one for each client.
// Shared by the configurations that state it and by all workers. Any thread.
#ifndef PILLION_SIDECAR_LEDGER_LIMITER_H_
#define PILLION_SIDECAR_LEDGER_LIMITER_H_

#include <array>
#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sidecar/ledger/token_bucket.h"

namespace pillion::ledger {

// Bytes of a client's name that are kept; of a longer one, its beginning and a digest. Attack: memory by long
// names.
inline constexpr size_t kMaxClientNameBytes = 256;

class Limiter {
 public:
  // Clients told apart at once, where nobody says how many; the least recently seen is forgotten, and has a
  // full bucket when it comes again. Attack: memory by names that nobody has twice.
  static constexpr uint32_t kMaxClients = 16 * 1024;

  explicit Limiter(BucketShape shape, uint32_t max_clients = kMaxClients);
  const BucketShape& shape() const { return shape_; }
  uint32_t max_clients() const { return max_clients_; }

  Taken Take(time::MonotonicTime now) { return common_.Take(shape_, now); }
  // Of that client's own. `forgotten` becomes true when another had to be forgotten for it.
  Taken TakeOf(std::string_view client, time::MonotonicTime now, bool& forgotten);
  size_t clients() const;

 private:
  struct Client {
    explicit Client(std::string_view text) : name(text) {}
    const std::string name;
    TokenBucket bucket;
  };
  // Each with a lock of its own, so that workers seldom wait for each other.
  struct Shard {
    std::mutex mutex;
    std::list<Client> clients;  // the most recently seen first
    std::unordered_map<std::string_view, std::list<Client>::iterator> by_name;
  };
  static constexpr size_t kShards = 16;

  const BucketShape shape_;
  const uint32_t max_clients_;
  TokenBucket common_;
  mutable std::array<Shard, kShards> shards_;
};

// Who finds the limits of one process again: a new configuration that states the limit of an old one, under
// the same name, goes on with its buckets as they are.
class Limits {
 public:
  // While anybody holds the limiter of that name, and it has that shape, it is the one; else a new one.
  std::shared_ptr<Limiter> Find(const std::string& name, const BucketShape& shape, uint32_t max_clients);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<Limiter>> limiters_;
  size_t sweep_at_ = 64;  // when there are so many, those that are gone are forgotten
};

}  // namespace pillion::ledger

#endif  // PILLION_SIDECAR_LEDGER_LIMITER_H_
