// The counters as Prometheus text, format 0.0.4
// (https://prometheus.io/docs/instrumenting/exposition_formats/). Shards are summed, so a series is one of
// the process, not of a worker. A route that never took a request has no series.
#ifndef PILLION_SIDECAR_EXPORT_PROMETHEUS_H_
#define PILLION_SIDECAR_EXPORT_PROMETHEUS_H_

#include <map>
#include <string>

#include "sidecar/idempotency/local_table.h"
#include "sidecar/idempotency/shared_tally.h"
#include "sidecar/ledger/ledger.h"
#include "sidecar/telemetry/stats.h"

namespace pillion::exporting {

// The Content-Type that goes with it.
inline constexpr char kPrometheusContentType[] = "text/plain; version=0.0.4; charset=utf-8";

// The records of tokens, by domain: in this process, and shared with others.
struct TokenRecords {
  std::map<idempotency::DomainId, idempotency::LocalTable::Counts> tables;
  std::map<idempotency::DomainId, idempotency::SharedTally::View> stores;
};

// Any thread; workers go on counting meanwhile, so sums of one scrape may differ by requests under way.
// `clusters`: what the ledger counts, by name.
std::string PrometheusText(const telemetry::Registry& registry,
                           const std::map<std::string, ledger::ClusterCounts>& clusters = {},
                           const TokenRecords& tokens = {});

}  // namespace pillion::exporting

#endif  // PILLION_SIDECAR_EXPORT_PROMETHEUS_H_
