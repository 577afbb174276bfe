#include "tests/simulation/tokens/redis/redis_deployment.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sidecar/redis/reply.h"
#include "sidecar/testing/sim_peer.h"

namespace pillion::simulation::tokens {
namespace {

using redis::Reply;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clients = RedisServer::Clients;

// A client that says what it is told, and keeps what it hears.
class Talker : public testing::SimPeer {
 public:
  Talker(net::Loop& loop, const net::Address& to) : SimPeer(loop, to) {}
  std::vector<Reply> Hear() {
    Read();
    reader_.Feed(std::exchange(text, {}));
    Reply reply;
    while (reader_.Next(reply) == redis::ReplyReader::State::kReply) heard_.push_back(reply);
    return heard_;
  }

 private:
  redis::ReplyReader reader_;
  std::vector<Reply> heard_;
};

class RedisDeploymentTest : public ::testing::Test {
 protected:
  RedisDeploymentTest() : network(clock, 1, Cuts()), loop(network.NewLoop()) {
    redis = std::make_unique<RedisDeployment>(ServerParts{clock, network, random}, DeploymentSettings());
    Pass(seconds(2));
  }
  static testing::SimFaults Cuts() {
    testing::SimFaults faults;
    faults.cut_percent = 50;
    return faults;
  }
  void Pass(time::Duration time) {
    const time::MonotonicTime end = clock.Now() + time;
    while (true) {
      network.Deliver();
      int rounds = 0;
      while (redis->Run()) ASSERT_LT(++rounds, 1000);
      const time::MonotonicTime next = std::min(network.NextEvent(), redis->NextDeadline());
      if (next > end) break;
      clock.AdvanceTo(std::max(next, clock.Now() + time::Duration(1)));
    }
    clock.AdvanceTo(end);
  }
  static std::string Bytes(const std::vector<std::string>& command) {
    std::string out;
    redis::AppendCommand(std::vector<std::string_view>(command.begin(), command.end()), out);
    return out;
  }
  Talker& Dial(size_t server) {
    talkers.push_back(std::make_unique<Talker>(*loop, redis->AddressOf(server, 0)));
    Pass(milliseconds(20));
    return *talkers.back();
  }
  // Its reply, which comes within `patience`; an error where none does.
  Reply Ask(Talker& talker, const std::vector<std::string>& command,
            time::Duration patience = milliseconds(200)) {
    const size_t before = talker.Hear().size();
    talker.Send(Bytes(command));
    for (time::Duration waited{}; waited < patience; waited += milliseconds(1)) {
      Pass(milliseconds(1));
      if (talker.Hear().size() > before) return talker.Hear()[before];
    }
    return {Reply::Kind::kError, 0, "nothing", {}};
  }
  Reply AskAnew(size_t server, const std::vector<std::string>& command) { return Ask(Dial(server), command); }
  std::vector<std::string> Open(const std::string& run = "run") const {
    return {"EVAL", std::string(scripts[idempotency::ScriptName::kOpen].text),
            "3",    "epoch",
            "ends", "ends-of-keys",
            run};
  }
  // Whose epoch a server has.
  static std::string RunOf(const RedisServer& server) {
    const std::string& run = server.data().Find("epoch")->fields.at("run");
    return run.substr(0, run.find(':'));
  }
  bool Holds(size_t server, const std::string& key) {
    return redis->server(server).data().Find(key) != nullptr;
  }
  bool Knows(size_t server) { return redis->server(server).data().Find("epoch") != nullptr; }

