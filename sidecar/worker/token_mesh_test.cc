// A POST from app to app over two sidecars and a network that breaks: with a token it runs once and is
// answered, or its client is told that nobody knows; whole engines on a simulated network and virtual time.
//
//   client --HTTP/1.1--> outbound engine ==HTTP/2==> wire ==HTTP/2==> inbound engine --HTTP/1.1--> app
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/config/filters.h"
#include "sidecar/filter/sticky_session.h"
#include "sidecar/idempotency/tables.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::SimPeer;
using testing::SimServer;

constexpr uint16_t kOutboundPort = 15001;
constexpr uint16_t kWirePort = 15005;
constexpr uint16_t kInboundPort = 15006;
constexpr uint16_t kAppPort = 8080;
constexpr uint16_t kOtherWirePort = 15010;
constexpr idempotency::DomainId kDomain = 7;
// Of another backend: the same process, so that what strays to it is seen in its table.
constexpr idempotency::DomainId kOtherDomain = 8;

// Between the two sidecars: passes bytes on, up to where it breaks.
class Wire {
 public:
  Wire(net::Loop& loop, uint16_t from, uint16_t to) : loop_(loop), to_(to), server_(loop, At(from)) {
    server_.on_accept = [this](SimPeer& peer) { Join(peer); };
  }
  // Connection number `connection`, from 0, breaks when so many bytes have gone that way.
  struct Cut {
    size_t connection = 0;
    bool answers = false;  // bytes to the client's side, else to the service's
    size_t after = 0;
  };
  std::optional<Cut> cut;
  // So many of the next connections are reset at once.
  int refuse = 0;
  // True: something moved.
  bool Move() {
    bool moved = false;
    for (size_t i = 0; i < joints_.size(); ++i) {
      Joint& joint = joints_[i];
      if (joint.broken) continue;
      moved = Pass(i, *joint.near, *joint.far, false, joint.to_far) || moved;
      if (!joint.broken) moved = Pass(i, *joint.far, *joint.near, true, joint.to_near) || moved;
    }
    return moved;
  }
  size_t connections() const { return joints_.size(); }
  // Bytes that went on the first connection, either way.
  size_t passed(bool answers) const {
    return answers ? joints_.at(0).to_near.sent : joints_.at(0).to_far.sent;
  }
  void BreakAll() {
    for (Joint& joint : joints_) Break(joint);
  }

 private:
  struct Lane {
    std::string waiting;
    size_t sent = 0;
  };
  struct Joint {
    SimPeer* near = nullptr;
    std::unique_ptr<SimPeer> far;
    Lane to_far;
    Lane to_near;
    bool broken = false;
  };
  void Join(SimPeer& peer) {
    Joint& joint = joints_.emplace_back();
    joint.near = &peer;
    joint.far = std::make_unique<SimPeer>(loop_, At(to_));
    if (refuse == 0) return;
    --refuse;
    Break(joint);
  }
  void Break(Joint& joint) {
    if (std::exchange(joint.broken, true)) return;
    joint.near->Reset();
    joint.far->Reset();
  }
  bool Pass(size_t number, SimPeer& from, SimPeer& to, bool answers, Lane& lane) {
    from.Read();
    lane.waiting += std::exchange(from.text, {});
    size_t most = lane.waiting.size();
    const bool cuts = cut && cut->connection == number && cut->answers == answers;
    if (cuts) most = std::min(most, cut->after - lane.sent);
    const size_t sent = to.connected() ? to.SendSome(std::string_view(lane.waiting).substr(0, most)) : 0;
    lane.waiting.erase(0, sent);
    lane.sent += sent;
    // The byte before the cut arrives.
    if (cuts && lane.sent == cut->after) {
      cut.reset();
      breaking_ = number;
    } else if (from.ended || from.reset) {
      Break(joints_[number]);
    }
    return sent > 0;
  }

 public:
  // After what was passed on has come.
  void BreakWhatIsCut() {
    if (breaking_) Break(joints_[*std::exchange(breaking_, std::nullopt)]);
  }

