#include "sidecar/tls/socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "sidecar/base/check.h"
#include "sidecar/tls/tls_socket.h"

namespace pillion::tls {
namespace {

// The two ends that OpenSSL sees: it reads from the raw socket, and writes into memory.
TlsSocket& SocketOf(BIO* bio) { return *static_cast<TlsSocket*>(BIO_get_data(bio)); }

int BioRead(BIO* bio, char* into, int size) {
  BIO_clear_retry_flags(bio);
  bool retry = false;
  const int got = SocketOf(bio).ReadRaw(into, size, &retry);
  if (retry) BIO_set_retry_read(bio);
  return got;
}

int BioWrite(BIO* bio, const char* from, int size) {
  BIO_clear_retry_flags(bio);
  SocketOf(bio).Sealed(from, static_cast<size_t>(size));
  return size;
}

long BioControl(BIO*, int what, long, void*) { return what == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* RawMethod() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pillion raw socket");
    PILLION_CHECK(made != nullptr);
    BIO_meth_set_read(made, BioRead);
    BIO_meth_set_write(made, BioWrite);
    BIO_meth_set_ctrl(made, BioControl);
    return made;
  }();
  return method;
}

}  // namespace

TlsSocket::TlsSocket(std::unique_ptr<net::Socket> raw, SslPtr ssl, std::shared_ptr<const void> owner,
                     bool client, WorkerTools& tools, std::string_view early)
    : raw_(std::move(raw)),
      ssl_(std::move(ssl)),
      owner_(std::move(owner)),
      tools_(tools),
      early_raw_(early),
      state_(client ? State::kDialling : State::kHandshake),
      client_(client) {
  BIO* bio = BIO_new(RawMethod());
  PILLION_CHECK(bio != nullptr);
  BIO_set_data(bio, this);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SetNotes(ssl_.get(), &notes_);
  client ? SSL_set_connect_state(ssl_.get()) : SSL_set_accept_state(ssl_.get());
}

