// For tests of filters: drives one request and its response through a filter as an exchange does, in pieces
// of any size.
#ifndef PILLION_SIDECAR_FILTER_FILTER_DRIVE_H_
#define PILLION_SIDECAR_FILTER_FILTER_DRIVE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/config/filters.h"
#include "sidecar/filter/chain.h"
#include "sidecar/filter/filter.h"

namespace pillion::filter {

// The sizes of pieces that every transform is tried with; 0: all at once.
inline constexpr size_t kPieceSizes[] = {1, 2, 3, 4, 5, 6, 7, 8, 16, 31, 0};

struct Field {
  std::string_view name;
  std::string value;
};

class FilterDrive {
  config::HttpOptions options_;  // first: what filters keep of a request in `state` may speak of it

 public:
  FilterDrive(const Filter& filter, config::FilterKind kind, config::FilterOptions options)
      : filter_(filter) {
    auto entries = std::make_shared<std::vector<config::FilterEntry>>();
    entries->push_back(
        {"it", false, kind, std::make_shared<const config::FilterOptions>(std::move(options))});
    options_.filters = entries;
    head.method = http::Method::kPost;
    head.method_text = "POST";
    head.path = "/test.Echo/Unary";
    head.content = {http::ContentLength::Kind::kUnsized, 0};
  }

  // Where its listener judges access.
  void JudgeAccess(config::AccessJudged place) { options_.access_judged = place; }
  // What its listener's policy is.
  config::HttpPolicy& policy() { return options_.policy; }

  // What leaves at once of a gRPC answer that has begun with these bytes and goes on.
  std::string FirstOfAnswer(std::string_view bytes) {
    http::ResponseHead answer;
    answer.headers.Add("content-type", "application/grpc");
    http::HeaderList none;
    EXPECT_EQ(state.chain->BeginResponse({answer, false, 0}), Passage::kFlows);
    SliceQueue content;
    content.AppendCopy(bytes);
    state.chain->FeedResponse(content, false, none, answer);
    return state.chain->response_out().ToString();
  }

  // The head, then `body` in pieces. What comes of it is in the members below.
  void Request(std::string_view body, size_t piece) {
    passage = Passage::kFlows;
    waits = refused = false;
    const RequestView view = View();
    switch (filter_.OnRequestHead(view)) {
      case Decision::kRespond:
        passage = Passage::kAnswered;
        break;
      case Decision::kReset:
        passage = Passage::kBroken;
        break;
      case Decision::kRematch:
        rematched = true;
        break;
      case Decision::kWait:
        waits = true;
        return;
      case Decision::kRefuse:
        refused = true;
        return;
      case Decision::kHold:
        state.chain->HoldRequest();
        break;
      case Decision::kContinue:
      case Decision::kYield:
        break;
    }
    if (passage != Passage::kFlows) {
      local_body = response_body_.ToString();
      return;
    }
    if (state.chain == nullptr) {
      sent = std::string(body);
      return;
    }
    Feed(body, piece);
  }
  // It awaits another request, and was woken; or has been given a waiter.
  void Again() { Feed({}, 0); }
  void Feed(std::string_view body, size_t piece) {
    const RequestView view = View();
    SliceQueue content;
    while (!state.chain->request_over()) {
      const std::string_view next = body.substr(0, piece == 0 ? body.size() : piece);
      body.remove_prefix(next.size());
      content.AppendCopy(next);
      do {
        passage = state.chain->FeedRequest(content, body.empty(), request_trailers, view);
        if (passage == Passage::kHeld && awaits()) return;
        NoteHeld();
        if (passage == Passage::kRematch) {
          rematched = true;
        } else if (passage != Passage::kFlows && passage != Passage::kHeld) {
          local_body = response_body_.ToString();
          return;
        }
        if (state.chain->request_held()) continue;
        sent += state.chain->request_out().ToString();
        state.chain->request_out().Clear();
      } while (state.chain->progressed());
    }
  }

