// What a head costs: parsing and writing, 532 bytes and ten fields in, 367 bytes and eight fields back
// (the messages of specs/libraries.md section 1). Run with -c opt; nothing here asserts a time.
#include <benchmark/benchmark.h>

#include <string>

#include "sidecar/http1/parser.h"
#include "sidecar/http1/serializer.h"

namespace pillion::http1 {
namespace {

const std::string& RequestText() {
  static const std::string text =
      "GET /api/v1/orders/8472364/items?expand=prices&locale=en-GB HTTP/1.1\r\n"
      "Host: orders.shop.svc.cluster.local:8080\r\n"
      "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0\r\n"
      "Accept: application/json, text/plain;q=0.9, */*;q=0.8\r\n"
      "Accept-Encoding: gzip, deflate, br\r\n"
      "Accept-Language: en-GB,en;q=0.7\r\n"
      "Content-Type: application/json\r\n"
      "Cookie: session=9f8e7d6c5b4a39281706f5e4d3c2b1a0\r\n"
      "X-Request-Id: 6f1c1f0e-3a52-4f59-9a40-7d6d1f0f4e7b\r\n"
      "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
      "Connection: keep-alive\r\n\r\n";
  return text;
}

const std::string& ResponseText() {
  static const std::string text =
      "HTTP/1.1 200 OK\r\n"
      "Server: nginx/1.22.1\r\n"
      "Date: Tue, 24 Nov 2026 00:00:00 GMT\r\n"
      "Content-Type: application/json; charset=utf-8\r\n"
      "Content-Length: 0\r\n"
      "Connection: keep-alive\r\n"
      "Cache-Control: no-cache, no-store, must-revalidate\r\n"
      "ETag: W/\"5f3c9a1e-2b67-4d1f\"\r\n"
      "X-Request-Id: 6f1c1f0e-3a52-4f59-9a40-7d6d1f0f4e7b\r\n"
      "Vary: Accept-Encoding, Origin\r\n\r\n";
  return text;
}

void ParseText(benchmark::State& state, Role role, const std::string& text) {
  Limits limits;
  Parser parser(role, limits);
  for (auto _ : state) {
    if (parser.Next(text).event != Parser::Event::kHead) state.SkipWithError("not a head");
    if (parser.Next({}).event != Parser::Event::kEnd) state.SkipWithError("not the end");
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
  state.SetLabel(std::to_string(text.size()) + " bytes");
}

void BM_ParseRequest(benchmark::State& state) { ParseText(state, Role::kRequests, RequestText()); }
BENCHMARK(BM_ParseRequest);
void BM_ParseResponse(benchmark::State& state) { ParseText(state, Role::kResponses, ResponseText()); }
BENCHMARK(BM_ParseResponse);
void BM_ParseSmallRequest(benchmark::State& state) {
  ParseText(state, Role::kRequests, "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n");
}
BENCHMARK(BM_ParseSmallRequest);

// In pieces of the given size, each fed with all that came before it.
void BM_ParseRequestInPieces(benchmark::State& state) {
  Limits limits;
  Parser parser(Role::kRequests, limits);
  const std::string_view text = RequestText();
  const auto piece = static_cast<size_t>(state.range(0));
  for (auto _ : state) {
    for (size_t size = piece; size < text.size(); size += piece) {
      benchmark::DoNotOptimize(parser.Next(text.substr(0, size)));
    }
    if (parser.Next(text).event != Parser::Event::kHead) state.SkipWithError("not a head");
    parser.Next({});
  }
}
BENCHMARK(BM_ParseRequestInPieces)->Arg(1)->Arg(100);

void BM_ParseChunk(benchmark::State& state) {
  Limits limits;
  Parser parser(Role::kRequests, limits);
  parser.Next("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "400\r\n" + std::string(1024, 'x') + "\r\n";
  parser.Next(std::string_view(chunk).substr(0, chunk.size() - 2));
  const std::string next = "\r\n" + chunk.substr(0, chunk.size() - 2);
  for (auto _ : state) {
    if (parser.Next(next).event != Parser::Event::kContent) state.SkipWithError("not content");
  }
}
BENCHMARK(BM_ParseChunk);

void BM_WriteRequest(benchmark::State& state) {
  Limits limits;
  Parser parser(Role::kRequests, limits);
  parser.Next(RequestText());
  std::string out;
  for (auto _ : state) {
    out.clear();
    AppendRequestHead(parser.request(), {.spelling = static_cast<Spelling>(state.range(0))}, out);
    benchmark::DoNotOptimize(out.data());
  }
}
BENCHMARK(BM_WriteRequest)->Arg(0)->Arg(1);

}  // namespace
}  // namespace pillion::http1
