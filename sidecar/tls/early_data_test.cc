// 0-RTT at a server. Our own client sends none, so the client here is OpenSSL's over memory.
#include <string>

#include "sidecar/tls/openssl.h"
#include "sidecar/tls/test_pair.h"

namespace pillion::tls {
namespace {

class EarlyClient {
 public:
  EarlyClient(MemoryPipe& in, MemoryPipe& out, SSL_SESSION* session)
      : in_(in), out_(out), ctx_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_session_cache_mode(ctx_.get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    ssl_ = SslPtr(SSL_new(ctx_.get()));
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ssl_.get()), -1);
    SSL_set_tlsext_host_name(ssl_.get(), "a.example");
    if (session != nullptr) SSL_set_session(ssl_.get(), session);
    SSL_set_connect_state(ssl_.get());
  }
  ~EarlyClient() { SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN); }
  EarlyClient(const EarlyClient&) = delete;
  EarlyClient& operator=(const EarlyClient&) = delete;
  void SendEarly(const std::string& text) {
    size_t written = 0;
    EXPECT_EQ(SSL_write_early_data(ssl_.get(), text.data(), text.size(), &written), 1);
    Move();
  }
  // Reads what the server has sent; ends the handshake with it when `finish`.
  std::string Read(bool finish = true) {
    BIO_write(SSL_get_rbio(ssl_.get()), in_.bytes.data(), static_cast<int>(in_.bytes.size()));
    in_.bytes.clear();
    if (finish) SSL_do_handshake(ssl_.get());
    std::string text(4096, '\0');
    size_t got = 0;
    if (SSL_read_ex(ssl_.get(), text.data(), text.size(), &got) != 1) got = 0;
    text.resize(got);
    Move();
    return text;
  }
  void Write(const std::string& text) {
    SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size()));
    Move();
  }
  SessionPtr Session() { return SessionPtr(SSL_get1_session(ssl_.get())); }
  bool accepted() const { return SSL_get_early_data_status(ssl_.get()) == SSL_EARLY_DATA_ACCEPTED; }

 private:
  void Move() {
    char* text = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &text);
    if (size > 0) out_.bytes.append(text, static_cast<size_t>(size));
    BIO_reset(SSL_get_wbio(ssl_.get()));
  }
  MemoryPipe& in_;
  MemoryPipe& out_;
  SslCtxPtr ctx_;
  SslPtr ssl_;
};

// A server's end, driven like a session would.
struct ServerEnd {
  explicit ServerEnd(const std::shared_ptr<const ServerCredentials>& credentials, size_t fragment = 1 << 20)
      : socket(Accept(std::make_unique<MemorySocket>(in, out, fragment, 1 << 20), credentials, tools, "")),
        below(socket->Watched(ears).second) {}
  int Turn() {
    tools.pacer.BeginTurn();
    below->OnReady(true, true);
    return socket->ConnectError();
  }
  std::string Read() {
    std::string text(4096, '\0');
    std::string all;
    for (int turns = 0; turns < 3000; ++turns) {
      tools.pacer.BeginTurn();
      below->OnReady(true, true);
      const net::IoResult result = socket->Read({text.data(), text.size()});
      last = result.kind;
      if (result.kind == net::IoResult::Kind::kBytes) {
        all.append(text, 0, result.bytes);
      } else if (in.bytes.empty()) {
        break;
      }
    }
    return all;
  }
  const net::Security& facts() const { return *socket->security(); }
  MemoryPipe in;
  MemoryPipe out;
  WorkerTools tools;
  Ears ears;
  std::unique_ptr<net::Socket> socket;
  net::Observer* below;
  net::IoResult::Kind last = net::IoResult::Kind::kWouldBlock;
};

class EarlyDataTest : public TlsTest, public ::testing::WithParamInterface<size_t> {
 protected:
  EarlyDataTest() { server_settings.max_early_data_bytes = 10000; }
  SessionPtr FirstVisit(const std::shared_ptr<const ServerCredentials>& credentials) {
    ServerEnd server(credentials);
    EarlyClient client(server.out, server.in, nullptr);
    client.Read();
    server.Turn();
    client.Read();
    EXPECT_EQ(server.Turn(), 0);
    EXPECT_FALSE(server.facts().early_data_offered);
    EXPECT_TRUE(WriteAll(*server.socket, "hello"));
    EXPECT_EQ(client.Read(), "hello");
    return client.Session();
  }
};

TEST_P(EarlyDataTest, IsReadAndAnsweredBeforeTheHandshakeIsOverAndMarkedUntilThen) {
  const auto credentials = Server();
  const SessionPtr session = FirstVisit(credentials);
  ServerEnd server(credentials, GetParam());
  EarlyClient client(server.out, server.in, session.get());
  client.SendEarly("GET /early");
  int error = EINPROGRESS;
  for (int i = 0; i < 5000 && error == EINPROGRESS; ++i) error = server.Turn();
  ASSERT_EQ(error, 0) << server.facts().detail;
  EXPECT_TRUE(server.facts().early);
  EXPECT_TRUE(server.facts().early_data_accepted);
  EXPECT_TRUE(server.facts().resumed);
  EXPECT_EQ(server.Read(), "GET /early");
  EXPECT_TRUE(server.facts().early);
  EXPECT_TRUE(WriteAll(*server.socket, "answer"));
  EXPECT_EQ(client.Read(), "answer");
  EXPECT_TRUE(client.accepted());
  client.Write("later");
  EXPECT_EQ(server.Read(), "later");
  EXPECT_FALSE(server.facts().early);
  EXPECT_TRUE(WriteAll(*server.socket, "end"));
  EXPECT_EQ(client.Read(), "end");
}
INSTANTIATE_TEST_SUITE_P(Sizes, EarlyDataTest, ::testing::Values(1, 2, 7, 100, 1 << 20));

TEST_F(EarlyDataTest, ReplayedIsNotTakenTwice) {
  const auto credentials = Server();
  const SessionPtr session = FirstVisit(credentials);
  ServerEnd first(credentials);
  EarlyClient client(first.out, first.in, session.get());
  client.SendEarly("POST /pay");
  const std::string recorded = first.in.bytes;
  EXPECT_EQ(first.Turn(), 0);
  EXPECT_EQ(first.Read(), "POST /pay");
  ServerEnd second(credentials);
  second.in.bytes = recorded;
  EXPECT_EQ(second.Turn(), EINPROGRESS);
  EXPECT_EQ(second.Read(), "");
  EXPECT_FALSE(second.facts().early);
}

TEST_F(EarlyDataTest, IsThrownAwayWhereItIsNotTaken) {
  const auto credentials = Server();
  const SessionPtr session = FirstVisit(credentials);
  server_settings.max_early_data_bytes = 0;
  ServerEnd server(Server());
  EarlyClient client(server.out, server.in, session.get());
  client.SendEarly("GET /early");
  EXPECT_EQ(server.Turn(), EINPROGRESS);
  client.Read();
  EXPECT_EQ(server.Turn(), 0) << server.facts().detail;
  EXPECT_EQ(server.Read(), "");
  EXPECT_FALSE(server.facts().early);
  EXPECT_FALSE(client.accepted());
}

}  // namespace
}  // namespace pillion::tls
