#include "sidecar/filters/idempotency/idempotency.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/filter/filter_drive.h"
#include "sidecar/idempotency/hello.h"
#include "sidecar/idempotency/local_table.h"
#include "sidecar/idempotency/token.h"

namespace pillion::filters {
namespace {

using filter::FilterDrive;
using filter::Passage;
using idempotency::DomainTime;
using idempotency::LocalTable;
using idempotency::Token;
using idempotency::Verdict;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr DomainTime kStart{1'700'000'000'000};
constexpr RequestError kNotReached = {ErrorKind::kConnectFailed, Side::kUpstream, Outcome::kNotSent, "no"};
constexpr RequestError kBroken = {ErrorKind::kClosed, Side::kUpstream, Outcome::kAmbiguous, "gone"};

class IdempotencyTest : public ::testing::Test {
 protected:
  IdempotencyTest() {
    domain_.id = 7;
    domain_.holder->incarnation = {1, 2, 3};
  }
  LocalTable& table() {
    if (domain_.holder->table == nullptr) domain_.holder->table = std::make_shared<LocalTable>(domain_.terms);
    return *domain_.holder->table;
  }
  // One attempt of `token`, which has not begun.
  std::unique_ptr<FilterDrive> Attempt(const Token& token) {
    table();
    auto drive = std::make_unique<FilterDrive>(filter_, config::FilterKind::kIdempotency,
                                               config::TokenDomains{{domain_}});
    drive->head.path = "/charge";
    drive->head.headers.Add("content-type", "application/json");
    drive->now = time::MonotonicTime(now_ - kStart);
    drive->wall = time::WallTime(now_);
    auto fields = std::make_unique<filter::TokenState>();
    fields->says = filter::TokenState::Says::kToken;
    fields->taken = token.array();
    fields->domain = 7;
    drive->state.token = std::move(fields);
    return drive;
  }
  Token Mint() { return Token::Mint(now_, random_); }
  // It has been claimed, and runs.
  std::unique_ptr<FilterDrive> Running(const Token& token, std::string_view body = "body") {
    auto drive = Attempt(token);
    drive->Request(body, 0);
    EXPECT_EQ(drive->sent, body) << drive->local_body;
    return drive;
  }
  // What an attempt is told without running: status, verdict.
  using Told = std::pair<int, std::string>;
  static Told Of(FilterDrive& drive) {
    EXPECT_EQ(drive.sent, "");
    EXPECT_EQ(drive.passage, Passage::kAnswered);
    const std::string verdict = drive.LocalField("pillion-dedup");
    return {drive.local_response.status, verdict.substr(0, verdict.find(';'))};
  }
  Told Tell(const Token& token, std::string_view body = "body") {
    auto drive = Attempt(token);
    drive->Request(body, 0);
    return Of(*drive);
  }
  void Finish(FilterDrive& drive, uint16_t status = 201, std::string_view body = "done") {
    drive.Response(status, {{"content-type", "text/plain"}, {"x-own", "1"}}, body, 0);
  }
  config::TokenDomain domain_;
  DomainTime now_ = kStart;
  Random random_{1};
  idempotency::WorkerStores stores_;
  Idempotency filter_{stores_};
};

TEST_F(IdempotencyTest, TheFirstRunsAndIsTold) {
  auto drive = Running(Mint());
  Finish(*drive);
  EXPECT_EQ(drive->response.status, 201);
  EXPECT_EQ(drive->received, "done");
  EXPECT_EQ(drive->ResponseField("pillion-dedup"), "executed");
  EXPECT_EQ(table().Count().completed, 1u);
}

TEST_F(IdempotencyTest, ItMakesNoDifferenceHowBodiesAreCut) {
  for (const size_t piece : filter::kPieceSizes) {
    const Token token = Mint();
    auto drive = Attempt(token);
    drive->Request("a longer body", piece);
    ASSERT_EQ(drive->sent, "a longer body");
    drive->Response(200, {{"x", "y"}}, "a longer answer", piece, {{"trailer", "t"}});
    ASSERT_EQ(drive->received, "a longer answer");
    ASSERT_EQ(drive->Trailer("trailer"), "t");
    auto again = Attempt(token);
    again->Request("a longer body", piece);
    ASSERT_EQ(again->passage, Passage::kAnswered);
    ASSERT_EQ(again->local_body, "a longer answer");
    ASSERT_EQ(again->LocalField("x"), "y");
  }
}

TEST_F(IdempotencyTest, ADuplicateIsToldTheAnswerAgain) {
  const Token token = Mint();
  auto first = Running(token);
  first->Response(402,
                  {{"content-type", "a/b"},
                   {"set-cookie", "c=1"},
                   {"location", "/x"},
                   {"date", "then"},
                   {"x-request-id", "r"},
                   {"traceparent", "t"},
                   {"server-timing", "s"},
                   {"retry-after", "5"}},
                  "answer", 0);
  now_ += DomainTime(3700);
  auto again = Attempt(token);
  again->Request("body", 0);
  EXPECT_EQ(Of(*again), Told(402, "replayed"));
  EXPECT_EQ(again->LocalField("pillion-dedup"), "replayed;age=3;exec=\"1\"");
  EXPECT_EQ(again->state.token->verdict, Verdict::kReplayed);
  EXPECT_EQ(again->state.token->linked_span, telemetry::SpanId()) << "it was not traced";
  EXPECT_EQ(again->stats->token_replay_ages.sum_us(), 3'700'000u);
  EXPECT_EQ(again->stats->token_waits.sum_us(), 0u);
  EXPECT_EQ(again->local_body, "answer");
  for (const char* const kept : {"content-type", "set-cookie", "location", "date"})
    EXPECT_EQ(again->LocalField(kept), first->ResponseField(kept)) << kept;
  for (const char* const left_out : {"x-request-id", "traceparent", "server-timing", "retry-after"})
    EXPECT_EQ(again->LocalField(left_out), "(none)") << left_out;
  EXPECT_EQ(first->ResponseField("retry-after"), "5") << "the first is told all of it";
}

TEST_F(IdempotencyTest, TrailersAreToldAgainToo) {
  const Token token = Mint();
  auto first = Running(token);
  first->Response(200, {{"content-type", "application/grpc"}}, "message", 0,
                  {{"grpc-status", "5"}, {"grpc-message", "m"}});
  auto again = Attempt(token);
  again->Request("body", 0);
  EXPECT_EQ(Of(*again), Told(200, "replayed"));
  // As the exchange does with an answer that is made here.
  again->response = again->local_response;
  again->trailers.Clear();
  again->Respond(again->local_body, 0, 200);
  EXPECT_EQ(again->received, "message");
  EXPECT_EQ(again->Trailer("grpc-status"), "5");
  EXPECT_EQ(again->Trailer("grpc-message"), "m");
}

TEST_F(IdempotencyTest, AnErrorOfTheAppsIsAnAnswerToo) {
  for (const uint16_t status : {400, 500, 502, 503, 504}) {
    const Token token = Mint();
    Finish(*Running(token), status);
    EXPECT_EQ(Tell(token), Told(status, "replayed"));
  }
}

TEST_F(IdempotencyTest, WhatTheAppSaysItHasNotRunIsFree) {
  domain_.release_on = {503};
  for (const uint16_t status : {425, 429, 503}) {
    const Token token = Mint();
    auto first = Running(token);
    Finish(*first, status);
    EXPECT_EQ(first->ResponseField("pillion-dedup"), "not-executed");
    EXPECT_EQ(first->received, "done");
    Finish(*Running(token), 200);
    EXPECT_EQ(Tell(token), Told(200, "replayed"));
  }
  EXPECT_EQ(table().Count().in_flight, 0u);
}

TEST_F(IdempotencyTest, AnotherRequestWithTheTokenIsRefused) {
  const Token token = Mint();
  auto first = Running(token);
  EXPECT_EQ(Tell(token, "bodY"), Told(422, "mismatch"));
  Finish(*first);
  EXPECT_EQ(Tell(token, "bodY"), Told(422, "mismatch"));
  auto other_path = Attempt(token);
  other_path->head.path = "/charge?x";
  other_path->Request("body", 0);
  EXPECT_EQ(Of(*other_path), Told(422, "mismatch"));
  auto other_trace = Attempt(token);
  other_trace->head.headers.Add("traceparent", "another");
  other_trace->Request("body", 0);
  EXPECT_EQ(Of(*other_trace), Told(201, "replayed"));
}

// The exchange's part is played: it gives a waiter, and runs the hooks again when the bell was rung.
TEST_F(IdempotencyTest, WhoComesMeanwhileWaitsAndIsToldTheSame) {
  const Token token = Mint();
  auto first = Running(token);
  auto second = Attempt(token);
  second->Request("body", 0);
  ASSERT_NE(second->state.token->await, nullptr);
  EXPECT_EQ(second->state.token->await->until - second->now, seconds(10));
  const auto bell = std::make_shared<idempotency::Bell>([] {});
  second->state.token->await->waiter = {bell, 5};
  second->Again();
  ASSERT_NE(second->state.token->await, nullptr);
  EXPECT_TRUE(bell->Take().empty());
  Finish(*first);
  EXPECT_EQ(bell->Take(), std::vector<uint64_t>{5});
  second->Again();
  EXPECT_EQ(Of(*second), Told(201, "coalesced"));
  EXPECT_EQ(second->local_body, "done");
}

TEST_F(IdempotencyTest, WhatIsToldIsNotedAndLeadsToTheExecution) {
  const Token token = Mint();
  auto first = Attempt(token);
  first->state.trace.sampled = true;
  first->state.trace.trace.fill(0x11);
  first->state.trace.server_span.fill(0x22);
  first->Request("body", 0);
  EXPECT_FALSE(first->state.token->verdict);
  EXPECT_EQ(first->state.token->taken, token.array());
  auto second = Attempt(token);
  second->Request("body", 0);
  const auto bell = std::make_shared<idempotency::Bell>([] {});
  second->state.token->await->waiter = {bell, 5};
  second->Again();
  auto third = Attempt(token);
  third->Request("other", 0);
  EXPECT_EQ(third->state.token->verdict, Verdict::kMismatch);
  Finish(*first);
  EXPECT_EQ(first->state.token->verdict, Verdict::kExecuted);
  second->now += milliseconds(30);
  second->Again();
  EXPECT_EQ(second->state.token->verdict, Verdict::kCoalesced);
  EXPECT_EQ(second->state.token->linked_trace, first->state.trace.trace);
  EXPECT_EQ(second->state.token->linked_span, first->state.trace.server_span);
  EXPECT_EQ(second->stats->token_waits.sum_us(), 30'000u);
  EXPECT_EQ(second->stats->token_replay_ages.sum_us(), 0u);
  EXPECT_EQ(table().Find(idempotency::ShortHash(token.array())).size(), 1u);
}

TEST_F(IdempotencyTest, RoomIsTakenForTheAnswerBeforeItIsThere) {
  auto drive = Running(Mint());
  EXPECT_EQ(table().Count().room.bytes, LocalTable::kRecordBytes + idempotency::AnswerSizes::kUsual);
  Finish(*drive);
  const uint64_t held = table().Count().room.bytes;
  EXPECT_GT(held, LocalTable::kRecordBytes);
  domain_.max_response_bytes = 100;
  auto small = Running(Mint());
  EXPECT_EQ(table().Count().room.bytes, held + LocalTable::kRecordBytes + 100) << "more is never kept";
  domain_.keeps_answers = false;
  auto none = Running(Mint());
  EXPECT_EQ(table().Count().room.bytes, held + uint64_t{2} * LocalTable::kRecordBytes + 100);
}

TEST_F(IdempotencyTest, WhoHasWaitedLongEnoughIsTold) {
  const Token token = Mint();
  auto first = Running(token);
  auto second = Attempt(token);
  second->head.headers.Add("x-pillion-deadline", "1000");
  second->Request("body", 0);
  ASSERT_NE(second->state.token->await, nullptr);
  EXPECT_EQ(second->state.token->await->until - second->now, milliseconds(950)) << "before its own deadline";
  const auto bell = std::make_shared<idempotency::Bell>([] {});
  second->state.token->await->waiter = {bell, 5};
  second->Again();
  second->now += milliseconds(950);
  second->Again();
  EXPECT_EQ(Of(*second), Told(409, "in-flight"));
  EXPECT_EQ(second->LocalField("retry-after"), "1");
  Finish(*first);
  EXPECT_TRUE(bell->Take().empty()) << "it does not wait any more";
}

TEST_F(IdempotencyTest, WhoLeavesWaitsNoMore) {
  const Token token = Mint();
  auto first = Running(token);
  const auto bell = std::make_shared<idempotency::Bell>([] {});
  {
    auto second = Attempt(token);
    second->Request("body", 0);
    second->state.token->await->waiter = {bell, 5};
    second->Again();
    EXPECT_EQ(table().Count().room.waiters, 1u);
  }
  EXPECT_EQ(table().Count().room.waiters, 0u);
}

TEST_F(IdempotencyTest, ByPolicyNobodyWaits) {
  domain_.conflict = true;
  const Token token = Mint();
  auto first = Running(token);
  EXPECT_EQ(Tell(token), Told(409, "in-flight"));
}

TEST_F(IdempotencyTest, WhoseDeadlineIsOverDoesNotRun) {
  const Token token = Mint();
  auto late = Attempt(token);
  late->head.headers.Add("x-pillion-deadline", "0");
  late->Request("body", 0);
  EXPECT_EQ(Of(*late), Told(504, "not-executed"));
  EXPECT_EQ(table().Count().room.records, 0u);
  auto grpc = Attempt(token);
  grpc->head.headers.Set(http::Known::kContentType, "application/grpc");
  grpc->head.headers.Add("grpc-timeout", "0m");
  grpc->Request("body", 0);
  EXPECT_EQ(Of(*grpc), Told(200, "not-executed"));
  EXPECT_EQ(grpc->LocalField("grpc-status"), "4");
}

TEST_F(IdempotencyTest, WhatNeverReachedTheAppIsFree) {
  const Token token = Mint();
  auto first = Running(token);
  first->failure = kNotReached;
  first->Response(503, {}, "upstream connect failed", 0, {}, 503);
  EXPECT_EQ(first->ResponseField("pillion-dedup"), "not-executed");
  EXPECT_EQ(first->response.status, 503);
  EXPECT_EQ(first->received, "upstream connect failed");
  EXPECT_EQ(table().Count().room.records, 0u);
  Finish(*Running(token));
}

TEST_F(IdempotencyTest, WhatMayHaveRunIsNeverRunAgainAndItsClientIsToldSo) {
  const Token token = Mint();
  auto first = Running(token);
  first->failure = kBroken;
  first->Response(502, {{"x", "y"}}, "upstream closed", 0, {}, 502);
  EXPECT_EQ(first->response.status, 500);
  EXPECT_EQ(first->ResponseField("pillion-dedup"), "unknown");
  EXPECT_EQ(first->ResponseField("content-type"), "application/problem+json");
  EXPECT_NE(first->received.find("urn:pillion:idempotency:outcome-unknown"), std::string::npos);
  EXPECT_EQ(Tell(token), Told(500, "unknown"));
  domain_.unknown_status = 504;
  EXPECT_EQ(Tell(token), Told(504, "unknown"));
}

TEST_F(IdempotencyTest, ByPolicyWhatIsUnknownRunsAgain) {
  domain_.runs_unknown_again = true;
  const Token token = Mint();
  auto first = Running(token);
  first->failure = kBroken;
  first->Response(502, {{"x", "y"}}, "upstream closed", 0, {}, 502);
  EXPECT_EQ(first->ResponseField("pillion-dedup"), "unknown") << "of this execution nobody knows";
  Finish(*Running(token));
  EXPECT_EQ(Tell(token), Told(201, "replayed"));
  const Token forgotten = Mint();
  auto elsewhere = Attempt(forgotten);
  elsewhere->state.token->first = idempotency::Incarnation{9};
  elsewhere->Request("body", 0);
  EXPECT_EQ(elsewhere->sent, "body") << "another process may have run it, and does not know any more";
  Finish(*elsewhere);
}

TEST_F(IdempotencyTest, WhatBreaksOnceItHasBegunToAnswerMayHaveRun) {
  const Token token = Mint();
  auto first = Running(token);
  http::HeaderList none;
  EXPECT_EQ(first->state.chain->BeginResponse({first->response, false, 0, {}}), Passage::kHeld);
  first->failure = kNotReached;  // whatever is said of it afterwards
  first->Response(502, {}, "", 0, {}, 502);
  EXPECT_EQ(first->ResponseField("pillion-dedup"), "unknown");
  EXPECT_EQ(Tell(token), Told(500, "unknown"));
}

TEST_F(IdempotencyTest, WhatIsGivenUpWhileItRunsMayHaveRun) {
  const Token token = Mint();
  Running(token).reset();
  EXPECT_EQ(Tell(token), Told(500, "unknown"));
}

TEST_F(IdempotencyTest, ItGoesOnWithoutItsClientForAsLongAsAnExecutionMay) {
  const Token token = Mint();
  auto drive = Attempt(token);
  drive->Request("", 0);
  ASSERT_NE(drive->state.chain, nullptr);
  EXPECT_EQ(*drive->state.chain->goes_on_until() - drive->now, seconds(30));
  drive->state.chain->TellClientGone();
  EXPECT_EQ(table().detached().now(), 1u);
  Finish(*drive);
  EXPECT_FALSE(drive->state.chain->goes_on_until());
  drive.reset();
  EXPECT_EQ(table().detached().now(), 0u);
  EXPECT_EQ(Tell(token, ""), Told(201, "replayed"));
}

TEST_F(IdempotencyTest, WhereTooManyGoOnWithoutTheirClientsNewOnesAreRefused) {
  domain_.max_detached = 1;
  auto drive = Running(Mint());
  const Token done = Mint();
  Finish(*Running(done));
  drive->state.chain->TellClientGone();
  EXPECT_EQ(Tell(Mint()), Told(503, "not-executed"));
  EXPECT_EQ(table().Count().in_flight, 1u);
  EXPECT_EQ(Tell(done), Told(201, "replayed")) << "what is known is told";
  EXPECT_EQ(table().Count().full, 1u);
}

TEST_F(IdempotencyTest, ALargeRequestIsNotProtected) {
  domain_.max_request_bytes = 100;
  const Token token = Mint();
  for (const size_t piece : {size_t{0}, size_t{33}}) {
    auto drive = Attempt(token);
    const std::string body(101, 'x');
    drive->Request(body, piece);
    EXPECT_EQ(drive->sent, body);
    Finish(*drive);
    EXPECT_EQ(drive->ResponseField("pillion-dedup"), "bypass");
  }
  EXPECT_EQ(table().Count().room.records, 0u);
  Finish(*Running(token, std::string(100, 'x')));
  EXPECT_EQ(table().Count().completed, 1u);
}

TEST_F(IdempotencyTest, ALargeAnswerIsNotKept) {
  domain_.max_response_bytes = 1000;
  for (const size_t piece : {size_t{0}, size_t{100}}) {
    const Token token = Mint();
    auto first = Running(token);
    const std::string body(200'000, 'x');
    first->Response(200, {}, body, piece);
    EXPECT_EQ(first->received, body);
    EXPECT_EQ(first->ResponseField("pillion-dedup"), "executed");
    auto again = Attempt(token);
    again->Request("body", 0);
    EXPECT_EQ(Of(*again), Told(409, "tombstone"));
    EXPECT_NE(again->local_body.find("\"original_status\":200"), std::string::npos) << again->local_body;
  }
}

TEST_F(IdempotencyTest, AStreamOfEventsIsNotHeld) {
  const Token token = Mint();
  auto first = Running(token);
  http::HeaderList none;
  first->response.Clear();
  first->response.headers.Add("content-type", "text/event-stream; charset=utf-8");
  EXPECT_EQ(first->state.chain->BeginResponse({first->response, false, 0}), Passage::kFlows);
  SliceQueue content;
  content.AppendCopy("data: x\n\n");
  first->state.chain->FeedResponse(content, false, none, first->response);
  EXPECT_EQ(first->state.chain->response_out().ToString(), "data: x\n\n");
  EXPECT_EQ(Tell(token), Told(409, "tombstone"));
}

TEST_F(IdempotencyTest, WhatOtherFiltersMayHaveMadeLargerIsRefusedNotLetThrough) {
  domain_.max_request_bytes = 3;
  auto drive = Attempt(Mint());
  filter::AddTransform(drive->state, std::make_unique<filter::Transform>());
  drive->Request("body", 0);
  EXPECT_EQ(Of(*drive), Told(413, "not-executed"));
}

TEST_F(IdempotencyTest, ByPolicyNoAnswerIsKept) {
  domain_.keeps_answers = false;
  const Token token = Mint();
  auto first = Running(token);
  Finish(*first);
  EXPECT_EQ(first->received, "done");
  EXPECT_EQ(Tell(token), Told(409, "tombstone"));
}

TEST_F(IdempotencyTest, ATokenOfAnotherTimeIsRefused) {
  const Token token = Mint();
  now_ += DomainTime(125'001);
  EXPECT_EQ(Tell(token), Told(412, "expired"));
  EXPECT_EQ(Tell(Token::Mint(now_ + DomainTime(5'001), random_)), Told(400, "bad-token"));
}

TEST_F(IdempotencyTest, ATokenOfAnotherIncarnationIsNeverRun) {
  const Token token = Mint();
  const auto elsewhere = [&] {
    auto drive = Attempt(token);
    drive->state.token->first = idempotency::Incarnation{9};
    drive->Request("body", 0);
    return Of(*drive);
  };
  EXPECT_EQ(elsewhere(), Told(500, "unknown"));
  Finish(*Running(token));
  EXPECT_EQ(elsewhere(), Told(201, "replayed"));
}

TEST_F(IdempotencyTest, WhatIsNoTokenOfOursIsRefusedBeforeItRuns) {
  const auto with = [&](auto change) {
    auto drive = Attempt(Mint());
    change(*drive->state.token);
    drive->Request("body", 0);
    return Of(*drive);
  };
  EXPECT_EQ(with([](auto& fields) { fields.says = filter::TokenState::Says::kNonsense; }),
            Told(400, "bad-token"));
  EXPECT_EQ(with([](auto& fields) { fields.domain = 8; }), Told(503, "not-executed"));
  EXPECT_EQ(with([](auto& fields) { fields.domain = 0; }), Told(503, "not-executed"));
  EXPECT_EQ(table().Count().room.records, 0u);
}

TEST_F(IdempotencyTest, CallersDoNotSeeEachOthersAnswers) {
  const Token token = Mint();
  const auto as = [&](const char* name) {
    auto security = std::make_unique<net::Security>();
    security->has_peer_certificate = true;
    security->peer_certificate.uri_names = {name};
    security->peer_certificate.verified = true;
    auto drive = Attempt(token);
    drive->security = security.get();
    drive->Request("body", 0);
    if (drive->passage == Passage::kAnswered) return drive->LocalField("pillion-dedup").substr(0, 8);
    drive->Response(200, {}, name, 0);
    return drive->ResponseField("pillion-dedup");
  };
  EXPECT_EQ(as("spiffe://a/b"), "executed");
  EXPECT_EQ(as("spiffe://a/c"), "executed");
  EXPECT_EQ(as("spiffe://a/b"), "replayed");
}

TEST_F(IdempotencyTest, AFullTableRefusesNewTokensAndAnswersOldOnes) {
  domain_.terms.room.records = 2;
  domain_.terms.room.caller_percent = 100;
  const Token token = Mint();
  Finish(*Running(token));
  Finish(*Running(Mint()));
  auto drive = Attempt(Mint());
  drive->Request("body", 0);
  EXPECT_EQ(Of(*drive), Told(503, "not-executed"));
  EXPECT_EQ(drive->LocalField("retry-after"), "1");
  EXPECT_EQ(Tell(token), Told(201, "replayed"));
}

TEST_F(IdempotencyTest, GrpcClientsAreToldInTheirWords) {
  const Token token = Mint();
  const auto attempt = [&](const Token& of) {
    auto drive = Attempt(of);
    drive->head.headers.Set(http::Known::kContentType, "application/grpc+proto");
    drive->Request("body", 0);
    return drive;
  };
  auto first = attempt(token);
  auto refused = [&] {
    domain_.conflict = true;
    return attempt(token);
  }();
  EXPECT_EQ(Of(*refused), Told(200, "in-flight"));
  EXPECT_EQ(refused->LocalField("grpc-status"), "10");
  EXPECT_EQ(refused->LocalField("grpc-retry-pushback-ms"), "1000");
  EXPECT_EQ(refused->LocalField("content-type"), "application/grpc+proto");
  EXPECT_EQ(refused->local_body, "");
  first->failure = kBroken;
  first->Response(200, {{"grpc-status", "14"}}, "", 0, {}, 503);
  EXPECT_EQ(first->response.status, 200);
  EXPECT_EQ(first->ResponseField("grpc-status"), "2");
  EXPECT_EQ(first->ResponseField("pillion-dedup"), "unknown");
}

TEST_F(IdempotencyTest, WhereItsPolicyPausesARequestGetsNoToken) {
  for (const bool paused : {false, true}) {
    config::TokenPolicy policy;
    policy.domain = 7;
    policy.paused = paused;
    FilterDrive drive(filter_, config::FilterKind::kIdempotency, std::move(policy));
    drive.Request("body", 0);
    EXPECT_EQ(drive.state.token == nullptr, paused);
  }
}

TEST_F(IdempotencyTest, ARequestWithoutATokenIsNotTouched) {
  auto drive = Attempt(Mint());
  drive->state.token.reset();
  drive->Request("body", 0);
  EXPECT_EQ(drive->sent, "body");
  EXPECT_EQ(drive->state.chain, nullptr);
}

}  // namespace
}  // namespace pillion::filters
