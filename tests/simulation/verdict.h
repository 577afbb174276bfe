// What must be true of every story when it is over.
#ifndef PILLION_TESTS_SIMULATION_VERDICT_H_
#define PILLION_TESTS_SIMULATION_VERDICT_H_

#include <string>
#include <vector>

#include "sidecar/telemetry/stats.h"
#include "tests/simulation/plans.h"

namespace pillion::simulation {

// No request is lost, duplicated or answered wrong.
void JudgeRequests(const Script& script, const Ledger& ledger, std::vector<std::string>& wrong);
// Counters add up, once every engine is gone.
void JudgeCounters(const telemetry::Registry& registry, std::vector<std::string>& wrong);
// Round robin and weights, where nothing disturbed them.
void JudgeShares(const Script& script, const Ledger& ledger, const telemetry::Registry& registry,
                 std::vector<std::string>& wrong);

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_VERDICT_H_
