#include "tests/simulation/tokens/redis/store_schedule.h"

#include <algorithm>
#include <utility>

#include "sidecar/base/random.h"

namespace pillion::simulation::tokens {
namespace {

using idempotency::DomainTime;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = StoreTrouble::Kind;

class Drawing {
 public:
  explicit Drawing(uint64_t seed) : random_(seed) { schedule_.seed = seed; }
  StoreSchedule All() {
    DrawDeployment();
    DrawTokens();
    DrawTroubles();
    DrawCuts();
    return std::move(schedule_);
  }

 private:
  uint64_t Below(uint64_t bound) { return pillion::Below(random_.Next(), bound); }
  bool Percent(double percent) { return random_.Percent(percent); }
  time::Duration Between(milliseconds least, milliseconds most) {
    return least + DrawUpTo(time::Duration(most - least), random_);
  }
  time::Duration ClockError() { return Between(-kMostClockError, kMostClockError); }
  void DrawDeployment();
  void DrawTokens();
  void DrawAttempts(size_t token, time::Duration first);
  void DrawTroubles();
  StoreTrouble DrawTrouble(Kind kind, time::Duration after);
  Kind DrawServersKind();
  void DrawCuts();

  Random random_;
  StoreSchedule schedule_;
};

// What a deployment is allowed to be (redis/server_check.h), and, where no replica is waited for, one that
// writes nothing when it is alone, or has none: else two primaries might write for as long as they like.
void Drawing::DrawDeployment() {
  idempotency::SharedTerms& terms = schedule_.terms;
  terms = ShortTerms();
  if (Percent(20)) terms.table.validity = DomainTime(1500);
  const uint64_t kind = Below(10);
  if (kind < 6) {
    schedule_.servers = 3;
  } else if (kind < 7) {
    schedule_.servers = 2;
  } else {
    terms.replicas = 0;
    schedule_.servers = kind < 9 ? 2 + Below(2) : 1;
    schedule_.min_replicas = kind < 9 ? 1 : 0;
  }
  schedule_.runs_again = Percent(10);
  schedule_.link_delay = Percent(70) ? Between(milliseconds(0), milliseconds(5)) : milliseconds(40);
  schedule_.network.max_delay = Percent(80) ? milliseconds(2) : milliseconds(30);
  schedule_.network.cut_percent = Percent(50) ? 0 : 10;
  if (Percent(20)) schedule_.network.reset_percent = 0.5;
  if (Percent(20)) schedule_.network.connect_refused_percent = 20;
  if (Percent(10)) schedule_.network.connect_lost_percent = 10;
  for (time::Duration& error : schedule_.host_errors) error = ClockError();
  for (size_t i = 0; i < schedule_.servers; ++i) schedule_.server_errors.push_back(ClockError());
}

void Drawing::DrawTokens() {
  const time::Duration doubt = schedule_.terms.doubt() + milliseconds(600);
  const size_t tokens = 1 + Below(2);
  for (size_t i = 0; i < tokens; ++i) {
    StoreToken token;
    const time::Duration first = Percent(5) ? Between(milliseconds(100), milliseconds(1000))
                                            : doubt + Between(milliseconds(0), milliseconds(5000));
    token.minted = first - (Percent(80) ? Between(milliseconds(0), milliseconds(5))
                                        : Between(milliseconds(0), milliseconds(1000)));
    token.ending = Percent(75) ? Ending::kAnswered : static_cast<Ending>(Below(4));
    token.takes = Percent(70) ? Between(milliseconds(0), milliseconds(300))
                              : Between(milliseconds(300), milliseconds(2800));
    schedule_.tokens.push_back(token);
    DrawAttempts(i, first);
  }
}

void Drawing::DrawAttempts(size_t token, time::Duration first) {
  const size_t count = 2 + Below(3);
  const size_t begins = schedule_.attempts.size();
  time::Duration after = first;
  for (size_t i = 0; i < count; ++i) {
    StoreAttempt attempt;
    attempt.token = token;
    attempt.host = Below(kHosts);
    attempt.after = after;
    attempt.waits = Percent(60);
    attempt.first = i == 0;
    attempt.other_content = i > 0 && Percent(3);
    attempt.patience = Percent(80) ? milliseconds(30'000) : Between(milliseconds(0), milliseconds(2000));
    attempt.leaves = Percent(5);
    schedule_.attempts.push_back(attempt);
    after += Percent(50) ? Between(milliseconds(0), milliseconds(50))
                         : Between(milliseconds(50), milliseconds(3000));
  }
  // The network has overtaken it.
  if (Percent(10)) std::swap(schedule_.attempts[begins].after, schedule_.attempts.back().after);
}

Kind Drawing::DrawServersKind() {
  static constexpr Kind kAlone[] = {Kind::kFlush, Kind::kPower, Kind::kServerPause, Kind::kMemory,
                                    Kind::kClock};
  static constexpr Kind kAll[] = {Kind::kFailover, Kind::kFailover, Kind::kSplit,       Kind::kSplit,
                                  Kind::kSplit,    Kind::kStall,    Kind::kSwitch,      Kind::kBackAndForth,
                                  Kind::kFlush,    Kind::kPower,    Kind::kReplicaDown, Kind::kServerPause,
                                  Kind::kMemory,   Kind::kClock,    Kind::kLag};
  if (schedule_.servers == 1) return kAlone[Below(std::size(kAlone))];
  return kAll[Below(std::size(kAll))];
}

StoreTrouble Drawing::DrawTrouble(Kind kind, time::Duration after) {
  StoreTrouble trouble;
  trouble.kind = kind;
  trouble.after = after;
  trouble.host = Below(kHosts);
  trouble.server = Below(schedule_.servers);
  trouble.lasts = Between(milliseconds(10), milliseconds(4000));
  trouble.detected = Percent(50) ? Between(milliseconds(0), milliseconds(50))
                                 : Between(milliseconds(50), milliseconds(1500));
  trouble.hears = Between(milliseconds(0), milliseconds(500));
  if (Percent(70)) trouble.lost = Between(milliseconds(0), milliseconds(1500));
  trouble.step = ClockError();
  for (bool& with : trouble.with_old) with = Percent(50);
  for (time::Duration& told : trouble.told) told = Between(milliseconds(0), milliseconds(500));
  if (Percent(50)) trouble.clients = RedisServer::Clients::kAreClosed;
  if (kind == Kind::kFailover || kind == Kind::kSplit || kind == Kind::kStall)
    trouble.lasts += trouble.detected;
  if (kind == Kind::kSplit) trouble.lasts += milliseconds(2000);
  trouble.with_replica = schedule_.servers == 3 && Percent(30);
  return trouble;
}

// One thing at a time happens to the servers; to hosts and the network, at any time.
void Drawing::DrawTroubles() {
  // Mostly about where the first token is claimed.
  const time::Duration about = schedule_.attempts[0].after;
  time::Duration free = std::max(time::Duration(milliseconds(200)), about - milliseconds(1500));
  for (size_t i = 1 + Below(2); i > 0; --i) {
    const Kind kind = DrawServersKind();
    const StoreTrouble trouble = DrawTrouble(kind, free + Between(milliseconds(0), milliseconds(2500)));
    free = trouble.after + trouble.lasts + trouble.hears + milliseconds(600);
    schedule_.troubles.push_back(trouble);
  }
  static constexpr Kind kOthers[] = {Kind::kHole, Kind::kHostPause, Kind::kHostCrash};
  for (size_t i = Below(3); i > 0; --i)
    schedule_.troubles.push_back(DrawTrouble(
        kOthers[Below(3)], about + Between(milliseconds(-200), milliseconds(Percent(50) ? 300 : 3000))));
  // Who stands still for longer than its lease finds that another has run it.
  if (schedule_.runs_again) {
    StoreTrouble pause = DrawTrouble(Kind::kHostPause, about + Between(milliseconds(0), milliseconds(300)));
    pause.host = schedule_.attempts[0].host;
    pause.lasts += seconds(1);
    schedule_.troubles.push_back(pause);
  }
  // When a key without a time may have been lost, and the doubt is over, it is run again: that is what the
  // specification says of them (3.4).
  static constexpr Kind kLosesNothing[] = {Kind::kReplicaDown, Kind::kServerPause, Kind::kMemory,
                                           Kind::kClock, Kind::kLag};
  const bool loses = std::ranges::any_of(schedule_.troubles, [](const StoreTrouble& trouble) {
    return OfServers(trouble.kind) &&
           std::ranges::find(kLosesNothing, trouble.kind) == std::end(kLosesNothing);
  });
  for (StoreToken& token : schedule_.tokens) token.timeless = !loses && Percent(30);
}

void Drawing::DrawCuts() {
  if (Percent(60)) return;
  for (size_t i = 1 + Below(2); i > 0; --i)
    schedule_.cuts.push_back({Below(schedule_.servers), Below(kHosts), static_cast<uint32_t>(Below(4)),
                              Percent(50), Percent(50) ? Below(12'000) : 6000 + Below(2000)});
}

}  // namespace

std::string_view Name(Kind kind) {
  static constexpr std::string_view kNames[] = {
      "failover", "split", "stall", "switch", "back and forth", "flush", "power", "replica", "server pause",
      "memory",   "clock", "leap",  "lag",    "hole",           "pause", "crash"};
  return kNames[static_cast<size_t>(kind)];
}

bool OfServers(Kind kind) { return kind < Kind::kHole; }

idempotency::SharedTerms ShortTerms() {
  idempotency::SharedTerms terms;
  terms.service = "orders";
  terms.domain = 7;
  terms.key = {1, 2, 3};
  terms.table.validity = DomainTime(20'000);
  terms.table.app_validity = DomainTime(30'000);
  terms.table.skew = kStoreSkew;
  terms.table.max_execution = DomainTime(3000);
  terms.lease = DomainTime(1000);
  terms.recent = DomainTime(3000);
  terms.unconfirmed_doubt = DomainTime(5000);
  return terms;
}

StoreSchedule DrawStoreSchedule(uint64_t seed) { return Drawing(seed).All(); }

}  // namespace pillion::simulation::tokens
