// What upstream sessions and pools are made of: one per worker; all outlive them.
#ifndef PILLION_SIDECAR_SESSION_UPSTREAM_PARTS_H_
#define PILLION_SIDECAR_SESSION_UPSTREAM_PARTS_H_

#include "sidecar/net/loop.h"
#include "sidecar/session/worker_memory.h"
#include "sidecar/stream/turn.h"
#include "sidecar/telemetry/stats.h"

namespace pillion::session {

struct UpstreamParts {
  stream::Turn& turn;
  net::Loop& loop;
  WorkerMemory& memory;
  telemetry::WorkerStats& stats;
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_UPSTREAM_PARTS_H_
