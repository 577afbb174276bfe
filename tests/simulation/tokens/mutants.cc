// Shows that the simulation finds what it is for: with each seeded fault in turn (sidecar/base/mutant.h) it
// must fail, or the story that stands for it must. Each fault has a process of its own: it may as well end in
// a check that fails.
//
//   bazel run -c opt //tests/simulation/tokens:mutants -- [--schedules=N] [--seed=N] [--only=N]
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/base/mutant.h"
#include "tests/simulation/tokens/judge.h"
#include "tests/simulation/tokens/redis/store_world.h"
#include "tests/simulation/tokens/stories.h"

namespace pillion::simulation::tokens {
namespace {

struct Row {
  Mutant mutant;
  const char* name;
  // Why schedules cannot find it: then a story must. Null: they must.
  const char* needs_story = nullptr;
  enum class By : uint8_t { kLocal, kShared, kStores };  // schedules; the last of redis/, of stores alone
  By by = By::kLocal;
};

constexpr Row kRows[] = {
    {Mutant::kUnpinnedRetry, "another attempt goes to any endpoint"},
    {Mutant::kRestartNotNoticed, "a process takes tokens whose first attempt another one had"},
    {Mutant::kCheckThenSet, "check, then set"},
    {Mutant::kReleaseAfter5xx, "an app's 5xx frees the token"},
    {Mutant::kAmbiguousAsNotExecuted, "what broke under way is told as not executed"},
    {Mutant::kEviction, "a full table drops its oldest record"},
    {Mutant::kShortRecords, "a record ends before its token"},
    {Mutant::kNoMintCheck, "a token is never too old"},
    {Mutant::kTakeover, "what is unknown is run again"},
    {Mutant::kUnfencedCompletion, "an execution ends the record of another",
     "no policy of mode local lets two executions of one token begin"},
    {Mutant::kFingerprintIgnored, "other content is taken for the same request"},
    {Mutant::kKeyIgnoresToken, "all tokens of a caller are one"},
    {Mutant::kSkewIgnored, "a token may be of the future"},
    {Mutant::kDeadlineIgnored, "who waits is not told before its deadline"},
    {Mutant::kClientGoneCancels, "an execution ends with its client"},
    {Mutant::kToldBeforeSaved, "an answer is told before it is saved"},
    {Mutant::kTrailersNotReplayed, "a replay has no trailers"},
    {Mutant::kWaitersNotRung, "who waits is not told that it is over"},
    {Mutant::kWaiterLimitIgnored, "any number may wait for a token"},
    {Mutant::kRoomIgnored, "a table takes more records than it may"},
    {Mutant::kShedDropsRecord, "short memory drops records"},
    {Mutant::kTableLostByConfiguration, "a new configuration begins with an empty table"},
    {Mutant::kDetachedForEver, "executions without a client are counted for ever"},
    {Mutant::kDetachedLimitIgnored, "any number of executions may go on without a client",
     "from outside it cannot be told when a claim was judged: clients of others leave meanwhile"},
    {Mutant::kIncarnationNotCompared, "another attempt goes to another process at the same address"},
    {Mutant::kStampWithoutHello, "a token goes to who says nothing of its domain"},
    {Mutant::kAcrossPolicyVersions, "a token goes to whatever domain there is"},
    {Mutant::kFirstOnlyOnce, "later attempts do not say where the first one went", nullptr, Row::By::kShared},
    {Mutant::kTokensAlike, "tokens of one millisecond are the same"},
    {Mutant::kVerdictFromStatus, "a verdict is concluded from a status"},
    {Mutant::kBodyLimitIgnored, "what was too large to be protected is sent again"},
    {Mutant::kNewTokenAfterAmbiguous, "what may have run is sent again with a new token"},
    {Mutant::kUnknownToldAsError, "what nobody knows is told as an error to try again after"},
    {Mutant::kNoEpochRule, "what a store does not know was never there", nullptr, Row::By::kStores},
    {Mutant::kEpochRuleSparesFirst, "a first attempt is run though the store may have lost others", nullptr,
     Row::By::kStores},
    {Mutant::kWaitNotWaitedFor, "what is claimed is run before a replica has it", nullptr, Row::By::kStores},
    {Mutant::kToldBeforeStored, "an answer is told before the store has it", nullptr, Row::By::kShared},
    {Mutant::kLeaveForgotten, "who is told something else goes on claiming", nullptr, Row::By::kShared},
    {Mutant::kFencedToldAsExecuted, "an answer that was replaced is told as executed",
     "no policy of the engine runs again what is unknown", Row::By::kShared},
    {Mutant::kBypassRunsLater, "later attempts run while the store cannot be asked", nullptr,
     Row::By::kShared},
    {Mutant::kBypassClaimsLater, "later attempts claim what may have run unprotected", nullptr,
     Row::By::kShared},
    {Mutant::kLaterToWhoeverThereIs, "later attempts go to who enforces nothing", nullptr, Row::By::kShared},
    {Mutant::kDoubtIsNotRun, "doubt is not run, whatever was sent before", nullptr, Row::By::kShared},
    // Once more, where records are shared.
    {Mutant::kNoEpochRule, "engines: what a store does not know was never there", nullptr, Row::By::kShared},
    {Mutant::kWaitNotWaitedFor, "engines: what is claimed is run before a replica has it", nullptr,
     Row::By::kShared},
    {Mutant::kAmbiguousAsNotExecuted, "engines: what broke under way is told as not executed", nullptr,
     Row::By::kShared},
    {Mutant::kReleaseAfter5xx, "engines: an app's 5xx frees the token", nullptr, Row::By::kShared},
    {Mutant::kNewTokenAfterAmbiguous, "engines: what may have run is sent again with a new token", nullptr,
     Row::By::kShared},
};

constexpr size_t CountSeeded() {
  size_t different = 0;
  for (size_t i = 0; i < std::size(kRows); ++i) {
    bool known = false;
    for (size_t j = 0; j < i; ++j) known = known || kRows[j].mutant == kRows[i].mutant;
    different += known ? 0 : 1;
  }
  return different;
}
static_assert(CountSeeded() == static_cast<size_t>(kLastMutant));

struct Flags {
  uint64_t seed = 1;
  uint64_t schedules = 50'000;
  uint64_t only = 0;
};

// The number of schedules that it took; 0: none has failed.
uint64_t Hunt(const Flags& flags, Row::By by, std::string& how) {
  for (uint64_t i = 0; i < flags.schedules; ++i) {
    const Mode mode = by == Row::By::kShared ? Mode::kShared : Mode::kLocal;
    const std::vector<std::string> wrong = by == Row::By::kStores
                                               ? RunStoreSchedule(flags.seed + i).wrong
                                               : RunSchedule(flags.seed + i, false, mode).wrong;
    if (wrong.empty()) continue;
    how = wrong.front();
    return i + 1;
  }
  return 0;
}

// In a process of its own. True: killed.
bool TryOne(const Row& row, const Flags& flags) {
  std::printf("%-66s ", row.name);
  std::fflush(stdout);
  const pid_t child = fork();
  if (child == 0) {
    PutInForce(row.mutant);
    std::string how;
    const uint64_t took = row.needs_story == nullptr ? Hunt(flags, row.by, how) : 0;
    if (took != 0) {
      std::printf("killed by schedule %lu: %s\n", took, how.c_str());
    } else if (row.needs_story != nullptr && !TellStories(how)) {
      std::printf("killed by a story (%s): %s\n", row.needs_story, how.c_str());
    } else {
      std::printf("LIVES\n");
      std::fflush(stdout);
      _exit(1);
    }
    std::fflush(stdout);
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return false;
  if (WIFSIGNALED(status)) std::printf("killed by a check that failed (signal %d)\n", WTERMSIG(status));
  return WIFSIGNALED(status) || WEXITSTATUS(status) == 0;
}

int RunAll(const Flags& flags) {
  if (!PutInForce(Mutant::kNone)) {
    std::printf("this build has no seeded faults: //tests/simulation/tokens:mutants has\n");
    return 2;
  }
  // Without any fault nothing may be found.
  std::string how;
  Flags few = flags;
  few.schedules = 1000;
  const bool found = Hunt(few, Row::By::kLocal, how) != 0 || Hunt(few, Row::By::kShared, how) != 0 ||
                     Hunt(few, Row::By::kStores, how) != 0;
  if (found || !TellStories(how)) {
    std::printf("something is wrong without any seeded fault: %s\n", how.c_str());
    return 1;
  }
  size_t lives = 0;
  size_t tried = 0;
  for (const Row& row : kRows) {
    if (flags.only != 0 && static_cast<uint64_t>(row.mutant) != flags.only) continue;
    ++tried;
    lives += TryOne(row, flags) ? 0 : 1;
  }
  std::printf("%zu seeded faults, %zu live\n", tried, lives);
  return lives == 0 ? 0 : 1;
}

}  // namespace
}  // namespace pillion::simulation::tokens

int main(int argc, char** argv) {
  pillion::simulation::tokens::Flags flags;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const auto number = [&](std::string_view name, uint64_t& value) {
      if (!flag.starts_with(name)) return false;
      value = std::strtoull(argv[i] + name.size(), nullptr, 10);
      return true;
    };
    if (number("--seed=", flags.seed) || number("--schedules=", flags.schedules) ||
        number("--only=", flags.only))
      continue;
    std::fprintf(stderr, "usage: mutants [--schedules=N] [--seed=N] [--only=N]\n");
    return 2;
  }
  return pillion::simulation::tokens::RunAll(flags);
}
