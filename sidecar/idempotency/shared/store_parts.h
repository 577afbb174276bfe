// What the parts of one shared store work with together. For the files of this folder only.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_STORE_PARTS_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_STORE_PARTS_H_

#include <cstdint>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/bell.h"
#include "sidecar/idempotency/shared/scripts.h"
#include "sidecar/idempotency/shared/terms.h"
#include "sidecar/idempotency/shared_tally.h"
#include "sidecar/redis/client.h"
#include "sidecar/stream/turn.h"
#include "sidecar/telemetry/stats.h"

namespace pillion::idempotency {

using Ticket = uint64_t;  // 0 is none

// Parts of one worker; all outlive its stores.
struct StoreParts {
  stream::Turn& turn;
  Random& random;
  redis::Client& commands;    // a kCommander, whose requirements suit the terms
  redis::Client& subscriber;  // a kSubscriber of the same server
  telemetry::TokenStoreTimes& times;
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
  if (waiter.bell != nullptr) waiter.bell->RingHere(waiter.number);
  waiter = {};
}

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_STORE_PARTS_H_
