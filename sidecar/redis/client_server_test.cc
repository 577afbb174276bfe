// Against real servers.
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/redis/client.h"
#include "sidecar/redis/test_server.h"
#include "sidecar/tls/test_certificates.h"

namespace pillion::redis {
namespace {

class Owner final : public stream::Runnable {
 public:
  stream::Progress Run() override { return stream::Progress::kIdle; }
};

class ClientServerTest : public ::testing::Test {
 protected:
  void Make(const TestServer& server, Client::Use use = Client::Use::kCommander) {
    settings.addresses = {server.address()};
    // This machine may be busy.
    settings.connect_timeout = settings.command_timeout = std::chrono::seconds(15);
    settings.backoff_base = std::chrono::milliseconds(5);
    settings.backoff_cap = std::chrono::milliseconds(20);
    inbox.reset();
    client = std::make_unique<Client>(worker.parts(), settings, use);
    inbox = std::make_unique<Inbox>(*client, owner);
  }
  bool BecomesReady() {
    return worker.RunUntil([&] { return client->ready(); });
  }
  // Why it does not take the server.
  std::string Refusal() {
    EXPECT_TRUE(worker.RunUntil([&] { return client->counts().failures >= 2; }));
    EXPECT_FALSE(client->ready());
    return client->trouble();
  }
  std::string Ask(std::vector<std::string_view> command) {
    if (client->Send(*inbox, 1, command) != Client::Taken::kYes) return "not taken";
    std::vector<Ended> ended;
    worker.RunUntil([&] { return !(ended = inbox->TakeEnded()).empty(); });
    return ended[0].how == Ended::How::kReply ? ToString(ended[0].reply) : "no reply";
  }
  TestWorker worker;
  ClientSettings settings;
  Owner owner;
  std::unique_ptr<Client> client;
  std::unique_ptr<Inbox> inbox;
};

TEST_F(ClientServerTest, SpeaksToARealServer) {
  TestServer server;
  settings.requirements.replicas = 0;
  Make(server);
  ASSERT_TRUE(BecomesReady()) << client->trouble();
  EXPECT_EQ(client->server().run_id.size(), 40U);
  const std::string any("a\0\r\n\xff", 5);
  EXPECT_EQ(Ask({"SET", "key", any}), "OK");
  EXPECT_EQ(Ask({"GET", "key"}), any);
  EXPECT_EQ(Ask({"GET", "none"}), "nil");
}

TEST_F(ClientServerTest, WhatItTellsPeopleOfAServerThatRepeatsWhatItWasToldHasNoPassword) {
  TestServer server({"--rename-command", "AUTH", ""});
  settings.requirements.replicas = 0;
  settings.user = "somebody";
  settings.password = "not-for-people";
  Make(server);
  EXPECT_EQ(Refusal().find(settings.password), std::string::npos) << client->trouble();
}

TEST_F(ClientServerTest, AServerWithoutReplicasIsRefusedUnlessNoneIsAskedFor) {
  TestServer server(PrimaryArguments());
  Make(server);
  EXPECT_EQ(Refusal(), "replicas that are connected and up to date: found 0, expected at least 1");
}

TEST_F(ClientServerTest, APrimaryWithAReplicaIsTakenAndTheReplicaIsNot) {
  TestServer primary(PrimaryArguments());
  TestServer replica(ReplicaArguments(primary));
  ASSERT_TRUE(primary.AwaitReplicas(1));
  Make(primary);
  ASSERT_TRUE(BecomesReady()) << client->trouble();
  Make(replica);
  EXPECT_EQ(Refusal(), "role: found slave, expected master");
}

TEST_F(ClientServerTest, AServerThatEvictsIsRefused) {
  TestServer server({"--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"});
  settings.requirements.replicas = 0;
  Make(server);
  EXPECT_EQ(Refusal(), "maxmemory-policy: found allkeys-lru, expected noeviction");
  // Once that is put right it is taken, without anybody's help.
  server.Ask({"CONFIG", "SET", "maxmemory-policy", "noeviction"});
  EXPECT_TRUE(BecomesReady()) << client->trouble();
}

TEST_F(ClientServerTest, AServerThatForgetsWhenItDiesIsRefused) {
  TestServer server({"--appendonly", "no"});
  settings.requirements.replicas = 0;
  Make(server);
  EXPECT_EQ(Refusal(), "appendonly: found no, expected yes");
}

TEST_F(ClientServerTest, ALongLagOfReplicasIsRefused) {
  TestServer primary({"--min-replicas-to-write", "1", "--min-replicas-max-lag", "10"});
  TestServer replica(ReplicaArguments(primary));
  ASSERT_TRUE(primary.AwaitReplicas(1));
  Make(primary);
  EXPECT_EQ(Refusal(), "min-replicas-max-lag: found 10, expected 1 to 2");
}

TEST_F(ClientServerTest, UserAndPasswordAreNeededWhereTheServerWantsThem) {
  TestServer server;
  ASSERT_EQ(server.Ask({"ACL", "SETUSER", "pillion", "on", ">secret", "~p:*", "&n:*", "+@all"}).text, "OK");
  ASSERT_EQ(server.Ask({"ACL", "SETUSER", "default", "off"}).text, "OK");
  settings.requirements.replicas = 0;
  Make(server);
  EXPECT_EQ(Refusal(), "INFO: NOAUTH Authentication required.");
  settings.user = "pillion";
  settings.password = "wrong";
  Make(server);
  EXPECT_EQ(Refusal(), "AUTH: WRONGPASS invalid username-password pair or user is disabled.");
  settings.password = "secret";
  Make(server);
  ASSERT_TRUE(BecomesReady()) << client->trouble();
  EXPECT_EQ(Ask({"SET", "p:x", "1"}), "OK");
  EXPECT_EQ(Ask({"SET", "q:x", "1"}).substr(0, 7), "-NOPERM");
  Make(server, Client::Use::kSubscriber);
  EXPECT_TRUE(BecomesReady()) << client->trouble();
}

TEST_F(ClientServerTest, WithoutConfigGetWhatInfoShowsCountsAndTheRestIsNamed) {
  TestServer primary(PrimaryArguments());
  TestServer replica(ReplicaArguments(primary));
  ASSERT_TRUE(primary.AwaitReplicas(1));
  ASSERT_EQ(
      primary.Ask({"ACL", "SETUSER", "pillion", "on", ">secret", "~p:*", "&n:*", "+@all", "-config"}).text,
      "OK");
  settings.user = "pillion";
  settings.password = "secret";
  Make(primary);
  EXPECT_EQ(
      Refusal(),
      "min-replicas-to-write: found nothing, as the server shows it neither by CONFIG GET nor by INFO, "
      "expected at least 1; min-replicas-max-lag: found nothing, as the server shows it neither by CONFIG "
      "GET nor by INFO, expected 1 to 2");
  settings.requirements.unseen = Requirements::Unseen::kTrust;
  Make(primary);
  EXPECT_TRUE(BecomesReady()) << client->trouble();
  // What INFO shows is not taken on trust.
  primary.Ask({"CONFIG", "SET", "maxmemory-policy", "allkeys-lru"});
  Make(primary);
  EXPECT_EQ(Refusal(), "maxmemory-policy: found allkeys-lru, expected noeviction");
}

TEST_F(ClientServerTest, SpeaksTlsToTheServerThatItWasToldOf) {
  tls::TestAuthority authority("authority");
  const tls::Issued issued = authority.Issue({.names = "DNS:redis.example"});
  const std::string folder = MakeTestFolder();
  WriteTestFile(folder + "/cert.pem", issued.certificate);
  WriteTestFile(folder + "/key.pem", issued.key);
  WriteTestFile(folder + "/ca.pem", authority.pem());
  TestServer server({"--tls-cert-file", folder + "/cert.pem", "--tls-key-file", folder + "/key.pem",
                     "--tls-ca-cert-file", folder + "/ca.pem", "--tls-auth-clients", "no"},
                    TestServer::Port::kTls);
  settings.requirements.replicas = 0;
  const auto trust = [&](const std::string& ca, const std::string& name) {
    tls::ClientSettings trusted;
    trusted.common.validation.trusted_ca = ca;
    trusted.common.validation.names = {{.text = name}};
    auto holder = std::make_shared<tls::Holder<tls::ClientCredentials>>();
    holder->Set(*tls::ClientCredentials::Make(trusted));
    settings.credentials = holder;
    settings.server_name = name;
    Make(server);
  };
  trust(authority.pem(), "redis.example");
  ASSERT_TRUE(BecomesReady()) << client->trouble();
  const std::string large(size_t{300} * 1024, 'x');
  EXPECT_EQ(Ask({"SET", "key", large}), "OK");
  EXPECT_EQ(Ask({"GET", "key"}), large);
  trust(authority.pem(), "other.example");
  EXPECT_NE(Refusal().find("wrong_name"), std::string::npos) << client->trouble();
  trust(tls::TestAuthority("other").pem(), "redis.example");
  EXPECT_NE(Refusal().find("untrusted"), std::string::npos) << client->trouble();
}

TEST_F(ClientServerTest, ComesBackWhenTheServerDoes) {
  TestServer server;
  settings.requirements.replicas = 0;
  Make(server);
  ASSERT_TRUE(BecomesReady());
  const std::string before = client->server().run_id;
  server.Kill();
  ASSERT_TRUE(worker.RunUntil([&] { return !client->ready() && client->counts().failures >= 3; }));
  server.StartAgain();
  ASSERT_TRUE(BecomesReady());
  EXPECT_NE(client->server().run_id, before);
}

TEST_F(ClientServerTest, HearsWhatIsPublished) {
  TestServer server;
  Make(server, Client::Use::kSubscriber);
  ASSERT_TRUE(BecomesReady());
  ASSERT_EQ(client->Subscribe(*inbox, 1, "n:a"), Client::Taken::kYes);
  ASSERT_TRUE(worker.RunUntil([&] { return !inbox->TakeEnded().empty(); }));
  EXPECT_EQ(server.Ask({"PUBLISH", "n:a", "C"}).integer, 1);
  std::vector<Message> messages;
  ASSERT_TRUE(worker.RunUntil([&] { return !(messages = inbox->TakeMessages()).empty(); }));
  EXPECT_EQ(messages[0].channel + " " + messages[0].text, "n:a C");
  client->Unsubscribe("n:a");
  ASSERT_TRUE(worker.RunUntil([&] { return client->pending() == 0; }));
  EXPECT_EQ(server.Ask({"PUBLISH", "n:a", "C"}).integer, 0);
}

}  // namespace
}  // namespace pillion::redis
