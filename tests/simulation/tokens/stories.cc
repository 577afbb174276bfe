#include "tests/simulation/tokens/stories.h"

#include <string>
#include <string_view>
#include <utility>

#include "sidecar/base/slice.h"
#include "sidecar/idempotency/local_table.h"
#include "sidecar/idempotency/saved_answer.h"
#include "tests/simulation/tokens/schedule.h"
#include "tests/simulation/tokens/world.h"

namespace pillion::simulation::tokens {
namespace {

using idempotency::ClaimAnswer;
using idempotency::LocalTable;
using idempotency::Verdict;
using std::chrono::milliseconds;

std::string Saved(std::string_view body) {
  SliceQueue content;
  content.AppendCopy(body);
  std::string written;
  idempotency::WriteAnswer(200, {}, nullptr, content, nullptr, {}, written);
  return written;
}

// Row 72 of specs/idempotency.md 4.4, at the table: where policy lets what is unknown run again, whoever ran
// it first, and comes late, ends nothing any more.
bool ALateOwnerIsFenced() {
  LocalTable table(idempotency::TableTerms{});
  idempotency::Claim claim;
  claim.now = idempotency::DomainTime(1'000'000);
  claim.minted = claim.now;
  claim.runs_again = true;
  const ClaimAnswer first = table.Claim(claim);
  if (table.Abandon(claim.key, first.execution) != LocalTable::Ended::kDone) return false;
  const ClaimAnswer second = table.Claim(claim);
  if (second.kind != ClaimAnswer::Kind::kClaimed || second.execution == first.execution) return false;
  if (table.Complete(claim.key, first.execution, Saved("late"), 200) != LocalTable::Ended::kFenced)
    return false;
  if (table.Claim(claim).kind != ClaimAnswer::Kind::kInFlight) return false;
  if (table.Complete(claim.key, second.execution, Saved("right"), 200) != LocalTable::Ended::kDone)
    return false;
  const ClaimAnswer told = table.Claim(claim);
  return told.kind == ClaimAnswer::Kind::kReplay && told.answer.content() == "right";
}

// One execution goes on though its client has gone, and no more than one may: another is refused until it is
// over.
bool WhoComesWhenTooManyGoOnIsRefused() {
  Ledger ledger;
  Schedule schedule;
  schedule.settings.max_detached = 1;
  schedule.network.cut_percent = 0;
  for (uint64_t id = 0; id < 3; ++id) {
    Item& item = ledger.items.emplace_back();
    item.work.takes = milliseconds(200);
    schedule.tokens.push_back({.id = id});
  }
  schedule.sends.push_back({.token = 0, .after = milliseconds(1), .leaves = true});
  schedule.sends.push_back({.token = 1, .after = milliseconds(100)});
  schedule.sends.push_back({.token = 2, .after = milliseconds(300)});
  World world(schedule, ledger);
  std::vector<std::string> wrong;
  world.Play(wrong);
  const auto& replies = world.resender().replies();
  return wrong.empty() && ledger.items[0].runs.size() == 1 && replies[1].verdict == Verdict::kNotExecuted &&
         ledger.items[1].runs.empty() && replies[2].verdict == Verdict::kExecuted;
}

// Another process, whose policy runs again what is unknown, takes over the record of a replica that it has
// not heard of for too long: what that replica was answered is not told as executed.
bool AnOwnerWhoseRecordIsTakenTellsNothing(bool taken) {
  Ledger ledger;
  Schedule schedule;
  schedule.settings.mode = Mode::kShared;
  schedule.settings.shared.server_errors.assign(3, {});
  schedule.network.cut_percent = 0;
  ledger.items.emplace_back().work.takes = milliseconds(300);
  schedule.tokens.push_back({.id = 0});
  schedule.sends.push_back({.token = 0, .after = milliseconds(1)});
  if (taken) schedule.troubles.push_back({.kind = Trouble::Kind::kTakenOver, .after = milliseconds(200)});
  World world(schedule, ledger);
  std::vector<std::string> wrong;
  world.Play(wrong);
  const Reply& reply = world.resender().replies()[0];
  return wrong.empty() && ledger.items[0].runs.size() == 1 && reply.end == Reply::End::kAnswered &&
         reply.verdict == (taken ? Verdict::kUnknown : Verdict::kExecuted);
}
bool AFencedOwnerTellsNothing() {
  return AnOwnerWhoseRecordIsTakenTellsNothing(false) && AnOwnerWhoseRecordIsTakenTellsNothing(true);
}

}  // namespace

bool TellStories(std::string& how) {
  constexpr std::pair<bool (*)(), const char*> kStories[] = {
      {ALateOwnerIsFenced, "an owner that comes late ends the record of another"},
      {WhoComesWhenTooManyGoOnIsRefused, "more executions go on without a client than may"},
      {AFencedOwnerTellsNothing, "an owner whose record was taken over tells its answer as executed"},
  };
  for (const auto& [story, failure] : kStories) {
    if (story()) continue;
    how = failure;
    return false;
  }
  return true;
}

}  // namespace pillion::simulation::tokens