TlsSocket::~TlsSocket() {
  tools_.pacer.Forget(*this);
  if (!security_.established || (state_ == State::kFailed && security_.failure != net::TlsFailure::kClosed))
    return;
  // A word of farewell when everything else has left, else the end must look like what it is: cut off.
  if (state_ == State::kOpen && shutdown_ == Shutdown::kNot && unsent_.empty() && !raw_broken_ &&
      !reset_on_close_) {
    SSL_shutdown(ssl_.get());
    FlushSealed();
  }
  tools_.cipher.clear();
  // OpenSSL forgets the session of a connection that was not shut down at both ends; ours can be resumed.
  SSL_set_shutdown(ssl_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
}

void TlsSocket::OnReady(bool readable, bool writable) {
  if (readable) raw_idle_ = false;
  const bool own_work = state_ != State::kOpen || !unsent_.empty();
  if (upper_ != nullptr)
    upper_->OnReady(readable || (writable && own_work), writable || (readable && own_work));
}

int TlsSocket::ReadRaw(char* into, int size, bool* retry) {
  if (!early_raw_.empty()) {
    const size_t bytes = std::min(early_raw_.size(), static_cast<size_t>(size));
    std::memcpy(into, early_raw_.data(), bytes);
    early_raw_.erase(0, bytes);
    if (early_raw_.empty()) early_raw_.shrink_to_fit();
    return static_cast<int>(bytes);
  }
  // OpenSSL is not shown the end: it would forget the session of a client that leaves without a word.
  if (raw_ended_ || raw_idle_) {
    *retry = true;
    return -1;
  }
  const net::IoResult result = raw_->Read({into, static_cast<size_t>(size)});
  switch (result.kind) {
    case net::IoResult::Kind::kBytes:
      raw_idle_ = result.drained;
      return static_cast<int>(result.bytes);
    case net::IoResult::Kind::kWouldBlock:
      raw_idle_ = true;
      *retry = true;
      return -1;
    case net::IoResult::Kind::kEnd:
      if (write_error_ != 0 && write_error_ != EPIPE) {  // it took the error that this end has
        error_ = write_error_;
        return -1;
      }
      raw_ended_ = true;
      *retry = true;
      return -1;
    case net::IoResult::Kind::kReset:
      error_ = result.error;
      return -1;
  }
  return -1;
}

void TlsSocket::Sealed(const char* bytes, size_t size) {
  // What waits comes first.
  (unsent_.empty() ? tools_.cipher : unsent_).append(bytes, size);
}

bool TlsSocket::FlushSealed() {
  std::string& from = unsent_.empty() ? tools_.cipher : unsent_;
  size_t sent = 0;
  while (sent < from.size() && !raw_broken_) {
    const iovec piece = {from.data() + sent, from.size() - sent};
    const net::IoResult result = raw_->Write({&piece, 1});
    if (result.kind == net::IoResult::Kind::kWouldBlock) break;
    if (result.kind == net::IoResult::Kind::kBytes) {
      sent += result.bytes;
      if (result.bytes < piece.iov_len) break;
    } else {
      raw_broken_ = true;
      write_error_ = result.error;
    }
  }
  if (raw_broken_) {
    unsent_.clear();
    tools_.cipher.clear();
    return false;
  }
  if (&from == &unsent_) {
    unsent_.erase(0, sent);
  } else {
    unsent_.assign(tools_.cipher, sent);
    tools_.cipher.clear();
  }
  if (unsent_.empty()) {
    unsent_.shrink_to_fit();
    if (shutdown_ == Shutdown::kWanted) {
      shutdown_ = Shutdown::kDone;
      raw_->ShutdownWrite();
    }
  }
  return true;
}

net::IoResult TlsSocket::Read(std::span<char> into) {
  Flush();  // what the peer sent before it broke off is read all the same
  if (state_ == State::kDialling || state_ == State::kHandshake) Handshake();
  if (state_ == State::kFailed) return Broken();
  if (state_ == State::kEarly) {
    if (!early_plain_.empty()) {
      const size_t bytes = std::min(early_plain_.size(), into.size());
      std::memcpy(into.data(), early_plain_.data(), bytes);
      early_plain_.erase(0, bytes);
      return {net::IoResult::Kind::kBytes, bytes, 0, false};
    }
    if (raw_idle_ && early_raw_.empty() && SSL_has_pending(ssl_.get()) == 0) return {};
    size_t bytes = 0;
    if (tools_.pacer.MayStep(*this)) ReadEarlyData(into, &bytes);
    if (bytes > 0) return {net::IoResult::Kind::kBytes, bytes, 0, false};
    if (state_ == State::kFailed) return Broken();
  }
  return state_ == State::kOpen ? ReadRecords(into) : net::IoResult{};
}

net::IoResult TlsSocket::ReadRecords(std::span<char> into) {
  if (peer_closed_) return {net::IoResult::Kind::kEnd, 0, 0};
  size_t filled = 0;
  ERR_clear_error();
  while (filled < into.size()) {
    size_t got = 0;
    const int result = SSL_read_ex(ssl_.get(), into.data() + filled, into.size() - filled, &got);
    if (result == 1) {
      filled += got;
      continue;
    }
    // What came before a failure is handed over first; the failure is found again by the next read.
    if (Failed(result) && filled == 0 && !peer_closed_) {
      FlushSealed();  // an alert of ours
      return Broken();
    }
    break;
  }
  if (!tools_.cipher.empty()) FlushSealed();  // answers to key updates
  if (unsent_.size() > kMaxUnsentRecordBytes) {
    Fail(net::TlsFailure::kProtocol, "the peer asks for answers and does not read them", EPROTO);
    return Broken();
  }
  if (filled > 0) {
    const bool drained =
        raw_idle_ && state_ == State::kOpen && !peer_closed_ && SSL_has_pending(ssl_.get()) == 0;
    return {net::IoResult::Kind::kBytes, filled, 0, drained};
  }
  return peer_closed_ ? net::IoResult{net::IoResult::Kind::kEnd, 0, 0} : net::IoResult{};
}

bool TlsSocket::Seal(std::string_view plain) {
  size_t written = 0;
  ERR_clear_error();
  const int result = state_ == State::kOpen
                         ? SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &written)
                         : SSL_write_early_data(ssl_.get(), plain.data(), plain.size(), &written);
  if (result == 1 && written == plain.size()) return true;
  Fail(net::TlsFailure::kProtocol, TakeSslError(), EPROTO);
  return false;
}

// Seals up to kRecordsPerWrite records of what follows the first `skip` bytes and writes them at once.
// Returns how many bytes of it have left.
size_t TlsSocket::SealSome(std::span<const iovec> from, size_t skip) {
  struct Record {
    size_t plain;
    size_t sealed_end;
  };
  Record records[kRecordsPerWrite];
  size_t count = 0;
  size_t at = 0;
  std::string& plain = tools_.plain;
  while (count < kRecordsPerWrite && at < from.size()) {
    plain.clear();
    for (; at < from.size() && plain.size() < kRecordBytes; ++at) {
      const size_t size = from[at].iov_len;
      if (skip >= size) {
        skip -= size;
        continue;
      }
      const size_t take = std::min(size - skip, kRecordBytes - plain.size());
      plain.append(static_cast<const char*>(from[at].iov_base) + skip, take);
      skip += take;
      if (skip < size) break;  // the rest of it is the next record's
      skip = 0;
    }
    if (plain.empty()) break;
    if (!Seal(plain)) {
      FlushSealed();  // nothing of it may stay for the next connection
      return 0;
    }
    records[count++] = {plain.size(), tools_.cipher.size()};
  }
  const size_t sealed = tools_.cipher.size();
  if (!FlushSealed()) return 0;
  const size_t left = sealed - unsent_.size();
  size_t taken = 0;
  for (size_t i = 0; i < count; ++i)
    (records[i].sealed_end <= left ? taken : unsent_plain_) += records[i].plain;
  return taken;
}