 private:
  net::Loop& loop_;
  const uint16_t to_;
  SimServer server_;
  std::vector<Joint> joints_;
  std::optional<size_t> breaking_;
};

class TokenMesh : public EngineFixture {
 protected:
  TokenMesh() : wire_(*peers_, kWirePort, kInboundPort), app_(*peers_, At(kAppPort)) {
    app_.on_accept = [this](SimPeer& peer) { connections_.push_back({&peer, {}}); };
  }
  void Start() {
    StartInbound(engine_, kInboundPort);
    ConfigureOutbound(1);
  }
  void StartInbound(Engine& engine, uint16_t port) {
    const ProxyConfig in(port, kAppPort);
    in.server->http.accept_peer_headers = true;
    config::TokenDomains domains;
    if (enforces_) {
      for (const idempotency::DomainId id : {kDomain, kOtherDomain}) {
        domains.all.emplace_back().id = id;
        domains.all.back().max_request_bytes = most_;
      }
    }
    in.server->http.filters = Filters(std::make_shared<const config::FilterOptions>(std::move(domains)));
    EXPECT_TRUE(engine.Apply(Prepare(in.snapshot, nullptr, nullptr, &tables_)).empty());
  }
  void ConfigureOutbound(size_t endpoints) {
    const ProxyConfig out(kOutboundPort, kWirePort);
    out.server->direction = config::Direction::kOutbound;
    out.server->http.allow_explain = true;
    auto filters = std::make_shared<std::vector<config::FilterEntry>>(
        *Filters(std::make_shared<const config::FilterOptions>(config::TokenDomains())));
    if (other_wire_) {
      filters->push_back(
          {.name = "sessions",
           .kind = config::FilterKind::kStatefulSession,
           .options = std::make_shared<const config::FilterOptions>(config::StickySession{.name = "s"})});
    }
    out.server->http.filters = filters;
    config::ListenerEntry& entry = out.snapshot->listeners["l"];
    auto listener = std::make_shared<config::Listener>(*entry.listener);
    listener->direction = config::Direction::kOutbound;
    entry.listener = listener;
    auto table = std::make_shared<config::RouteTable>(*entry.routes[0]);
    config::Route& route = table->virtual_hosts[0].routes[0];
    route.timeout = timeout_;
    route.retry = retry_;
    config::TokenPolicy policy;
    policy.domain = kDomain;
    policy.max_request_bytes = most_;
    if (stamps_) route.filters = Filters(std::make_shared<const config::FilterOptions>(policy));
    if (other_wire_) AddOther(*out.snapshot, route);
    entry.routes[0] = table;
    config::ClusterEntry& next = out.snapshot->clusters["app"];
    auto assignment = std::make_shared<config::Assignment>();
    for (size_t i = 0; i < endpoints; ++i) {
      config::Endpoint& endpoint = assignment->endpoints.emplace_back();
      endpoint.address = At(static_cast<uint16_t>(kWirePort - i));
      endpoint.pillion_sidecar = known_as_sidecar_;
    }
    next.endpoints = assignment;
    if (!known_as_sidecar_) {
      auto cluster = std::make_shared<config::Cluster>(*next.cluster);
      cluster->protocol = config::UpstreamProtocol::kHttp2;
      next.cluster = cluster;
    }
    EXPECT_TRUE(near_.Apply(Prepare(out.snapshot, nullptr)).empty());
  }
  // A second cluster, "other", which every second request goes to, or just copies of them. `other_filters_`:
  // what is said of it.
  void AddOther(config::Snapshot& snapshot, config::Route& route) {
    if (mirrors_) {
      route.mirrors = std::make_shared<const std::vector<config::Mirror>>(1, config::Mirror{"other"});
    } else {
      route.clusters[0].filters = std::exchange(route.filters, nullptr);
      route.clusters.push_back({.cluster = "other", .weight = 1, .filters = other_filters_});
      route.total_weight = 2;
    }
    auto cluster = std::make_shared<config::Cluster>();
    cluster->name = "other";
    auto assignment = std::make_shared<config::Assignment>();
    config::Endpoint& endpoint = assignment->endpoints.emplace_back();
    endpoint.address = At(kOtherWirePort);
    endpoint.pillion_sidecar = true;
    snapshot.clusters["other"] = {cluster, assignment};
  }
  static std::shared_ptr<const std::vector<config::FilterEntry>> PolicyFor(idempotency::DomainId domain) {
    config::TokenPolicy policy;
    policy.domain = domain;
    return Filters(std::make_shared<const config::FilterOptions>(policy));
  }
  static std::shared_ptr<const std::vector<config::FilterEntry>> Paused() {
    config::TokenPolicy policy;
    policy.domain = kOtherDomain;
    policy.paused = true;
    return Filters(std::make_shared<const config::FilterOptions>(policy));
  }
  void StartWithOther(std::shared_ptr<const std::vector<config::FilterEntry>> filters) {
    other_filters_ = std::move(filters);
    other_wire_.emplace(*peers_, kOtherWirePort, kInboundPort);
    Start();
  }
  // Whose answers have been saved.
  size_t Completed(idempotency::DomainId domain) { return tables_.All().at(domain)->Count().completed; }
  static std::shared_ptr<const std::vector<config::FilterEntry>> Filters(
      std::shared_ptr<const config::FilterOptions> options) {
    auto entries = std::make_shared<std::vector<config::FilterEntry>>();
    entries->push_back({"tokens", false, config::FilterKind::kIdempotency, std::move(options)});
    return entries;
  }
  void PassAll(time::Duration time) {
    const time::MonotonicTime end = clock_.Now() + time;
    for (;;) {
      for (int rest = 0; rest < 3; ++rest) {
        network_.Deliver();
        bool work = near_.RunTurn();
        work = engine_.RunTurn() || work;
        work = wire_.Move() || work;
        if (other_wire_) work = other_wire_->Move() || work;
        network_.Deliver();
        while (engine_.RunTurn() || near_.RunTurn()) {
        }
        wire_.BreakWhatIsCut();
        if (other_wire_) other_wire_->BreakWhatIsCut();
        work = ServeApp() || work;
        if (work) rest = 0;
      }
      const auto next =
          std::min({network_.NextEvent(), engine_.turn().NextDeadline(), near_.turn().NextDeadline()});
      if (next > end) break;
      clock_.AdvanceTo(next);
    }
    clock_.AdvanceTo(end);
    network_.Deliver();
  }
  // Each request runs when all of it is here, and is answered at once, unless the app is slow.
  bool ServeApp() {
    bool moved = false;
    for (Connection& one : connections_) {
      one.peer->Read();
      one.text += std::exchange(one.peer->text, {});
      const bool chunked = one.text.find("chunked") != std::string::npos;
      const std::string last = chunked ? "body\r\n0\r\n\r\n" : "\r\n\r\nbody";
      const size_t end = one.text.find(last);
      if (end == std::string::npos) continue;
      const bool post = one.text.starts_with("POST");
      EXPECT_EQ(one.text.find("\r\npillion"), std::string::npos) << one.text;
      one.text.erase(0, end + last.size());
      if (post) ++executions_;
      moved = true;
      if (slow_) {
        waiting_.push_back(one.peer);
      } else {
        one.peer->Send("HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\npaid");
      }
    }
    return moved;
  }
  std::unique_ptr<SimPeer> Post(const std::string& fields = "") {
    auto client = std::make_unique<SimPeer>(*peers_, At(kOutboundPort));
    PassAll({});
    client->Send("POST /charge HTTP/1.1\r\nhost: app\r\ncontent-length: 4\r\n" + fields + "\r\nbody");
    PassAll({});
    return client;
  }
  std::unique_ptr<SimPeer> PostChunked() {
    auto client = std::make_unique<SimPeer>(*peers_, At(kOutboundPort));
    PassAll({});
    client->Send(
        "POST /charge HTTP/1.1\r\nhost: app\r\ntransfer-encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n");
    PassAll({});
    return client;
  }
  // A POST for each byte of the answers' way, on a connection of its own that breaks there: what they are
  // told.
  std::map<std::string, int> CutAnswers() {
    Status(*Post());
    const size_t answers = wire_.passed(true);
    executions_ = 0;
    std::map<std::string, int> told;
    for (size_t after = 1; after <= answers; ++after) {
      wire_.BreakAll();
      PassAll(milliseconds(1));
      wire_.cut = Wire::Cut{wire_.connections(), true, after};
      const auto client = Post();
      PassAll(seconds(5));
      ++told[Status(*client)];
    }
    return told;
  }
  static int CountOf(const std::map<std::string, int>& told) {
    int count = 0;
    for (const auto& [status, times] : told) count += times;
    return count;
  }
  // "": nothing was told, or it broke off.
  static std::string Status(SimPeer& client) {
    client.Read();
    return client.text.size() < 12 ? "" : client.text.substr(9, 3);
  }

