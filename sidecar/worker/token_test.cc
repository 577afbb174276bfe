// Requests with tokens at the sidecar of the service: whole engines on a simulated network and virtual time,
// a sidecar of a client that is played by hand, and an app whose executions are counted.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/config/filters.h"
#include "sidecar/http2/codec.h"
#include "sidecar/idempotency/hello.h"
#include "sidecar/idempotency/tables.h"
#include "sidecar/idempotency/token.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using idempotency::Token;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::SimPeer;

constexpr uint16_t kPort = 15006;
constexpr uint16_t kOtherPort = 15007;
constexpr uint16_t kApp = 9000;
constexpr idempotency::DomainId kDomain = 7;
constexpr idempotency::Incarnation kIncarnation{1, 2, 3};

// What came of one stream.
struct Call {
  int status = 0;
  std::string verdict;
  std::string body;
  bool ended = false;
  bool reset = false;
};

// A client's sidecar, as far as its connection goes.
class Sidecar {
 public:
  Sidecar(net::Loop& loop, uint16_t port) : peer_(loop, At(port)) {}
  http2::StreamId Post(const std::string& token, const std::string& body,
                       const std::vector<std::pair<std::string, std::string>>& fields = {}) {
    http::RequestHead head;
    head.method = http::Method::kPost;
    head.method_text = "POST";
    head.path = "/charge";
    head.scheme = "http";
    head.authority = "app";
    head.has_authority = true;
    head.content = {http::ContentLength::Kind::kSized, body.size()};
    head.headers.Add("pillion-h1", "2");
    if (!token.empty()) {
      head.headers.Add("pillion-token", token);
      head.headers.Add("pillion-attempt", "1;max=3");
      head.headers.Add("pillion-first", idempotency::ToHex(kIncarnation));
      head.headers.Add("pillion-domain", idempotency::ToHex(kDomain));
    }
    for (const auto& [name, value] : fields) head.headers.Add(name, value);
    bool too_large = false;
    const http2::StreamId id = codec_.SubmitRequest(head, body.empty(), &too_large);
    SliceQueue content;
    content.AppendCopy(body);
    if (!body.empty()) {
      codec_.SendContent(id, content);
      codec_.FinishContent(id);
    }
    calls[id];
    return id;
  }
  void Cancel(http2::StreamId id) { codec_.Reset(id, http2::ErrorCode::kCancel); }
  void Close() { peer_.Close(); }
  // What is here goes both ways.
  void Move() {
    SliceQueue out;
    codec_.Output(out, SIZE_MAX);
    unsent_ += out.ToString();
    unsent_.erase(0, peer_.SendSome(unsent_));
    peer_.Read();
    const std::string fed = std::exchange(peer_.text, {});  // the events are of it
    EXPECT_TRUE(codec_.Feed(fed));
    for (const http2::Event& event : codec_.events()) Take(event);
    codec_.ClearEvents();
  }
  std::map<http2::StreamId, Call> calls;

 private:
  void Take(const http2::Event& event) {
    Call& call = calls[event.stream];
    using Kind = http2::Event::Kind;
    if (event.kind == Kind::kResponseHead) {
      const http::ResponseHead& head = codec_.response(event);
      call.status = head.status;
      call.verdict = head.headers.Find("pillion-dedup").value_or("(none)");
      call.verdict = call.verdict.substr(0, call.verdict.find(';'));
    }
    if (event.kind == Kind::kContent) {
      call.body += event.content;
      codec_.ReleaseCredit(event.stream, event.content.size());
    }
    if (event.kind == Kind::kEnd) call.ended = true;
    if (event.kind == Kind::kClosed && !call.ended) call.reset = true;
  }
  SimPeer peer_;
  std::string unsent_;
  http2::Codec codec_{http2::Role::kClient, {}};
};

