// Requests whose records are at a store that answers later, which is played here: what the guard asks of it,
// and what it holds back until it is told.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/filter/filter_drive.h"
#include "sidecar/filters/idempotency/idempotency.h"
#include "sidecar/idempotency/bell.h"
#include "sidecar/idempotency/store.h"
#include "sidecar/idempotency/token.h"

namespace pillion::filters {
namespace {

using filter::FilterDrive;
using filter::Passage;
using idempotency::Claim;
using idempotency::ClaimAnswer;
using idempotency::DomainTime;
using idempotency::Ended;
using idempotency::Token;
using idempotency::Waiter;
using Kind = ClaimAnswer::Kind;

constexpr DomainTime kStart{1'700'000'000'000};
constexpr idempotency::DomainId kDomain = 7;

// Says what it is told to say.
class PlayedStore final : public idempotency::Store {
 public:
  ClaimAnswer Claim(Held& held, const idempotency::Claim& claim) override {
    claims.push_back(claim);
    if (held.number == 0 && !claim.waiter) return {.kind = Kind::kAsks};
    held.number = 1;
    if (answer) return *answer;
    return {.kind = claim.waiter ? Kind::kWaits : late};
  }
  std::optional<Ended> Complete(Held& held, std::string_view written, uint16_t status,
                                const std::optional<Waiter>& waiter) override {
    EXPECT_EQ(held.number, 1u);
    EXPECT_TRUE(waiter.has_value()) << "else nobody could be rung";
    told += written.empty() ? "status " : "answer ";
    told += std::to_string(status) + ' ';
    return ended;
  }
  std::optional<Ended> HowEnded(const Held&) const override { return ended; }
  void Release(Held&) override { told += "release "; }
  void Abandon(Held&) override { told += "abandon "; }
  void Leave(Held& held) override {
    if (std::exchange(held.number, 0) != 0) told += "leave ";
  }
  idempotency::Detached& detached() override { return detached_; }

  std::optional<ClaimAnswer> answer;  // none: not yet
  Kind late = Kind::kAsks;            // what it says without an answer when nobody waits any more
  std::optional<Ended> ended;
  std::string told;
  std::vector<idempotency::Claim> claims;

 private:
  idempotency::Detached detached_;
};

class LaterStoreTest : public ::testing::Test {
 protected:
  LaterStoreTest() {
    domain_.id = kDomain;
    store_config_ = std::make_shared<config::TokenStore>();
    stores_[kDomain] = &store_;
  }
  std::unique_ptr<FilterDrive> Attempt() {
    domain_.store = store_config_;
    auto drive = std::make_unique<FilterDrive>(filter_, config::FilterKind::kIdempotency,
                                               config::TokenDomains{{domain_}});
    drive->head.path = "/charge";
    drive->wall = time::WallTime(kStart);
    if (deadline_ms_ > 0) drive->head.headers.Add("x-pillion-deadline", std::to_string(deadline_ms_));
    auto fields = std::make_unique<filter::TokenState>();
    fields->says = filter::TokenState::Says::kToken;
    fields->taken = Token::Mint(kStart, random_).array();
    fields->domain = kDomain;
    if (later_) fields->first = idempotency::Incarnation{9};
    drive->state.token = std::move(fields);
    return drive;
  }
  void GiveWaiter(FilterDrive& drive) {
    ASSERT_TRUE(drive.awaits());
    drive.state.token->await->waiter = Waiter{bell_, 1};
  }
  // It has asked the store.
  std::unique_ptr<FilterDrive> Asked(std::string_view body = "body") {
    store_.answer.reset();
    auto drive = Attempt();
    drive->Request(body, 0);
    EXPECT_EQ(drive->passage, Passage::kHeld);
    GiveWaiter(*drive);
    drive->Again();
    return drive;
  }
  std::unique_ptr<FilterDrive> Running() {
    auto drive = Asked();
    store_.answer = ClaimAnswer{.kind = Kind::kClaimed, .execution = 5};
    drive->Again();
    EXPECT_EQ(drive->sent, "body");
    drive->state.token->await.reset();  // as the exchange does
    return drive;
  }
  // What it was told in place of being run.
  std::string Told(FilterDrive& drive) {
    EXPECT_EQ(drive.sent, "");
    EXPECT_EQ(drive.passage, Passage::kAnswered);
    return std::to_string(drive.local_response.status) + ' ' + drive.LocalField("pillion-dedup");
  }
  std::string TellIn(Kind kind) {
    auto drive = Asked();
    store_.answer = ClaimAnswer{.kind = kind};
    drive->Again();
    return Told(*drive);
  }