  struct Connection {
    SimPeer* peer;
    std::string text;
  };
  bool enforces_ = true;
  bool stamps_ = true;
  bool slow_ = false;
  bool known_as_sidecar_ = true;
  size_t most_ = size_t{64} * 1024;
  time::Duration timeout_ = seconds(15);
  std::optional<config::RetryPolicy> retry_;
  idempotency::Tables tables_{{1, 2, 3}};
  std::unique_ptr<net::Loop> near_loop_ = network_.NewLoop();
  Engine near_{clock_, *near_loop_, registry_.NewShard(), 2};
  Wire wire_;
  std::optional<Wire> other_wire_;
  std::shared_ptr<const std::vector<config::FilterEntry>> other_filters_;
  bool mirrors_ = false;
  SimServer app_;
  std::vector<Connection> connections_;
  std::vector<SimPeer*> waiting_;
  int executions_ = 0;
};

TEST_F(TokenMesh, APostIsAnsweredAndItsClientSeesNothingOfIt) {
  Start();
  const auto client = Post();
  EXPECT_EQ(Status(*client), "201");
  EXPECT_TRUE(client->text.ends_with("paid"));
  EXPECT_EQ(client->text.find("\r\npillion"), std::string::npos) << client->text;
  EXPECT_EQ(executions_, 1);
  EXPECT_EQ(tables_.All().at(kDomain)->Count().completed, 1u);
}

