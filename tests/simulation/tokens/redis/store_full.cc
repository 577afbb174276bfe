// Many schedules of processes that share a Redis deployment:
//   bazel run -c opt //tests/simulation/tokens/redis:store_full -- --schedules=1000000 --seed=1
// One, with what happened:
//   bazel run -c opt //tests/simulation/tokens/redis:store_full -- --seed=17 --verbose
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "sidecar/base/mutant.h"
#include "tests/simulation/tokens/redis/store_world.h"

namespace pillion::simulation::tokens {
namespace {

constexpr uint64_t kMostFailures = 20;

int RunAll(uint64_t seed, uint64_t schedules, bool verbose) {
  StoreResult sum;
  uint64_t ran = 0;
  uint64_t failed = 0;
  for (; ran < schedules && failed < kMostFailures; ++ran) {
    const StoreResult result = RunStoreSchedule(seed + ran, verbose);
    sum.Add(result);
    failed += result.wrong.empty() ? 0 : 1;
    for (const std::string& wrong : result.wrong) std::printf("seed %lu: %s\n", seed + ran, wrong.c_str());
    std::fflush(stdout);
  }
  std::printf("%lu schedules, %lu failed; %s; history %016lx\n", ran, failed, sum.Tell().c_str(),
              sum.history);
  return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace pillion::simulation::tokens

int main(int argc, char** argv) {
  uint64_t seed = 1;
  uint64_t schedules = 1;
  uint64_t mutant = 0;
  bool verbose = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    const auto number = [&](std::string_view name, uint64_t& value) {
      if (!flag.starts_with(name)) return false;
      value = std::strtoull(argv[i] + name.size(), nullptr, 10);
      return true;
    };
    if (flag == "--verbose") {
      verbose = true;
    } else if (!number("--seed=", seed) && !number("--schedules=", schedules) &&
               !number("--mutant=", mutant)) {
      std::fprintf(stderr, "usage: store_full [--schedules=N] [--seed=N] [--verbose]\n");
      return 2;
    }
  }
  if (mutant != 0 && !pillion::PutInForce(static_cast<pillion::Mutant>(mutant))) return 2;
  return pillion::simulation::tokens::RunAll(seed, schedules, verbose);
}
