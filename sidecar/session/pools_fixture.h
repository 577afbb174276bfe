// For tests of the pools: an endpoint of them on a simulated network, and servers that do little.
#ifndef PILLION_SIDECAR_SESSION_POOLS_FIXTURE_H_
#define PILLION_SIDECAR_SESSION_POOLS_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/base/local_ref.h"
#include "sidecar/http2/codec.h"
#include "sidecar/session/pool.h"
#include "sidecar/testing/sim_network.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/upstream/cluster_state.h"

namespace pillion::session {

inline net::Address At(uint16_t port) {
  return net::Address::Parse("127.0.0.1", port).value_or(net::Address());
}

// A loop that can be told to have no descriptors left, or to tell nothing of what has come.
class PoorLoop : public net::Loop {
 public:
  explicit PoorLoop(std::unique_ptr<net::Loop> loop) : loop_(std::move(loop)) {}
  std::unique_ptr<net::Socket> Connect(const net::Address& to, net::Observer& observer, int* error) override {
    ++dials;
    if (!poor) return loop_->Connect(to, ears_.emplace_back(observer, late), error);
    *error = EMFILE;
    return nullptr;
  }
  bool Observe(net::Socket& socket, net::Observer& observer) override {
    return loop_->Observe(socket, observer);
  }
  std::unique_ptr<net::ListenSocket> Listen(const net::Address& at, net::Observer& observer,
                                            int* error) override {
    return loop_->Listen(at, observer, error);
  }
  void Wait(time::MonotonicTime deadline) override { loop_->Wait(deadline); }
  void Wake() override { loop_->Wake(); }
  bool poor = false;
  bool late = false;
  int dials = 0;

 private:
  struct Ear final : net::Observer {
    Ear(net::Observer& observer, const bool& is_late) : to(observer), late(is_late) {}
    void OnReady(bool readable, bool writable) override {
      if (!late) to.OnReady(readable, writable);
    }
    net::Observer& to;
    const bool& late;
  };
  std::deque<Ear> ears_;  // of all connections, also those that are gone
  std::unique_ptr<net::Loop> loop_;
};

struct Nobody final : stream::Runnable {
  stream::Progress Run() override { return stream::Progress::kIdle; }
};

// An HTTP/2 server that allows `max_streams` at once and answers nothing.
class Server : public net::Observer {
 public:
  Server(net::Loop& loop, const net::Address& at, uint32_t max_streams) : loop_(loop) {
    limits_.max_concurrent_streams = max_streams;
    int error = 0;
    listen_ = loop.Listen(at, *this, &error);
  }
  void OnReady(bool, bool) override {}
  void Run() {
    while (auto socket = listen_ == nullptr ? nullptr : listen_->Accept()) {
      loop_.Observe(*socket, *this);
      peers_.push_back({std::move(socket), std::make_unique<http2::Codec>(http2::Role::kServer, limits_)});
      if (goes_away) peers_.back().codec->GoAway(true, http2::ErrorCode::kNoError);
    }
    for (size_t i = peers_.size() - std::min<size_t>(peers_.size(), 4); i < peers_.size(); ++i) {
      Peer& peer = peers_[i];  // the older ones have said all they had to say
      std::array<char, 4096> bytes;
      while (true) {
        const net::IoResult got = peer.socket->Read(bytes);
        if (got.kind != net::IoResult::Kind::kBytes) break;
        EXPECT_TRUE(peer.codec->Feed({bytes.data(), got.bytes}));
        peer.codec->ClearEvents();
      }
      SliceQueue out;
      peer.codec->Output(out, 1 << 20);
      std::array<iovec, 64> parts;
      while (!out.empty()) {
        const net::IoResult put = peer.socket->Write({parts.data(), out.Iovecs(parts.data(), parts.size())});
        if (put.kind != net::IoResult::Kind::kBytes) break;
        out.Consume(put.bytes);
      }
    }
  }
  // Of its first connection.
  void Refuse(http2::StreamId stream) {
    peers_.front().codec->Reset(stream, http2::ErrorCode::kRefusedStream);
    Run();
  }
  void Ping() {
    for (const Peer& peer : peers_) peer.codec->Ping();
    Run();
  }
  void CloseAll() { peers_.clear(); }
  void StopListening() { listen_.reset(); }
  // DATA on stream 0 is an error of the whole connection (RFC 9113 section 6.1).
  void BreakTheProtocol() {
    for (const Peer& peer : peers_) {
      std::string frame(9, '\0');
      while (!frame.empty()) {
        const iovec part = {frame.data(), frame.size()};
        frame.erase(0, peer.socket->Write({&part, 1}).bytes);
      }
    }
  }
  size_t connections() const { return peers_.size(); }
  bool goes_away = false;  // from each that it accepts

