#include "sidecar/testing/sim_network.h"

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace pillion::testing {

// One end of a connection. Both ends and the bytes under way share it; it lives until nobody needs it.
struct SimNetwork::Channel {
  struct End {
    net::Observer* observer = nullptr;  // null: closed
    std::string received;               // delivered, not read
    size_t in_flight = 0;               // written by the other end, not delivered
    bool fin_received = false;
    bool reset = false;
    bool write_blocked = false;
    bool shut_down = false;
    bool closed = false;
    uint64_t acked = 1;  // of what this end wrote; the SYN counts
    net::Address address;
    // Bytes and the FIN of one direction arrive in order.
    time::MonotonicTime last_arrival{};
  };
  End ends[2];
  int connect_error = EINPROGRESS;
};

class SimSocket : public net::Socket {
 public:
  SimSocket(SimNetwork& network, std::shared_ptr<SimNetwork::Channel> channel, int side)
      : network_(network), channel_(std::move(channel)), side_(side) {
    ++network_.open_sockets_;
  }
  ~SimSocket() override;
  net::IoResult Read(std::span<char> into) override;
  net::IoResult Write(std::span<const iovec> from) override;
  int ConnectError() override { return channel_->connect_error; }
  void ShutdownWrite() override { SendFin(); }
  std::optional<uint64_t> AckedBytes() override { return Mine().acked; }
  const net::Address& peer() const override { return channel_->ends[1 - side_].address; }
  const net::Address& local() const override { return channel_->ends[side_].address; }
  void Observe(net::Observer& observer) {
    Mine().observer = &observer;
    observer.OnReady(true, true);
  }

 private:
  SimNetwork::Channel::End& Mine() { return channel_->ends[side_]; }
  SimNetwork::Channel::End& Other() { return channel_->ends[1 - side_]; }
  void SendFin();
  void SendReset();
  void Arrive(std::string bytes);

  SimNetwork& network_;
  std::shared_ptr<SimNetwork::Channel> channel_;
  int side_;
};

SimSocket::~SimSocket() {
  --network_.open_sockets_;
  auto& mine = Mine();
  mine.observer = nullptr;
  mine.closed = true;
  if (mine.reset) return;
  // Linux: closing with unread bytes resets the peer instead of a clean end.
  if (!mine.received.empty() || mine.in_flight > 0) {
    SendReset();
  } else {
    SendFin();
  }
}

net::IoResult SimSocket::Read(std::span<char> into) {
  auto& mine = Mine();
  if (mine.reset) return {net::IoResult::Kind::kReset, 0, ECONNRESET};
  if (mine.received.empty()) {
    if (mine.fin_received) return {net::IoResult::Kind::kEnd, 0, 0};
    return {net::IoResult::Kind::kWouldBlock, 0, 0};
  }
  size_t n = std::min(into.size(), mine.received.size());
  if (network_.random_.Next() % 4 == 0) n = 1 + network_.random_.Next() % n;
  std::memcpy(into.data(), mine.received.data(), n);
  mine.received.erase(0, n);
  auto& other = Other();
  if (other.write_blocked && mine.received.size() + mine.in_flight < network_.faults_.buffer_bytes / 2) {
    other.write_blocked = false;
    network_.At(network_.Delay(), [channel = channel_, side = 1 - side_] {
      if (channel->ends[side].observer != nullptr) channel->ends[side].observer->OnReady(false, true);
    });
  }
  const bool drained = mine.received.empty() && !mine.fin_received && network_.random_.Next() % 2 == 0;
  return {net::IoResult::Kind::kBytes, n, 0, drained};
}

net::IoResult SimSocket::Write(std::span<const iovec> from) {
  auto& mine = Mine();
  auto& other = Other();
  if (mine.reset) return {net::IoResult::Kind::kReset, 0, EPIPE};
  std::string bytes;
  for (const iovec& part : from) bytes.append(static_cast<const char*>(part.iov_base), part.iov_len);
  const size_t used = other.received.size() + other.in_flight;
  if (used >= network_.faults_.buffer_bytes) {
    mine.write_blocked = true;
    return {net::IoResult::Kind::kWouldBlock, 0, 0};
  }
  size_t n = std::min(bytes.size(), network_.faults_.buffer_bytes - used);
  if (network_.random_.Next() % 8 == 0) n = 1 + network_.random_.Next() % n;
  bytes.resize(n);
  if (n > 0 && network_.random_.Percent(network_.faults_.reset_percent)) {
    // Some of it arrives, then both ends see a reset.
    bytes.resize(network_.random_.Next() % (n + 1));
    if (!bytes.empty()) Arrive(bytes);
    SendReset();
    mine.reset = true;
    ++network_.resets_;
    network_.At(network_.Delay(), [channel = channel_, side = side_] {
      if (channel->ends[side].observer != nullptr) channel->ends[side].observer->OnReady(true, true);
    });
    return {net::IoResult::Kind::kBytes, n, 0};
  }
  Arrive(std::move(bytes));
  // A short count means to the caller that the buffer is full: tell when it is not.
  network_.At(network_.Delay(), [channel = channel_, side = side_] {
    if (channel->ends[side].observer != nullptr) channel->ends[side].observer->OnReady(false, true);
  });
  return {net::IoResult::Kind::kBytes, n, 0};
}

void SimSocket::Arrive(std::string bytes) {
  auto& other = Other();
  other.in_flight += bytes.size();
  const time::MonotonicTime at = std::max(other.last_arrival, network_.clock_.Now() + network_.Delay());
  other.last_arrival = at;
  const time::Duration ack_delay =
      network_.random_.Next() % 2 == 0 ? time::Duration(0) : std::chrono::milliseconds(40);
  network_.At(at - network_.clock_.Now(), [this_network = &network_, channel = channel_, side = 1 - side_,
                                           ack_delay, bytes = std::move(bytes)] {
    auto& end = channel->ends[side];
    end.in_flight -= bytes.size();
    if (end.reset) return;
    if (end.closed) {  // nobody reads any more: the writer is reset
      channel->ends[1 - side].reset = true;
      if (channel->ends[1 - side].observer != nullptr) channel->ends[1 - side].observer->OnReady(true, true);
      return;
    }
    end.received += bytes;
    const uint64_t size = bytes.size();
    this_network->At(ack_delay, [channel, side, size] { channel->ends[1 - side].acked += size; });
    if (end.observer != nullptr) end.observer->OnReady(true, false);
  });
}

void SimSocket::SendFin() {
  auto& mine = Mine();
  if (mine.shut_down || mine.reset) return;
  mine.shut_down = true;
  auto& other = Other();
  const time::MonotonicTime at = std::max(other.last_arrival, network_.clock_.Now() + network_.Delay());
  other.last_arrival = at;
  network_.At(at - network_.clock_.Now(), [channel = channel_, side = 1 - side_] {
    auto& end = channel->ends[side];
    end.fin_received = true;
    if (end.observer != nullptr) end.observer->OnReady(true, false);
  });
}

void SimSocket::SendReset() {
  auto& other = Other();
  const time::MonotonicTime at = std::max(other.last_arrival, network_.clock_.Now() + network_.Delay());
  network_.At(at - network_.clock_.Now(), [channel = channel_, side = 1 - side_] {
    auto& end = channel->ends[side];
    end.reset = true;
    end.received.clear();
    if (end.observer != nullptr) end.observer->OnReady(true, true);
  });
}

class SimListen : public net::ListenSocket {
 public:
  SimListen(SimNetwork& network, const net::Address& local, net::Observer& observer)
      : network_(network), local_(local), observer_(observer) {
    network_.listening_[local] = this;
  }
  ~SimListen() override { network_.listening_.erase(local_); }
  std::unique_ptr<net::Socket> Accept() override {
    if (waiting_.empty()) return nullptr;
    auto socket = std::move(waiting_.front());
    waiting_.pop_front();
    return socket;
  }
  const net::Address& local() const override { return local_; }
  void Arrive(std::unique_ptr<net::Socket> socket) {
    waiting_.push_back(std::move(socket));
    observer_.OnReady(true, false);
  }

 private:
  SimNetwork& network_;
  net::Address local_;
  net::Observer& observer_;
  std::deque<std::unique_ptr<net::Socket>> waiting_;
};

class SimLoop : public net::Loop {
 public:
  explicit SimLoop(SimNetwork& network) : network_(network) {}
  std::unique_ptr<net::Socket> Connect(const net::Address& to, net::Observer& observer, int*) override {
    auto channel = std::make_shared<SimNetwork::Channel>();
    channel->ends[0].observer = &observer;
    channel->ends[0].address =
        net::Address::Parse("127.0.0.1", network_.next_port_++).value_or(net::Address());
    channel->ends[1].address = to;
    auto socket = std::make_unique<SimSocket>(network_, channel, 0);
    SimNetwork& network = network_;
    network.At(network.Delay(), [&network, channel, to] {
      auto& end = channel->ends[0];
      const auto listening = network.listening_.find(to);
      const bool refused = listening == network.listening_.end() ||
                           network.random_.Percent(network.faults_.connect_refused_percent);
      channel->connect_error = refused ? ECONNREFUSED : 0;
      if (!refused && !end.closed)
        listening->second->Arrive(std::make_unique<SimSocket>(network, channel, 1));
      if (refused) end.reset = true;
      if (end.observer != nullptr) end.observer->OnReady(refused, true);
    });
    return socket;
  }
  void Observe(net::Socket& socket, net::Observer& observer) override {
    static_cast<SimSocket&>(socket).Observe(observer);
  }
  std::unique_ptr<net::ListenSocket> Listen(const net::Address& at, net::Observer& observer,
                                            int* error) override {
    if (network_.listening_.count(at) != 0) {
      *error = EADDRINUSE;
      return nullptr;
    }
    return std::make_unique<SimListen>(network_, at, observer);
  }
  void Wait(time::MonotonicTime) override {}
  void Wake() override {}

 private:
  SimNetwork& network_;
};

std::unique_ptr<net::Loop> SimNetwork::NewLoop() { return std::make_unique<SimLoop>(*this); }

void SimNetwork::At(time::Duration delay, std::function<void()> act) {
  events_.emplace(std::make_pair(clock_.Now() + delay, next_event_id_++), std::move(act));
}

time::Duration SimNetwork::Delay() {
  return time::Duration(
      static_cast<int64_t>(random_.Next() % static_cast<uint64_t>(faults_.max_delay.count() + 1)));
}

time::MonotonicTime SimNetwork::NextEvent() const {
  return events_.empty() ? time::MonotonicTime::max() : events_.begin()->first.first;
}

void SimNetwork::Deliver() {
  while (!events_.empty() && events_.begin()->first.first <= clock_.Now()) {
    auto act = std::move(events_.begin()->second);
    events_.erase(events_.begin());
    act();
  }
}

}  // namespace pillion::testing
