// What a claim and its completion cost, against a redis-server that is started here, on loopback. Run with
// -c opt; nothing here asserts a time. `cpu` is this process's: of the worker, not of the server.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <array>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "sidecar/idempotency/shared/shared_store.h"
#include "sidecar/idempotency/shared/store_fixture.h"

namespace pillion::idempotency {
namespace {

class Bench : public StoreFixture {
 public:
  explicit Bench(uint32_t replicas) {
    terms.replicas = replicas;
    terms.recent = DomainTime(1000);
    server = std::make_unique<redis::TestServer>(replicas > 0 ? redis::PrimaryArguments()
                                                              : std::vector<std::string>());
    if (replicas > 0) {
      replica = std::make_unique<redis::TestServer>(redis::ReplicaArguments(*server));
      server->AwaitReplicas(1);
    }
    one = Start(*server);
    Age(*server);
  }
  void TestBody() override {}
  // So many at once: claimed, then completed.
  void Round(size_t count, std::vector<double>* micros) {
    const time::MonotonicTime begin = worker.clock.Now();
    tickets.clear();
    for (size_t i = 0; i < count; ++i) tickets.push_back(Ask(*one, ++token));
    for (const Ticket ticket : tickets) Await(*one, ticket);
    const time::MonotonicTime claimed = worker.clock.Now();
    for (const Ticket ticket : tickets) one->store.Complete(ticket, &answer, 200, {});
    for (const Ticket ticket : tickets) {
      AwaitEnd(*one, ticket);
      one->store.Drop(ticket);
    }
    one->bell->Take();
    const time::MonotonicTime end = worker.clock.Now();
    if (micros == nullptr) return;
    micros[0].push_back(static_cast<double>((claimed - begin).count()) / 1e3);
    micros[1].push_back(static_cast<double>((end - claimed).count()) / 1e3);
  }
  using StoreFixture::worker;
  std::unique_ptr<redis::TestServer> server;
  std::unique_ptr<redis::TestServer> replica;
  std::unique_ptr<Sidecar> one;
  std::vector<Ticket> tickets;
  SavedAnswer answer = AnswerOf(std::string(1024, 'x'));
  uint64_t token = 0;
};

double Percentile(std::vector<double>& values, double part) {
  std::ranges::sort(values);
  return values.empty() ? 0 : values[static_cast<size_t>(part * static_cast<double>(values.size() - 1))];
}

// Range 0: replicas that are waited for. Range 1: requests at once.
void ClaimAndComplete(benchmark::State& state) {
  Bench bench(static_cast<uint32_t>(state.range(0)));
  const auto at_once = static_cast<size_t>(state.range(1));
  for (int i = 0; i < 100; ++i) bench.Round(at_once, nullptr);
  std::array<std::vector<double>, 2> micros;
  for (auto _ : state) bench.Round(at_once, micros.data());
  const double micros_in_all = std::accumulate(micros[0].begin(), micros[0].end(), 0.0) +
                               std::accumulate(micros[1].begin(), micros[1].end(), 0.0);
  state.counters["pairs_per_s"] =
      static_cast<double>(state.iterations()) * static_cast<double>(at_once) / micros_in_all * 1e6;
  state.counters["claim_p50_us"] = Percentile(micros[0], 0.5);
  state.counters["claim_p99_us"] = Percentile(micros[0], 0.99);
  state.counters["complete_p50_us"] = Percentile(micros[1], 0.5);
  state.counters["cpu_per_request"] =
      benchmark::Counter(static_cast<double>(state.iterations()) * static_cast<double>(at_once),
                         benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(ClaimAndComplete)->Args({0, 1})->Args({1, 1})->Args({0, 64})->Args({1, 64})->Args({1, 512});

class Nobody final : public stream::Runnable {
 public:
  stream::Progress Run() override { return stream::Progress::kIdle; }
};

// The client alone: so many commands at once that cost the server next to nothing.
void PipelinedCommands(benchmark::State& state) {
  Bench bench(0);
  Nobody nobody;
  redis::Client& client = bench.one->commands;
  redis::Inbox inbox(client, nobody);
  const std::string text(100, 'x');
  const std::array<std::string_view, 2> command = {"ECHO", text};
  const auto at_once = static_cast<size_t>(state.range(0));
  const time::MonotonicTime begin = bench.worker.clock.Now();
  for (auto _ : state) {
    for (size_t i = 0; i < at_once; ++i) client.Send(inbox, i, command);
    size_t ended = 0;
    bench.worker.RunUntil([&] { return (ended += inbox.TakeEnded().size()) == at_once; });
  }
  const double commands = static_cast<double>(state.iterations()) * static_cast<double>(at_once);
  state.counters["commands_per_s"] =
      commands * 1e9 / static_cast<double>((bench.worker.clock.Now() - begin).count());
  state.counters["cpu_per_command"] =
      benchmark::Counter(commands, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(PipelinedCommands)->Arg(1)->Arg(64)->Arg(512);

// The part of it that seals and opens answers of 1 KiB.
void SealAndOpen(benchmark::State& state) {
  RecordCipher cipher({1}, 7);
  const SavedAnswer answer = AnswerOf(std::string(1024, 'x'));
  for (auto _ : state) benchmark::DoNotOptimize(cipher.Open(Named(1), cipher.Seal(Named(1), answer)));
}
BENCHMARK(SealAndOpen);

}  // namespace
}  // namespace pillion::idempotency
