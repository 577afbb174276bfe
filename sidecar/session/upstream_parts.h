// What upstream sessions and pools are made of: one per worker; all outlive them.
#ifndef PILLION_SIDECAR_SESSION_UPSTREAM_PARTS_H_
#define PILLION_SIDECAR_SESSION_UPSTREAM_PARTS_H_

#include "sidecar/net/loop.h"
#include "sidecar/session/dial.h"
#include "sidecar/session/worker_memory.h"
#include "sidecar/stream/turn.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/tls/worker_tools.h"

namespace pillion::session {

struct UpstreamParts {
  stream::Turn& turn;
  net::Loop& loop;
  WorkerMemory& memory;
  telemetry::WorkerStats& stats;
  tls::WorkerTools& tls;
  DialParts dial() const { return {loop, stats, tls}; }
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_UPSTREAM_PARTS_H_