// Row 10 of the matrix, and the one before it: wherever the connection breaks, either way.
TEST_F(TokenMesh, WhereverTheConnectionBreaksItRunsOnceAndIsAnswered) {
  Start();
  Status(*Post());
  const size_t requests = wire_.passed(false);
  const size_t answers = wire_.passed(true);
  ASSERT_GT(requests, 200u);
  ASSERT_GT(answers, 100u);
  int broken_off = 0;  // row 11: what has begun to be told is not asked for again
  for (const bool way : {false, true}) {
    for (size_t after = 1; after <= (way ? answers : requests); ++after) {
      wire_.BreakAll();
      PassAll(milliseconds(1));
      executions_ = 0;
      wire_.cut = Wire::Cut{wire_.connections(), way, after};
      const auto client = Post();
      PassAll(seconds(5));
      ASSERT_EQ(executions_, 1) << way << " " << after;
      client->Read();
      if (client->text.ends_with("paid")) continue;
      ASSERT_TRUE(way && (client->ended || client->reset)) << way << " " << after << client->text;
      ++broken_off;
    }
  }
  EXPECT_LE(broken_off, 20) << "where the last frames of the answer come apart";
}

// An attempt that provably does not run does not undo that one before it may have.
TEST_F(TokenMesh, WhereverItBreaksAndWhoeverRefusesTheNextAttemptItRunsOnce) {
  Start();
  Status(*Post());
  const size_t answers = wire_.passed(true);
  std::map<std::string, int> told;
  for (size_t after = 1; after <= answers; after += 3) {
    wire_.BreakAll();
    PassAll(seconds(1));
    executions_ = 0;
    wire_.cut = Wire::Cut{wire_.connections(), true, after};
    const auto client = Post();
    wire_.refuse = 1;
    PassAll(seconds(5));
    wire_.refuse = 0;
    ASSERT_LE(executions_, 1) << after;
    client->Read();
    ++told[client->text.ends_with("paid") ? "paid" : client->text.substr(0, 12)];
  }
  EXPECT_GT(told["paid"], 20) << ::testing::PrintToString(told);
}

