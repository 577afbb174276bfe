// Two TLS ends over memory, for tests: every raw read and write moves at most `fragment` bytes, and each
// direction holds at most `capacity`. No loop: Pump gives both ends turns until nothing moves.
#ifndef PILLION_SIDECAR_TLS_TEST_PAIR_H_
#define PILLION_SIDECAR_TLS_TEST_PAIR_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "sidecar/tls/socket.h"
#include "sidecar/tls/test_certificates.h"

namespace pillion::tls {

struct MemoryPipe {
  std::string bytes;
  bool ended = false;
  bool reset = false;
};

class MemorySocket : public net::Socket {
 public:
  MemorySocket(MemoryPipe& in, MemoryPipe& out, size_t fragment, size_t capacity)
      : in_(in), out_(out), fragment_(fragment), capacity_(capacity) {}
  ~MemorySocket() override { out_.ended = true; }
  net::IoResult Read(std::span<char> into) override {
    if (in_.bytes.empty()) {
      if (in_.reset) return {net::IoResult::Kind::kReset, 0, ECONNRESET};
      if (in_.ended) return {net::IoResult::Kind::kEnd, 0, 0};
      return {};
    }
    const size_t bytes = std::min({into.size(), fragment_, in_.bytes.size()});
    std::memcpy(into.data(), in_.bytes.data(), bytes);
    in_.bytes.erase(0, bytes);
    return {net::IoResult::Kind::kBytes, bytes, 0, false};
  }
  net::IoResult Write(std::span<const iovec> from) override {
    ++writes;
    if (in_.reset || writes > last_write) return {net::IoResult::Kind::kReset, 0, write_error};
    size_t room = std::min(fragment_, capacity_ - std::min(capacity_, out_.bytes.size()));
    size_t moved = 0;
    for (const iovec& piece : from) {
      const size_t bytes = std::min(room, piece.iov_len);
      out_.bytes.append(static_cast<const char*>(piece.iov_base), bytes);
      room -= bytes;
      moved += bytes;
    }
    if (moved == 0) return {};
    return {net::IoResult::Kind::kBytes, moved, 0};
  }
  int ConnectError() override { return 0; }
  void ShutdownWrite() override { out_.ended = true; }
  void ResetOnClose() override { reset_on_close = true; }
  std::optional<uint64_t> AckedBytes() override { return 1; }
  const net::Address& peer() const override { return address_; }
  void SetEnds(const net::Address& client, const net::Address&) override { address_ = client; }
  const net::Address& local() const override { return address_; }

  size_t writes = 0;
  size_t last_write = SIZE_MAX;  // that the connection stands
  int write_error = EPIPE;       // of those after it
  bool reset_on_close = false;

 private:
  MemoryPipe& in_;
  MemoryPipe& out_;
  const size_t fragment_;
  const size_t capacity_;
  net::Address address_ = net::Address::Parse("127.0.0.1", 443).value_or(net::Address());
};

struct PairOptions {
  size_t fragment = 1 << 20;
  size_t capacity = 1 << 20;
  std::string sni = {};
  std::string only_alpn = {};
};

// Stands for the session on top: remembers readiness.
struct Ears : net::Observer {
  void OnReady(bool r, bool w) override {
    readable = readable || r;
    writable = writable || w;
  }
  bool readable = false;
  bool writable = false;
};

class TestPair {
 public:
  TestPair(const std::shared_ptr<const ClientCredentials>& client_credentials,
           const std::shared_ptr<const ServerCredentials>& server_credentials,
           const PairOptions& options = {}) {
    auto client_raw =
        std::make_unique<MemorySocket>(to_client, to_server, options.fragment, options.capacity);
    auto server_raw =
        std::make_unique<MemorySocket>(to_server, to_client, options.fragment, options.capacity);
    raw_client = client_raw.get();
    raw_server = server_raw.get();
    client = Dial(std::move(client_raw), client_credentials, client_tools, {options.sni, options.only_alpn});
    server = Accept(std::move(server_raw), server_credentials, server_tools, "");
    client_below = client->Watched(client_ears).second;
    server_below = server->Watched(server_ears).second;
  }
  // One turn of both.
  void Turn() {
    client_tools.pacer.BeginTurn();
    server_tools.pacer.BeginTurn();
    client_below->OnReady(true, true);
    server_below->OnReady(true, true);
    if (client != nullptr) client_error = client->ConnectError();
    if (server != nullptr) server_error = server->ConnectError();
  }
  // Until both have ended the handshake, one way or the other.
  void Handshake(int turns = 20000) {
    for (int i = 0; i < turns && (client_error == EINPROGRESS || server_error == EINPROGRESS); ++i) Turn();
    // A client's last word may come after it believes to be done: its server's verdict shows when it reads.
    for (int i = 0; i < 3; ++i) Turn();
  }
  net::TlsFailure client_failure() const { return client->security()->failure; }
  net::TlsFailure server_failure() const { return server->security()->failure; }

