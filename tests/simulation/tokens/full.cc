// Many schedules: bazel run -c opt //tests/simulation/tokens:full -- --schedules=1000000 --seed=1
// One, with what happened: bazel run -c opt //tests/simulation/tokens:full -- --seed=17 --verbose
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "absl/container/flat_hash_set.h"
#include "tests/simulation/tokens/judge.h"

namespace pillion::simulation::tokens {
namespace {

struct Flags {
  uint64_t seed = 1;
  uint64_t schedules = 1;
  bool verbose = false;
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
    } else if (!number("--seed=", flags.seed) && !number("--schedules=", flags.schedules)) {
      return false;
    }
  }
  return true;
}

int RunAll(const Flags& flags) {
  absl::flat_hash_set<uint64_t> states;
  Result sum;
  uint64_t failed = 0;
  for (uint64_t seed = flags.seed; seed < flags.seed + flags.schedules && failed < 20; ++seed) {
    const Result outcome = RunSchedule(seed, flags.verbose);
    states.insert(outcome.state);
    sum.executions += outcome.executions;
    sum.attempts += outcome.attempts;
    sum.retried += outcome.retried;
    sum.unknown += outcome.unknown;
    sum.replies += outcome.replies;
    failed += outcome.wrong.empty() ? 0 : 1;
    for (const std::string& wrong : outcome.wrong) std::printf("seed %lu: %s\n", seed, wrong.c_str());
  }
  std::printf(
      "%lu schedules, %lu failed; %zu distinct final states; %u executions, %u attempts, %u requests tried "
      "again, %u told unknown, %u sent by the peer\n",
      flags.schedules, failed, states.size(), sum.executions, sum.attempts, sum.retried, sum.unknown,
      sum.replies);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace pillion::simulation::tokens

int main(int argc, char** argv) {
  pillion::simulation::tokens::Flags flags;
  if (!pillion::simulation::tokens::Parse(argc, argv, flags)) {
    std::fprintf(stderr, "usage: full [--schedules=N] [--seed=N] [--verbose]\n");
    return 2;
  }
  return pillion::simulation::tokens::RunAll(flags);
}