// The connection breaks when the request is there, and from then on nobody takes one.
TEST_F(TokenMesh, WhoCannotBeAskedAgainLeavesItUnknown) {
  slow_ = true;
  Start();
  const auto client = Post();
  ASSERT_EQ(executions_, 1);
  wire_.refuse = 1000;
  wire_.BreakAll();
  PassAll(seconds(5));
  EXPECT_EQ(Status(*client), "500") << client->text;
  EXPECT_EQ(executions_, 1);
}

// Another sidecar's 503 says that this attempt was not run; not that none was.
TEST_F(TokenMesh, WhoIsRefusedAfterOneThatMayHaveRunIsNotToldThatItDidNot) {
  slow_ = true;
  Start();
  const auto client = Post();
  ASSERT_EQ(executions_, 1);
  pressure_.Set(Pressure::kShedRequests);
  wire_.BreakAll();
  PassAll(seconds(5));
  EXPECT_EQ(Status(*client), "500") << client->text;
  EXPECT_EQ(executions_, 1);
}

// What the service's side does not hold, the client's side must not send again.
TEST_F(TokenMesh, WhatIsTooLargeToBeProtectedIsNotSentAgain) {
  most_ = 3;
  Start();
  Status(*PostChunked());
  ASSERT_EQ(executions_, 1);
  const size_t answers = wire_.passed(true);
  for (size_t after = 40; after <= answers; after += 7) {
    wire_.BreakAll();
    PassAll(milliseconds(1));
    executions_ = 0;
    wire_.cut = Wire::Cut{wire_.connections(), true, after};
    const auto client = PostChunked();
    PassAll(seconds(5));
    ASSERT_LE(executions_, 1) << after;
  }
}

// An endpoint that nobody has said to be a sidecar takes no token from us, whatever it says of itself.
TEST_F(TokenMesh, WhoIsNotKnownAsASidecarGetsNoToken) {
  known_as_sidecar_ = false;
  Start();
  const std::map<std::string, int> told = CutAnswers();
  EXPECT_LE(executions_, CountOf(told));
  EXPECT_EQ(tables_.All().at(kDomain)->Count().room.records, 0u);
}

// The same without the policy: what the tests above would see.
TEST_F(TokenMesh, WithoutAPolicyALostAnswerIsAnError) {
  stamps_ = false;
  Start();
  const std::map<std::string, int> told = CutAnswers();
  EXPECT_GT(told.at("502"), 20);
  EXPECT_LE(executions_, CountOf(told));
}

TEST_F(TokenMesh, ASecondAttemptWaitsForTheFirst) {
  retry_ = config::TokenPolicy::TwoRetries();
  retry_->per_try_timeout = milliseconds(100);
  slow_ = true;
  Start();
  const auto client = Post();
  PassAll(milliseconds(250));
  EXPECT_EQ(executions_, 1);
  EXPECT_EQ(Status(*client), "");
  ASSERT_EQ(waiting_.size(), 1u);
  waiting_[0]->Send("HTTP/1.1 201 Created\r\ncontent-length: 4\r\n\r\npaid");
  PassAll(milliseconds(100));
  EXPECT_EQ(Status(*client), "201");
  EXPECT_EQ(executions_, 1);
}

