// The handshake of a TlsSocket, and how its failures are told.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "sidecar/tls/tls_socket.h"

namespace pillion::tls {
namespace {

// The most 0-RTT that is taken over with the ClientHello; more is read when it is asked for.
constexpr size_t kFirstEarlyBytes = 16384;

Verdict Classify(unsigned long code) {
  const char* text = ERR_reason_error_string(code);
  const std::string_view detail =
      text == nullptr ? std::string_view("no reason given") : std::string_view(text);
  if (ERR_GET_LIB(code) != ERR_LIB_SSL) return {net::TlsFailure::kProtocol, detail};
  const int reason = ERR_GET_REASON(code);
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) return {net::TlsFailure::kNoCertificate, detail};
  if (reason >= SSL_AD_REASON_OFFSET) return {net::TlsFailure::kAlert, detail};
  return {net::TlsFailure::kProtocol, detail};
}

}  // namespace

void TlsSocket::Fail(net::TlsFailure failure, std::string_view detail, int error) {
  state_ = State::kFailed;
  security_.failure = failure;
  security_.detail = detail;
  error_ = error;
  tools_.pacer.Forget(*this);
}

bool TlsSocket::Failed(int result) {
  const int kind = SSL_get_error(ssl_.get(), result);
  switch (kind) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      if (!raw_ended_) return false;
      Fail(net::TlsFailure::kClosed, "the connection ended without close_notify", ECONNABORTED);
      return true;
    case SSL_ERROR_ZERO_RETURN:
      if (state_ == State::kOpen) {
        peer_closed_ = true;
        return true;
      }
      Fail(net::TlsFailure::kClosed, "the peer closed during the handshake", ECONNABORTED);
      return true;
    case SSL_ERROR_SYSCALL:
      Fail(net::TlsFailure::kClosed, "the connection was reset", error_ != 0 ? error_ : ECONNRESET);
      return true;
    default:
      break;
  }
  const unsigned long code = ERR_peek_error();
  ERR_clear_error();
  Verdict verdict = notes_.verdict.failure != net::TlsFailure::kNone ? notes_.verdict : Classify(code);
  Fail(verdict.failure, verdict.detail, verdict.failure == net::TlsFailure::kClosed ? ECONNABORTED : EPROTO);
  return true;
}

// One step, if there is something to take it with and it is this connection's turn.
void TlsSocket::Handshake() {
  if (!unsent_.empty()) FlushSealed();
  if (state_ == State::kDialling) {
    const int error = raw_->ConnectError();
    if (error == EINPROGRESS) return;
    if (error != 0) {
      Fail(net::TlsFailure::kClosed, "the connection cannot be made", error);
      return;
    }
    if (!tools_.pacer.MayStep(*this)) return;
    state_ = State::kHandshake;
    HandshakeStep();
    return;
  }
  if (raw_idle_ && early_raw_.empty()) return;
  if (!tools_.pacer.MayStep(*this)) return;
  HandshakeStep();
}

void TlsSocket::GoOn() {
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    Established();
  } else {
    Failed(result);
  }
}

void TlsSocket::HandshakeStep() {
  ERR_clear_error();
  if (take_early_data_) {
    early_plain_.resize(kFirstEarlyBytes);
    size_t bytes = 0;
    const bool more = ReadEarlyData({early_plain_.data(), early_plain_.size()}, &bytes);
    early_plain_.resize(bytes);
    early_plain_.shrink_to_fit();
    if (!more) return;
  } else {
    GoOn();
  }
  FlushSealed();
  if (raw_broken_ && state_ != State::kFailed && client_)
    Fail(net::TlsFailure::kClosed, "the connection was reset", ECONNRESET);
}

// A server that takes 0-RTT: reads it, then ends the handshake. False: failed.
bool TlsSocket::ReadEarlyData(std::span<char> into, size_t* bytes) {
  ERR_clear_error();
  *bytes = 0;
  int what = SSL_READ_EARLY_DATA_FINISH;
  if (take_early_data_) what = SSL_read_early_data(ssl_.get(), into.data(), into.size(), bytes);
  if (what == SSL_READ_EARLY_DATA_SUCCESS) {
    if (state_ != State::kEarly) NoteFacts();
    state_ = State::kEarly;
    security_.early = true;
  } else if (what == SSL_READ_EARLY_DATA_ERROR) {
    *bytes = 0;
    Failed(0);
  } else {
    *bytes = 0;
    take_early_data_ = false;  // all of it is here; from now on the handshake goes on
    GoOn();
  }
  FlushSealed();
  return state_ != State::kFailed;
}

void TlsSocket::Established() {
  NoteFacts();
  state_ = State::kOpen;
  security_.early = false;
}

void TlsSocket::NoteFacts() {
  SSL* ssl = ssl_.get();
  security_.established = true;
  security_.resumed = SSL_session_reused(ssl) == 1;
  const int early = SSL_get_early_data_status(ssl);
  security_.early_data_offered = early != SSL_EARLY_DATA_NOT_SENT;
  security_.early_data_accepted = early == SSL_EARLY_DATA_ACCEPTED;
  security_.version = SSL_get_version(ssl);
  const char* cipher = SSL_get_cipher_name(ssl);
  security_.cipher = cipher == nullptr ? std::string_view() : std::string_view(cipher);
  const unsigned char* alpn = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &size);
  security_.alpn.assign(reinterpret_cast<const char*>(alpn), size);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  security_.server_name = name == nullptr ? "" : name;
  const X509* peer = SSL_get0_peer_certificate(ssl);
  if (peer == nullptr) return;
  security_.has_peer_certificate = true;
  const X509* const own = client_ ? nullptr : SSL_get_certificate(ssl);
  if (own != nullptr) security_.own_uri_names = NamesOf(own).uri;
  security_.peer_certificate = Describe(peer);
  // A resumed session rests on the verification of the first one, under the same rules (its session domain).
  security_.peer_certificate.verified =
      notes_.peer_verified || (security_.resumed && SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE &&
                               SSL_get_verify_result(ssl) == X509_V_OK);
}

}  // namespace pillion::tls