  // An answer of the upstream's, or one made here (`local_status` not 0).
  void Response(uint16_t status, const std::vector<Field>& fields, std::string_view body, size_t piece,
                const std::vector<Field>& end_fields = {}, uint16_t local_status = 0) {
    response.Clear();
    trailers.Clear();
    received.clear();
    response.status = status;
    response.content = {http::ContentLength::Kind::kUnsized, 0};
    for (const Field& field : fields) response.headers.Add(field.name, field.value);
    for (const Field& field : end_fields) trailers.Add(field.name, field.value);
    Respond(body, piece, local_status);
  }
  void Respond(std::string_view body, size_t piece, uint16_t local_status) {
    ASSERT_NE(state.chain, nullptr);
    state.chain->ForgetResponse();
    const bool end = body.empty() && trailers.empty();
    passage = state.chain->BeginResponse({response, end, local_status, failure});
    FeedResponse(body, piece);
  }
  bool awaits() const { return state.token != nullptr && state.token->await != nullptr; }
  // Who holds the answer awaits something, and was woken; or has been given a waiter. What is left of the
  // answer follows where that is what it has waited for.
  void ResponseAgain(std::string_view rest = {}) {
    SliceQueue nothing;
    passage =
        state.chain->FeedResponse(nothing, rest.empty(), trailers, response, Chain::Holder::kIsAskedAgain);
    if (passage == Passage::kHeld) return;
    state.token->await.reset();
    received += state.chain->response_out().ToString();
    state.chain->response_out().Clear();
    if (!state.chain->response_over()) FeedResponse(rest, 0);
  }
  void FeedResponse(std::string_view body, size_t piece) {
    SliceQueue content;
    while (!state.chain->response_over()) {
      const std::string_view next = body.substr(0, piece == 0 ? body.size() : piece);
      body.remove_prefix(next.size());
      content.AppendCopy(next);
      do {
        if (passage == Passage::kHeld && awaits()) return;
        passage = state.chain->FeedResponse(content, body.empty(), trailers, response);
        NoteHeld();
        if (passage == Passage::kHeld && awaits()) return;
        if (passage != Passage::kFlows && passage != Passage::kHeld) return;
        if (state.chain->response_held()) continue;
        received += state.chain->response_out().ToString();
        state.chain->response_out().Clear();
      } while (state.chain->progressed());
    }
  }

  std::string RequestField(std::string_view name) const { return Value(head.headers, name); }
  std::string ResponseField(std::string_view name) const { return Value(response.headers, name); }
  std::string LocalField(std::string_view name) const { return Value(local_response.headers, name); }
  std::string Trailer(std::string_view name) const { return Value(trailers, name); }

  http::RequestHead head;  // to be filled in before Request
  RequestState state;
  Passage passage = Passage::kFlows;
  bool rematched = false;
  bool waits = false;  // Request again when the time has come
  bool refused = false;
  RequestError failure;  // that an answer tells of
  std::unique_ptr<Refusal> refusal = std::make_unique<Refusal>();
  std::unique_ptr<std::optional<StickySession>> session = std::make_unique<std::optional<StickySession>>();
  time::MonotonicTime now{};
  time::WallTime wall{};
  net::Address peer;
  Ends ends = {net::Address::Parse("192.0.2.1", 80).value_or(net::Address()),
               net::Address::Parse("192.0.2.2", 1000).value_or(net::Address())};
  const net::Security* security = nullptr;
  std::unique_ptr<telemetry::WorkerStats> stats = std::make_unique<telemetry::WorkerStats>();
  std::string sent;  // to the upstream
  http::HeaderList request_trailers;
  http::ResponseHead local_response;  // kAnswered
  std::string local_body;
  http::ResponseHead response;  // as the client gets it
  std::string received;
  http::HeaderList trailers;
  size_t most_out = 0;   // bytes that left in any one step
  size_t most_held = 0;  // bytes that the filter had left lying, after any step

 private:
  static std::string Value(const http::HeaderList& list, std::string_view name) {
    const auto value = list.Find(name);
    return value ? std::string(*value) : "(none)";
  }
  void NoteHeld() {
    Chain& chain = *state.chain;
    most_out = std::max({most_out, chain.request_out().bytes(), chain.response_out().bytes()});
    most_held =
        std::max(most_held, chain.HeldBytes() - chain.request_out().bytes() - chain.response_out().bytes());
  }
  RequestView View() {
    caller_ = std::make_unique<Caller>(Caller{now, wall, *stats, peer, security, *refusal, *session, &ends});
    return {options_, nullptr, head, state, random_, local_response, response_body_, caller_.get()};
  }
  const Filter& filter_;
  Random random_{1};
  SliceQueue response_body_;
  std::unique_ptr<Caller> caller_;
};

}  // namespace pillion::filter

#endif  // PILLION_SIDECAR_FILTER_FILTER_DRIVE_H_
