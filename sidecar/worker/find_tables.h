// Gives each domain of a configuration the process's table of its tokens' records. On the main loop, before a
// worker sees the configuration, and while the one before it is still held: a domain that both name goes on.
#ifndef PILLION_SIDECAR_WORKER_FIND_TABLES_H_
#define PILLION_SIDECAR_WORKER_FIND_TABLES_H_

#include <functional>

#include "sidecar/config/snapshot.h"
#include "sidecar/config/tokens.h"
#include "sidecar/idempotency/tables.h"

namespace pillion::worker {

// `tables` null: each has one of its own.
void FindTables(const config::Snapshot& snapshot, idempotency::Tables* tables);

// In whatever order.
void ForEachTokenDomain(const config::Snapshot& snapshot,
                        const std::function<void(const config::TokenDomain&)>& use);

}  // namespace pillion::worker

#endif  // PILLION_SIDECAR_WORKER_FIND_TABLES_H_
