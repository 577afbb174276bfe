// Many schedules, in so many processes:
//   bazel run -c opt //tests/simulation/tokens:full -- --schedules=1000000 --seed=1 --jobs=2
// One, with what happened:
//   bazel run -c opt //tests/simulation/tokens:full -- --seed=17 --verbose
// Of mode shared: with --shared.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "tests/simulation/tokens/judge.h"

namespace pillion::simulation::tokens {
namespace {

constexpr uint64_t kMostFailures = 20;  // of one process

struct Flags {
  uint64_t seed = 1;
  uint64_t schedules = 1;
  uint64_t jobs = 1;
  bool verbose = false;
  Mode mode = Mode::kLocal;
};

bool Parse(int argc, char** argv, Flags& flags) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const auto number = [&](std::string_view name, uint64_t& value) {
      if (!flag.starts_with(name)) return false;
      value = std::strtoull(argv[i] + name.size(), nullptr, 10);
      return true;
    };
    if (flag == "--verbose") {
      flags.verbose = true;
    } else if (flag == "--shared") {
      flags.mode = Mode::kShared;
    } else if (!number("--seed=", flags.seed) && !number("--schedules=", flags.schedules) &&
               !number("--jobs=", flags.jobs)) {
      return false;
    }
  }
  return flags.jobs > 0;
}

struct Share {
  uint64_t ran = 0;
  uint64_t failed = 0;
  Result sum;
  absl::flat_hash_set<uint64_t> states;
};

// Each `step`-th seed, from number `first` on.
Share RunShare(const Flags& flags, uint64_t first, uint64_t step) {
  Share share;
  for (uint64_t i = first; i < flags.schedules && share.failed < kMostFailures; i += step) {
    const Result result = RunSchedule(flags.seed + i, flags.verbose, flags.mode);
    ++share.ran;
    share.states.insert(result.state);
    share.sum.Add(result);
    share.failed += result.wrong.empty() ? 0 : 1;
    for (const std::string& wrong : result.wrong)
      std::printf("seed %lu: %s\n", flags.seed + i, wrong.c_str());
    std::fflush(stdout);
  }
  return share;
}

// What is read and written: numbers, then states until the end.
std::vector<uint64_t> Pack(const Share& share) {
  const Result& sum = share.sum;
  std::vector<uint64_t> words = {share.ran,   share.failed, sum.executions, sum.attempts, sum.retried,
                                 sum.unknown, sum.replies,  sum.replayed,   sum.history};
  words.insert(words.end(), share.states.begin(), share.states.end());
  return words;
}

bool Unpack(const std::vector<uint64_t>& words, Share& into) {
  constexpr size_t kNumbers = 9;
  if (words.size() < kNumbers) return false;
  into.ran += words[0];
  into.failed += words[1];
  Result sum;
  sum.executions = words[2];
  sum.attempts = words[3];
  sum.retried = words[4];
  sum.unknown = words[5];
  sum.replies = words[6];
  sum.replayed = words[7];
  sum.history = words[8];
  into.sum.Add(sum);
  into.states.insert(words.begin() + kNumbers, words.end());
  return true;
}

// A process for each share. Those that end badly count as failed.
Share RunJobs(const Flags& flags) {
  std::vector<std::pair<pid_t, FILE*>> jobs;
  for (uint64_t job = 0; job < flags.jobs; ++job) {
    int ends[2];
    if (pipe(ends) != 0) std::abort();
    const pid_t child = fork();
    if (child == 0) {
      close(ends[0]);
      FILE* const out = fdopen(ends[1], "wb");
      const std::vector<uint64_t> words = Pack(RunShare(flags, job, flags.jobs));
      const bool all = std::fwrite(words.data(), sizeof(uint64_t), words.size(), out) == words.size();
      _exit(std::fclose(out) == 0 && all ? 0 : 1);
    }
    close(ends[1]);
    jobs.emplace_back(child, fdopen(ends[0], "rb"));
  }
  Share all;
  for (const auto& [child, in] : jobs) {
    std::vector<uint64_t> words;
    uint64_t word = 0;
    while (std::fread(&word, sizeof(word), 1, in) == 1) words.push_back(word);
    std::fclose(in);
    int status = 0;
    const bool ended = waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (!ended || !Unpack(words, all)) {
      std::printf("a process has ended badly\n");
      ++all.failed;
    }
  }
  return all;
}

}  // namespace
}  // namespace pillion::simulation::tokens

int main(int argc, char** argv) {
  namespace tokens = pillion::simulation::tokens;
  tokens::Flags flags;
  if (!tokens::Parse(argc, argv, flags)) {
    std::fprintf(stderr, "usage: full [--schedules=N] [--seed=N] [--jobs=N] [--shared] [--verbose]\n");
    return 2;
  }
  const tokens::Share all = flags.jobs == 1 ? tokens::RunShare(flags, 0, 1) : tokens::RunJobs(flags);
  std::printf("%lu schedules, %lu failed, %zu distinct final states; %s; history %016lx\n", all.ran,
              all.failed, all.states.size(), all.sum.Tell().c_str(), all.sum.history);
  return all.failed == 0 ? 0 : 1;
}
