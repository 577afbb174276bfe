// Limits of the rate of requests as configured: immutable and validated, but for which of the process's
// limiters counts for each. That stands in the holder, where the main loop puts it before any worker sees the
// configuration (worker::Prepare).
#ifndef PILLION_SIDECAR_CONFIG_RATE_LIMIT_H_
#define PILLION_SIDECAR_CONFIG_RATE_LIMIT_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/config/route_table.h"

namespace pillion::ledger {
class Limiter;
}

namespace pillion::config {

struct LimiterHolder {
  std::shared_ptr<ledger::Limiter> limiter;
};

// So many at once, and one more after each `token`.
struct Limit {
  uint32_t max_tokens = 1;
  std::chrono::nanoseconds token{1};
  std::shared_ptr<LimiterHolder> holder = std::make_shared<LimiterHolder>();
};

struct RateLimit {
  struct Entry {
    std::string key;
    std::string value;  // of a descriptor: "" stands for all
  };
  // The requests of which these entries were made.
  struct Descriptor {
    std::vector<Entry> entries;
    Limit limit;
  };
  // What one entry is made of.
  struct Action {
    enum class Kind : uint8_t { kField, kClientAddress, kPeerIdentity, kWord };
    Kind kind = Kind::kWord;
    std::string key;
    std::string text;  // kField: its name; kWord: the value
    bool skip_if_absent = false;
  };
  std::optional<Limit> limit;  // of all requests; none: the filter does nothing
  std::vector<Descriptor> descriptors;
  std::vector<std::vector<Action>> rules;
  Fraction counted{0, 100};
  Fraction enforced{0, 100};
  uint32_t max_clients = 16 * 1024;  // told apart by one descriptor
  uint16_t status = 429;
  uint8_t grpc_status = 14;
  bool always_common = true;  // also requests with a descriptor take from `limit`
  bool tell_left = false;
  bool tell_retry_after = false;
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_RATE_LIMIT_H_
