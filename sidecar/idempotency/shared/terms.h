// What policy says of a domain whose records are in Redis (mode `shared`). Values.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_TERMS_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_TERMS_H_

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "sidecar/idempotency/terms.h"

namespace pillion::idempotency {

struct SharedTerms {
  // Whose records these are: part of their keys, so that an ACL may name them.
  std::string service;
  DomainId domain = 0;
  // Validity, skew, the longest execution, and how many may wait; its room is Redis's.
  TableTerms table;
  // An execution that is not renewed for so long is given up: nobody knows what became of it. Renewed at a
  // third of it.
  DomainTime lease{10'000};
  // Replicas that must have a claim before the request is run, and how long they may take. 0: none is waited
  // for, and what a primary that dies took with it is `doubt` for as long as `unconfirmed_doubt` and the
  // skew.
  uint32_t replicas = 1;
  DomainTime replica_wait{50};
  // At least two seconds more than min-replicas-max-lag (a primary that is alone counts whole seconds, once a
  // second), and in a cluster than cluster-node-timeout.
  DomainTime unconfirmed_doubt{15'000};
  // Completions are kept for so long, and as many bytes of them, to be told to a new primary that may lack
  // them. In one store; the oldest go first.
  DomainTime recent{30'000};
  size_t recent_bytes = size_t{16} * 1024 * 1024;
  // Who waits for another execution looks after the first of these, then twice as late each time, up to the
  // second, also when nobody tells him anything.
  DomainTime first_look{10};
  DomainTime longest_between_looks{250};
  // Of an answer as it is stored; of a larger one only the status is. Attack: an answer that no client takes
  // (redis/limits.h) would end the connection of each who asks for it.
  size_t max_stored_bytes = size_t{3} * 1024 * 1024;
  // With it, answers are encrypted at rest.
  std::array<uint8_t, 32> key{};

  bool operator==(const SharedTerms&) const = default;

  // An absent record of a token that was minted so much after the store began to remember proves nothing
  // (specs/idempotency.md 3.4).
  DomainTime doubt() const { return replicas > 0 ? table.skew : unconfirmed_doubt + table.skew; }
  // A record outlives its token.
  DomainTime record_life(bool minted) const {
    return (minted ? table.validity : table.app_validity) + 3 * table.skew + table.max_execution;
  }
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_TERMS_H_
