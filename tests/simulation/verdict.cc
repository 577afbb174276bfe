#include "tests/simulation/verdict.h"

#include <algorithm>

namespace pillion::simulation {
namespace {

constexpr size_t kKeptForRetry = 60000;

bool Leaves(const Plan& plan) {
  return plan.client == ClientManner::kLeavesInRequest || plan.client == ClientManner::kLeavesInResponse;
}

// Nothing in its own plan keeps it from a 200.
bool WellMeant(const Script& script, const Ledger& ledger, const Plan& plan) {
  // What was refused cannot be sent again when it was too much to be kept. The gRPC app leaves a connection
  // that others are on.
  const bool left = std::any_of(ledger.fates.begin(), ledger.fates.end(),
                                [](const auto& item) { return item.second.plan.app == AppManner::kGoAway; });
  const bool may_be_refused =
      plan.app == AppManner::kRefuse || !script.disturbances.empty() || (plan.kind == Kind::kGrpc && left);
  if (may_be_refused && plan.request_bytes > kKeptForRetry) return false;
  return plan.app < AppManner::kFailFirst && !Leaves(plan);
}

std::string Tell(const Fate& fate) {
  return Describe(fate.plan) + ": ran " + std::to_string(fate.run) + ", ok " + std::to_string(fate.ok) +
         ", error " + std::to_string(fate.error) + " (" + std::to_string(fate.status) + "), broken " +
         std::to_string(fate.broken) + ", left " + std::to_string(fate.left) + ", repeated " +
         std::to_string(fate.repeated);
}

void JudgeRuns(const Script& script, const Fate& fate, std::vector<std::string>& wrong) {
  const auto& retry = script.mood.retry;
  // Each sidecar may try so often.
  const int tries = retry ? static_cast<int>((retry->max_retries + 1) * (retry->max_retries + 1)) : 1;
  const bool once = !retry || (fate.plan.post && !retry->non_idempotent);
  if (fate.run > (once ? 1 : tries)) wrong.push_back("ran too often: " + Tell(fate));
}

// In a calm story a request ends as its plan says.
void JudgeCalm(const Script& script, const Ledger& ledger, const Fate& fate,
               std::vector<std::string>& wrong) {
  const Plan& plan = fate.plan;
  if (Leaves(plan)) return;
  const bool hurried = script.mood.retry && script.mood.retry->per_try_timeout.count() > 0;
  if (WellMeant(script, ledger, plan) && !hurried && fate.ok != 1)
    wrong.push_back("failed for no reason: " + Tell(fate));
  if (fate.ok == 1 && plan.app == AppManner::kHints && !fate.interim)
    wrong.push_back("no 103: " + Tell(fate));
  const bool dead = plan.app == AppManner::kNever || plan.app == AppManner::kHangUp ||
                    plan.app == AppManner::kReset || plan.app == AppManner::kEarlyReset ||
                    plan.app == AppManner::kRubbish;
  // An HTTP/2 client hears of an HTTP/2 app's reset as one.
  const bool told = plan.kind == Kind::kGrpc && plan.app == AppManner::kReset && fate.broken == 1;
  if (dead && fate.error != 1 && !told) wrong.push_back("no answer of the sidecar's: " + Tell(fate));
  if (plan.app == AppManner::kNever && plan.kind == Kind::kHttp && fate.status != 504)
    wrong.push_back("not a time-out: " + Tell(fate));
  if (plan.app == AppManner::kCutShort && fate.ok != 0) wrong.push_back("taken for complete: " + Tell(fate));
}

}  // namespace

void JudgeRequests(const Script& script, const Ledger& ledger, std::vector<std::string>& wrong) {
  for (const auto& [id, fate] : ledger.fates) {
    const int ends = fate.ok + fate.error + fate.broken + fate.left;
    if (ends != 1) wrong.push_back("ended " + std::to_string(ends) + " times: " + Tell(fate));
    if (fate.ok == 1 && fate.run == 0) wrong.push_back("answered and never run: " + Tell(fate));
    JudgeRuns(script, fate, wrong);
    if (ledger.calm) JudgeCalm(script, ledger, fate, wrong);
  }
}

void JudgeCounters(const telemetry::Registry& registry, std::vector<std::string>& wrong) {
  registry.ForEachRoute(
      [&wrong](const telemetry::RouteKey& key, const std::vector<const telemetry::RouteStats*>& shards) {
        for (const telemetry::RouteStats* stats : shards) {
          uint64_t coded = 0;
          for (const auto& code : stats->codes) coded += code.count.value();
          if (stats->started.value() != stats->finished.value() || coded != stats->finished.value())
            wrong.push_back(key.listener + " " + key.route + ": started " +
                            std::to_string(stats->started.value()) + ", finished " +
                            std::to_string(stats->finished.value()) + ", by code " + std::to_string(coded));
        }
      });
  for (const auto& shard : registry.shards()) {
    const telemetry::WorkerStats& stats = shard->worker;
    if (stats.client_connections.value() != stats.client_connections_closed.value())
      wrong.push_back("client connections opened and closed differ");
    if (stats.upstream_connections_http1.value() + stats.upstream_connections_http2.value() +
            stats.upstream_connections_tcp.value() !=
        stats.upstream_connections_closed.value())
      wrong.push_back("upstream connections opened and closed differ");
  }
}

void JudgeShares(const Script& script, const Ledger& ledger, const telemetry::Registry& registry,
                 std::vector<std::string>& wrong) {
  if (!script.mood.two_ways || !script.disturbances.empty() || !ledger.calm || script.mood.retry) return;
  const bool smooth = std::all_of(ledger.fates.begin(), ledger.fates.end(), [](const auto& item) {
    return item.second.ok == 1 && item.second.repeated == 0;
  });
  if (!smooth) return;
  uint64_t picked[2] = {0, 0};
  uint64_t plain[2] = {0, 0};
  bool weighted = false;
  registry.ForEachRoute(
      [&](const telemetry::RouteKey& key, const std::vector<const telemetry::RouteStats*>& shards) {
        if (key.listener == "outbound" && key.cluster == "next-b") weighted = true;
        for (size_t i = 0; i < 2; ++i) {
          if (key.listener != "inbound-" + std::to_string(i)) continue;
          for (const telemetry::RouteStats* stats : shards) {
            picked[i] += stats->started.value();
            if (key.route == "/") plain[i] += stats->started.value();
          }
        }
      });
  if (script.mood.lasting_weights && plain[1] != 0) wrong.push_back("a weight of 0 was picked");
  if (!weighted && std::max(picked[0], picked[1]) - std::min(picked[0], picked[1]) > 1)
    wrong.push_back("round robin: " + std::to_string(picked[0]) + " and " + std::to_string(picked[1]));
}

}  // namespace pillion::simulation
