// What a domain's records may hold and how long they live, as policy says. Values.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_TERMS_H_
#define PILLION_SIDECAR_IDEMPOTENCY_TERMS_H_

#include <array>
#include <chrono>
#include <cstdint>

namespace pillion::idempotency {

// As the control plane names it: a service, a version of its policy, a store and a mode. 0 is none.
using DomainId = uint64_t;

// Of one process, drawn when it starts: what it held in memory is gone when it differs.
using Incarnation = std::array<uint8_t, 16>;

// A domain's clock: milliseconds since 1970, as far as it knows.
using DomainTime = std::chrono::duration<int64_t, std::milli>;

struct RoomLimits {
  uint32_t records = 500'000;
  uint64_t bytes = uint64_t{256} * 1024 * 1024;
  uint32_t caller_percent = 10;  // of the records, that a caller has whoever else is there
  uint32_t waiters = 1000;
  bool operator==(const RoomLimits&) const = default;
};

struct TableTerms {
  DomainTime validity{120'000};         // of a token from its making on
  DomainTime app_validity{86'400'000};  // of a key without a time, from its first request on
  DomainTime skew{5'000};
  DomainTime max_execution{30'000};
  uint32_t waiters = 4;  // of one token
  RoomLimits room;
  bool operator==(const TableTerms&) const = default;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_TERMS_H_
