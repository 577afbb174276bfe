// A TLS socket whose peer is OpenSSL, with somebody in the middle who flips, cuts, inserts and withholds
// bytes, and a peer that asks for key updates, renegotiates and leaves. What is delivered is the beginning of
// what was sent, an end of stream only comes behind all of it, a handshake ends one way or the other, what
// waits to leave is bounded, and nothing stays in the memory that all connections of a worker share.
//
//   byte 0: bit 0 client, 1 TLS 1.2, 2 the handshake is over before the rest, 3 client certificates, 4 0-RTT
//   is taken, 5 small reads and writes, 6 the first bytes were read by an inspector; then operations, a byte
//   each (Step)
#include <sys/uio.h>

#include <cerrno>
#include <memory>
#include <string>

#include "sidecar/base/check.h"
#include "sidecar/tls/openssl.h"
#include "sidecar/tls/socket.h"
#include "sidecar/tls/test_certificates.h"
#include "sidecar/tls/test_pair.h"
#include "tests/fuzz/input.h"

namespace pillion::tls {
namespace {

struct Keys {
  Keys() {
    Issued leaf = authority.Issue({.names = "DNS:a.example"});
    certificate = {.chain = leaf.certificate, .key = leaf.key, .password = ""};
  }
  TestAuthority authority{"authority", "", KeyKind::kEd25519};
  Certificate certificate;
  std::shared_ptr<TicketKeys> tickets =
      std::make_shared<TicketKeys>(time::MonotonicTime(std::chrono::hours(1)));
};

const Keys& TheKeys() {
  static const Keys keys;
  return keys;
}

// Made once for each way of being set up.
struct Ends {
  std::shared_ptr<const ServerCredentials> server;
  std::shared_ptr<const ClientCredentials> client;
  SslCtxPtr peer_server;
  SslCtxPtr peer_client;
};

void UseCertificate(SSL_CTX* ctx) {
  const Certificate& from = TheKeys().certificate;
  const BioPtr chain(BIO_new_mem_buf(from.chain.data(), static_cast<int>(from.chain.size())));
  const BioPtr key(BIO_new_mem_buf(from.key.data(), static_cast<int>(from.key.size())));
  const X509Ptr leaf(PEM_read_bio_X509(chain.get(), nullptr, nullptr, nullptr));
  const KeyPtr secret(PEM_read_bio_PrivateKey(key.get(), nullptr, nullptr, nullptr));
  PILLION_CHECK(SSL_CTX_use_certificate(ctx, leaf.get()) == 1 &&
                SSL_CTX_use_PrivateKey(ctx, secret.get()) == 1);
}

const Ends& EndsFor(bool old, bool mutual, bool early) {
  static Ends made[8];
  Ends& ends = made[(old ? 1 : 0) | (mutual ? 2 : 0) | (early ? 4 : 0)];
  if (ends.server != nullptr) return ends;
  ServerSettings server;
  ClientSettings client;
  client.max_sessions = 0;
  client.sni = "a.example";
  client.common.validation.trusted_ca = TheKeys().authority.pem();
  if (old) server.common.max_version = client.common.max_version = Version::k12;
  server.common.certificates = {TheKeys().certificate};
  server.common.alpn = client.common.alpn = {"h2", "http/1.1"};
  if (mutual) {
    server.common.validation.trusted_ca = client.common.validation.trusted_ca;
    server.require_client_certificate = true;
    client.common.certificates = {TheKeys().certificate};
  }
  if (early) server.max_early_data_bytes = 10000;
  server.stateful_resumption = early;
  ends.server = *ServerCredentials::Make(server, TheKeys().tickets);
  ends.client = *ClientCredentials::Make(client);
  ends.peer_server.reset(SSL_CTX_new(TLS_server_method()));
  ends.peer_client.reset(SSL_CTX_new(TLS_client_method()));
  // What stays behind looks like a leak to whoever counts after each input.
  SSL_CTX_set_session_cache_mode(ends.peer_server.get(), SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_cache_mode(ends.peer_client.get(), SSL_SESS_CACHE_OFF);
  UseCertificate(ends.peer_server.get());
  if (mutual) UseCertificate(ends.peer_client.get());
  return ends;
}

// The other end: OpenSSL as it comes, over memory.
class Peer {
 public:
  Peer(const Ends& ends, bool server) : ssl_(SSL_new((server ? ends.peer_server : ends.peer_client).get())) {
    SSL_set_bio(ssl_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ssl_.get()), -1);
    server ? SSL_set_accept_state(ssl_.get()) : SSL_set_connect_state(ssl_.get());
  }
  // Takes what came for it, and reads.
  void Turn(std::string& came) {
    BIO_write(SSL_get_rbio(ssl_.get()), came.data(), static_cast<int>(came.size()));
    came.clear();
    SSL_do_handshake(ssl_.get());
    char text[4096];
    size_t got = 0;
    while (SSL_read_ex(ssl_.get(), text, sizeof(text), &got) == 1) received.append(text, got);
    ERR_clear_error();
    Move();
  }
  void Write(std::string_view text) {
    size_t written = 0;
    if (closed) return;  // OpenSSL would, once it has renegotiated
    if (!text.empty() && SSL_write_ex(ssl_.get(), text.data(), text.size(), &written) == 1)
      sent.append(text, 0, written);
    ERR_clear_error();
    Move();
  }
  void UpdateKeys(int times) {
    for (; times > 0; --times) {
      if (SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_REQUESTED) == 1) SSL_do_handshake(ssl_.get());
      // One after the other, as if each had been answered.
      Move();
    }
    ERR_clear_error();
  }
  void Renegotiate() {
    if (SSL_renegotiate(ssl_.get()) == 1) SSL_do_handshake(ssl_.get());
    ERR_clear_error();
    Move();
  }
  void Close() {
    closed = closed || SSL_is_init_finished(ssl_.get()) == 1;
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
    Move();
  }
  std::string out;  // records that nobody has moved on yet
  std::string sent;
  std::string received;
  bool closed = false;

