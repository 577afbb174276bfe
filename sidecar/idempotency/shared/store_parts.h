// What the parts of one shared store work with together. For the files of this folder only.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_STORE_PARTS_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_STORE_PARTS_H_

#include <cstdint>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/bell.h"
#include "sidecar/idempotency/shared/scripts.h"
#include "sidecar/idempotency/shared/terms.h"
#include "sidecar/redis/client.h"
#include "sidecar/stream/turn.h"

namespace pillion::idempotency {

using Ticket = uint64_t;  // 0 is none

// Parts of one worker; all outlive its stores.
struct StoreParts {
  stream::Turn& turn;
  Random& random;
  redis::Client& commands;    // a kCommander, whose requirements suit the terms
  redis::Client& subscriber;  // a kSubscriber of the same server
};

// Since the store was made.
struct StoreCounts {
  uint64_t claims = 0;
  uint64_t claimed = 0;
  uint64_t doubts = 0;         // answered so
  uint64_t refused = 0;        // the store was down, or would not write
  uint64_t unconfirmed = 0;    // of these: too few replicas had the claim in time
  uint64_t undecryptable = 0;  // answers that were not told for that reason
  uint64_t fenced = 0;         // executions that another one had replaced: by policy, or a bug
  uint64_t lost = 0;           // ends that could not be told before the lease lapsed
  uint64_t gone = 0;           // ends whose record was not there any more
  uint64_t not_renewed = 0;    // renewals that came too late, or to no record
  uint64_t reasserted = 0;     // told to another server, or another connection
  uint64_t unknown_scripts = 0;
  uint64_t forgotten = 0;  // recent ends that were let go of early, for want of room
  uint64_t waits = 0;      // WAIT commands
  uint64_t looks = 0;      // look-ups of who waits
};

// What all parts of a store share; all of it outlives them.
struct StoreShare {
  const StoreParts& parts;
  const SharedTerms& terms;
  const Scripts& scripts;
  const KeyNames& names;
  StoreCounts& counts;
  stream::Flushable& first;  // whose output goes before the client's own flush

  // False: nothing was sent, and nothing will end.
  bool Send(redis::Inbox& inbox, uint64_t tag, const ScriptCall& call) const {
    parts.turn.MarkDirty(first);
    return parts.commands.Send(inbox, tag, call.arguments()) == redis::Client::Taken::kYes;
  }
};

inline void RingOnce(Waiter& waiter) {
  if (waiter.bell != nullptr) waiter.bell->Ring(waiter.number);
  waiter = {};
}

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_STORE_PARTS_H_
