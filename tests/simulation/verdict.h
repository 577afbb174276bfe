// What must be true of every story when it is over.
#ifndef PILLION_TESTS_SIMULATION_VERDICT_H_
#define PILLION_TESTS_SIMULATION_VERDICT_H_

#include <string>
#include <vector>

#include "sidecar/telemetry/request_record.h"
#include "sidecar/telemetry/stats.h"
#include "tests/simulation/plans.h"

namespace pillion::simulation {

// No request is lost, duplicated or answered wrong.
void JudgeRequests(const Script& script, const Ledger& ledger, std::vector<std::string>& wrong);
// Every byte of a relay comes once, in its place, and ends and resets are passed on as what they are.
void JudgeRelays(const Script& script, const Ledger& ledger, std::vector<std::string>& wrong);
// `records`: of all hosts.
void JudgeToldClients(const Ledger& ledger, const std::vector<telemetry::RequestRecord>& records,
                      std::vector<std::string>& wrong);
void JudgeRelayCounters(const Ledger& ledger, const telemetry::Registry& registry,
                        const std::vector<telemetry::RequestRecord>& records,
                        std::vector<std::string>& wrong);
std::string Tell(const RelayFate& fate);
// Counters add up, once every engine is gone.
void JudgeCounters(const telemetry::Registry& registry, std::vector<std::string>& wrong);
// Round robin and weights, where nothing disturbed them.
void JudgeShares(const Script& script, const Ledger& ledger, const telemetry::Registry& registry,
                 std::vector<std::string>& wrong);

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_VERDICT_H_
