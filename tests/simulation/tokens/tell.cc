#include "tests/simulation/tokens/tell.h"

#include <cstdio>
#include <string>

#include "sidecar/idempotency/hello.h"

namespace pillion::simulation::tokens {
namespace {

void TellRecords(const char* whose, size_t number, Sidecar& sidecar) {
  for (const Seen& seen : sidecar.seen()) {
    for (const telemetry::RequestRecord& record : seen.records) {
      std::printf("%s %zu (%s): request %s: %d %s %s, token %s, %s\n", whose, number,
                  idempotency::ToHex(seen.incarnation).substr(0, 8).c_str(), record.user_agent.c_str(),
                  record.status, std::string(record.verdict).c_str(), record.detail.c_str(),
                  record.token.c_str(), std::string(ToString(record.no_retry)).c_str());
      for (const telemetry::AttemptRecord& attempt : record.attempts)
        std::printf("    attempt at %s: %d %s (%s) token %s %s\n", attempt.endpoint.c_str(), attempt.status,
                    std::string(ToString(attempt.outcome)).c_str(), std::string(attempt.error).c_str(),
                    attempt.token.c_str(), std::string(attempt.verdict).c_str());
    }
  }
}

}  // namespace

void TellAll(const Schedule& schedule, const Ledger& ledger, World& world) {
  const auto at = [&](time::MonotonicTime when) {
    return static_cast<long>((when - world.began()) / std::chrono::microseconds(1));
  };
  std::printf("seed %lu: %zu replicas, %zu clients%s%s\n", schedule.seed, schedule.settings.replicas,
              schedule.settings.outbounds, schedule.gentle ? ", gentle" : "",
              schedule.settings.own_retry ? ", a retry policy of the route" : "");
  if (const SharedSettings& shared = schedule.settings.shared; schedule.settings.is_shared())
    std::printf("  %zu servers, %u waited for%s%s\n", shared.servers, shared.replicas,
                shared.runs_when_down ? ", what cannot be asked about runs" : "",
                shared.told_primary ? ", sidecars are told the primary" : "");
  for (const Trouble& trouble : schedule.troubles) std::printf("  %s\n", Tell(trouble).c_str());
  for (const auto& cut : schedule.cuts)
    std::printf("  connection %u to %s breaks after %lu bytes %s\n", cut.connection,
                cut.to.ToString().c_str(), cut.after, cut.answers ? "of answers" : "of requests");
  for (size_t i = 0; i < schedule.asks.size(); ++i) {
    const Told& told = world.told()[i];
    const Work& work = ledger.items[schedule.asks[i].id].work;
    std::printf("request %lu%s at %ld us, manner %d, takes %ld us: end %d at %ld us, %d%s, %s\n",
                schedule.asks[i].id, work.grpc ? " (gRPC)" : "", at(told.asked),
                static_cast<int>(work.manner), static_cast<long>(work.takes.count() / 1000),
                static_cast<int>(told.end), at(told.ended), told.status, told.by_app ? " by the app" : "",
                told.body.substr(0, 30).c_str());
  }
  for (size_t i = 0; i < schedule.sends.size(); ++i) {
    const Send& send = schedule.sends[i];
    const Reply& reply = world.resender().replies()[i];
    std::printf("token of %lu to replica %zu at %ld us%s: end %d at %ld us, %d %s, by %s\n",
                schedule.tokens[send.token].id, send.replica, at(reply.sent), send.other ? " (other)" : "",
                static_cast<int>(reply.end), at(reply.ended), reply.status,
                reply.verdict ? std::string(ToString(*reply.verdict)).c_str() : "-",
                idempotency::ToHex(reply.to).substr(0, 8).c_str());
  }
  for (size_t i = 0; i < ledger.items.size(); ++i)
    std::printf("request %zu ran %zu times\n", i, ledger.items[i].runs.size());
  for (size_t i = 0; i < world.clients().size(); ++i) TellRecords("client", i, *world.clients()[i]);
  for (size_t i = 0; i < world.replicas().size(); ++i) TellRecords("replica", i, *world.replicas()[i]);
}

}  // namespace pillion::simulation::tokens
