// Ends of simulated connections that do only what a test tells them to.
#ifndef PILLION_SIDECAR_TESTING_SIM_PEER_H_
#define PILLION_SIDECAR_TESTING_SIM_PEER_H_

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/base/check.h"
#include "sidecar/net/loop.h"

namespace pillion::testing {

class SimPeer : public net::Observer {
 public:
  // Dials.
  SimPeer(net::Loop& loop, const net::Address& to) {
    int error = 0;
    socket_ = loop.Connect(to, *this, &error);
  }
  // Was accepted.
  SimPeer(net::Loop& loop, std::unique_ptr<net::Socket> socket) : socket_(std::move(socket)) {
    loop.Observe(*socket_, *this);
  }
  virtual ~SimPeer() = default;
  SimPeer(const SimPeer&) = delete;
  SimPeer& operator=(const SimPeer&) = delete;
  void OnReady(bool, bool) override {}
  // All of it at once: the network must have room.
  void Send(std::string_view bytes) { PILLION_CHECK(SendSome(bytes) == bytes.size()); }
  // As much as the network takes.
  size_t SendSome(std::string_view bytes) {
    size_t sent = 0;
    while (sent < bytes.size()) {
      const iovec part = {const_cast<char*>(bytes.data() + sent), bytes.size() - sent};
      const net::IoResult put = socket_->Write({&part, 1});
      if (put.kind != net::IoResult::Kind::kBytes) break;
      sent += put.bytes;
    }
    return sent;
  }
  void EndSending() { socket_->ShutdownWrite(); }
  void Reset() {
    socket_->ResetOnClose();
    socket_.reset();
  }
  void Close() { socket_.reset(); }
  // What has come.
  void Read() {
    std::array<char, 512> bytes;
    while (socket_ != nullptr) {
      const net::IoResult got = socket_->Read(bytes);
      ended = ended || got.kind == net::IoResult::Kind::kEnd;
      reset = reset || got.kind == net::IoResult::Kind::kReset;
      if (got.kind != net::IoResult::Kind::kBytes) return;
      text.append(bytes.data(), got.bytes);
    }
  }
  bool connected() { return socket_->ConnectError() == 0; }
  std::string text;
  bool ended = false;
  bool reset = false;

 private:
  std::unique_ptr<net::Socket> socket_;
};

// Accepts, and does what it is told with each connection.
class SimServer : public net::Observer {
 public:
  SimServer(net::Loop& loop, const net::Address& at) : loop_(loop) {
    int error = 0;
    listening_ = loop.Listen(at, *this, &error);
  }
  virtual ~SimServer() = default;
  SimServer(const SimServer&) = delete;
  SimServer& operator=(const SimServer&) = delete;
  void OnReady(bool, bool) override {
    while (auto socket = listening_->Accept()) {
      taken.push_back(std::make_unique<SimPeer>(loop_, std::move(socket)));
      if (on_accept) on_accept(*taken.back());
    }
  }
  std::vector<std::unique_ptr<SimPeer>> taken;
  std::function<void(SimPeer&)> on_accept;

 private:
  net::Loop& loop_;
  std::unique_ptr<net::ListenSocket> listening_;
};

}  // namespace pillion::testing

#endif  // PILLION_SIDECAR_TESTING_SIM_PEER_H_