 private:
  void Move() {
    char* text = nullptr;
    const long size = BIO_get_mem_data(SSL_get_wbio(ssl_.get()), &text);
    if (size > 0) out.append(text, static_cast<size_t>(size));
    BIO_reset(SSL_get_wbio(ssl_.get()));
  }
  SslPtr ssl_;
};

class Meeting {
 public:
  Meeting(uint8_t mode, size_t early)
      : ends_(EndsFor((mode & 2) != 0, (mode & 8) != 0, (mode & 16) != 0)),
        peer_(ends_, (mode & 1) != 0),
        room_((mode & 32) != 0 ? 101 : 4096) {
    auto raw = std::make_unique<MemorySocket>(in_, out_, (mode & 32) != 0 ? 97 : kPipeBytes, kPipeBytes);
    peer_.Turn(out_.bytes);
    if ((mode & 1) != 0) {
      socket_ = Dial(std::move(raw), ends_.client, tools_, {});
    } else {
      early = std::min(early, peer_.out.size());
      socket_ = Accept(std::move(raw), ends_.server, tools_, std::string_view(peer_.out).substr(0, early));
      peer_.out.erase(0, early);
    }
    below_ = socket_->Watched(ears_).second;
  }
  // Lets both go on, with nobody in the middle, for as long as `turns`, or until there is no more to do.
  void GoOn(int turns, bool only_handshake) {
    for (int i = 0; i < turns; ++i) {
      if (only_handshake && error_ != EINPROGRESS) return;
      MoveIn(0, 0, "");
      Turn();
    }
  }
  void Step(uint8_t what, fuzz::Input& input);
  void Finish();

 private:
  static constexpr size_t kPipeBytes = 32768;

  void Turn() {
    tools_.pacer.BeginTurn();
    below_->OnReady(true, true);
    const int before = error_;
    error_ = socket_->ConnectError();
    PILLION_CHECK(before == EINPROGRESS || before == error_ || (before == 0 && error_ != EINPROGRESS));
    PILLION_CHECK(tools_.cipher.empty());
    Read();
    Write("");
    if (!withheld_) peer_.Turn(out_.bytes);
    PILLION_CHECK(peer_.sent.starts_with(received_));
    PILLION_CHECK(sent_.starts_with(peer_.received));
  }
  void Read() {
    std::string into(room_, '\0');
    most_in_ = std::max(most_in_, in_.bytes.size());
    for (int i = 0; i < 4; ++i) {
      const net::IoResult got = socket_->Read(into);
      PILLION_CHECK(tools_.cipher.empty());
      if (got.kind == net::IoResult::Kind::kBytes) received_.append(into, 0, got.bytes);
      // Whoever cuts the connection cannot make it look whole (RFC 8446 section 6.1).
      if (got.kind == net::IoResult::Kind::kEnd) PILLION_CHECK(peer_.closed && received_ == peer_.sent);
      if (got.kind != net::IoResult::Kind::kBytes) break;
    }
  }
  void Write(std::string_view text) {
    sent_.append(text);
    waiting_.append(text);
    if (waiting_.empty()) return;
    const iovec piece = {waiting_.data(), waiting_.size()};
    const net::IoResult put = socket_->Write({&piece, 1});
    PILLION_CHECK(tools_.cipher.empty());
    if (put.kind == net::IoResult::Kind::kBytes) waiting_.erase(0, put.bytes);
  }
  // More than a record, a few times.
  std::string Much() {
    const bool again = much_left_ > 0;
    if (again) --much_left_;
    return std::string(!again ? 0 : room_ < 1000 ? 3000 : 20000, 'x');
  }
  // What the peer has sent goes on; `cut` bytes from `at` on are replaced by `by`.
  void MoveIn(size_t at, size_t cut, std::string_view by) {
    std::string& bytes = peer_.out;
    at = bytes.empty() ? 0 : at % bytes.size();
    touched_ = touched_ || !by.empty() || (cut > 0 && !bytes.empty());
    bytes.replace(at, std::min(cut, bytes.size() - at), by);
    in_.bytes += bytes;
    bytes.clear();
  }
  void Flip(std::string& bytes, size_t at, uint8_t bits) {
    if (bytes.empty() || bits == 0) return;
    char& byte = bytes[at % bytes.size()];
    byte = static_cast<char>(byte ^ bits);
    touched_ = true;
  }

