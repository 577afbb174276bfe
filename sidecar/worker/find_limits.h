// Gives each limit of a configuration the process's limiter that counts for it. On the main loop, before a
// worker sees the configuration, and while the one before it is still held: a limit that both state goes on.
#ifndef PILLION_SIDECAR_WORKER_FIND_LIMITS_H_
#define PILLION_SIDECAR_WORKER_FIND_LIMITS_H_

#include "sidecar/config/snapshot.h"
#include "sidecar/ledger/limiter.h"

namespace pillion::worker {

// `limits` null: each counts for itself.
void FindLimits(const config::Snapshot& snapshot, ledger::Limits* limits);

}  // namespace pillion::worker

#endif  // PILLION_SIDECAR_WORKER_FIND_LIMITS_H_
