// What it costs to find a route among many: keys are drawn evenly over all routes. Run with -c opt; nothing
// here asserts a time.
#include <benchmark/benchmark.h>

#include <random>
#include <string>
#include <vector>

#include "sidecar/route/route.h"

namespace pillion::route {
namespace {

using Kind = config::RouteMatch::Kind;

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
  std::vector<uint32_t> keys(size_t{1} << 16);
  for (uint32_t& key : keys) key = static_cast<uint32_t>(random() % count);
  size_t next = 0;
  for (auto _ : state) {
    const Match match = index.Find(heads[keys[next++ % keys.size()]], 0);
    if (match.route == nullptr) state.SkipWithError("not found");
    benchmark::DoNotOptimize(match);
  }
}

void Paths(benchmark::State& state) { FindOneOf(state, Kind::kPath); }
void Prefixes(benchmark::State& state) { FindOneOf(state, Kind::kPrefix); }
void ElementPrefixes(benchmark::State& state) { FindOneOf(state, Kind::kPathSeparatedPrefix); }
BENCHMARK(Paths)->Arg(1)->Arg(10)->Arg(1000)->Arg(10000);
BENCHMARK(Prefixes)->Arg(1)->Arg(10)->Arg(1000)->Arg(10000);
BENCHMARK(ElementPrefixes)->Arg(1)->Arg(10)->Arg(1000)->Arg(10000);

}  // namespace
}  // namespace pillion::route

BENCHMARK_MAIN();