  const Ends& ends_;
  Peer peer_;
  MemoryPipe in_;
  MemoryPipe out_;
  WorkerTools tools_;
  Ears ears_;
  std::unique_ptr<net::Socket> socket_;
  net::Observer* below_ = nullptr;
  const size_t room_;
  size_t most_in_ = 0;
  int much_left_ = 4;
  int error_ = EINPROGRESS;
  // What has happened to the connection, each by an operation of its own.
  bool withheld_ = false;  // the peer takes nothing
  bool touched_ = false;   // somebody in the middle has been at it, or one end has left
  std::string received_;
  std::string sent_;
  std::string waiting_;  // the end of sent_, which Write has not taken
};

void Meeting::Step(uint8_t what, fuzz::Input& input) {
  switch (what % 16) {
    case 0:
      MoveIn(0, 0, "");
      break;
    case 1:
      Flip(peer_.out, size_t{input.Byte()} << 8 | input.Byte(), input.Byte());
      MoveIn(0, 0, "");
      break;
    case 2: {
      const size_t at = size_t{input.Byte()} << 8 | input.Byte();
      MoveIn(at, input.Byte(), "");
      break;
    }
    case 3: {
      const size_t at = size_t{input.Byte()} << 8 | input.Byte();
      MoveIn(at, 0, input.Text());
      break;
    }
    case 4: {
      const std::string_view text = input.Text();
      touched_ = touched_ || !text.empty();
      in_.bytes += text;
      break;
    }
    case 5:
      peer_.Write(input.Text());
      break;
    case 6:
      Write(input.Text());
      break;
    case 7:
      peer_.UpdateKeys(input.Byte() % 32);
      touched_ = touched_ || withheld_;  // more answers than may wait
      break;
    case 8:
      peer_.Renegotiate();
      touched_ = true;
      break;
    case 9:
      peer_.Close();
      touched_ = true;
      break;
    case 10:
      socket_->ShutdownWrite();
      touched_ = true;
      break;
    case 11:
      withheld_ = !withheld_;
      break;
    case 12:
      Flip(out_.bytes, size_t{input.Byte()} << 8 | input.Byte(), input.Byte());
      break;
    case 13:
      in_.ended = touched_ = true;
      break;
    case 14:
      peer_.Write(Much());
      break;
    default:
      Write(Much());
      break;
  }
  Turn();
}

void Meeting::Finish() {
  if (!touched_) {
    withheld_ = false;
    GoOn(4000, true);
    for (int i = 0; i < 4000 && (received_ != peer_.sent || peer_.received != sent_); ++i) GoOn(1, false);
    PILLION_CHECK(error_ == 0 && received_ == peer_.sent && peer_.received == sent_);
  }
  in_.ended = true;
  for (int i = 0; i < 4; ++i) Turn();
  PILLION_CHECK(error_ != EINPROGRESS);
  // What still leaves had waited here.
  peer_.Turn(out_.bytes);
  size_t unsent = 0;
  for (bool over = false; !over;) {
    over = socket_->Flush();
    PILLION_CHECK(over || !out_.bytes.empty());
    unsent += out_.bytes.size();
    peer_.Turn(out_.bytes);
  }
  PILLION_CHECK(unsent <= kMaxUnsentRecordBytes + most_in_);
  PILLION_CHECK(sent_.starts_with(peer_.received));
}

}  // namespace
}  // namespace pillion::tls

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  pillion::fuzz::Input input(data, size);
  const uint8_t mode = input.Byte();
  pillion::tls::Meeting meeting(mode, (mode & 64) != 0 ? input.Byte() : 0);
  if ((mode & 4) != 0) meeting.GoOn(3000, true);
  while (!input.empty()) meeting.Step(input.Byte(), input);
  meeting.Finish();
  return 0;
}
