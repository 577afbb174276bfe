#include "tests/simulation/tokens/judge.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "sidecar/base/hex.h"

namespace pillion::simulation::tokens {
namespace {

using idempotency::DomainTime;
using idempotency::Verdict;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = Trouble::Kind;

// Of who waits for another attempt whose record is over before it has ended, because its clock has jumped.
constexpr milliseconds kLongestWait{10'000};

bool IsDefinitive(Verdict verdict) {
  return verdict == Verdict::kExecuted || verdict == Verdict::kReplayed || verdict == Verdict::kCoalesced;
}

class Judgement {
 public:
  Judgement(const Schedule& schedule, const Ledger& ledger, World& world, Result& outcome)
      : schedule_(schedule), ledger_(ledger), world_(world), outcome_(outcome) {
    for (const Trouble& one : schedule.troubles) {
      if (one.kind == Kind::kPause || one.kind == Kind::kHole) slack_ += one.lasts;
    }
    apps_fail_ = Has({Kind::kApp, Kind::kAppDown, Kind::kRefuse}) ||
                 std::ranges::any_of(schedule.cuts, OfApp) ||
                 std::ranges::any_of(ledger.items, [](const Item& item) { return item.work.closes_after; }) ||
                 std::ranges::any_of(schedule.troubles, [](const Trouble& one) {
                   return one.kind == Kind::kHole && one.at.port() >= kAppPort;
                 });
  }

  void All() {
    for (uint64_t id = 0; id < ledger_.items.size(); ++id) {
      outcome_.executions += static_cast<uint32_t>(Runs(id));
      if (Runs(id) > 1) Wrong("I1", id, "ran " + std::to_string(Runs(id)) + " times");
    }
    TakeRecords();
    for (size_t i = 0; i < schedule_.asks.size(); ++i) JudgeAsk(i);
    for (size_t i = 0; i < schedule_.sends.size(); ++i) JudgeReply(i);
    for (size_t i = 0; i < schedule_.tokens.size(); ++i) JudgeToken(i);
    for (const auto& replica : world_.replicas()) JudgeTable(*replica);
  }

 private:
  static bool OfApp(const testing::SimNetwork::Cut& cut) { return cut.to.port() >= kAppPort; }
  bool Has(std::initializer_list<Kind> kinds) const {
    return std::ranges::any_of(kinds, [this](Kind kind) { return schedule_.Has(kind); });
  }
  size_t Runs(uint64_t id) const { return ledger_.items[id].runs.size(); }
  void Wrong(const char* what, uint64_t id, const std::string& how) {
    outcome_.wrong.push_back(std::string(what) + ": request " + std::to_string(id) + ' ' + how);
  }
  void Mix(uint64_t value) { outcome_.state = (outcome_.state ^ value) * 0x9E3779B97F4A7C15u + (value >> 3); }

  // What the sidecars have logged: each attempt with the hash of its token, and where it came to.
  void TakeRecords() {
    std::map<std::string, idempotency::Incarnation> at;
    for (const auto& replica : world_.replicas()) {
      for (const Seen& seen : replica->seen()) {
        for (const telemetry::RequestRecord& record : seen.records) {
          const uint64_t id = std::strtoull(record.user_agent.c_str(), nullptr, 10);
          if (record.token.empty() || id >= schedule_.asks.size()) continue;
          const auto [known, fresh] = at.emplace(record.token, seen.incarnation);
          if (!fresh && known->second != seen.incarnation)
            Wrong("pinned", id, "went to a second process with its token");
        }
      }
    }
    std::map<std::string, uint64_t> owners;
    for (const auto& client : world_.clients()) {
      for (const Seen& seen : client->seen()) {
        for (const telemetry::RequestRecord& record : seen.records) {
          const uint64_t id = std::strtoull(record.user_agent.c_str(), nullptr, 10);
          asked_[id] = &record;
          for (const telemetry::AttemptRecord& attempt : record.attempts) {
            if (attempt.token.empty()) continue;
            const auto [known, fresh] = owners.emplace(attempt.token, id);
            if (!fresh && known->second != id) Wrong("token", id, "has the token of another request");
          }
        }
      }
    }
  }

  // What the sidecar has tried for it.
  struct Tried {
    bool stamped = false;       // those attempts that may have run were protected by a token
    bool may_have_run = false;  // of one attempt nothing is known
    bool broke_off = false;     // the answer had begun to come from the replica: it is not asked for again
  };
  Tried JudgeAttempts(uint64_t id) {
    Tried tried;
    const auto found = asked_.find(id);
    if (found == asked_.end()) return tried;
    const auto& attempts = found->second->attempts;
    outcome_.attempts += static_cast<uint32_t>(attempts.size());
    outcome_.retried += attempts.size() > 1 ? 1 : 0;
    for (const telemetry::AttemptRecord& attempt : attempts) {
      Mix(std::hash<std::string_view>()(attempt.verdict));
      Mix(static_cast<uint64_t>(attempt.outcome) + (attempt.token.empty() ? 8 : 0));
      tried.broke_off =
          attempt.outcome == Outcome::kAmbiguous &&
          (attempt.verdict == "executed" || attempt.verdict == "replayed" || attempt.verdict == "coalesced");
      const bool not_run = attempt.verdict == "not-executed" || attempt.outcome == Outcome::kNotSent ||
                           attempt.outcome == Outcome::kRefused;
      const bool has_token = !attempt.token.empty() && attempt.verdict != "bypass";
      if (!not_run) tried.stamped = has_token && (tried.stamped || !tried.may_have_run);
      tried.may_have_run = tried.may_have_run || !not_run;
      if (attempt.verdict == "mismatch") Wrong("verdict", id, "was told that it is another request");
      if (attempt.verdict == "bad-token" && !schedule_.Has(Kind::kClock))
        Wrong("verdict", id, "was told that its token is none");
      if (attempt.verdict == "unknown" && NothingIsUnknown())
        Wrong("verdict", id, "is unknown for no reason");
      if (!attempt.token.empty() && !Enforces(attempt.endpoint))
        Wrong("domain", id, "went with a token to who enforces nothing");
    }
    return tried;
  }
  bool Enforces(const std::string& endpoint) const {
    for (size_t i = schedule_.settings.enforcing; i < schedule_.settings.replicas; ++i) {
      if (endpoint == At(kInboundPort, i).ToString()) return false;
    }
    return true;
  }
  bool NothingIsUnknown() const {
    return !apps_fail_ && !Has({Kind::kCrash, Kind::kDrain, Kind::kPause, Kind::kPressure});
  }

  void JudgeAsk(size_t number) {
    const Ask& ask = schedule_.asks[number];
    const Told& told = world_.told()[number];
    const Item& item = ledger_.items[ask.id];
    const Tried tried = JudgeAttempts(ask.id);
    Mix(static_cast<uint64_t>(told.end) + told.status * 8u + (told.by_app ? 4 : 0) + Runs(ask.id) * 10000);
    if (!tried.may_have_run && Runs(ask.id) > 0) Wrong("I3", ask.id, "ran though no attempt may have");
    if (told.end == Told::End::kAnswered) {
      told.by_app ? JudgeAnswer(ask.id, item.work.grpc, told.body, told.run, false)
                  : JudgeLocalAnswer(ask, told, tried);
    }
    JudgeWait(ask, told);
    const bool began = tried.broke_off || (told.end == Told::End::kBroken && told.status != 0);
    if (schedule_.gentle && !began && !(told.end == Told::End::kAnswered && told.by_app))
      Wrong("gentle", ask.id, "is not answered: " + std::to_string(told.status) + told.grpc_status);
  }

  // I2.
  void JudgeAnswer(uint64_t id, bool grpc, const std::string& body, const std::string& run, bool other) {
    const Item& item = ledger_.items[id];
    if (item.runs.size() != 1) return Wrong("I2", id, "is answered and has not run once");
    const Execution& one = item.runs.front();
    if (body != AnswerBody(id, one.number, item.work.answer_bytes))
      return Wrong("I2", id, "is told another answer: " + body.substr(0, 30));
    if (grpc && run != std::to_string(one.number)) Wrong("I2", id, "is told other trailers");
    if (one.other != other) Wrong("I2", id, "is told the answer of other content");
  }

  // I3, as those who ask see it.
  void JudgeLocalAnswer(const Ask& ask, const Told& told, const Tried& tried) {
    const bool grpc = ledger_.items[ask.id].work.grpc;
    outcome_.unknown += (grpc ? told.grpc_status == "2" : told.status == 500) ? 1 : 0;
    if (Runs(ask.id) == 0) return;
    const bool refused =
        grpc ? tried.stamped && (told.grpc_status == "8" || told.grpc_status == "14") : told.status == 503;
    if (refused) Wrong("I3", ask.id, "ran and is told that it has not");
    const bool asks_again = grpc ? told.grpc_status == "4" : told.status == 502 || told.status == 504;
    if (tried.stamped && asks_again)
      Wrong("I3", ask.id, "ran and is told what others take for a reason to ask again");
  }

  // I9.
  void JudgeWait(const Ask& ask, const Told& told) {
    if (schedule_.Has(Kind::kRefuse)) return;
    const bool impatient = ask.patience.count() > 0;
    if (told.end == Told::End::kNone || (told.end == Told::End::kLeft && !impatient))
      return Wrong("I9", ask.id, "is never answered");
    if (told.ended - told.asked > kRouteTimeout + seconds(1) + slack_)
      Wrong("I9", ask.id, "is answered late");
  }

  DomainTime Wall(time::MonotonicTime at) const {
    const auto since = at - world_.clock().Now();
    return std::chrono::floor<DomainTime>(world_.clock().Wall().time_since_epoch() + since);
  }

  void JudgeReply(size_t number) {
    const Send& send = schedule_.sends[number];
    const Reply& reply = world_.resender().replies()[number];
    const SentToken& sent = world_.resender().tokens()[send.token];
    const uint64_t id = schedule_.tokens[send.token].id;
    ++outcome_.replies;
    Mix(static_cast<uint64_t>(reply.end) * 16 + (reply.verdict ? static_cast<uint64_t>(*reply.verdict) : 15));
    if (reply.end == Reply::End::kNone && !Has({Kind::kRefuse, Kind::kHole}))
      Wrong("I9", id, "is never answered");
    const bool sent_it = sent.token && reply.end != Reply::End::kNotSent;
    if (!sent_it) return;
    if (reply.end != Reply::End::kNone && !schedule_.Has(Kind::kRefuse) &&
        reply.ended - reply.sent >
            (schedule_.Has(Kind::kClock) ? kLongestWait : kMaxExecution) + seconds(1) + slack_)
      Wrong("I9", id, "is answered late");
    if (!reply.verdict) return;
    if (IsDefinitive(*reply.verdict)) {
      if (Runs(id) == 0) Wrong("I2", id, "is told an answer and has not run");
      if (reply.end == Reply::End::kAnswered)
        JudgeAnswer(id, ledger_.items[id].work.grpc, reply.body, reply.run, send.other);
    }
    if (*reply.verdict == Verdict::kUnknown && reply.to == sent.first && NothingIsUnknown() &&
        !Has({Kind::kLeaves}))
      Wrong("verdict", id, "is unknown for no reason");
    if (reply.to != sent.first && *reply.verdict != Verdict::kUnknown && IsDefinitive(*reply.verdict))
      Wrong("pinned", id, "is answered by another process");
    JudgeTimes(id, *sent.token, reply);
    if (send.deadline == time::Duration(0) && *reply.verdict == Verdict::kExecuted)
      Wrong("deadline", id, "ran when it was too late");
  }

  // 2.11: where no clock is wrong. A millisecond is lost by rounding.
  void JudgeTimes(uint64_t id, const idempotency::Token& token, const Reply& reply) {
    if (schedule_.Has(Kind::kClock) || reply.end == Reply::End::kReset) return;
    const bool early = token.minted() > Wall(reply.told) + kSkew + milliseconds(1);
    const bool late = token.minted() + kValidity + kSkew + milliseconds(1) < Wall(reply.sent);
    if ((early || late) && IsDefinitive(*reply.verdict)) Wrong("I4", id, "is answered outside its validity");
  }

  void JudgeToken(size_t number) {
    const SentToken& sent = world_.resender().tokens()[number];
    const uint64_t id = schedule_.tokens[number].id;
    if (!sent.token) return;
    bool may_have_run = false;
    std::vector<const Reply*> told;
    uint32_t coalesced = 0;
    for (size_t i = 0; i < schedule_.sends.size(); ++i) {
      const Reply& reply = world_.resender().replies()[i];
      if (schedule_.sends[i].token != number || reply.end == Reply::End::kNotSent) continue;
      if (reply.sent == time::MonotonicTime()) continue;
      told.push_back(&reply);
      const bool elsewhere = reply.verdict == Verdict::kUnknown && reply.to != sent.first;
      const bool not_run = elsewhere || reply.verdict == Verdict::kNotExecuted ||
                           reply.verdict == Verdict::kBadToken || reply.verdict == Verdict::kExpired;
      may_have_run = may_have_run || !not_run;
      coalesced += reply.verdict == Verdict::kCoalesced ? 1 : 0;
    }
    if (!may_have_run && Runs(id) > 0) Wrong("I3", id, "ran though no attempt may have");
    if (coalesced > kWaiters) Wrong("I8", id, "was waited for by too many");
    // What is known once is known.
    for (const Reply* first : told) {
      const bool known =
          first->verdict && (IsDefinitive(*first->verdict) || *first->verdict == Verdict::kTombstone);
      for (const Reply* next : told) {
        if (!known || next->to != first->to || next->sent <= first->told) continue;
        if (next->verdict == Verdict::kUnknown || next->verdict == Verdict::kInFlight)
          Wrong("I4", id, "has an answer that is not known any more");
      }
    }
  }

  // I8: what was executed by this process, and whose token may still be accepted, is in its table.
  void JudgeTable(Sidecar& replica) {
    if (!replica.alive()) return;
    const auto tables = replica.tables().All();
    for (const auto& [id, table] : tables) {
      const idempotency::LocalTable::Counts counts = table->Count();
      Mix(counts.in_flight + counts.completed * 10 + counts.tombstones * 100 + counts.unknown * 1000);
      if (counts.in_flight != 0 || counts.detached != 0)
        outcome_.wrong.emplace_back("I9: an execution never ends");
    }
    if (schedule_.Has(Kind::kClock)) return;
    for (const telemetry::RequestRecord& record : replica.seen().back().records) {
      const auto until = std::chrono::floor<DomainTime>(record.started.time_since_epoch()) + kValidity;
      std::array<uint8_t, 8> hash{};
      if (record.verdict != "executed" || until < replica.WallNow() || !ParseHex(record.token, hash))
        continue;
      const bool there =
          std::ranges::any_of(tables, [&](const auto& item) { return !item.second->Find(hash).empty(); });
      if (!there) outcome_.wrong.push_back("I8: the record of a token that is alive was dropped");
    }
  }

  const Schedule& schedule_;
  const Ledger& ledger_;
  World& world_;
  Result& outcome_;
  std::map<uint64_t, const telemetry::RequestRecord*> asked_;  // by who asked
  time::Duration slack_{};                                     // for those who are not there, or not reached
  bool apps_fail_ = false;
};

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

void TellAll(const Schedule& schedule, const Ledger& ledger, World& world) {
  const auto at = [&](time::MonotonicTime when) {
    return static_cast<long>((when - world.began()) / std::chrono::microseconds(1));
  };
  std::printf("seed %lu: %zu replicas, %zu clients%s%s\n", schedule.seed, schedule.settings.replicas,
              schedule.settings.outbounds, schedule.gentle ? ", gentle" : "",
              schedule.settings.own_retry ? ", a retry policy of the route" : "");
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

}  // namespace

void Judge(const Schedule& schedule, const Ledger& ledger, World& world, Result& outcome) {
  Judgement(schedule, ledger, world, outcome).All();
}

Result RunSchedule(uint64_t seed, bool verbose) {
  Result outcome;
  Ledger ledger;
  const Schedule schedule = Draw(seed, ledger);
  World world(schedule, ledger);
  world.Play(outcome.wrong);
  Judge(schedule, ledger, world, outcome);
  if (verbose) TellAll(schedule, ledger, world);
  return outcome;
}

}  // namespace pillion::simulation::tokens