class Tokens : public EngineFixture {
 protected:
  Tokens() {
    domain_.id = kDomain;
    app_ = std::make_unique<testing::SimServer>(*peers_, At(kApp));
    app_->on_accept = [this](SimPeer& peer) { connections_.push_back(&peer); };
  }
  void Start(bool of_peers = true) { Configure(engine_, kPort, of_peers); }
  void Configure(Engine& engine, uint16_t port, bool of_peers = true) {
    const ProxyConfig proxy(port, kApp);
    auto entries = std::make_shared<std::vector<config::FilterEntry>>();
    config::TokenDomain domain = domain_;
    domain.holder = std::make_shared<config::TableHolder>();
    entries->push_back({"tokens", false, config::FilterKind::kIdempotency,
                        std::make_shared<const config::FilterOptions>(config::TokenDomains{{domain}})});
    proxy.server->http.filters = entries;
    proxy.server->http.accept_peer_headers = of_peers;
    EXPECT_TRUE(engine.Apply(Prepare(proxy.snapshot, nullptr, nullptr, &tables_)).empty());
  }
  std::string Mint() {
    const auto now = std::chrono::floor<idempotency::DomainTime>(engine_.turn().wall().time_since_epoch());
    return Token::Mint(now, random_).ToString();
  }
  Sidecar& Connect(uint16_t port = kPort) {
    sidecars_.push_back(std::make_unique<Sidecar>(*peers_, port));
    PassBoth({});
    return *sidecars_.back();
  }
  // Time passes, and all that are connected take what comes.
  void PassBoth(time::Duration time) {
    const time::MonotonicTime end = clock_.Now() + time;
    for (int i = 0; i < 6; ++i) {
      for (const auto& sidecar : sidecars_) sidecar->Move();
      Pass({});
      while (other_ != nullptr && other_->RunTurn()) {
      }
      network_.Deliver();
    }
    if (time.count() > 0) {
      Pass(end - clock_.Now());
      PassBoth({});
    }
  }
  // What the app was sent on that connection, all of it.
  const std::string& Seen(size_t i) {
    connections_.at(i)->Read();
    return connections_[i]->text;
  }
  // How often it was asked to charge.
  size_t Executions() {
    size_t count = 0;
    for (size_t i = 0; i < connections_.size(); ++i) {
      const std::string& text = Seen(i);
      for (size_t at = text.find("POST /charge"); at != std::string::npos;
           at = text.find("POST /charge", at + 1))
        ++count;
    }
    return count;
  }
  void Answer(size_t i, const std::string& body, const std::string& status = "201 Created") {
    connections_.at(i)->Send("HTTP/1.1 " + status + "\r\ncontent-length: " + std::to_string(body.size()) +
                             "\r\n\r\n" + body);
    PassBoth({});
  }
  static void ExpectTold(const Call& call, int status, const std::string& verdict, const std::string& body) {
    EXPECT_EQ(call.status, status);
    EXPECT_EQ(call.verdict, verdict);
    if (body != "*") EXPECT_EQ(call.body, body);
    EXPECT_TRUE(call.ended);
  }

  config::TokenDomain domain_;
  idempotency::Tables tables_{kIncarnation};
  Random random_{1};
  std::unique_ptr<net::Loop> other_loop_;
  std::unique_ptr<Engine> other_;
  std::unique_ptr<testing::SimServer> app_;
  std::vector<SimPeer*> connections_;
  std::vector<std::unique_ptr<Sidecar>> sidecars_;
};

TEST_F(Tokens, ARequestRunsOnceHoweverOftenItComes) {
  Start();
  Sidecar& one = Connect();
  Sidecar& two = Connect();
  const std::string token = Mint();
  const auto first = one.Post(token, "body");
  PassBoth({});
  ASSERT_EQ(Executions(), 1u);
  const auto meanwhile = two.Post(token, "body");
  PassBoth(milliseconds(100));
  EXPECT_FALSE(two.calls[meanwhile].ended);
  Answer(0, "paid");
  ExpectTold(one.calls[first], 201, "executed", "paid");
  ExpectTold(two.calls[meanwhile], 201, "coalesced", "paid");
  const auto again = one.Post(token, "body");
  PassBoth({});
  ExpectTold(one.calls[again], 201, "replayed", "paid");
  const auto other = one.Post(token, "bodz");
  PassBoth({});
  ExpectTold(one.calls[other], 422, "mismatch", "*");
  EXPECT_EQ(Executions(), 1u);
}

TEST_F(Tokens, TheAppSeesNothingOfThem) {
  Start();
  Sidecar& one = Connect();
  one.Post(Mint(), "body", {{"Idempotency-Key", "\"k\""}});
  PassBoth({});
  EXPECT_EQ(Seen(0).find("pillion"), std::string::npos) << Seen(0);
  EXPECT_NE(Seen(0).find("\"k\""), std::string::npos) << "its own is left alone";
  EXPECT_TRUE(Seen(0).ends_with("body"));
}

TEST_F(Tokens, WhoIsNoSidecarHasNone) {
  Start(false);
  Sidecar& one = Connect();
  const std::string token = Mint();
  for (size_t i = 0; i < 2; ++i) {
    const auto id = one.Post(token, "body");
    PassBoth({});
    EXPECT_EQ(Executions(), i + 1);
    EXPECT_EQ(Seen(0).find("pillion"), std::string::npos);
    Answer(0, "paid");
    ExpectTold(one.calls[id], 201, "(none)", "paid");
  }
}