 private:
  struct Peer {
    std::unique_ptr<net::Socket> socket;
    std::unique_ptr<http2::Codec> codec;
  };
  net::Loop& loop_;
  http2::Limits limits_;
  std::unique_ptr<net::ListenSocket> listen_;
  std::vector<Peer> peers_;
};

class Pools : public ::testing::Test {
 protected:
  explicit Pools(testing::SimFaults faults = {})
      : network_(clock_, 1, faults),
        loop_(network_.NewLoop()),
        turn_(clock_),
        pools_({turn_, loop_, memory_, stats_, tls_}) {
    cluster_->protocol = config::UpstreamProtocol::kHttp2;
    UseEndpoint(80);
  }
  ~Pools() override {
    tickets_.clear();
    endpoint_.Reset();
    state_.Reset();
    Settle(nullptr);  // servers are gone: so are connections that still had something to send
  }
  void UseEndpoint(uint16_t port) {
    auto assignment = std::make_shared<config::Assignment>();
    assignment->endpoints.emplace_back().address = At(port);
    state_ = LocalRef<upstream::ClusterState>(
        new upstream::ClusterState({cluster_, assignment}, upstream::LedgerSeat{ledger_, 0}));
    endpoint_ = state_->endpoints().front();
  }
  static time::Duration idle_limit_of_nothing() { return time::Duration::max() - std::chrono::seconds(1); }
  stream::Ticket& AskHttp1() {
    auto& ticket = *tickets_.emplace_back(std::make_unique<stream::Ticket>(&nobody_));
    pools_.Acquire(*endpoint_, false, ticket);
    return ticket;
  }
  stream::Ticket& Ask() {
    auto& ticket = *tickets_.emplace_back(std::make_unique<stream::Ticket>(&nobody_));
    pools_.Acquire(*endpoint_, true, ticket);
    return ticket;
  }
  // Sends the request of a granted ticket, so that it takes a stream.
  static void Send(stream::Ticket& ticket) {
    http::RequestHead head;
    head.path = "/";
    head.authority = "a";
    head.has_authority = true;
    ASSERT_NE(ticket.stream, nullptr);
    EXPECT_TRUE(ticket.stream->SendRequest(head, true));
  }
  // Lets `time` pass, with all that happens in it.
  void Pass(time::Duration time, Server* server) {
    const time::MonotonicTime end = clock_.Now() + time;
    while (true) {
      while (network_.NextEvent() <= end) {  // the peer is quicker than we are
        clock_.AdvanceTo(network_.NextEvent());
        network_.Deliver();
        if (server != nullptr) server->Run();
      }
      while (turn_.Run()) {
      }
      const time::MonotonicTime next = std::min(network_.NextEvent(), turn_.NextDeadline());
      if (next > end) break;
      clock_.AdvanceTo(next);
    }
    clock_.AdvanceTo(end);
  }
  void Settle(Server* server) {
    for (int i = 0; i < 50 && Step(server); ++i) {
    }
  }
  // False: nothing is on its way.
  bool Step(Server* server) {
    while (turn_.Run()) {
    }
    if (server != nullptr) server->Run();
    if (network_.NextEvent() == time::MonotonicTime::max()) return false;
    clock_.AdvanceTo(network_.NextEvent());
    network_.Deliver();
    return true;
  }
  // A first request whose content the peer does not take.
  void Upload(Server& server) {
    stream::Ticket& upload = Ask();
    Settle(&server);
    http::RequestHead head;
    head.method = http::Method::kPost;
    head.path = "/";
    head.authority = "a";
    head.has_authority = true;
    head.content.kind = http::ContentLength::Kind::kUnsized;
    ASSERT_TRUE(upload.stream->SendRequest(head, false));
    SliceQueue content;
    content.AppendCopy(std::string(1 << 20, 'x'));
    Settle(&server);
    for (int i = 0; i < 100; ++i) {
      upload.stream->SendContent(content);
      Settle(nullptr);
    }
  }
  size_t connections() const { return endpoint_->http2_pool->connections(); }

  testing::VirtualClock clock_;
  testing::SimNetwork network_;
  PoorLoop loop_;
  stream::Turn turn_;
  WorkerMemory memory_;
  telemetry::WorkerStats stats_;
  tls::WorkerTools tls_;
  UpstreamPools pools_;
  std::shared_ptr<config::Cluster> cluster_ = std::make_shared<config::Cluster>();
  ledger::Ledger ledger_{1};
  LocalRef<upstream::ClusterState> state_;
  LocalRef<upstream::EndpointState> endpoint_;
  Nobody nobody_;
  std::deque<std::unique_ptr<stream::Ticket>> tickets_;
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_POOLS_FIXTURE_H_