  config::TokenDomain domain_;
  std::shared_ptr<config::TokenStore> store_config_;
  PlayedStore store_;
  idempotency::WorkerStores stores_;
  std::shared_ptr<idempotency::Bell> bell_ = std::make_shared<idempotency::Bell>([] {});
  int deadline_ms_ = 0;
  bool later_ = false;
  Random random_{1};
  Idempotency filter_{stores_};
};

TEST_F(LaterStoreTest, ARequestIsHeldUntilItIsClaimedAndItsAnswerUntilItIsSaved) {
  auto drive = Asked();
  EXPECT_EQ(drive->passage, Passage::kHeld);
  EXPECT_EQ(drive->sent, "");
  EXPECT_TRUE(store_.claims.back().waiter.has_value());
  drive = Running();
  drive->Response(201, {{"content-type", "text/plain"}}, "done", 1);
  EXPECT_EQ(drive->passage, Passage::kHeld);
  EXPECT_EQ(store_.told, "leave ") << "of the first one; of this there is nobody yet who could be rung";
  GiveWaiter(*drive);
  drive->ResponseAgain();
  EXPECT_EQ(drive->passage, Passage::kHeld);
  EXPECT_EQ(drive->received, "");
  EXPECT_EQ(store_.told, "leave answer 201 ");
  drive->ResponseAgain();
  EXPECT_EQ(drive->received, "") << "rung for nothing";
  store_.ended = Ended::kDone;
  drive->ResponseAgain();
  EXPECT_EQ(drive->received, "done");
  EXPECT_EQ(drive->response.status, 201);
  EXPECT_EQ(drive->ResponseField("pillion-dedup"), "executed");
  drive.reset();
  EXPECT_EQ(store_.told, "leave answer 201 leave ") << "told once";
}

TEST_F(LaterStoreTest, AnAnswerWithoutContentIsHeldToo) {
  auto drive = Running();
  drive->Response(204, {}, "", 0);
  GiveWaiter(*drive);
  drive->ResponseAgain();
  EXPECT_EQ(drive->passage, Passage::kHeld);
  EXPECT_EQ(store_.told, "answer 204 ");
  store_.ended = Ended::kLater;
  drive->ResponseAgain();
  EXPECT_EQ(drive->passage, Passage::kFlows) << "it is the truth, whatever becomes of its record";
  EXPECT_EQ(drive->ResponseField("pillion-dedup"), "executed");
}

TEST_F(LaterStoreTest, OfALargeAnswerTheStatusIsSavedBeforeItGoesOn) {
  domain_.max_response_bytes = 10;
  auto drive = Running();
  drive->Response(200, {}, std::string(30, 'x'), 4);
  ASSERT_TRUE(drive->awaits());
  GiveWaiter(*drive);
  drive->ResponseAgain("rest");
  EXPECT_EQ(store_.told, "status 200 ");
  EXPECT_EQ(drive->received, "");
  store_.ended = Ended::kDone;
  drive->ResponseAgain("rest");
  EXPECT_EQ(drive->received, std::string(12, 'x') + "rest");
}

TEST_F(LaterStoreTest, AStreamsHeadIsHeldForItsStatusAloneAndNotForItsContent) {
  auto drive = Running();
  drive->response.status = 200;
  drive->response.headers.Add("content-type", "text/event-stream");
  EXPECT_EQ(drive->state.chain->BeginResponse({drive->response, false, 0, {}}), Passage::kHeld);
  GiveWaiter(*drive);
  SliceQueue nothing;
  const auto ask = [&] {
    return drive->state.chain->FeedResponse(nothing, false, drive->trailers, drive->response,
                                            filter::Chain::Holder::kIsAskedAgain);
  };
  EXPECT_EQ(ask(), Passage::kHeld);
  EXPECT_EQ(store_.told, "status 200 ");
  store_.ended = Ended::kDone;
  EXPECT_EQ(ask(), Passage::kFlows) << "though nothing of its content has come";
  EXPECT_FALSE(drive->state.chain->response_held());
}

TEST_F(LaterStoreTest, AFencedExecutionsAnswerIsNotToldAsExecuted) {
  auto drive = Running();
  drive->Response(201, {}, "done", 0);
  GiveWaiter(*drive);
  drive->ResponseAgain();
  store_.ended = Ended::kFenced;
  drive->ResponseAgain();
  EXPECT_EQ(drive->response.status, 500);
  EXPECT_EQ(drive->ResponseField("pillion-dedup"), "unknown");
  EXPECT_EQ(drive->received.find("done"), std::string::npos);
}

TEST_F(LaterStoreTest, WhatBreaksWhileItIsBeingSavedIsToldAsUnknown) {
  auto drive = Running();
  drive->Response(201, {}, "done", 0);
  GiveWaiter(*drive);
  drive->ResponseAgain();
  EXPECT_TRUE(drive->state.chain->goes_on_until().has_value()) << "no time-out of its client's ends it";
  drive->state.token->await.reset();
  drive->failure = {ErrorKind::kReset, Side::kUpstream, Outcome::kAmbiguous, "gone"};
  drive->Response(502, {}, "told here", 0, {}, 502);
  EXPECT_EQ(drive->response.status, 500);
  EXPECT_EQ(drive->ResponseField("pillion-dedup"), "unknown");
  drive.reset();
  EXPECT_EQ(store_.told, "answer 201 leave ") << "and is neither released nor abandoned";
}

TEST_F(LaterStoreTest, WhatIsKnownIsTold) {
  EXPECT_EQ(TellIn(Kind::kDown), "503 not-executed");
  EXPECT_EQ(TellIn(Kind::kDoubt), "503 doubt");
  EXPECT_EQ(TellIn(Kind::kFull), "503 not-executed");
  EXPECT_EQ(TellIn(Kind::kUnknown), "500 unknown");
  EXPECT_EQ(TellIn(Kind::kInFlight), "409 in-flight");
  EXPECT_EQ(TellIn(Kind::kMismatch), "422 mismatch");
  EXPECT_EQ(TellIn(Kind::kExpired), "412 expired");
  stores_.clear();
  auto drive = Attempt();
  drive->Request("body", 0);
  EXPECT_EQ(Told(*drive), "503 not-executed") << "the worker has no such store";
}

TEST_F(LaterStoreTest, WhoHasNoTimeLeftIsToldWhatIsKnownThen) {
  deadline_ms_ = 300;
  auto drive = Asked();
  drive->now += std::chrono::milliseconds(260);
  drive->Again();
  EXPECT_EQ(Told(*drive), "504 not-executed");
  EXPECT_EQ(store_.told, "leave ") << "a claim that is granted later is given back";
  store_.late = Kind::kInFlight;
  drive = Asked();
  drive->now += std::chrono::milliseconds(260);
  drive->Again();
  EXPECT_EQ(Told(*drive), "409 in-flight");
}

TEST_F(LaterStoreTest, AnAnswerIsCoalescedOnlyIfItWasWaitedFor) {
  std::string written;
  idempotency::WriteAnswer(
      201, {}, [](const http::HeaderList::Field&) { return true; }, {}, nullptr, {}, written);
  for (const bool waited : {false, true}) {
    auto drive = Asked();
    store_.answer =
        ClaimAnswer{.kind = Kind::kReplay, .waited = waited, .answer = idempotency::SavedAnswer(written)};
    drive->Again();
    EXPECT_EQ(Told(*drive).substr(0, 12), waited ? "201 coalesce" : "201 replayed");
  }
}

TEST_F(LaterStoreTest, ByPolicyItRunsUnprotectedWhereTheStoreIsDown) {
  store_config_->runs_when_down = true;
  auto drive = Asked();
  EXPECT_FALSE(store_.claims.back().only_if_known);
  store_.answer = ClaimAnswer{.kind = Kind::kDown};
  drive->Again();
  EXPECT_EQ(drive->sent, "body");
  drive->state.token->await.reset();
  drive->Response(201, {}, "done", 0);
  EXPECT_EQ(drive->received, "done");
  EXPECT_EQ(drive->ResponseField("pillion-dedup"), "bypass");
  EXPECT_FALSE(drive->state.chain->goes_on_until().has_value());
}

TEST_F(LaterStoreTest, ALaterAttemptDoesNotRunWhereThoseBeforeItMayHaveRunUnprotected) {
  store_config_->runs_when_down = later_ = true;
  EXPECT_EQ(TellIn(Kind::kDown), "503 not-executed");
  EXPECT_TRUE(store_.claims.back().only_if_known);
  store_config_->runs_when_down = false;
  Asked();
  EXPECT_FALSE(store_.claims.back().only_if_known);
  EXPECT_FALSE(store_.claims.back().of_another_incarnation) << "any process will do";
}

TEST_F(LaterStoreTest, WhatTheStoreRefusesThoughItIsThereDoesNotRunUnprotected) {
  store_config_->runs_when_down = true;
  EXPECT_EQ(TellIn(Kind::kRefused), "503 not-executed");
}

TEST_F(LaterStoreTest, AKeyNeverRunsUnprotectedAndSoALaterAttemptOfItMay) {
  store_config_->runs_when_down = later_ = true;
  domain_.keys.source = config::KeySource::kApp;
  domain_.keys.records = kDomain + 1;
  stores_[kDomain + 1] = &store_;
  auto drive = Attempt();
  drive->state.token->says = filter::TokenState::Says::kAppKey;
  drive->head.headers.Add("idempotency-key", "\"k\"");
  drive->Request("body", 0);
  GiveWaiter(*drive);
  drive->Again();
  EXPECT_FALSE(store_.claims.back().only_if_known);
  store_.answer = ClaimAnswer{.kind = Kind::kDown};
  drive->Again();
  EXPECT_EQ(Told(*drive), "503 not-executed");
}

TEST_F(LaterStoreTest, TooManyThatGoOnWithoutTheirClientsLetNoneBegin) {
  domain_.max_detached = 1;
  auto first = Running();
  first->state.chain->TellClientGone();
  store_.told.clear();
  EXPECT_EQ(TellIn(Kind::kClaimed), "503 not-executed");
  EXPECT_EQ(store_.told, "release leave ");
  EXPECT_EQ(store_.detached().refused(), 1u);
  first.reset();
  EXPECT_EQ(store_.detached().now(), 0u);
}

TEST_F(LaterStoreTest, WhoIsDestroyedLeaves) {
  Asked();
  EXPECT_EQ(store_.told, "leave ");
  store_.told.clear();
  Running();
  EXPECT_EQ(store_.told, "leave ") << "which abandons what runs";
}

TEST_F(LaterStoreTest, WhatProvablyDidNotRunIsReleasedAndWhatMayHaveIsAbandoned) {
  auto drive = Running();
  drive->failure = {ErrorKind::kConnectFailed, Side::kUpstream, Outcome::kNotSent, "no"};
  drive->Response(503, {}, "", 0, {}, 503);
  EXPECT_EQ(drive->ResponseField("pillion-dedup"), "not-executed");
  EXPECT_EQ(store_.told, "release ") << "nobody waits for that";
  store_.told.clear();
  drive = Running();
  store_.told.clear();
  drive->failure = {ErrorKind::kReset, Side::kUpstream, Outcome::kAmbiguous, "gone"};
  drive->Response(502, {}, "", 0, {}, 502);
  EXPECT_EQ(drive->ResponseField("pillion-dedup"), "unknown");
  EXPECT_EQ(store_.told, "abandon ");
}

}  // namespace
}  // namespace pillion::filters
