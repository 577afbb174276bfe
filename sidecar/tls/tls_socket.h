// The class behind socket.h. For the files of this folder only.
#ifndef PILLION_SIDECAR_TLS_TLS_SOCKET_H_
#define PILLION_SIDECAR_TLS_TLS_SOCKET_H_

#include <memory>
#include <string>
#include <string_view>

#include "sidecar/tls/credentials_parts.h"
#include "sidecar/tls/openssl.h"
#include "sidecar/tls/socket.h"

namespace pillion::tls {

class TlsSocket final : public net::Socket, public net::Observer, public Paced {
 public:
  // kDialling (client: the raw socket is not connected) -> kHandshake -> kEarly (server, 0-RTT) -> kOpen
  //   any -> kFailed
  enum class State : uint8_t { kDialling, kHandshake, kEarly, kOpen, kFailed };

  // `owner`: the credentials, kept alive.
  TlsSocket(std::unique_ptr<net::Socket> raw, SslPtr ssl, std::shared_ptr<const void> owner, bool client,
            WorkerTools& tools, std::string_view early);
  ~TlsSocket() override;
  TlsSocket(const TlsSocket&) = delete;
  TlsSocket& operator=(const TlsSocket&) = delete;

  net::IoResult Read(std::span<char> into) override;
  net::IoResult Write(std::span<const iovec> from) override;
  int ConnectError() override;
  void ShutdownWrite() override;
  bool Flush() override;
  bool MayHaveSent() const override { return unsent_plain_ > 0; }
  void ResetOnClose() override {
    reset_on_close_ = true;
    raw_->ResetOnClose();
  }
  std::optional<uint64_t> AckedBytes() override {
    return std::nullopt;
  }  // of records, not of what is in them
  void GiveUpSilentPeerAfter(time::Duration limit) override { raw_->GiveUpSilentPeerAfter(limit); }
  const net::Address& peer() const override { return raw_->peer(); }
  void SetEnds(const net::Address& client, const net::Address& destination) override {
    raw_->SetEnds(client, destination);
  }
  const net::Address& local() const override { return raw_->local(); }
  net::Address direct_peer() const override { return raw_->direct_peer(); }
  net::Address own() const override { return raw_->own(); }
  net::Address OriginalDestination() const override { return raw_->OriginalDestination(); }
  const net::Security* security() const override { return &security_; }
  std::pair<net::Socket*, net::Observer*> Watched(net::Observer& observer) override {
    upper_ = &observer;
    return raw_->Watched(*this);
  }

  void OnReady(bool readable, bool writable) override;

  HandshakeNotes& notes() { return notes_; }
  SSL* ssl() { return ssl_.get(); }
  void OfferEarlyData(bool on) { take_early_data_ = on; }

  // For OpenSSL, while it runs.
  int ReadRaw(char* into, int size, bool* retry);
  void Sealed(const char* bytes, size_t size);

 private:
  static constexpr size_t kRecordBytes = 16384;
  static constexpr size_t kRecordsPerWrite = 4;

  void Handshake();
  void HandshakeStep();
  void GoOn();  // with the handshake, without early data
  bool ReadEarlyData(std::span<char> into, size_t* bytes);
  void Established();
  void NoteFacts();
  // `result`: what OpenSSL returned. False: it only wants more.
  bool Failed(int result);
  void Fail(net::TlsFailure failure, std::string_view detail, int error);
  net::IoResult ReadRecords(std::span<char> into);
  net::IoResult Broken() const { return {net::IoResult::Kind::kReset, 0, error_}; }
  // Writes what is sealed; false: the raw socket is broken.
  bool FlushSealed();
  size_t SealSome(std::span<const iovec> from, size_t skip);
  bool Seal(std::string_view plain);

  std::unique_ptr<net::Socket> raw_;
  SslPtr ssl_;
  std::shared_ptr<const void> owner_;
  WorkerTools& tools_;
  net::Security security_;
  HandshakeNotes notes_;
  std::string early_raw_;    // read by an inspector before this began
  std::string early_plain_;  // 0-RTT that came with the ClientHello, not asked for yet
  std::string unsent_;       // sealed, not taken by the kernel
  size_t unsent_plain_ = 0;  // what Write will say is taken when unsent_ has left
  State state_;
  int error_ = 0;  // kFailed: the errno
  enum class Shutdown : uint8_t { kNot, kWanted, kDone };
  Shutdown shutdown_ = Shutdown::kNot;  // kWanted: when unsent_ has left
  // Facts about the raw socket and the end of this one, each told by another event.
  const bool client_;
  bool raw_idle_ = false;  // nothing to read until OnReady says so
  bool raw_ended_ = false;
  bool raw_broken_ = false;  // a write failed
  int write_error_ = 0;      // and took this error
  bool peer_closed_ = false;
  bool reset_on_close_ = false;
  bool take_early_data_ = false;
};

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_TLS_SOCKET_H_