  MemoryPipe to_client;
  MemoryPipe to_server;
  WorkerTools client_tools;
  WorkerTools server_tools;
  Ears client_ears;
  Ears server_ears;
  MemorySocket* raw_client = nullptr;
  MemorySocket* raw_server = nullptr;
  net::Observer* client_below = nullptr;
  net::Observer* server_below = nullptr;
  int client_error = EINPROGRESS;
  int server_error = EINPROGRESS;
  std::unique_ptr<net::Socket> client;
  std::unique_ptr<net::Socket> server;
};

// All that can be read now.
struct Got {
  std::string bytes;
  net::IoResult::Kind last = net::IoResult::Kind::kWouldBlock;
  int error = 0;
};
inline Got ReadAll(net::Socket& from, net::Observer& below, size_t room = 65536) {
  Got got;
  std::string buffer(room, '\0');
  below.OnReady(true, true);
  while (true) {
    const net::IoResult result = from.Read({buffer.data(), buffer.size()});
    got.last = result.kind;
    got.error = result.error;
    if (result.kind != net::IoResult::Kind::kBytes) return got;
    got.bytes.append(buffer, 0, result.bytes);
    if (result.drained) return got;
  }
}

// Writes all of `text` in pieces that `to` takes, `between` after each attempt.
template <typename Between>
bool WriteAll(net::Socket& to, std::string_view text, Between between) {
  for (int i = 0; i < 200000 && !text.empty(); ++i) {
    const iovec piece = {const_cast<char*>(text.data()), text.size()};
    const net::IoResult result = to.Write({&piece, 1});
    if (result.kind == net::IoResult::Kind::kReset) return false;
    if (result.kind == net::IoResult::Kind::kBytes) text.remove_prefix(result.bytes);
    between();
  }
  return text.empty();
}
inline bool WriteAll(net::Socket& to, std::string_view text) {
  return WriteAll(to, text, [] {});
}

template <typename T>
T Good(absl::StatusOr<T> made) {
  EXPECT_TRUE(made.ok()) << made.status().ToString();
  return made.ok() ? *std::move(made) : T();
}

// An authority, a server "a.example" and a client of it.
class TlsTest : public ::testing::Test {
 protected:
  TlsTest() {
    server_settings.common.certificates = {Leaf({.names = "DNS:a.example"})};
    client_settings.common.validation.trusted_ca = authority.pem();
    client_settings.sni = "a.example";
  }
  Certificate Leaf(const LeafOptions& options) { return Leaf(authority, options); }
  static Certificate Leaf(TestAuthority& from, const LeafOptions& options) {
    Issued issued = from.Issue(options);
    return {.chain = issued.certificate, .key = issued.key, .password = ""};
  }
  std::shared_ptr<const ServerCredentials> Server() {
    return Good(ServerCredentials::Make(server_settings, keys));
  }
  std::shared_ptr<const ClientCredentials> Client() { return Good(ClientCredentials::Make(client_settings)); }
  // The server asks for a certificate of `authority`, and the client has one with these options.
  void Mutual(const LeafOptions& options = {.common_name = "client", .names = "URI:spiffe://td/client"}) {
    server_settings.common.validation.trusted_ca = authority.pem();
    server_settings.require_client_certificate = true;
    client_settings.common.certificates = {Leaf(options)};
  }

  TestAuthority authority{"authority"};
  std::shared_ptr<TicketKeys> keys = std::make_shared<TicketKeys>(time::MonotonicTime(std::chrono::hours(1)));
  ServerSettings server_settings;
  ClientSettings client_settings;
};

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_TEST_PAIR_H_