TEST_F(Tokens, ItGoesOnWhenItsClientHasLeft) {
  Start();
  Sidecar& one = Connect();
  const std::string token = Mint();
  const auto first = one.Post(token, "body");
  PassBoth({});
  one.Cancel(first);
  PassBoth(seconds(20));
  Seen(0);
  EXPECT_FALSE(connections_[0]->ended || connections_[0]->reset) << "the app is not disturbed";
  EXPECT_EQ(tables_.All().at(kDomain)->Count().in_flight, 1u);
  Answer(0, "paid");
  EXPECT_EQ(tables_.All().at(kDomain)->Count().completed, 1u);
  EXPECT_EQ(engine_.environment().active_inbound, 0u);
  Sidecar& two = Connect();
  const auto again = two.Post(token, "body");
  PassBoth({});
  ExpectTold(two.calls[again], 201, "replayed", "paid");
  EXPECT_EQ(Executions(), 1u);
}

TEST_F(Tokens, ItGoesOnWhenItsClientsConnectionBreaks) {
  Start();
  Sidecar& one = Connect();
  const std::string token = Mint();
  one.Post(token, "body");
  PassBoth({});
  sidecars_.clear();
  PassBoth(milliseconds(10));
  Sidecar& two = Connect();
  const auto again = two.Post(token, "body");
  PassBoth(milliseconds(10));
  EXPECT_FALSE(two.calls[again].ended);
  Answer(0, std::string(100'000, 'x').substr(0, 3000));
  ExpectTold(two.calls[again], 201, "coalesced", std::string(3000, 'x'));
  EXPECT_EQ(Executions(), 1u);
  EXPECT_EQ(engine_.environment().active_inbound, 0u);
}

TEST_F(Tokens, AnAppThatNeverAnswersIsGivenUpAndNotAskedAgain) {
  Start();
  Sidecar& one = Connect();
  const std::string token = Mint();
  const auto first = one.Post(token, "body", {{"x-pillion-deadline", "1000"}});
  PassBoth({});
  one.Cancel(first);
  PassBoth(seconds(29));
  Seen(0);
  EXPECT_FALSE(connections_[0]->ended || connections_[0]->reset);
  PassBoth(seconds(2));
  Seen(0);
  EXPECT_TRUE(connections_[0]->ended || connections_[0]->reset);
  EXPECT_EQ(engine_.environment().active_inbound, 0u);
  const auto again = one.Post(token, "body");
  PassBoth({});
  ExpectTold(one.calls[again], 500, "unknown", "*");
  EXPECT_EQ(Executions(), 1u);
}

TEST_F(Tokens, AnAppThatDiesLeavesTheOutcomeUnknown) {
  Start();
  Sidecar& one = Connect();
  const std::string token = Mint();
  const auto first = one.Post(token, "body");
  PassBoth({});
  ASSERT_EQ(Executions(), 1u);
  connections_[0]->Reset();
  PassBoth(milliseconds(10));
  ExpectTold(one.calls[first], 500, "unknown", "*");
  const auto again = one.Post(token, "body");
  PassBoth({});
  ExpectTold(one.calls[again], 500, "unknown", "*");
  EXPECT_EQ(connections_.size(), 1u);
}

TEST_F(Tokens, AnAnswerThatBreaksOffLeavesTheOutcomeUnknown) {
  Start();
  Sidecar& one = Connect();
  const std::string token = Mint();
  const auto first = one.Post(token, "body");
  PassBoth({});
  connections_.at(0)->Send("HTTP/1.1 201 Created\r\ncontent-length: 100\r\n\r\nhalf");
  PassBoth({});
  EXPECT_EQ(one.calls[first].status, 0) << "it is told when it is saved";
  connections_[0]->Close();
  PassBoth(milliseconds(10));
  ExpectTold(one.calls[first], 500, "unknown", "*");
  const auto again = one.Post(token, "body");
  PassBoth({});
  ExpectTold(one.calls[again], 500, "unknown", "*");
}

TEST_F(Tokens, AnAppThatCannotBeReachedLeavesTheTokenFree) {
  app_.reset();
  Start();
  Sidecar& one = Connect();
  const std::string token = Mint();
  const auto first = one.Post(token, "body");
  PassBoth(milliseconds(10));
  ExpectTold(one.calls[first], 503, "not-executed", "*");
  EXPECT_EQ(tables_.All().at(kDomain)->Count().room.records, 0u);
  app_ = std::make_unique<testing::SimServer>(*peers_, At(kApp));
  app_->on_accept = [this](SimPeer& peer) { connections_.push_back(&peer); };
  PassBoth(seconds(1));
  const auto again = one.Post(token, "body");
  PassBoth({});
  Answer(0, "paid");
  ExpectTold(one.calls[again], 201, "executed", "paid");
}

TEST_F(Tokens, ARequestThatIsCutOffNeverRuns) {
  Start();
  Sidecar& one = Connect();
  const auto id = one.Post(Mint(), "", {{"content-type", "a/b"}});
  one.Cancel(id);
  PassBoth(milliseconds(10));
  EXPECT_EQ(Executions(), 0u);
}

TEST_F(Tokens, WhoWaitsIsToldBeforeItsDeadline) {
  Start();
  Sidecar& one = Connect();
  const std::string token = Mint();
  one.Post(token, "body");
  PassBoth({});
  const auto second = one.Post(token, "body", {{"x-pillion-deadline", "500"}});
  const auto third = one.Post(token, "body");
  PassBoth(milliseconds(440));
  EXPECT_FALSE(one.calls[second].ended);
  PassBoth(milliseconds(20));
  ExpectTold(one.calls[second], 409, "in-flight", "*");
  PassBoth(milliseconds(9600));
  ExpectTold(one.calls[third], 409, "in-flight", "*");
  EXPECT_EQ(tables_.All().at(kDomain)->Count().room.waiters, 0u);
}

TEST_F(Tokens, ManyAtOnceAreOneExecution) {
  Start();
  Sidecar& one = Connect();
  const std::string token = Mint();
  std::vector<http2::StreamId> ids;
  ids.reserve(100);
  for (int i = 0; i < 100; ++i) ids.push_back(one.Post(token, "body"));
  for (int i = 0; i < 10; ++i) PassBoth({});
  Answer(0, "paid");
  std::map<std::pair<int, std::string>, int> told;
  for (const auto id : ids) ++told[{one.calls[id].status, one.calls[id].verdict}];
  EXPECT_EQ((told[{201, "executed"}]), 1);
  EXPECT_EQ((told[{201, "coalesced"}]), 4);
  EXPECT_EQ((told[{409, "in-flight"}]), 95);
  EXPECT_EQ(Executions(), 1u);
}

// Two workers of one process: the table is theirs together.
TEST_F(Tokens, ADuplicateAtAnotherWorkerWaitsToo) {
  Start();
  other_loop_ = network_.NewLoop();
  other_ = std::make_unique<Engine>(clock_, *other_loop_, registry_.NewShard(), 2);
  Configure(*other_, kOtherPort);
  Sidecar& one = Connect();
  Sidecar& two = Connect(kOtherPort);
  const std::string token = Mint();
  const auto first = one.Post(token, "body");
  PassBoth({});
  const auto meanwhile = two.Post(token, "body");
  PassBoth(milliseconds(10));
  EXPECT_FALSE(two.calls[meanwhile].ended);
  Answer(0, "paid");
  ExpectTold(one.calls[first], 201, "executed", "paid");
  ExpectTold(two.calls[meanwhile], 201, "coalesced", "paid");
  EXPECT_EQ(Executions(), 1u);
  sidecars_.clear();
}

// A new configuration goes on with the records of the one before.
TEST_F(Tokens, AConfigurationThatNamesTheDomainAgainKnowsItsTokens) {
  Start();
  Sidecar& one = Connect();
  const std::string token = Mint();
  one.Post(token, "body");
  PassBoth({});
  Answer(0, "paid");
  domain_.conflict = true;
  Start();
  Sidecar& two = Connect();
  const auto again = two.Post(token, "body");
  PassBoth({});
  ExpectTold(two.calls[again], 201, "replayed", "paid");
}

TEST_F(Tokens, WhatGoesOnWithoutItsClientIsWaitedForByADrain) {
  Start();
  Sidecar& one = Connect();
  const std::string token = Mint();
  const auto first = one.Post(token, "body");
  PassBoth({});
  one.Cancel(first);
  PassBoth(milliseconds(1));
  sidecars_.clear();
  engine_.Drain(true);
  PassBoth(milliseconds(10));
  EXPECT_FALSE(engine_.Drained(true));
  Answer(0, "paid");
  PassBoth(milliseconds(10));
  EXPECT_TRUE(engine_.Drained(true));
}

}  // namespace
}  // namespace pillion::worker
