#include "tests/simulation/tokens/redis/store_world.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "sidecar/idempotency/saved_answer.h"
#include "sidecar/idempotency/test_answer.h"

namespace pillion::simulation::tokens {
namespace {

using idempotency::ClaimAnswer;
using idempotency::DomainTime;
using idempotency::Ended;
using idempotency::ScriptName;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Trouble = StoreTrouble::Kind;

constexpr int kMaxRounds = 10000;  // at one moment: more is spinning
constexpr uint16_t kStatus = 201;
// A command has kCommandTimeout, WAIT some more, and a script that is not known is sent a second time.
constexpr auto kAnswerBound = milliseconds(1500);
constexpr auto kEndBound = milliseconds(1500);
// Until who waits knows that the lease of somebody who has died is over: that lease, the longest between two
// looks, and connections that are made again.
constexpr auto kWaitBound = milliseconds(4000);
constexpr auto kPatrols = milliseconds(500);
// When the replicas have what there is.
constexpr auto kHostsBegin = milliseconds(200);
// What an end has to be told again, and how long others are kept, is over then.
constexpr auto kRest = seconds(8);

// "": no store says so.
constexpr std::array<const char*, idempotency::ClaimAnswer::kKinds> kAnswers = {
    "claimed", "replay",    "tombstone", "", "in flight", "", "unknown", "mismatch",
    "expired", "bad clock", "full",      "", "doubt",     "", "refused"};
constexpr const char* kEnds[] = {"done", "gone", "fenced", "already", "later"};

idempotency::Digest DrawDigest(Random& random) {
  idempotency::Digest digest;
  for (uint8_t& byte : digest.bytes) byte = static_cast<uint8_t>(random.Next());
  return digest;
}

DeploymentSettings SettingsOf(const StoreSchedule& schedule,
                              std::function<void(const RedisModel::Ran&)> ran) {
  DeploymentSettings settings;
  settings.servers = schedule.servers;
  settings.clients = kHosts;
  settings.min_replicas = schedule.min_replicas;
  settings.link_delay = schedule.link_delay;
  settings.ran = std::move(ran);
  return settings;
}

}  // namespace

StoreWorld::StoreWorld(const StoreSchedule& schedule, bool verbose)
    : schedule_(schedule),
      verbose_(verbose),
      random_(schedule.seed * 2 + 1),
      network_(clock_, random_.Next(), schedule.network),
      began_(clock_.Now()),
      redis_({clock_, network_, random_},
             SettingsOf(schedule, [this](const RedisModel::Ran& ran) { SeeScript(ran); })),
      attempts_(schedule.attempts.size()),
      quiet_(began_) {
  for (size_t i = 0; i < redis_.size(); ++i) redis_.server(i).SetClockError(schedule.server_errors[i]);
  for (const StoreSchedule::Cut& cut : schedule.cuts)
    network_.CutLater({redis_.AddressOf(cut.server, cut.host), cut.connection, cut.answers, cut.bytes});
  for (size_t i = 0; i < schedule.tokens.size(); ++i)
    tokens_.push_back({DrawDigest(random_), DrawDigest(random_), DrawDigest(random_), 0, began_});
  // In one shard: they share its epoch.
  for (Token& token : tokens_) token.key.bytes[0] = 1;
  for (size_t i = 0; i < kHosts; ++i) {
    hosts_.push_back(std::make_unique<StoreHost>(ServerParts{clock_, network_, random_}, schedule_.terms,
                                                 [this, i] { Work(i); }));
    At(began_ + kHostsBegin, [this, i] { StartHost(i); });
  }
  for (size_t i = 0; i < attempts_.size(); ++i)
    At(began_ + schedule.attempts[i].after, [this, i] { Come(i); });
  for (const StoreTrouble& trouble : schedule.troubles) Plan(trouble);
  After(kPatrols, [this] { Patrol(); });
}

void StoreWorld::Wrong(std::string what) {
  Note("WRONG: " + what);
  result_.wrong.push_back(std::move(what));
}

void StoreWorld::Note(const std::string& what) {
  if (!verbose_) return;
  const auto at = std::chrono::duration_cast<std::chrono::microseconds>(clock_.Now() - began_).count();
  std::printf("%10.3f ms  %s\n", static_cast<double>(at) / 1000, what.c_str());
}

void StoreWorld::SendTo(size_t host, size_t server) {
  target_[host] = server;
  if (!hosts_[host]->alive()) return;
  network_.Redirect(hosts_[host]->loop(), StoreAddress(), redis_.AddressOf(server, host));
}

void StoreWorld::StartHost(size_t host) {
  hosts_[host]->Start();
  SendTo(host, target_[host]);
}

void StoreWorld::KillHost(size_t host) {
  if (!hosts_[host]->alive()) return;
  hosts_[host]->Kill();
  rung_[host].clear();
  for (size_t i = 0; i < attempts_.size(); ++i) {
    Attempt& attempt = attempts_[i];
    if (schedule_.attempts[i].host != host || attempt.state == Attempt::State::kPlanned) continue;
    if (attempt.state != Attempt::State::kOver) Note("attempt " + std::to_string(i) + " dies");
    attempt.state = Attempt::State::kOver;
  }
}

void StoreWorld::Plan(const StoreTrouble& trouble) {
  At(began_ + trouble.after, [this, &trouble] { Strike(trouble); });
  At(began_ + trouble.after + trouble.lasts, [this, &trouble] { Recover(trouble); });
  quiet_ = std::max<time::MonotonicTime>(quiet_, began_ + trouble.after + trouble.lasts + seconds(1));
}

void StoreWorld::Strike(const StoreTrouble& trouble) {
  Note("trouble: " + std::string(Name(trouble.kind)));
  StoreHost& host = *hosts_[trouble.host];
  switch (trouble.kind) {
    case Trouble::kHole:
      return network_.BlackHole(redis_.AddressOf(trouble.server, trouble.host), true);
    case Trouble::kHostPause:
      return host.PauseUntil(clock_.Now() + trouble.lasts);
    case Trouble::kHostCrash:
      return KillHost(trouble.host);
    default:
      return StrikeServers(trouble);
  }
}

void StoreWorld::StrikeServers(const StoreTrouble& trouble) {
  old_primary_ = redis_.primary();
  RedisServer& primary = redis_.server(old_primary_);
  switch (trouble.kind) {
    case Trouble::kFailover:
      primary.Kill();
      return After(trouble.detected, [this, &trouble] { Promote(trouble); });
    case Trouble::kSplit:
      deaf_ = {old_primary_};
      if (trouble.with_replica) deaf_.insert(trouble.server);
      redis_.CutOff(old_primary_, trouble.with_replica ? std::optional(trouble.server) : std::nullopt);
      Part(trouble, true);
      return After(trouble.detected, [this, &trouble] { Promote(trouble); });
    case Trouble::kStall:
      deaf_ = {old_primary_};
      primary.PauseUntil(clock_.Now() + trouble.lasts);
      redis_.CutOff(old_primary_);
      return After(trouble.detected, [this, &trouble] { Promote(trouble); });
    case Trouble::kSwitch:
    case Trouble::kBackAndForth:
      return Promote(trouble);
    case Trouble::kFlush:
      return primary.FlushAll();
    case Trouble::kPower:
      return primary.Kill();
    case Trouble::kReplicaDown:
      if (!redis_.server(trouble.server).master()) redis_.server(trouble.server).Kill();
      return;
    case Trouble::kServerPause:
      return redis_.server(trouble.server).PauseUntil(clock_.Now() + trouble.lasts);
    case Trouble::kMemory:
      return primary.SetOutOfMemory(true);
    case Trouble::kClock:
      return redis_.server(trouble.server).SetClockError(trouble.step);
    case Trouble::kLeap:
      return primary.StepClock(trouble.step);
    case Trouble::kLag:
      for (size_t i = 0; i < redis_.size(); ++i) redis_.server(i).SetLinkDelay(milliseconds(600));
      return;
    default:
      return;
  }
}

// Some hosts with it, the others with the rest.
void StoreWorld::Part(const StoreTrouble& trouble, bool on) {
  for (size_t server = 0; server < redis_.size(); ++server) {
    for (size_t host = 0; host < kHosts; ++host) {
      if (trouble.with_old[host] != deaf_.contains(server))
        network_.BlackHole(redis_.AddressOf(server, host), on);
    }
  }
}

void StoreWorld::Promote(const StoreTrouble& trouble) {
  std::vector<size_t> others;
  for (size_t i = 0; i < redis_.size(); ++i) {
    if (i != redis_.primary() && redis_.server(i).alive() && !deaf_.contains(i)) others.push_back(i);
  }
  if (!others.empty()) PromoteOne(others[random_.Next() % others.size()], trouble);
}

void StoreWorld::PromoteOne(size_t server, const StoreTrouble& trouble) {
  Note("server " + std::to_string(server) + " is the primary");
  redis_.Promote(server, trouble.clients, deaf_);
  for (size_t host = 0; host < kHosts; ++host) {
    if (!deaf_.empty() && trouble.with_old[host]) continue;
    After(trouble.told[host], [this, host] { SendTo(host, redis_.primary()); });
  }
}

void StoreWorld::Recover(const StoreTrouble& trouble) {
  Note("over: " + std::string(Name(trouble.kind)));
  switch (trouble.kind) {
    case Trouble::kHole:
      return network_.BlackHole(redis_.AddressOf(trouble.server, trouble.host), false);
    case Trouble::kHostCrash:
      if (!hosts_[trouble.host]->alive()) StartHost(trouble.host);
      return;
    default:
      return RecoverServers(trouble);
  }
}

void StoreWorld::RecoverServers(const StoreTrouble& trouble) {
  const size_t old = old_primary_;
  switch (trouble.kind) {
    case Trouble::kFailover:
      return redis_.StartAgain(old, trouble.lost);
    case Trouble::kSplit:
      Part(trouble, false);
      [[fallthrough]];
    case Trouble::kStall:
      return After(trouble.hears, [this, &trouble] {
        Note("the old primary hears of it");
        for (const size_t server : std::exchange(deaf_, {})) redis_.Rejoin(server, trouble.clients);
        for (size_t host = 0; host < kHosts; ++host) SendTo(host, redis_.primary());
      });
    case Trouble::kBackAndForth:
      return PromoteOne(old, trouble);
    case Trouble::kPower:
      return redis_.StartAgain(old, trouble.lost);
    case Trouble::kReplicaDown:
      if (!redis_.server(trouble.server).alive()) redis_.StartAgain(trouble.server, trouble.lost);
      return;
    case Trouble::kMemory:
      for (size_t i = 0; i < redis_.size(); ++i) redis_.server(i).SetOutOfMemory(false);
      return;
    case Trouble::kLeap:
      return redis_.server(old).StepClock(-trouble.step);
    case Trouble::kLag:
      for (size_t i = 0; i < redis_.size(); ++i) redis_.server(i).SetLinkDelay(schedule_.link_delay);
      return;
    default:
      return;
  }
}

void StoreWorld::Come(size_t number) {
  StoreHost& host = *hosts_[schedule_.attempts[number].host];
  attempts_[number].state = host.alive() ? Attempt::State::kComes : Attempt::State::kOver;
  host.WakeGuards();
}

void StoreWorld::Begin(size_t number) {
  const StoreAttempt& planned = schedule_.attempts[number];
  const StoreToken& of = schedule_.tokens[planned.token];
  StoreHost& host = *hosts_[planned.host];
  Attempt& attempt = attempts_[number];
  Token& token = tokens_[planned.token];
  idempotency::Claim claim;
  claim.fingerprint = planned.other_content ? token.other_fingerprint : token.fingerprint;
  const auto minted = began_ + of.minted + schedule_.host_errors[schedule_.attempts[0].host];
  if (!of.timeless) {
    claim.minted = std::chrono::floor<DomainTime>(clock_.Wall().time_since_epoch() + (minted - clock_.Now()));
  }
  claim.of_another_incarnation = !planned.first;
  claim.runs_again = schedule_.runs_again;
  claim.waiter = {host.bell(), number};
  attempt.state = Attempt::State::kClaims;
  attempt.since = clock_.Now();
  attempt.leaves = clock_.Now() + planned.patience;
  using Waits = idempotency::SharedStore::Waits;
  attempt.ticket = host.store().Claim(token.key, claim, planned.waits ? Waits::kIfInFlight : Waits::kNever);
  Note("attempt " + std::to_string(number) + " of token " + std::to_string(planned.token) + " at host " +
       std::to_string(planned.host));
  // Where the store is down nobody is rung.
  if (host.store().Answer(attempt.ticket) != nullptr) rung_[planned.host].insert(number);
  WorkOff(number);
}

void StoreWorld::Work(size_t host) {
  for (const uint64_t number : hosts_[host]->bell()->Take()) rung_[host].insert(number);
  for (size_t i = 0; i < attempts_.size(); ++i) {
    if (schedule_.attempts[i].host == host) WorkOff(i);
  }
}

// As far as the guard of an attempt knows: it looks when it was rung.
void StoreWorld::WorkOff(size_t number) {
  const size_t host = schedule_.attempts[number].host;
  Attempt& attempt = attempts_[number];
  if (attempt.state == Attempt::State::kPlanned || attempt.state == Attempt::State::kOver) return;
  if (attempt.state == Attempt::State::kComes) return Begin(number);
  idempotency::SharedStore& store = hosts_[host]->store();
  const time::MonotonicTime now = clock_.Now();
  if (attempt.state == Attempt::State::kClaims) {
    const ClaimAnswer* answer = store.Answer(attempt.ticket);
    if (rung_[host].erase(number) != 0 && answer != nullptr) return TakeAnswer(number, *answer);
    if (now >= attempt.leaves) {
      Note("attempt " + std::to_string(number) + " leaves");
      return Finish(number);
    }
    const auto from = std::max(attempt.since, hosts_[host]->paused_until());
    const bool waits = schedule_.attempts[number].waits;
    const auto bound =
        waits ? std::max({from, quiet_, tokens_[schedule_.attempts[number].token].last_end}) + kWaitBound
              : from + kAnswerBound;
    if (now > bound) {
      Wrong("I9: a claim is not answered");
      Finish(number);
    }
  } else if (attempt.state == Attempt::State::kRuns) {
    if (now >= attempt.due) End(number);
  } else {
    const std::optional<Ended> ended = store.HowEnded(attempt.ticket);
    if (rung_[host].erase(number) != 0 && ended) return TakeEnd(number, *ended);
    if (now > std::max(attempt.since, hosts_[host]->paused_until()) + kEndBound) {
      Wrong("I9: an end is not reported");
      Finish(number);
    }
  }
}

void StoreWorld::TakeAnswer(size_t number, const ClaimAnswer& answer) {
  const StoreAttempt& planned = schedule_.attempts[number];
  Token& token = tokens_[planned.token];
  Note("attempt " + std::to_string(number) + ": " + kAnswers[static_cast<size_t>(answer.kind)] +
       (answer.kind == Kind::kRefused ? " (" + hosts_[planned.host]->trouble() + ")" : ""));
  ++result_.claims;
  ++result_.answers[static_cast<size_t>(answer.kind)];
  Mix(number * 16 + static_cast<uint64_t>(answer.kind));
  Mix(static_cast<uint64_t>((clock_.Now() - began_).count()));
  if (answer.kind == Kind::kMismatch && !planned.other_content && token.runs == 0 &&
      std::ranges::none_of(schedule_.attempts, &StoreAttempt::other_content))
    Wrong("is told that it is another request");
  if (answer.kind == Kind::kReplay || answer.kind == Kind::kTombstone) CheckReplay(answer, token, number);
  if (answer.kind == Kind::kClaimed) return Run(number, answer);
  Finish(number);
}

void StoreWorld::CheckReplay(const ClaimAnswer& answer, const Token& token, size_t number) {
  const auto found = ran_.find(answer.execution);
  if (found == ran_.end() || &tokens_[found->second.token] != &token || !found->second.ended)
    return Wrong("I2: is told the answer of an execution that has given none");
  if (found->second.other_content != schedule_.attempts[number].other_content)
    Wrong("I2: is told the answer of other content");
  const Ending ending = schedule_.tokens[schedule_.attempts[number].token].ending;
  if (answer.status != kStatus) Wrong("I2: is told another status");
  if (answer.kind == Kind::kTombstone ? ending != Ending::kTooLarge
                                      : answer.answer.content() != found->second.content)
    Wrong("I2: is told another answer");
}

void StoreWorld::Run(size_t number, const ClaimAnswer& answer) {
  const StoreAttempt& planned = schedule_.attempts[number];
  const StoreToken& of = schedule_.tokens[planned.token];
  Token& token = tokens_[planned.token];
  Attempt& attempt = attempts_[number];
  attempt.state = Attempt::State::kRuns;
  attempt.execution = answer.execution;
  attempt.due = clock_.Now() + of.takes;
  Ran& ran = ran_[answer.execution];
  ran.token = planned.token;
  ran.other_content = planned.other_content;
  ran.content = std::to_string(planned.token) + " by " + std::to_string(number);
  ran.counts = of.ending != Ending::kNeverRan || token.runs > 0;
  if (ran.counts) {
    ++token.runs;
    ++result_.executions;
    if (token.runs > 1 && !schedule_.runs_again) Wrong("I1: ran " + std::to_string(token.runs) + " times");
    if (released_.contains(answer.execution)) Wrong("I5: runs, and was given back");
  }
  if (redis_.HowManyHaveSeen(answer.execution) < schedule_.terms.replicas + 1)
    Wrong("I6: runs, and too few replicas have its claim");
  token.last_end = std::max(token.last_end, attempt.due + schedule_.terms.lease);
  if (!planned.leaves) return;
  hosts_[planned.host]->store().Drop(attempt.ticket);
  attempt.state = Attempt::State::kOver;
}

void StoreWorld::End(size_t number) {
  const StoreAttempt& planned = schedule_.attempts[number];
  const StoreToken& of = schedule_.tokens[planned.token];
  idempotency::SharedStore& store = hosts_[planned.host]->store();
  Attempt& attempt = attempts_[number];
  Ran& ran = ran_[attempt.execution];
  const idempotency::Waiter waiter{hosts_[planned.host]->bell(), number};
  const idempotency::SavedAnswer answer(idempotency::AnswerOf(ran.content, kStatus));
  rung_[planned.host].erase(number);
  attempt.state = Attempt::State::kEnds;
  attempt.since = clock_.Now();
  tokens_[planned.token].last_end = clock_.Now() + schedule_.terms.lease;
  ran.ended = true;
  if (!ran.counts) {
    store.Release(attempt.ticket, waiter);
  } else if (of.ending == Ending::kAnswered) {
    store.Complete(attempt.ticket, &answer, kStatus, waiter);
  } else if (of.ending == Ending::kTooLarge || of.ending == Ending::kNeverRan) {
    store.Complete(attempt.ticket, nullptr, kStatus, waiter);
  } else {
    store.Abandon(attempt.ticket, waiter);
  }
  Note("attempt " + std::to_string(number) + " has run");
}

void StoreWorld::TakeEnd(size_t number, Ended ended) {
  Note("attempt " + std::to_string(number) + " ends: " + kEnds[static_cast<size_t>(ended)]);
  ++result_.ends[static_cast<size_t>(ended)];
  Mix(number * 16 + 11 + static_cast<uint64_t>(ended));
  if (ended == Ended::kFenced && !schedule_.runs_again && ran_[attempts_[number].execution].counts)
    Wrong("I5: fenced, and no policy lets another run");
  if (ended == Ended::kAlready) Wrong("I5: somebody else has ended it");
  Finish(number);
}

void StoreWorld::Finish(size_t number) {
  const size_t host = schedule_.attempts[number].host;
  hosts_[host]->store().Drop(attempts_[number].ticket);
  attempts_[number].state = Attempt::State::kOver;
  rung_[host].erase(number);
}

void StoreWorld::SeeScript(const RedisModel::Ran& ran) {
  if (ran.arguments.empty()) return;
  const uint64_t execution = idempotency::ExecutionNumber(ran.arguments[0]);
  const auto found = ran_.find(execution);
  if (ran.name == ScriptName::kRelease && ran.reply.integer == 1) {
    released_.insert(execution);
    if (found != ran_.end() && found->second.counts) Wrong("I5: is given back, and has run");
  }
  const bool ends = ran.name == ScriptName::kEnd || ran.name == ScriptName::kReassert;
  if (!ends || ran.reply.text != "OK" || (ran.arguments[1] != "C" && ran.arguments[1] != "T")) return;
  if (found == ran_.end() || !found->second.ended) Wrong("I5: is completed, and has not run");
}

bool StoreWorld::Act() {
  bool acted = false;
  while (!acts_.empty() && acts_.begin()->first <= clock_.Now()) {
    const std::function<void()> act = std::move(acts_.begin()->second);
    acts_.erase(acts_.begin());
    act();
    acted = true;
  }
  return acted;
}

void StoreWorld::WakeDue() {
  for (size_t i = 0; i < attempts_.size(); ++i) {
    const Attempt& attempt = attempts_[i];
    const bool due = (attempt.state == Attempt::State::kClaims && attempt.leaves <= clock_.Now()) ||
                     (attempt.state == Attempt::State::kRuns && attempt.due <= clock_.Now());
    if (due) hosts_[schedule_.attempts[i].host]->WakeGuards();
  }
}

void StoreWorld::Patrol() {
  for (const auto& host : hosts_) host->WakeGuards();
  if (!Done()) After(kPatrols, [this] { Patrol(); });
}

bool StoreWorld::RunAll() {
  bool worked = redis_.Run();
  WakeDue();
  const size_t first = random_.Next() % kHosts;
  for (size_t i = 0; i < kHosts; ++i) {
    const size_t host = (first + i) % kHosts;
    worked = hosts_[host]->Run() || worked;
  }
  return worked;
}

bool StoreWorld::Done() const {
  return clock_.Now() >= quiet_ && std::ranges::all_of(attempts_, [](const Attempt& attempt) {
           return attempt.state == Attempt::State::kOver;
         });
}

time::MonotonicTime StoreWorld::Next() {
  time::MonotonicTime next = std::min(network_.NextEvent(), redis_.NextDeadline());
  if (!acts_.empty()) next = std::min(next, acts_.begin()->first);
  for (const auto& host : hosts_) next = std::min(next, host->NextDeadline());
  for (size_t i = 0; i < attempts_.size(); ++i) {
    const Attempt& attempt = attempts_[i];
    if (!hosts_[schedule_.attempts[i].host]->acts()) continue;
    if (attempt.state == Attempt::State::kClaims) next = std::min(next, attempt.leaves);
    if (attempt.state == Attempt::State::kRuns) next = std::min(next, attempt.due);
  }
  return next;
}

void StoreWorld::CheckEnd() {
  for (size_t i = 0; i < attempts_.size(); ++i) {
    if (attempts_[i].state != Attempt::State::kOver)
      Wrong("I9: attempt " + std::to_string(i) + " is not over");
  }
  for (const auto& host : hosts_) {
    if (!host->alive()) continue;
    if (host->store().size() != 0) Wrong("something is left in a store");
    if (host->store().waiting() != 0) Wrong("somebody waits still");
  }
}

StoreResult StoreWorld::Play() {
  time::MonotonicTime end = began_ + seconds(60);
  for (bool done = false;;) {
    network_.Deliver();
    Act();
    int rounds = 0;
    while (RunAll() && ++rounds < kMaxRounds) {
    }
    if (rounds >= kMaxRounds) {
      Wrong("somebody spins");
      return std::move(result_);
    }
    if (!done && Done()) {
      done = true;
      end = std::min<time::MonotonicTime>(end, clock_.Now() + kRest);
    }
    const time::MonotonicTime next = Next();
    if (next > end) break;
    clock_.AdvanceTo(std::max(next, clock_.Now() + time::Duration(1)));
  }
  clock_.AdvanceTo(end);
  CheckEnd();
  return std::move(result_);
}

void StoreResult::Add(const StoreResult& other) {
  executions += other.executions;
  claims += other.claims;
  for (size_t i = 0; i < answers.size(); ++i) answers[i] += other.answers[i];
  for (size_t i = 0; i < ends.size(); ++i) ends[i] += other.ends[i];
  history = (history ^ other.history) * 0x100000001b3;
}

std::string StoreResult::Tell() const {
  std::string text = std::to_string(executions) + " executions, " + std::to_string(claims) + " claims (";
  for (size_t i = 0; i < answers.size(); ++i) {
    if (*kAnswers[i] != '\0') text += std::to_string(answers[i]) + " " + kAnswers[i] + ", ";
  }
  text.resize(text.size() - 2);
  text += "), ends (";
  for (size_t i = 0; i < ends.size(); ++i) text += std::to_string(ends[i]) + " " + kEnds[i] + ", ";
  text.resize(text.size() - 2);
  return text + ")";
}

StoreResult RunStoreSchedule(uint64_t seed, bool verbose) {
  const StoreSchedule schedule = DrawStoreSchedule(seed);
  StoreWorld world(schedule, verbose);
  return world.Play();
}

}  // namespace pillion::simulation::tokens
