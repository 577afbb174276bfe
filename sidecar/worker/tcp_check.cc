#include "sidecar/worker/tcp_check.h"

#include <sys/uio.h>

#include <array>
#include <span>

namespace pillion::worker {

TcpCheck::TcpCheck(const session::DialParts& parts, const config::Cluster& cluster,
                   const config::HealthCheck& check, const net::Address& to, stream::Turn& turn,
                   stream::Runnable& holder)
    : parts_(parts), check_(check), turn_(turn), holder_(holder) {
  session::ConnectFailure failure;
  socket_ = session::Dial(parts_, {cluster, to, session::Speaks::kBytes, ""}, *this, failure);
  if (socket_ == nullptr) state_ = State::kFailed;
}

void TcpCheck::OnReady(bool, bool) { turn_.Wake(holder_); }

TcpCheck::State TcpCheck::Advance() {
  if (state_ == State::kConnecting) {
    session::ConnectFailure failure;
    switch (session::FinishConnect(parts_, *socket_, session::Speaks::kBytes, false, failure)) {
      case session::Connected::kWait:
        return state_;
      case session::Connected::kNo:
        return state_ = State::kFailed;
      case session::Connected::kYes:
        state_ = State::kTalking;
    }
  }
  if (state_ == State::kTalking) state_ = Talk();
  return state_;
}

TcpCheck::State TcpCheck::Talk() {
  using Kind = net::IoResult::Kind;
  while (sent_ < check_.send.size()) {
    iovec rest{const_cast<char*>(check_.send.data()) + sent_, check_.send.size() - sent_};
    const net::IoResult result = socket_->Write(std::span(&rest, 1));
    if (result.kind == Kind::kWouldBlock) break;
    if (result.kind != Kind::kBytes) return State::kFailed;
    sent_ += result.bytes;
  }
  if (HasAll() && sent_ == check_.send.size()) return State::kPassed;
  std::array<char, 4096> block;
  for (;;) {
    const net::IoResult result = socket_->Read(block);
    if (result.kind == Kind::kWouldBlock) return State::kTalking;
    if (result.kind != Kind::kBytes) return State::kFailed;
    bytes_.append(block.data(), result.bytes);
    if (HasAll() && sent_ == check_.send.size()) return State::kPassed;
    if (bytes_.size() > kMostBytes) return State::kFailed;
  }
}

bool TcpCheck::HasAll() {
  while (received_ < check_.receive.size()) {
    const size_t found = bytes_.find(check_.receive[received_]);
    if (found == std::string::npos) return false;
    bytes_.erase(0, found + check_.receive[received_].size());
    ++received_;
  }
  return true;
}

}  // namespace pillion::worker
