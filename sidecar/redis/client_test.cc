// Against a server that is played on the same loop: what it says, and where it stops, is the test's.
#include "sidecar/redis/client.h"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/redis/test_server.h"

namespace pillion::redis {
namespace {

constexpr std::string_view kInfo =
    "redis_version:7.0.15\r\nrun_id:abc\r\nrole:master\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n";

std::string Text(std::string_view text) {
  return "$" + std::to_string(text.size()) + "\r\n" + std::string(text) + "\r\n";
}

class PlayedServer final : public net::Observer, public stream::Runnable {
 public:
  explicit PlayedServer(TestWorker& worker) : worker_(worker) {
    int error = 0;
    listener_ = worker.loop.Listen(*net::Address::Parse("127.0.0.1", 0), *this, &error);
  }
  net::Address address() const { return listener_->local(); }
  void OnReady(bool, bool) override { worker_.turn.Wake(*this); }
  stream::Progress Run() override {
    while (auto socket = listener_->Accept()) {
      ++connections;
      socket_ = std::move(socket);
      worker_.loop.Observe(*socket_, *this);
      reader_ = std::make_unique<ReplyReader>();
      said_ = 0;
    }
    if (socket_ == nullptr || deaf) return stream::Progress::kIdle;
    std::array<char, 4096> room;
    while (socket_ != nullptr) {
      const net::IoResult result = socket_->Read({room.data(), room.size()});
      if (result.kind != net::IoResult::Kind::kBytes) {
        if (result.kind != net::IoResult::Kind::kWouldBlock) socket_.reset();
        break;
      }
      reader_->Feed({room.data(), result.bytes});
      Answer();
    }
    return stream::Progress::kIdle;
  }
  void Say(std::string_view text) {
    text = text.substr(0, last_byte - std::min(last_byte, said_));
    const iovec piece = {const_cast<char*>(text.data()), text.size()};
    if (!text.empty()) {
      const net::IoResult result = socket_->Write({&piece, 1});
      // The client of an earlier case may be gone.
      if (result.kind == net::IoResult::Kind::kReset) return Hang();
      EXPECT_EQ(result.bytes, text.size());
    }
    said_ += text.size();
    if (said_ >= last_byte) Hang();
  }
  void Hang() { socket_.reset(); }
  // Whoever dials it from now on is refused.
  void Close() { listener_.reset(); }
  size_t said() const { return said_; }

  // What it answers to a command; "": nothing.
  std::function<std::string(const std::vector<Reply>&)> play = [](const std::vector<Reply>& command) {
    return Usual(command);
  };
  static std::string Usual(const std::vector<Reply>& command) {
    if (command[0].text == "INFO") return Text(kInfo);
    if (command[0].text == "CONFIG") return "*0\r\n";
    return Text(command.back().text);
  }
  size_t last_byte = SIZE_MAX;  // of a connection, that it says; then it hangs up
  bool deaf = false;
  int connections = 0;
  std::vector<std::string> heard;

