// What it costs to find a route among many: keys are drawn evenly over all routes. The heads are those of
// requests that have just been read, so that of what a match touches only the table may be out of the cache.
// Run with -c opt; nothing here asserts a time.
#include <benchmark/benchmark.h>

#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "sidecar/route/route.h"
#include "sidecar/time/clock.h"

namespace pillion::route {
namespace {

using Kind = config::RouteMatch::Kind;

// So few that they stay in the first cache.
constexpr size_t kAtOnce = 32;

void FindOneOf(benchmark::State& state, Kind kind) {
  const auto count = static_cast<size_t>(state.range(0));
  auto table = std::make_shared<config::RouteTable>();
  table->virtual_hosts.push_back({"v", {"*"}, {}});
  std::vector<http::RequestHead> heads(count);
  std::mt19937_64 random(5);
  for (size_t i = 0; i < count; ++i) {
    config::Route route;
    route.match.kind = kind;
    // Of many lengths, as names are.
    route.match.text =
        "/api/v" + std::to_string(i % 3) + "/" + std::string(random() % 12, 'x') + std::to_string(i);
    route.clusters = {{"c", 1}};
    heads[i].path = route.match.text + (kind == Kind::kPath ? "?a=b" : "/items/17?a=b");
    heads[i].authority = "shop";
    table->virtual_hosts[0].routes.push_back(std::move(route));
  }
  const RouteIndex index(table);
  std::vector<http::RequestHead> read(kAtOnce);
  const time::SystemClock clock;
  for (auto _ : state) {
    for (http::RequestHead& head : read) head = heads[random() % count];
    size_t found = 0;
    const time::MonotonicTime start = clock.Now();
    for (const http::RequestHead& head : read) {
      const Match match = index.Find(head, 0);
      benchmark::DoNotOptimize(match);
      found += match.route != nullptr ? 1 : 0;
    }
    const std::chrono::duration<double> took = clock.Now() - start;
    if (found != kAtOnce) state.SkipWithError("not found");
    state.SetIterationTime(took.count() / kAtOnce);  // of one
  }
}

void Paths(benchmark::State& state) { FindOneOf(state, Kind::kPath); }
void Prefixes(benchmark::State& state) { FindOneOf(state, Kind::kPrefix); }
void ElementPrefixes(benchmark::State& state) { FindOneOf(state, Kind::kPathSeparatedPrefix); }
BENCHMARK(Paths)->Arg(1)->Arg(10)->Arg(1000)->Arg(10000)->UseManualTime()->Iterations(20'000);
BENCHMARK(Prefixes)->Arg(1)->Arg(10)->Arg(1000)->Arg(10000)->UseManualTime()->Iterations(20'000);
BENCHMARK(ElementPrefixes)->Arg(1)->Arg(10)->Arg(1000)->Arg(10000)->UseManualTime()->Iterations(20'000);

}  // namespace
}  // namespace pillion::route

BENCHMARK_MAIN();
