#include <string>

#include "sidecar/tls/credentials_parts.h"
#include "sidecar/tls/test_pair.h"

namespace pillion::tls {
namespace {

using ServerPtr = std::shared_ptr<const ServerCredentials>;
using ClientPtr = std::shared_ptr<const ClientCredentials>;

class ResumptionTest : public TlsTest {
 protected:
  // One connection with a byte each way; whether it was resumed.
  static bool Connect(const ClientPtr& client, const ServerPtr& server) {
    TestPair pair(client, server);
    pair.Handshake();
    EXPECT_EQ(pair.client_error, 0) << pair.client->security()->detail;
    EXPECT_EQ(pair.server_error, 0) << pair.server->security()->detail;
    EXPECT_TRUE(WriteAll(*pair.server, "s"));
    EXPECT_EQ(ReadAll(*pair.client, *pair.client_below).bytes, "s");  // and the tickets
    EXPECT_TRUE(WriteAll(*pair.client, "c"));
    EXPECT_EQ(ReadAll(*pair.server, *pair.server_below).bytes, "c");
    EXPECT_EQ(pair.client->security()->resumed, pair.server->security()->resumed);
    EXPECT_TRUE(pair.client->security()->peer_certificate.verified);
    const net::Security& seen = *pair.server->security();
    if (seen.has_peer_certificate) EXPECT_TRUE(seen.peer_certificate.verified);
    return seen.resumed;
  }
  void NextRotation() { EXPECT_TRUE(keys->RotateIfDue(keys->next_rotation())); }
};

TEST_F(ResumptionTest, ATicketResumesAlsoAtALaterContextWithANewCertificate) {
  for (const Version version : {Version::k13, Version::k12}) {
    client_settings.common.max_version = version;
    const ClientPtr client = Client();
    EXPECT_FALSE(Connect(client, Server()));
    EXPECT_TRUE(Connect(client, Server())) << static_cast<int>(client_settings.common.max_version);
    EXPECT_TRUE(Connect(client, Server())) << static_cast<int>(client_settings.common.max_version);
    server_settings.common.certificates = {Leaf({.names = "DNS:a.example"})};  // renewed
    EXPECT_TRUE(Connect(client, Server())) << static_cast<int>(client_settings.common.max_version);
  }
}

TEST_F(ResumptionTest, ATicketSurvivesOneRotationOfTheKeysAndNotTwo) {
  const ClientPtr client = Client();
  EXPECT_FALSE(keys->RotateIfDue(keys->next_rotation() - std::chrono::seconds(1)));
  EXPECT_FALSE(Connect(client, Server()));
  NextRotation();
  EXPECT_TRUE(Connect(client, Server())) << static_cast<int>(client_settings.common.max_version);
  NextRotation();  // what the last connection got was sealed with the key before this one
  EXPECT_TRUE(Connect(client, Server())) << static_cast<int>(client_settings.common.max_version);
  NextRotation();
  NextRotation();
  EXPECT_FALSE(Connect(client, Server()));
}

TEST_F(ResumptionTest, ClientCertificatesAreResumedFromTheCacheOfTheContext) {
  Mutual();
  const ServerPtr server = Server();
  const ClientPtr client = Client();
  EXPECT_FALSE(Connect(client, server));
  EXPECT_TRUE(Connect(client, server));
  EXPECT_TRUE(Connect(client, server));
  EXPECT_FALSE(Connect(client, Server()));  // a new context has a cache of its own
}

TEST_F(ResumptionTest, AClientThatLeavesWithoutAWordMayComeBack) {
  Mutual();
  const ServerPtr server = Server();
  const ClientPtr client = Client();
  {
    TestPair pair(client, server);
    pair.Handshake();
    EXPECT_TRUE(WriteAll(*pair.server, "s"));
    EXPECT_EQ(ReadAll(*pair.client, *pair.client_below).bytes, "s");
    pair.to_server.ended = true;
    EXPECT_EQ(ReadAll(*pair.server, *pair.server_below).last, net::IoResult::Kind::kReset);
  }
  EXPECT_TRUE(Connect(client, server));
}

TEST_F(ResumptionTest, ClientCertificatesAreResumedByTicketWhereKeysWereConfigured) {
  Mutual();
  server_settings.ticket_keys = {std::string(80, 'k')};
  const ClientPtr client = Client();
  EXPECT_FALSE(Connect(client, Server()));
  server_settings.ticket_keys = {std::string(80, 'l'), std::string(80, 'k')};
  EXPECT_TRUE(Connect(client, Server())) << static_cast<int>(client_settings.common.max_version);
  server_settings.ticket_keys = {std::string(80, 'm')};
  EXPECT_FALSE(Connect(client, Server()));
}

TEST_F(ResumptionTest, ATicketOfAServerThatAsksForNothingOpensNoneThatDoes) {
  const ClientPtr client = Client();
  EXPECT_FALSE(Connect(client, Server()));
  server_settings.common.validation.trusted_ca = authority.pem();
  server_settings.require_client_certificate = true;
  server_settings.stateful_resumption = false;  // tickets here as well
  TestPair pair(client, Server());
  pair.Handshake();
  EXPECT_EQ(pair.server_failure(), net::TlsFailure::kNoCertificate);
}

TEST_F(ResumptionTest, AnotherAuthorityAsksAnew) {
  Mutual();
  server_settings.stateful_resumption = false;
  const ClientPtr client = Client();
  EXPECT_FALSE(Connect(client, Server()));
  EXPECT_TRUE(Connect(client, Server())) << static_cast<int>(client_settings.common.max_version);
  const TestAuthority next("next");
  server_settings.common.validation.trusted_ca = authority.pem() + next.pem();
  EXPECT_FALSE(Connect(client, Server()));
}

TEST_F(ResumptionTest, ASessionDoesNotOutliveTheClientsCertificate) {
  for (const bool stateful : {true, false}) {
    server_settings.stateful_resumption = stateful;
    server_settings.session_timeout = std::chrono::hours(2);
    Mutual({.common_name = "client", .ends_s = 86400});
    const ServerPtr server = Server();
    const ClientPtr longer = Client();
    EXPECT_FALSE(Connect(longer, server));
    EXPECT_TRUE(Connect(longer, server));
    // Over, and let in all the same: nothing may rest on it later.
    server_settings.common.validation.allow_expired = true;
    client_settings.common.certificates = {Leaf({.common_name = "client", .begins_s = -7200, .ends_s = -10})};
    const ServerPtr lenient = Server();
    const ClientPtr over = Client();
    EXPECT_FALSE(Connect(over, lenient));
    const SessionPtr held = over->parts().sessions.Take("127.0.0.1:443 a.example ");
    ASSERT_NE(held, nullptr);
    EXPECT_EQ(SSL_SESSION_get_ticket_lifetime_hint(held.get()), 1u);  // what the server keeps it for
    server_settings.common.validation.allow_expired = false;
  }
}

TEST_F(ResumptionTest, WhereResumptionIsOffThereIsNone) {
  const ClientPtr client = Client();
  server_settings.stateless_resumption = false;
  const ServerPtr stateful = Server();
  EXPECT_FALSE(Connect(client, stateful));
  EXPECT_TRUE(Connect(client, stateful));
  server_settings.stateful_resumption = false;
  const ServerPtr never = Server();
  EXPECT_FALSE(Connect(client, never));
  EXPECT_FALSE(Connect(client, never));
  server_settings.stateless_resumption = true;
  client_settings.max_sessions = 0;
  const ClientPtr forgetful = Client();
  EXPECT_FALSE(Connect(forgetful, Server()));
  EXPECT_FALSE(Connect(forgetful, Server()));
}

}  // namespace
}  // namespace pillion::tls