  testing::VirtualClock clock;
  testing::SimNetwork network;
  Random random{1};
  std::unique_ptr<net::Loop> loop;
  std::unique_ptr<RedisDeployment> redis;
  std::vector<std::unique_ptr<Talker>> talkers;
  idempotency::Scripts scripts;
};

TEST_F(RedisDeploymentTest, WhatIsChangedComesToTheReplicasAndWaitSaysSo) {
  Talker& talker = Dial(0);
  talker.Send(Bytes(Open()) + Bytes({"WAIT", "2", "50"}) + Bytes({"PING"}));
  Pass(milliseconds(49));
  const std::vector<Reply> heard = talker.Hear();
  ASSERT_EQ(heard.size(), 3U);
  EXPECT_TRUE(heard[0].is(Reply::Kind::kInteger));
  EXPECT_EQ(heard[1].integer, 2);
  EXPECT_EQ(heard[2].text, "PONG");
  EXPECT_TRUE(Knows(1) && Knows(2));
}

TEST_F(RedisDeploymentTest, WaitBlocksWhatIsBehindItUntilItsTimeIsOver) {
  redis->CutOff(0);
  Talker& talker = Dial(0);
  talker.Send(Bytes(Open()) + Bytes({"WAIT", "1", "50"}) + Bytes({"PING"}));
  Pass(milliseconds(45));
  EXPECT_EQ(talker.Hear().size(), 1U);
  Pass(milliseconds(20));
  ASSERT_EQ(talker.Hear().size(), 3U);
  EXPECT_EQ(talker.Hear()[1].integer, 0);
  EXPECT_FALSE(Knows(1));
  redis->Join(0);
  Pass(milliseconds(20));
  EXPECT_TRUE(Knows(1)) << "what was held back comes when the link works again";
}

TEST_F(RedisDeploymentTest, APrimaryThatHearsOfNoReplicaTakesNoWritesAfterSomeSeconds) {
  Talker& talker = Dial(0);
  redis->CutOff(0);
  EXPECT_TRUE(Ask(talker, Open()).is(Reply::Kind::kInteger));
  Pass(milliseconds(1900));
  EXPECT_TRUE(Ask(talker, Open()).is(Reply::Kind::kInteger));
  Pass(milliseconds(3000));
  EXPECT_TRUE(Ask(talker, Open()).IsError("NOREPLICAS"));
  redis->Join(0);
  Pass(milliseconds(2100));
  EXPECT_TRUE(Ask(talker, Open()).is(Reply::Kind::kInteger));
}

TEST_F(RedisDeploymentTest, AReplicaThatIsPromotedHasWhatItHadAndAnotherRunId) {
  Talker& talker = Dial(0);
  Ask(talker, Open("a"));
  Pass(milliseconds(20));
  redis->CutOff(0);
  Ask(talker, {"EVAL", std::string(scripts[idempotency::ScriptName::kOpen].text), "3", "lost", "ends",
               "ends-of-keys", "a"});
  redis->server(0).Kill();
  redis->Promote(1, Clients::kAreClosed);
  Pass(milliseconds(200));
  const Reply info = AskAnew(1, {"INFO"});
  EXPECT_NE(info.text.find("role:master"), std::string::npos);
  EXPECT_NE(info.text.find(redis->server(1).run_id()), std::string::npos);
  EXPECT_NE(redis->server(0).run_id(), redis->server(1).run_id());
  EXPECT_TRUE(Knows(1));
  EXPECT_EQ(redis->server(1).data().Find("lost"), nullptr);
  redis->StartAgain(0, {});
  EXPECT_NE(redis->server(0).data().Find("lost"), nullptr) << "in its file";
  Pass(milliseconds(200));
  EXPECT_EQ(redis->server(0).data().Find("lost"), nullptr) << "it follows the new primary now";
  EXPECT_TRUE(AskAnew(0, Open()).IsError("READONLY"));
}

TEST_F(RedisDeploymentTest, TheOldPrimaryGoesOnAloneUntilItHears) {
  redis->CutOff(0);
  redis->Promote(1, Clients::kStay, {0});
  Pass(milliseconds(200));
  EXPECT_TRUE(AskAnew(0, Open("old")).is(Reply::Kind::kInteger));
  EXPECT_TRUE(AskAnew(1, Open("new")).is(Reply::Kind::kInteger));
  EXPECT_EQ(RunOf(redis->server(0)), "old");
  Talker& waits = Dial(0);
  waits.Send(Bytes(Open("old")) + Bytes({"WAIT", "1", "5000"}));
  Pass(milliseconds(20));
  redis->Rejoin(0, Clients::kStay);
  Pass(milliseconds(20));
  ASSERT_EQ(waits.Hear().size(), 2U);
  EXPECT_TRUE(waits.Hear()[1].IsError("UNBLOCKED"));
  EXPECT_TRUE(waits.ended || waits.reset);
  Pass(milliseconds(200));
  EXPECT_EQ(RunOf(redis->server(0)), "new");
}

TEST_F(RedisDeploymentTest, AProcessThatStartsAgainLacksTheLastPartAndGivesThatToItsReplicas) {
  Talker& talker = Dial(0);
  Ask(talker, Open());
  Pass(seconds(2));
  Ask(talker, {"EVAL", std::string(scripts[idempotency::ScriptName::kOpen].text), "3", "lost", "ends",
               "ends-of-keys", "a"});
  Pass(milliseconds(100));
  const std::string before = redis->server(0).run_id();
  redis->server(0).Kill();
  Pass(milliseconds(100));
  EXPECT_TRUE(talker.Hear().size() == 2 && (talker.ended || talker.reset));
  redis->StartAgain(0, seconds(1));
  EXPECT_NE(redis->server(0).run_id(), before);
  Pass(milliseconds(200));
  EXPECT_TRUE(AskAnew(0, {"EVALSHA", scripts[idempotency::ScriptName::kOpen].sha, "3", "epoch", "ends",
                          "ends-of-keys", "run"})
                  .IsError("NOSCRIPT"));
  for (const size_t server : {0u, 1u, 2u}) {
    EXPECT_TRUE(Knows(server));
    EXPECT_EQ(redis->server(server).data().Find("lost"), nullptr);
  }
}

TEST_F(RedisDeploymentTest, WhatEndsIsToldToWhoListensAlsoAtAReplica) {
  Talker& here = Dial(0);
  Talker& there = Dial(1);
  EXPECT_EQ(ToString(Ask(here, {"SUBSCRIBE", "n"})), "[subscribe, n, 1]");
  EXPECT_EQ(ToString(Ask(there, {"SUBSCRIBE", "n"})), "[subscribe, n, 1]");
  AskAnew(0, {"EVAL", std::string(scripts[idempotency::ScriptName::kReassert].text), "3", "p:r", "p:epoch",
              "p:ends", "x", "C", "1000", "1000", "run", "f", "200", "a", "n"});
  Pass(milliseconds(20));
  EXPECT_EQ(ToString(here.Hear().back()), "[message, n, C]");
  EXPECT_EQ(ToString(there.Hear().back()), "[message, n, C]");
  EXPECT_TRUE(Holds(0, "p:r") && Holds(1, "p:r"));
  Pass(seconds(3));
  AskAnew(0, {"EVAL", std::string(scripts[idempotency::ScriptName::kOpen].text), "3", "p:epoch", "p:ends",
              "p:others", "run"});
  Pass(milliseconds(20));
  EXPECT_FALSE(Holds(0, "p:r") || Holds(1, "p:r")) << "its time is over";
  EXPECT_FALSE(Holds(0, "p:ends") || Holds(1, "p:ends"));
  EXPECT_EQ(ToString(Ask(here, {"UNSUBSCRIBE", "n"})), "[unsubscribe, n, 0]");
}

TEST_F(RedisDeploymentTest, StandsStillAndGoesOn) {
  Talker& talker = Dial(0);
  redis->server(0).PauseUntil(clock.Now() + milliseconds(500));
  EXPECT_EQ(Ask(talker, {"PING"}).text, "nothing");
  Pass(milliseconds(400));
  EXPECT_EQ(talker.Hear().size(), 1U);
}

TEST_F(RedisDeploymentTest, FlushingForgetsEverywhereAndMemoryMayBeShort) {
  Talker& talker = Dial(0);
  Ask(talker, Open());
  Pass(milliseconds(20));
  redis->server(0).FlushAll();
  Pass(milliseconds(20));
  EXPECT_FALSE(Knows(0) || Knows(1));
  redis->server(0).SetOutOfMemory(true);
  const std::vector<std::string> claim = {
      "EVAL",    std::string(scripts[idempotency::ScriptName::kClaim].text),
      "3",       "p:r",
      "p:epoch", "p:ends",
      "x",       "1000",
      "60000",   "-1",
      "run",     "-5000",
      "0",       "1000",
      "f",       "0"};
  EXPECT_TRUE(Ask(talker, claim).IsError("OOM"));
  redis->server(0).SetOutOfMemory(false);
  EXPECT_EQ(ToString(Ask(talker, claim)), "[CLAIMED]");
}

}  // namespace
}  // namespace pillion::simulation::tokens