net::IoResult TlsSocket::Write(std::span<const iovec> from) {
  if (state_ == State::kDialling || state_ == State::kHandshake) Handshake();
  if (state_ == State::kFailed || raw_broken_)
    return {net::IoResult::Kind::kReset, 0, state_ == State::kFailed ? error_ : EPIPE};
  if (state_ != State::kOpen && state_ != State::kEarly) return {};
  if (!unsent_.empty() && !FlushSealed()) return {net::IoResult::Kind::kReset, 0, EPIPE};
  if (!unsent_.empty()) return {};
  size_t total = 0;
  for (const iovec& piece : from) total += piece.iov_len;
  size_t taken = std::exchange(unsent_plain_, 0);
  PILLION_CHECK(taken <= total);  // they were sealed already: another stream of bytes would follow
  while (taken < total) {
    const size_t sent = SealSome(from, taken);
    taken += sent;
    // What had left before counts as written, and the next write tells the rest.
    const bool broken = raw_broken_ || state_ == State::kFailed;
    if (broken && taken == 0) return {net::IoResult::Kind::kReset, 0, EPIPE};
    if (broken || !unsent_.empty()) break;
  }
  if (taken == 0) return {};
  return {net::IoResult::Kind::kBytes, taken, 0};
}

int TlsSocket::ConnectError() {
  // What has come behind the handshake, an alert above all, is for reads to tell.
  if (state_ == State::kOpen && unsent_.empty()) return raw_->ConnectError();
  if (state_ == State::kDialling || state_ == State::kHandshake) Handshake();
  if (state_ == State::kFailed) return error_;
  if (state_ != State::kOpen && state_ != State::kEarly) return EINPROGRESS;
  if (!unsent_.empty()) FlushSealed();  // our last message of the handshake
  return 0;
}

void TlsSocket::ShutdownWrite() {
  if (shutdown_ != Shutdown::kNot) return;
  if (state_ != State::kOpen) {
    shutdown_ = Shutdown::kDone;
    raw_->ShutdownWrite();
    return;
  }
  shutdown_ = Shutdown::kWanted;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  FlushSealed();
}

// Who was told to wait with writing is told to go on: the raw socket may have nothing to tell any more.
bool TlsSocket::Flush() {
  if (unsent_.empty()) return true;
  FlushSealed();
  if (unsent_.empty() && upper_ != nullptr) upper_->OnReady(false, true);
  return unsent_.empty();
}

std::unique_ptr<net::Socket> Accept(std::unique_ptr<net::Socket> raw,
                                    std::shared_ptr<const ServerCredentials> credentials, WorkerTools& tools,
                                    std::string_view early) {
  const ServerCredentials::Parts& parts = credentials->parts();
  SslPtr ssl(SSL_new(parts.common.ctx.get()));
  PILLION_CHECK(ssl != nullptr);
  auto made = std::make_unique<TlsSocket>(std::move(raw), std::move(ssl), std::move(credentials), false,
                                          tools, early);
  made->OfferEarlyData(parts.max_early_data_bytes > 0);
  return made;
}

std::unique_ptr<net::Socket> Dial(std::unique_ptr<net::Socket> raw,
                                  const std::shared_ptr<const ClientCredentials>& credentials,
                                  WorkerTools& tools, const DialOptions& options) {
  const ClientCredentials::Parts& parts = credentials->parts();
  SslPtr ssl(SSL_new(parts.common.ctx.get()));
  PILLION_CHECK(ssl != nullptr);
  const std::string sni(options.sni.empty() ? std::string_view(parts.sni) : options.sni);
  if (!sni.empty()) SSL_set_tlsext_host_name(ssl.get(), sni.c_str());
  std::string alpn = parts.common.alpn;
  if (std::ranges::find(parts.alpn_names, options.only_alpn) != parts.alpn_names.end())
    alpn = AlpnOnWire({std::string(options.only_alpn)});
  if (!alpn.empty()) {
    SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                        static_cast<unsigned>(alpn.size()));
  }
  const std::string endpoint = raw->peer().ToString() + " " + sni + " " + alpn;
  if (const SessionPtr session = parts.sessions.Take(endpoint)) SSL_set_session(ssl.get(), session.get());
  auto made = std::make_unique<TlsSocket>(std::move(raw), std::move(ssl), credentials, true, tools, "");
  made->notes().endpoint = endpoint;
  return made;
}

}  // namespace pillion::tls