TEST_F(TokenMesh, WhatNobodyKnowsIsToldAsSuch) {
  slow_ = true;
  Start();
  const auto client = Post();
  ASSERT_EQ(waiting_.size(), 1u);
  waiting_[0]->Reset();  // the app dies while it runs
  PassAll(seconds(1));
  EXPECT_EQ(Status(*client), "500");
  EXPECT_EQ(executions_, 1);
}

TEST_F(TokenMesh, ATimeOutOfWhatMayHaveRunIsToldAsSuch) {
  timeout_ = seconds(1);
  slow_ = true;
  Start();
  const auto client = Post();
  PassAll(seconds(2));
  EXPECT_EQ(Status(*client), "500");
  EXPECT_EQ(executions_, 1);
}

TEST_F(TokenMesh, WhoDoesNotEnforceTheDomainGetsNoTokenAndNoSecondAttempt) {
  enforces_ = false;
  Start();
  const std::map<std::string, int> told = CutAnswers();
  EXPECT_GT(told.at("502"), 20);
  EXPECT_LE(executions_, CountOf(told));
}

// Row 59: another process at the same address, whose table is empty.
TEST_F(TokenMesh, AProcessThatWasReplacedIsNotAskedAgain) {
  slow_ = true;
  Start();
  const auto client = Post();
  ASSERT_EQ(executions_, 1);
  idempotency::Tables others({9, 9});
  {
    const ProxyConfig in(kInboundPort, kAppPort);
    in.server->http.accept_peer_headers = true;
    config::TokenDomains domains;
    domains.all.emplace_back().id = kDomain;
    in.server->http.filters = Filters(std::make_shared<const config::FilterOptions>(std::move(domains)));
    EXPECT_TRUE(engine_.Apply(Prepare(in.snapshot, nullptr, nullptr, &others)).empty());
  }
  slow_ = false;
  wire_.BreakAll();
  PassAll(seconds(5));
  EXPECT_EQ(Status(*client), "500") << client->text;
  EXPECT_EQ(executions_, 1);
}

TEST_F(TokenMesh, TwoRequestsThatAreAlikeAreTwo) {
  Start();
  EXPECT_EQ(Status(*Post()), "201");
  EXPECT_EQ(Status(*Post()), "201");
  EXPECT_EQ(executions_, 2);
}

TEST_F(TokenMesh, WhatAnAppSaysOfTokensIsItsOwnAndGoesNoFurther) {
  Start();
  const auto client =
      Post("pillion-token: 017f22e2-79b0-7cc3-98c4-dc0c0c07398f\r\npillion-dedup: executed\r\n");
  EXPECT_EQ(Status(*client), "201");
  const auto again = Post("pillion-token: 017f22e2-79b0-7cc3-98c4-dc0c0c07398f\r\n");
  EXPECT_EQ(Status(*again), "201");
  EXPECT_EQ(executions_, 2) << "each has got its own";
}

TEST_F(TokenMesh, WhatAnAttemptWasToldIsExplained) {
  Start();
  const auto client = Post("x-pillion-explain: 1\r\n");
  client->Read();
  EXPECT_NE(client->text.find("token-stamped"), std::string::npos) << client->text;
  EXPECT_NE(client->text.find("token-verdict"), std::string::npos) << client->text;
}

TEST_F(TokenMesh, EachOfSeveralBackendsHasItsDomain) {
  StartWithOther(PolicyFor(kOtherDomain));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Status(*Post()), "201");
  EXPECT_EQ(Completed(kDomain), 5u);
  EXPECT_EQ(Completed(kOtherDomain), 5u);
  EXPECT_EQ(executions_, 10);
}