 private:
  void Answer() {
    Reply command;
    while (socket_ != nullptr && reader_->Next(command) == ReplyReader::State::kReply) {
      heard.push_back(ToString(command));
      if (const std::string answer = play(command.parts); !answer.empty()) Say(answer);
    }
  }
  TestWorker& worker_;
  std::unique_ptr<net::ListenSocket> listener_;
  std::unique_ptr<net::Socket> socket_;
  std::unique_ptr<ReplyReader> reader_;
  size_t said_ = 0;
};

class Owner final : public stream::Runnable {
 public:
  stream::Progress Run() override {
    ++runs;
    return stream::Progress::kIdle;
  }
  int runs = 0;
};

class ClientTest : public ::testing::Test {
 protected:
  ClientTest() {
    settings.addresses = {server.address()};
    settings.requirements.replicas = 0;
    settings.backoff_base = std::chrono::milliseconds(1);
    settings.backoff_cap = std::chrono::milliseconds(5);
  }
  void Make(Client::Use use = Client::Use::kCommander) {
    inbox.reset();
    client = std::make_unique<Client>(worker.parts(), settings, use);
    inbox = std::make_unique<Inbox>(*client, owner);
  }
  void MakeReady(Client::Use use = Client::Use::kCommander) {
    Make(use);
    ASSERT_TRUE(worker.RunUntil([&] { return client->ready(); })) << client->trouble();
  }
  Client::Taken Send(uint64_t tag, std::string_view text) {
    const std::array<std::string_view, 2> command = {"ECHO", text};
    return client->Send(*inbox, tag, command);
  }
  // Until so many have ended.
  bool Collect(size_t count) {
    return worker.RunUntil([&] {
      for (Ended& one : inbox->TakeEnded()) ended.push_back(std::move(one));
      return ended.size() >= count;
    });
  }
  std::string Story() const {
    std::string story;
    for (const Ended& one : ended) {
      story += std::to_string(one.tag) + "=";
      story += one.how == Ended::How::kReply     ? ToString(one.reply)
               : one.how == Ended::How::kNotSent ? "not-sent"
                                                 : "unknown";
      story += " ";
    }
    return story;
  }
  TestWorker worker;
  PlayedServer server{worker};
  ClientSettings settings;
  Owner owner;
  std::unique_ptr<Client> client;
  std::unique_ptr<Inbox> inbox;
  std::vector<Ended> ended;
};

TEST_F(ClientTest, RepliesComeInTheOrderOfTheCommandsAndItsOwnerIsWoken) {
  MakeReady();
  EXPECT_EQ(client->server().run_id, "abc");
  const int runs = owner.runs;
  for (uint64_t i = 0; i < 5; ++i) ASSERT_EQ(Send(i, "r" + std::to_string(i)), Client::Taken::kYes);
  ASSERT_TRUE(Collect(5));
  EXPECT_EQ(Story(), "0=r0 1=r1 2=r2 3=r3 4=r4 ");
  EXPECT_GT(owner.runs, runs);
}

TEST_F(ClientTest, TakesNoCommandBeforeItIsReady) {
  Make();
  EXPECT_EQ(Send(1, "x"), Client::Taken::kNotReady);
  ASSERT_TRUE(worker.RunUntil([&] { return client->ready(); }));
  EXPECT_TRUE(inbox->TakeEnded().empty());
  EXPECT_EQ(client->generation(), 1U);
}

TEST_F(ClientTest, IntroducesItselfAndAsksForTheSettings) {
  settings.user = "pillion";
  settings.password = "secret";
  server.play = [](const auto& command) {
    return command[0].text == "AUTH" ? std::string("+OK\r\n") : PlayedServer::Usual(command);
  };
  MakeReady();
  EXPECT_EQ(server.heard,
            (std::vector<std::string>{"[AUTH, pillion, secret]", "[INFO]", "[CONFIG, GET, maxmemory-policy]",
                                      "[CONFIG, GET, appendonly]", "[CONFIG, GET, min-replicas-to-write]",
                                      "[CONFIG, GET, min-replicas-max-lag]"}));
}

TEST_F(ClientTest, EachCommandEndsOnceWhereverTheConnectionIsCut) {
  MakeReady();
  const size_t greeting = server.said();
  constexpr size_t kCommands = 3;
  const size_t reply = Text("reply").size();
  for (size_t cut = 1; cut <= greeting + kCommands * reply; ++cut) {
    SCOPED_TRACE(cut);
    ended.clear();
    server.last_byte = cut;
    Make();
    if (cut <= greeting) {
      // Never ready: it dials again and again, and takes nothing.
      const int before = server.connections;
      ASSERT_TRUE(worker.RunUntil([&] { return server.connections > before + 1 || client->ready(); }));
      if (cut < greeting) EXPECT_FALSE(client->ready());
      continue;
    }
    ASSERT_TRUE(worker.RunUntil([&] { return client->ready(); }));
    for (uint64_t i = 0; i < kCommands; ++i) ASSERT_EQ(Send(i, "reply"), Client::Taken::kYes);
    ASSERT_TRUE(Collect(kCommands));
    const size_t whole = (cut - greeting) / reply;
    std::string expected;
    for (size_t i = 0; i < kCommands; ++i)
      expected += std::to_string(i) + (i < whole ? "=reply " : "=unknown ");
    EXPECT_EQ(Story(), expected);
    worker.RunFor(std::chrono::milliseconds(1));
    EXPECT_TRUE(inbox->TakeEnded().empty());
  }
}

TEST_F(ClientTest, KnowsWhatHasNotLeft) {
  MakeReady();
  server.deaf = true;
  const std::string large(size_t{1} << 20, 'x');
  for (uint64_t i = 0; i < 12; ++i) ASSERT_EQ(Send(i, large), Client::Taken::kYes);
  worker.RunFor(std::chrono::milliseconds(20));
  server.Hang();
  ASSERT_TRUE(Collect(12));
  EXPECT_EQ(ended.front().how, Ended::How::kUnknown);
  EXPECT_EQ(ended.back().how, Ended::How::kNotSent);
  for (size_t i = 0; i + 1 < ended.size(); ++i) {
    EXPECT_EQ(ended[i].tag, i);
    EXPECT_FALSE(ended[i].how == Ended::How::kNotSent && ended[i + 1].how != Ended::How::kNotSent);
  }
}

TEST_F(ClientTest, GivesUpAConnectionThatDoesNotAnswer) {
  settings.command_timeout = std::chrono::milliseconds(250);
  MakeReady();
  server.play = [](const auto& command) {
    return command.back().text == "never" ? std::string() : PlayedServer::Usual(command);
  };
  Send(1, "first");
  Send(2, "never");
  Send(3, "never");
  ASSERT_TRUE(Collect(3));
  EXPECT_EQ(Story(), "1=first 2=unknown 3=unknown ");
  EXPECT_EQ(client->counts().late, 1U);
  EXPECT_EQ(client->trouble(), "no reply in time");
  ASSERT_TRUE(worker.RunUntil([&] { return client->ready(); }));
  EXPECT_EQ(client->generation(), 2U);
}

TEST_F(ClientTest, ACommandMayBlockForAsLongAsItSays) {
  settings.command_timeout = std::chrono::milliseconds(30);
  MakeReady();
  server.play = [](const auto&) { return std::string(); };
  const std::array<std::string_view, 2> command = {"ECHO", "x"};
  client->Send(*inbox, 1, command, std::chrono::seconds(10));
  Send(2, "behind it");
  worker.RunFor(std::chrono::milliseconds(100));
  EXPECT_TRUE(client->ready());
  server.Say("$1\r\nx\r\n");
  ASSERT_TRUE(Collect(1));
  worker.RunFor(std::chrono::milliseconds(5));
  EXPECT_TRUE(client->ready()) << "what stood behind it has its time too";
  server.Say("$1\r\ny\r\n");
  ASSERT_TRUE(Collect(2));
  EXPECT_EQ(Story(), "1=x 2=y ");
}

TEST_F(ClientTest, LeavesAServerThatIsNoMasterAnyMore) {
  MakeReady();
  server.play = [](const auto& command) {
    return command.back().text == "write"
               ? std::string("-READONLY You can't write against a read only replica.\r\n")
               : PlayedServer::Usual(command);
  };
  Send(1, "write");
  Send(2, "write");
  ASSERT_TRUE(Collect(2));
  EXPECT_EQ(Story(),
            "1=-READONLY You can't write against a read only replica. "
            "2=-READONLY You can't write against a read only replica. ");
  ASSERT_TRUE(worker.RunUntil([&] { return client->generation() == 2; }));
  EXPECT_EQ(client->trouble(), "the server is no master any more");
}

TEST_F(ClientTest, RefusesAServerThatIsNoMaster) {
  server.play = [](const auto& command) {
    return command[0].text == "INFO" ? Text("role:slave\r\nrun_id:abc\r\n") : PlayedServer::Usual(command);
  };
  Make();
  ASSERT_TRUE(worker.RunUntil([&] { return server.connections >= 3; }));
  EXPECT_FALSE(client->ready());
  EXPECT_EQ(client->trouble(), "role: found slave, expected master");
}

TEST_F(ClientTest, RefusesWhatIsNoRedis) {
  server.play = [](const auto&) { return std::string("HTTP/1.1 400 Bad Request\r\n\r\n"); };
  Make();
  ASSERT_TRUE(worker.RunUntil([&] { return server.connections >= 3; }));
  EXPECT_FALSE(client->ready());
  EXPECT_EQ(client->trouble().substr(0, 34), "what the server said is no reply: ");
}

TEST_F(ClientTest, RefusesAReplyToNothing) {
  MakeReady();
  server.Say("+OK\r\n");
  ASSERT_TRUE(worker.RunUntil([&] { return !client->ready(); }));
  EXPECT_EQ(client->trouble(), "the server replied to nothing: OK");
}

TEST_F(ClientTest, HoldsNoMoreThanItsLimits) {
  settings.limits.max_pending_commands = 3;
  settings.limits.max_output_bytes = 1000;
  MakeReady();
  server.play = [](const auto&) { return std::string(); };
  EXPECT_EQ(Send(1, std::string(2000, 'x')), Client::Taken::kFull);
  for (uint64_t i = 0; i < 3; ++i) EXPECT_EQ(Send(i, "x"), Client::Taken::kYes);
  EXPECT_EQ(Send(3, "x"), Client::Taken::kFull);
  EXPECT_EQ(client->pending(), 3U);
}

TEST_F(ClientTest, AnInboxThatIsGoneIsToldNothing) {
  MakeReady();
  Owner other_owner;
  auto other = std::make_unique<Inbox>(*client, other_owner);
  const std::array<std::string_view, 2> command = {"ECHO", "other"};
  ASSERT_EQ(client->Send(*other, 1, command), Client::Taken::kYes);
  other.reset();
  Send(2, "mine");
  ASSERT_TRUE(Collect(1));
  EXPECT_EQ(Story(), "2=mine ");
}

TEST_F(ClientTest, DialsElsewhereWhenItsAddressHasChanged) {
  PlayedServer other(worker);
  MakeReady();
  client->SetAddresses({other.address()});
  EXPECT_TRUE(client->ready());
  server.Hang();
  ASSERT_TRUE(worker.RunUntil([&] { return client->generation() == 2; }));
  EXPECT_EQ(other.connections, 1);
}

TEST_F(ClientTest, TriesItsAddressesOneAfterTheOtherUntilOneIsThePrimary) {
  PlayedServer replica(worker);
  replica.play = [](const auto& command) {
    return command[0].text == "INFO" ? Text("run_id:r\r\nrole:slave\r\n") : PlayedServer::Usual(command);
  };
  PlayedServer dead(worker);
  const net::Address nobody = dead.address();
  dead.Close();
  settings.addresses = {replica.address(), nobody, server.address()};
  MakeReady();
  EXPECT_EQ(client->server().run_id, "abc") << "the primary's";
  EXPECT_EQ(replica.connections, 1);
  EXPECT_EQ(client->counts().dials, 3u);
  // When it is lost the others are tried again.
  server.Hang();
  ASSERT_TRUE(worker.RunUntil([&] { return client->generation() == 2; }));
  EXPECT_EQ(client->counts().dials, 6u);
}

TEST_F(ClientTest, WithoutAnAddressOrCertificatesItDialsNobodyAndSaysSo) {
  settings.addresses.clear();
  Make();
  ASSERT_TRUE(worker.RunUntil([&] { return client->counts().failures > 1; }));
  EXPECT_EQ(client->trouble(), "the server has no address");
  client->SetAddresses({server.address()});
  auto credentials = std::make_shared<tls::Holder<tls::ClientCredentials>>();
  client->SetCredentials(credentials);
  ASSERT_TRUE(worker.RunUntil([&] {
    return client->trouble() == "the certificates to call the server with are not here, or are of no use";
  }));
  EXPECT_EQ(server.connections, 0);
  client->SetCredentials(nullptr);
  ASSERT_TRUE(worker.RunUntil([&] { return client->ready(); }));
}

TEST_F(ClientTest, MessagesComeBesideReplies) {
  server.play = [](const auto& command) -> std::string {
    if (command[0].text == "PING") return "+PONG\r\n";
    const std::string& channel = command.back().text;
    if (command[0].text == "SUBSCRIBE")
      return "*3\r\n$7\r\nmessage\r\n" + Text("other") + Text("0") + "*3\r\n$9\r\nsubscribe\r\n" +
             Text(channel) + ":1\r\n*3\r\n$7\r\nmessage\r\n" + Text(channel) + Text("1");
    return "*3\r\n$7\r\nmessage\r\n" + Text(channel) + Text("2") + "*3\r\n$11\r\nunsubscribe\r\n" +
           Text(channel) + ":0\r\n";
  };
  MakeReady(Client::Use::kSubscriber);
  ASSERT_EQ(client->Subscribe(*inbox, 7, "c"), Client::Taken::kYes);
  ASSERT_TRUE(Collect(1));
  EXPECT_EQ(ended[0].tag, 7U);
  const std::vector<Message> messages = inbox->TakeMessages();
  ASSERT_EQ(messages.size(), 1U);
  EXPECT_EQ(messages[0].channel + messages[0].text, "c1");
  EXPECT_EQ(client->counts().strays, 1U);
  client->Unsubscribe("c");
  ASSERT_TRUE(worker.RunUntil([&] { return client->counts().strays == 2; }));
  EXPECT_EQ(client->pending(), 0U);
  EXPECT_TRUE(inbox->TakeMessages().empty());
}

TEST_F(ClientTest, TheWaitBetweenDialsGrowsAndIsDrawn) {
  settings.backoff_base = std::chrono::seconds(1000);
  settings.backoff_cap = std::chrono::seconds(4000);
  MakeReady();
  // Dead for a while that is not nothing.
  server.Hang();
  ASSERT_TRUE(worker.RunUntil([&] { return !client->ready(); }));
  EXPECT_EQ(client->state(), Client::State::kWaiting);
  const time::Duration wait = worker.turn.NextDeadline() - worker.turn.now();
  EXPECT_LE(wait, std::chrono::seconds(1001));
}

}  // namespace
}  // namespace pillion::redis
