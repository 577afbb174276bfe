// What a request costs through both codecs: a client codec and a server codec in memory, ten request and five
// response fields, one of them new each time (specs/libraries.md section 2: nghttp2 alone needs 2.2-2.6 us
// for both sides). Run with -c opt; nothing here asserts a time.
#include <benchmark/benchmark.h>

#include <string>

#include "sidecar/http2/codec.h"

namespace pillion::http2 {
namespace {

using Kind = http::ContentLength::Kind;

class Bench {
 public:
  explicit Bench(size_t content) : content_(content, 'x') {
    request_.path = "/api/v1/orders";
    request_.authority = "orders.shop.svc.cluster.local";
    request_.has_authority = true;
    request_.scheme = "http";
    request_.headers.Add("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101");
    request_.headers.Add("accept", "application/json, text/plain;q=0.9, */*;q=0.8");
    request_.headers.Add("accept-encoding", "gzip, deflate, br");
    request_.headers.Add("accept-language", "en-GB,en;q=0.7");
    request_.headers.Add("content-type", "application/json");
    response_.content = {Kind::kSized, content};
    response_.headers.Add("server", "nginx/1.22.1");
    response_.headers.Add("date", "Tue, 24 Nov 2026 00:00:00 GMT");
    response_.headers.Add("content-type", "application/json; charset=utf-8");
    Carry();
  }
  void Submit() {
    request_.headers.Set(http::Known::kRequestId, "6f1c1f0e-3a52-4f59-9a40-" + std::to_string(++number_));
    bool too_large = false;
    client_.SubmitRequest(request_, true, &too_large);
  }
  void Carry() {
    Move(client_, server_);
    for (const Event& event : server_.events()) {
      if (event.kind != Event::Kind::kEnd) continue;
      if (!server_.SubmitResponse(event.stream, response_, content_.empty())) std::abort();
      if (content_.empty()) continue;
      SliceQueue queue;
      queue.Append(Slice::Static(content_));
      server_.SendContent(event.stream, queue);
      server_.FinishContent(event.stream);
    }
    server_.ClearEvents();
    Move(server_, client_);
    for (const Event& event : client_.events()) {
      if (event.kind == Event::Kind::kContent) client_.ReleaseCredit(event.stream, event.content.size());
      if (event.kind == Event::Kind::kClosed) ++closed_;
    }
    client_.ClearEvents();
  }
  int64_t closed() const { return closed_; }

 private:
  void Move(Codec& from, Codec& to) {
    from.Output(wire_, 1 << 20);
    while (!wire_.empty()) {
      const size_t size = wire_.front().size();
      if (!to.Feed(wire_.front().view())) std::abort();
      wire_.Consume(size);
    }
  }
  std::string content_;
  Codec client_{Role::kClient, Limits{}};
  Codec server_{Role::kServer, Limits{}};
  http::RequestHead request_;
  http::ResponseHead response_;
  SliceQueue wire_;
  uint64_t number_ = 0;
  int64_t closed_ = 0;
};

// Streams carried together; bytes of response content.
void BM_Request(benchmark::State& state) {
  Bench bench(static_cast<size_t>(state.range(1)));
  for (auto _ : state) {
    for (int i = 0; i < state.range(0); ++i) bench.Submit();
    bench.Carry();
  }
  if (bench.closed() != static_cast<int64_t>(state.iterations()) * state.range(0))
    state.SkipWithError("lost");
  state.SetItemsProcessed(bench.closed());
}
BENCHMARK(BM_Request)->Args({1, 0})->Args({16, 0})->Args({16, 1024})->Args({1, 65'000});

void BM_Connection(benchmark::State& state) {
  for (auto _ : state) {
    Codec codec(Role::kServer, Limits{});
    benchmark::DoNotOptimize(codec.open_streams());
  }
}
BENCHMARK(BM_Connection);

}  // namespace
}  // namespace pillion::http2
