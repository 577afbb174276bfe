#include "tests/simulation/tokens/judge.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "sidecar/base/hex.h"
#include "tests/simulation/tokens/tell.h"

namespace pillion::simulation::tokens {
namespace {

using idempotency::DomainTime;
using idempotency::Verdict;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = Trouble::Kind;

// Of who waits for another attempt whose record is over before it has ended, because its clock has jumped.
constexpr milliseconds kLongestWait{10'000};
// Until a command to a server that does not answer is given up, and another server was found.
constexpr milliseconds kStoreBack{3000};
// Between two looks of who waits for an execution of another process.
constexpr milliseconds kLook{250};

bool IsDefinitive(Verdict verdict) {
  return verdict == Verdict::kExecuted || verdict == Verdict::kReplayed || verdict == Verdict::kCoalesced;
}

class Judgement {
 public:
  Judgement(const Schedule& schedule, const Ledger& ledger, World& world, Result& result)
      : schedule_(schedule),
        ledger_(ledger),
        world_(world),
        result_(result),
        shared_(schedule.settings.is_shared()) {
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
      result_.executions += static_cast<uint32_t>(Runs(id));
      if (Runs(id) > 1) Wrong("I1", id, "ran " + std::to_string(Runs(id)) + " times");
    }
    TakeRecords();
    for (size_t i = 0; i < schedule_.asks.size(); ++i) JudgeAsk(i);
    for (size_t i = 0; i < schedule_.sends.size(); ++i) JudgeReply(i);
    for (size_t i = 0; i < schedule_.tokens.size(); ++i) JudgeToken(i);
    for (const auto& replica : world_.replicas()) shared_ ? JudgeTallies(*replica) : JudgeTable(*replica);
    if (shared_) JudgeStore();
    result_.history = result_.state;
    for (const Told& told : world_.told()) MixTime(told.ended);
    for (const Reply& reply : world_.resender().replies()) MixTime(reply.ended);
    MixTime(world_.clock().Now());
  }

 private:
  static bool OfApp(const testing::SimNetwork::Cut& cut) { return cut.to.port() >= kAppPort; }
  bool Has(std::initializer_list<Kind> kinds) const {
    return std::ranges::any_of(kinds, [this](Kind kind) { return schedule_.Has(kind); });
  }
  size_t Runs(uint64_t id) const { return ledger_.items[id].runs.size(); }
  void Wrong(const char* what, uint64_t id, const std::string& how) {
    result_.wrong.push_back(std::string(what) + ": request " + std::to_string(id) + ' ' + how);
  }
  void Mix(uint64_t value) { result_.state = (result_.state ^ value) * 0x9E3779B97F4A7C15u + (value >> 3); }

  void MixTime(time::MonotonicTime at) {
    result_.history =
        (result_.history ^ static_cast<uint64_t>(at.time_since_epoch().count())) * 0x9E3779B97F4A7C15u;
  }

  // What the sidecars have logged: each attempt with the hash of its token, and where it came to.
  void TakeRecords() {
    std::map<std::string, idempotency::Incarnation> at;
    for (const auto& replica : world_.replicas()) {
      for (const Seen& seen : replica->seen()) {
        for (const telemetry::RequestRecord& record : seen.records) {
          const uint64_t id = std::strtoull(record.user_agent.c_str(), nullptr, 10);
          if (record.token.empty() || id >= schedule_.asks.size()) continue;
          if (shared_) continue;
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
    bool executed = false;      // one attempt was told so
    bool unprotected = false;   // one attempt that may have run had no token, or was told that it did without
  };
  Tried JudgeAttempts(uint64_t id) {
    Tried tried;
    const auto found = asked_.find(id);
    if (found == asked_.end()) return tried;
    const auto& attempts = found->second->attempts;
    result_.attempts += static_cast<uint32_t>(attempts.size());
    result_.retried += attempts.size() > 1 ? 1 : 0;
    for (const telemetry::AttemptRecord& attempt : attempts) {
      Mix(std::hash<std::string_view>()(attempt.verdict));
      Mix(static_cast<uint64_t>(attempt.outcome) + (attempt.token.empty() ? 8 : 0));
      tried.broke_off =
          attempt.outcome == Outcome::kAmbiguous &&
          (attempt.verdict == "executed" || attempt.verdict == "replayed" || attempt.verdict == "coalesced");
      const bool not_run = attempt.verdict == "not-executed" || attempt.verdict == "doubt" ||
                           attempt.outcome == Outcome::kNotSent || attempt.outcome == Outcome::kRefused;
      const bool has_token = !attempt.token.empty() && attempt.verdict != "bypass";
      if (!not_run) tried.stamped = has_token && (tried.stamped || !tried.may_have_run);
      tried.may_have_run = tried.may_have_run || !not_run;
      if (attempt.verdict == "mismatch") Wrong("verdict", id, "was told that it is another request");
      if (attempt.verdict == "bad-token" && !schedule_.Has(Kind::kClock))
        Wrong("verdict", id, "was told that its token is none");
      if (attempt.verdict == "unknown" && NothingIsUnknown())
        Wrong("verdict", id, "is unknown for no reason");
      const auto verdict = idempotency::ParseVerdict(attempt.verdict);
      tried.executed = tried.executed || verdict == Verdict::kExecuted;
      tried.unprotected = tried.unprotected || (!not_run && !has_token);
      if (verdict && IsDefinitive(*verdict)) JudgeClaim(id);
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
    return !apps_fail_ && !schedule_.StoreFails() &&
           !Has({Kind::kCrash, Kind::kDrain, Kind::kPause, Kind::kPressure, Kind::kDies});
  }

  void JudgeAsk(size_t number) {
    const Ask& ask = schedule_.asks[number];
    const Told& told = world_.told()[number];
    const Item& item = ledger_.items[ask.id];
    const Tried tried = JudgeAttempts(ask.id);
    Mix(static_cast<uint64_t>(told.end) + uint64_t{told.status} * 8 + (told.by_app ? 4 : 0) +
        Runs(ask.id) * 10000);
    if (!tried.may_have_run && Runs(ask.id) > 0) Wrong("I3", ask.id, "ran though no attempt may have");
    if (told.end == Told::End::kAnswered) {
      told.by_app ? JudgeAnswer(ask.id, item.work.grpc, told.body, told.run, false)
                  : JudgeLocalAnswer(ask, told, tried);
      if (told.by_app && tried.executed) JudgeStored(ask.id, false, told.ended);
    }
    if (!tried.unprotected) JudgeGivenBack(ask.id, false);
    JudgeWait(ask, told);
    const bool began = tried.broke_off || (told.end == Told::End::kBroken && told.status != 0);
    if (schedule_.gentle && !began && !(told.end == Told::End::kAnswered && told.by_app))
      Wrong("gentle", ask.id, "is not answered: " + std::to_string(told.status) + told.grpc_status);
  }

  // I5. Where what cannot be asked about runs, it may have run though its claim was granted, unheard of.
  void JudgeGivenBack(uint64_t id, bool other) {
    if (shared_ && !schedule_.settings.shared.runs_when_down && world_.store()->IsGivenBack(id, other))
      Wrong("I5", id, "has run, and its claim was given back");
  }

  // I6.
  void JudgeClaim(uint64_t id) {
    if (!shared_ || Runs(id) != 1 || ledger_.items[id].runs.front().confirmed) return;
    Wrong("I6", id, "is told as executed, and too few servers had its claim when it ran");
  }
  void JudgeStored(uint64_t id, bool other, time::MonotonicTime told) {
    if (!shared_ || schedule_.StoreFails() || schedule_.Has(Kind::kRefuse)) return;
    const auto stored = world_.store()->StoredAt(id, other);
    if (!stored || *stored > told) Wrong("I6", id, "is told before the store has it");
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
    result_.unknown += (grpc ? told.grpc_status == "2" : told.status == 500) ? 1 : 0;
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

  // Who waits for an attempt that turns out not to have run runs itself then.
  time::Duration LongestReply() const {
    if (shared_ && schedule_.StoreFails()) return kLongestWait + kMaxExecution + kStoreBack;
    const bool dies = shared_ && Has({Kind::kCrash, Kind::kDrain, Kind::kPause, Kind::kDies});
    if (dies) return 2 * kMaxExecution + kLease + kLook + seconds(1);
    return (schedule_.Has(Kind::kClock) ? kLongestWait : 2 * kMaxExecution) + seconds(1);
  }

  void JudgeReply(size_t number) {
    const Send& send = schedule_.sends[number];
    const Reply& reply = world_.resender().replies()[number];
    const SentToken& sent = world_.resender().tokens()[send.token];
    const uint64_t id = schedule_.tokens[send.token].id;
    ++result_.replies;
    Mix(static_cast<uint64_t>(reply.end) * 16 + (reply.verdict ? static_cast<uint64_t>(*reply.verdict) : 15));
    if (reply.end == Reply::End::kNone && !Has({Kind::kRefuse, Kind::kHole}))
      Wrong("I9", id, "is never answered");
    const bool sent_it = sent.token && reply.end != Reply::End::kNotSent;
    if (!sent_it) return;
    if (reply.end != Reply::End::kNone && !schedule_.Has(Kind::kRefuse) &&
        reply.ended - reply.sent > LongestReply() + slack_)
      Wrong("I9", id, "is answered late");
    if (!reply.verdict) return;
    result_.replayed += *reply.verdict == Verdict::kReplayed || *reply.verdict == Verdict::kCoalesced ? 1 : 0;
    if (*reply.verdict == Verdict::kExecuted) JudgeStored(id, send.other, reply.told);
    if (IsDefinitive(*reply.verdict)) {
      JudgeClaim(id);
      if (Runs(id) == 0) Wrong("I2", id, "is told an answer and has not run");
      if (reply.end == Reply::End::kAnswered)
        JudgeAnswer(id, ledger_.items[id].work.grpc, reply.body, reply.run, send.other);
    }
    if (*reply.verdict == Verdict::kUnknown && (shared_ || reply.to == sent.first) && NothingIsUnknown() &&
        !Has({Kind::kLeaves}))
      Wrong("verdict", id, "is unknown for no reason");
    if (!shared_ && reply.to != sent.first && *reply.verdict != Verdict::kUnknown &&
        IsDefinitive(*reply.verdict))
      Wrong("pinned", id, "is answered by another process");
    JudgeTimes(id, *sent.token, reply);
    if (send.deadline == time::Duration(0) && *reply.verdict == Verdict::kExecuted)
      Wrong("I9", id, "ran when it was too late");
    const bool waited = send.deadline.count() >= 0 && reply.told - reply.sent > send.deadline;
    if (*reply.verdict == Verdict::kCoalesced && waited && slack_.count() == 0)
      Wrong("I9", id, "has waited for longer than it had time");
  }

  // 2.11: where no clock is wrong. A millisecond is lost by rounding.
  void JudgeTimes(uint64_t id, const idempotency::Token& token, const Reply& reply) {
    if (schedule_.Has(Kind::kClock) || reply.end == Reply::End::kReset) return;
    const milliseconds error = milliseconds(1) + (shared_ ? kMostServerError : milliseconds(0));
    const bool early = token.minted() > Wall(reply.told) + kSkew + error;
    const bool late = token.minted() + kValidity + kSkew + error < Wall(reply.sent);
    if ((early || late) && IsDefinitive(*reply.verdict)) Wrong("I4", id, "is answered outside its validity");
  }

  void JudgeToken(size_t number) {
    const SentToken& sent = world_.resender().tokens()[number];
    const uint64_t id = schedule_.tokens[number].id;
    if (!sent.token) return;
    for (const bool other : {false, true}) JudgeGivenBack(id, other);
    bool may_have_run = false;
    std::vector<const Reply*> told;
    uint32_t coalesced = 0;
    for (size_t i = 0; i < schedule_.sends.size(); ++i) {
      const Reply& reply = world_.resender().replies()[i];
      if (schedule_.sends[i].token != number || reply.end == Reply::End::kNotSent) continue;
      if (reply.sent == time::MonotonicTime()) continue;
      told.push_back(&reply);
      const bool elsewhere = !shared_ && reply.verdict == Verdict::kUnknown && reply.to != sent.first;
      const bool not_run = elsewhere || reply.verdict == Verdict::kNotExecuted ||
                           reply.verdict == Verdict::kBadToken || reply.verdict == Verdict::kExpired ||
                           reply.verdict == Verdict::kDoubt;
      may_have_run = may_have_run || !not_run;
      coalesced += reply.verdict == Verdict::kCoalesced ? 1 : 0;
    }
    if (!may_have_run && Runs(id) > 0) Wrong("I3", id, "ran though no attempt may have");
    if (coalesced > kWaiters * (shared_ ? schedule_.settings.replicas : 1))
      Wrong("I8", id, "was waited for by too many");
    // What is known once is known.
    if (shared_ && (schedule_.StoreFails() || schedule_.Has(Kind::kRefuse))) return;
    for (const Reply* first : told) {
      const bool known =
          first->verdict && (IsDefinitive(*first->verdict) || *first->verdict == Verdict::kTombstone);
      for (const Reply* next : told) {
        if (!known || (!shared_ && next->to != first->to) || next->sent <= first->told) continue;
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
        result_.wrong.emplace_back("I9: an execution never ends");
    }
    if (schedule_.Has(Kind::kClock)) return;
    for (const telemetry::RequestRecord& record : replica.seen().back().records) {
      const auto until = std::chrono::floor<DomainTime>(record.started.time_since_epoch()) + kValidity;
      std::array<uint8_t, 8> hash{};
      if (record.verdict != "executed" || until < replica.WallNow() || !ParseHex(record.token, hash))
        continue;
      const bool there =
          std::ranges::any_of(tables, [&](const auto& item) { return !item.second->Find(hash).empty(); });
      if (!there) result_.wrong.push_back("I8: the record of a token that is alive was dropped");
    }
  }

  // I5 and I9, of a replica that shares its records.
  void JudgeTallies(Sidecar& replica) {
    if (!replica.alive()) return;
    for (const auto& [id, tally] : replica.tables().AllTallies()) {
      const idempotency::SharedTally::View view = tally->Look();
      Mix(view.totals.claimed + view.totals.doubts * 10 + view.totals.lost * 100 + view.totals.gone * 1000);
      if (view.totals.fenced != 0)
        result_.wrong.emplace_back("I5: an execution was replaced, and no policy lets another run");
      if (view.totals.held != 0 || view.totals.waiting != 0)
        result_.wrong.emplace_back("I9: something is left over in a process");
      if (view.detached != 0) result_.wrong.emplace_back("I9: an execution never ends");
    }
  }
  void JudgeStore() {
    StoreSide& store = *world_.store();
    if (store.CountRecords() != 0) result_.wrong.emplace_back("I9: a record is left over in the store");
    result_.wrong.insert(result_.wrong.end(), store.wrong().begin(), store.wrong().end());
  }

  const Schedule& schedule_;
  const Ledger& ledger_;
  World& world_;
  Result& result_;
  const bool shared_;
  std::map<uint64_t, const telemetry::RequestRecord*> asked_;  // by who asked
  time::Duration slack_{};                                     // for those who are not there, or not reached
  bool apps_fail_ = false;
};

}  // namespace

void Judge(const Schedule& schedule, const Ledger& ledger, World& world, Result& result) {
  Judgement(schedule, ledger, world, result).All();
}

void Result::Add(const Result& other) {
  executions += other.executions;
  attempts += other.attempts;
  retried += other.retried;
  unknown += other.unknown;
  replies += other.replies;
  replayed += other.replayed;
  history += other.history;
}

std::string Result::Tell() const {
  return std::to_string(executions) + " executions; " + std::to_string(attempts) + " attempts, " +
         std::to_string(retried) + " requests tried again, " + std::to_string(unknown) +
         " told that nobody knows; " + std::to_string(replies) + " sent by the peer, " +
         std::to_string(replayed) + " replayed";
}

Result RunSchedule(uint64_t seed, bool verbose, Mode mode) {
  Result result;
  Ledger ledger;
  const Schedule schedule = Draw(seed, ledger, mode);
  World world(schedule, ledger);
  world.Play(result.wrong);
  Judge(schedule, ledger, world, result);
  if (verbose) TellAll(schedule, ledger, world);
  return result;
}

}  // namespace pillion::simulation::tokens