TEST_F(TokenMesh, RequestsToABackendWithoutAPolicyOrAPausedOneHaveNoToken) {
  for (const auto& filters : {decltype(Paused())(), Paused()}) {
    const size_t before = tables_.All().empty() ? 0 : Completed(kDomain);
    StartWithOther(filters);
    executions_ = 0;
    size_t answer = 0;
    for (int i = 0; i < 10; ++i) {
      EXPECT_EQ(Status(*Post()), "201");
      if (i == 1) answer = other_wire_->passed(true);
    }
    EXPECT_EQ(Completed(kDomain), before + 5);
    EXPECT_EQ(Completed(kOtherDomain), 0u);
    EXPECT_EQ(executions_, 10);
    // A lost answer is an error there, as without a policy, and no more than that.
    std::map<std::string, int> told;
    for (int i = 0; i < 10; ++i) {
      other_wire_->BreakAll();
      PassAll(milliseconds(1));
      other_wire_->cut = Wire::Cut{other_wire_->connections(), true, answer - 20};
      const auto client = Post();
      PassAll(seconds(5));
      ++told[Status(*client)];
    }
    EXPECT_EQ(told, (std::map<std::string, int>{{"201", 5}, {"502", 5}}));
    EXPECT_EQ(executions_, 20);
  }
}

// Also where the next attempt may have another token, because the one before it did not run.
TEST_F(TokenMesh, AnotherAttemptGoesToTheBackendThatWasChosen) {
  StartWithOther(PolicyFor(kOtherDomain));
  Status(*Post());
  Status(*Post());
  const std::array<size_t, 2> answers = {wire_.passed(true), other_wire_->passed(true)};
  const std::array<Wire*, 2> wires = {&wire_, &*other_wire_};
  std::array<int, 2> tried_again{};
  for (size_t after = 1; after < std::min(answers[0], answers[1]); after += 5) {
    for (int refused = 0; refused < 2; ++refused) {
      std::array<size_t, 2> before{};
      for (size_t i = 0; i < 2; ++i) {
        wires[i]->BreakAll();
        PassAll(milliseconds(1));
        before[i] = wires[i]->connections();
        wires[i]->refuse = refused;
        wires[i]->cut = Wire::Cut{before[i] + static_cast<size_t>(refused), true, after};
      }
      executions_ = 0;
      const auto client = Post();
      PassAll(seconds(5));
      const bool to_other = wires[1]->connections() != before[1];
      ASSERT_EQ(wires[to_other ? 0 : 1]->connections(), before[to_other ? 0 : 1]) << after;
      ASSERT_LE(executions_, 1) << after;
      if (refused == 0) ASSERT_EQ(executions_, 1) << after;
      tried_again[to_other ? 1 : 0] += wires[to_other ? 1 : 0]->connections() > before[to_other ? 1 : 0] + 1;
      for (Wire* const wire : wires) {
        wire->refuse = 0;
        wire->cut.reset();
      }
    }
  }
  EXPECT_GT(tried_again[0], 10);
  EXPECT_GT(tried_again[1], 10);
}

// A session comes before the weights: what holds is what is said of the backend where it is.
TEST_F(TokenMesh, WhereASessionLeadsDecidesWhetherThereIsAToken) {
  StartWithOther(nullptr);
  const auto at = [](uint16_t port) {
    return "cookie: s=" + filter::StickyValue(At(port), seconds(0), {}) + "\r\n";
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Status(*Post(at(kOtherWirePort))), "201");
  EXPECT_EQ(wire_.connections(), 0u);
  EXPECT_EQ(Completed(kDomain), 0u);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(Status(*Post(at(kWirePort))), "201");
  EXPECT_EQ(Completed(kDomain), 10u);
}

TEST_F(TokenMesh, CopiesHaveNoToken) {
  mirrors_ = true;
  StartWithOther(nullptr);
  EXPECT_EQ(Status(*Post()), "201");
  PassAll(seconds(1));
  EXPECT_EQ(executions_, 2);
  EXPECT_EQ(Completed(kDomain), 1u);
  EXPECT_EQ(tables_.All().at(kDomain)->Count().room.records, 1u);
  EXPECT_EQ(tables_.All().at(kOtherDomain)->Count().room.records, 0u);
}

}  // namespace
}  // namespace pillion::worker
