#include "sidecar/testing/sim_network.h"

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

namespace pillion::testing {
namespace {
constexpr auto kLateAck = std::chrono::milliseconds(40);
}  // namespace

// One end of a connection. Both ends and the bytes under way share it; it lives until nobody needs it.
struct SimNetwork::Channel {
  struct End {
    net::Observer* observer = nullptr;  // null: closed
    net::Address address;
    std::string received;  // arrived, not read
    size_t in_flight = 0;  // written by the other end, not arrived
    uint64_t arrived = 0;  // ever
    uint64_t written = 0;  // by this end
    uint64_t cut_after = UINT64_MAX;
    uint64_t acked = 1;  // of what this end wrote; the SYN counts
    int error = 0;       // of the RST, until it was told
    bool fin_received = false;
    bool reset = false;  // a RST came
    bool reset_under_way = false;
    bool write_blocked = false;
    bool shut_down = false;  // a FIN was sent
    bool closed = false;
    bool dead = false;  // a RST was sent: nothing leaves any more
    bool linger_reset = false;
    time::MonotonicTime last_arrival{};

    void Reset() {
      if (reset || closed) return;
      reset = true;
      error = fin_received ? EPIPE : ECONNRESET;
    }
    void Notify(bool readable, bool writable) {
      if (observer != nullptr) observer->OnReady(readable, writable);
    }
  };
  End ends[2];
  int connect_error = EINPROGRESS;
  net::Address dialled;  // where a redirect is, not the address of ends[1]
};

class SimSocket;

// Who has a loop, with the sockets that it has open.
struct SimProcess {
  bool killed = false;
  std::map<uint64_t, SimSocket*> sockets;  // in the order of their making
  uint64_t made = 0;
};

class SimSocket : public net::Socket {
 public:
  SimSocket(SimNetwork& network, std::shared_ptr<SimNetwork::Channel> channel, int side,
            std::shared_ptr<SimProcess> process)
      : network_(network),
        channel_(std::move(channel)),
        side_(side),
        process_(std::move(process)),
        id_(process_->made++) {
    ++network_.open_sockets_;
    process_->sockets[id_] = this;
  }
  ~SimSocket() override;
  net::IoResult Read(std::span<char> into) override;
  net::IoResult Write(std::span<const iovec> from) override;
  int ConnectError() override {
    if (channel_->connect_error != 0 || !Mine().reset) return channel_->connect_error;
    return Mine().error != 0 ? std::exchange(Mine().error, 0) : EINPROGRESS;
  }
  void ShutdownWrite() override {
    if (!process_->killed) SendFin();
  }
  std::optional<uint64_t> AckedBytes() override { return Mine().acked; }
  const net::Address& peer() const override {
    if (side_ == 0) return channel_->dialled;
    return told_peer_ ? *told_peer_ : channel_->ends[0].address;
  }
  void SetEnds(const net::Address& client, const net::Address& destination) override {
    told_peer_ = client;
    told_local_ = destination;
  }
  const net::Address& local() const override {
    return told_local_ ? *told_local_ : channel_->ends[side_].address;
  }
  net::Address own() const override { return channel_->ends[side_].address; }
  net::Address OriginalDestination() const override { return side_ == 1 ? channel_->dialled : own(); }
  void Observe(net::Observer& observer) {
    Mine().observer = &observer;
    observer.OnReady(true, true);
  }
  void Wake() { Mine().Notify(true, true); }
  void ResetOnClose() override { Mine().linger_reset = Mine().linger_reset || !process_->killed; }

 private:
  SimNetwork::Channel::End& Mine() { return channel_->ends[side_]; }
  SimNetwork::Channel::End& Other() { return channel_->ends[1 - side_]; }
  void SendFin();
  void SendBytes(std::string bytes);
  net::IoResult CutOff(std::string bytes, size_t arrive);

  SimNetwork& network_;
  std::shared_ptr<SimNetwork::Channel> channel_;
  int side_;
  std::shared_ptr<SimProcess> process_;
  uint64_t id_;
  std::optional<net::Address> told_peer_;
  std::optional<net::Address> told_local_;
};

SimSocket::~SimSocket() {
  process_->sockets.erase(id_);
  --network_.open_sockets_;
  auto& mine = Mine();
  mine.observer = nullptr;
  mine.closed = true;
  if (mine.reset || channel_->connect_error != 0) return;
  if (mine.linger_reset || !mine.received.empty()) {
    network_.SendReset(channel_, 1 - side_, true);
    return;
  }
  SendFin();
}

net::IoResult SimSocket::Read(std::span<char> into) {
  if (process_->killed) return {net::IoResult::Kind::kReset, 0, ECONNRESET};
  auto& mine = Mine();
  if (mine.received.empty()) {
    if (mine.fin_received) return {net::IoResult::Kind::kEnd, 0, 0};
    if (mine.error != 0) return {net::IoResult::Kind::kReset, 0, std::exchange(mine.error, 0)};
    if (mine.reset) return {net::IoResult::Kind::kEnd, 0, 0};
    return {net::IoResult::Kind::kWouldBlock, 0, 0};
  }
  const bool over = mine.fin_received || mine.reset;
  size_t n = std::min(into.size(), mine.received.size());
  if (network_.random_.Percent(network_.faults_.cut_percent)) n = 1 + network_.random_.Next() % n;
  std::memcpy(into.data(), mine.received.data(), n);
  mine.received.erase(0, n);
  auto& other = Other();
  if (other.write_blocked && mine.received.size() + mine.in_flight < network_.faults_.buffer_bytes / 2) {
    other.write_blocked = false;
    network_.At(network_.clock_.Now() + network_.Delay(),
                [channel = channel_, side = 1 - side_] { channel->ends[side].Notify(false, true); });
  }
  const bool drained = mine.received.empty() && !over && network_.random_.Next() % 2 == 0;
  return {net::IoResult::Kind::kBytes, n, 0, drained};
}

net::IoResult SimSocket::Write(std::span<const iovec> from) {
  if (process_->killed) return {net::IoResult::Kind::kReset, 0, EPIPE};
  auto& mine = Mine();
  auto& other = Other();
  // A RST may come in the middle of a turn: the writer meets it before anybody was told.
  if (mine.reset_under_way && !network_.Vanishes(*channel_) && mine.in_flight == 0 &&
      other.shut_down == mine.fin_received && network_.random_.Next() % 2 == 0)
    mine.Reset();
  if (mine.reset) {
    const int error = std::exchange(mine.error, 0);
    return {net::IoResult::Kind::kReset, 0, error != 0 ? error : EPIPE};
  }
  const size_t used = other.received.size() + other.in_flight;
  if (used >= network_.faults_.buffer_bytes) {
    mine.write_blocked = true;
    return {net::IoResult::Kind::kWouldBlock, 0, 0};
  }
  size_t wanted = 0;
  for (const iovec& part : from) wanted += part.iov_len;
  size_t n = std::min(wanted, network_.faults_.buffer_bytes - used);
  mine.write_blocked = n < wanted;
  const bool cut = n > 0 && network_.random_.Percent(network_.faults_.cut_percent);
  if (cut) n = 1 + network_.random_.Next() % n;
  std::string bytes;
  bytes.reserve(n);
  for (const iovec& part : from) {
    bytes.append(static_cast<const char*>(part.iov_base), std::min(part.iov_len, n - bytes.size()));
  }
  mine.written += n;
  if (mine.written >= mine.cut_after) return CutOff(std::move(bytes), n - (mine.written - mine.cut_after));
  if (n > 0 && network_.random_.Percent(network_.faults_.reset_percent))
    return CutOff(std::move(bytes), network_.random_.Next() % (n + 1));
  SendBytes(std::move(bytes));
  if (cut && !mine.write_blocked) {
    // A short count means to the caller that the buffer is full: tell when it is not.
    network_.At(network_.clock_.Now() + network_.Delay(),
                [channel = channel_, side = side_] { channel->ends[side].Notify(false, true); });
  }
  return {net::IoResult::Kind::kBytes, n, 0};
}

// Some of it arrives, then both ends see a RST.
net::IoResult SimSocket::CutOff(std::string bytes, size_t arrive) {
  const size_t n = bytes.size();
  Mine().cut_after = UINT64_MAX;
  bytes.resize(arrive);
  if (!bytes.empty()) SendBytes(std::move(bytes));
  ++network_.resets_;
  network_.SendReset(channel_, 1 - side_, false);
  network_.SendReset(channel_, side_, false);
  return {net::IoResult::Kind::kBytes, n, 0};
}

void SimSocket::SendBytes(std::string bytes) {
  Other().in_flight += bytes.size();
  const uint64_t ack = Mine().arrived;
  const bool late = network_.random_.Percent(network_.faults_.late_ack_percent);
  network_.Send(
      channel_, 1 - side_,
      [&network = network_, channel = channel_, side = 1 - side_, late, ack, bytes = std::move(bytes)] {
        auto& end = channel->ends[side];
        end.in_flight -= bytes.size();
        if (end.reset || end.dead) return;
        end.acked = std::max(end.acked, ack + 1);
        if (end.closed) {  // nobody reads any more
          network.SendReset(channel, 1 - side, true);
          return;
        }
        end.received += bytes;
        end.arrived += bytes.size();
        if (late) {
          network.At(network.clock_.Now() + kLateAck,
                     [&network, channel, side] { network.SendAck(channel, 1 - side); });
        } else {
          network.SendAck(channel, 1 - side);
        }
        end.Notify(true, false);
      });
}

void SimSocket::SendFin() {
  auto& mine = Mine();
  if (mine.shut_down || mine.reset || mine.dead) return;
  mine.shut_down = true;
  network_.Send(channel_, 1 - side_, [channel = channel_, side = 1 - side_, ack = mine.arrived] {
    auto& end = channel->ends[side];
    if (end.reset || end.dead) return;
    end.acked = std::max(end.acked, ack + 1);
    end.fin_received = true;
    end.Notify(true, false);
  });
}

void SimNetwork::SendAck(const std::shared_ptr<Channel>& channel, int to) {
  const Channel::End& from = channel->ends[1 - to];
  if (from.dead || from.reset) return;
  if (channel->ends[to].acked > from.arrived) return;  // a segment has told it already
  Send(channel, to, [channel, to, ack = from.arrived] {
    auto& end = channel->ends[to];
    if (!end.reset && !end.dead) end.acked = std::max(end.acked, ack + 1);
  });
}

void SimNetwork::SendReset(const std::shared_ptr<Channel>& channel, int to, bool by_other_end) {
  if (by_other_end) channel->ends[1 - to].dead = true;
  channel->ends[to].reset_under_way = true;
  Send(channel, to, [channel, to] {
    channel->ends[to].Reset();
    channel->ends[to].Notify(true, true);
  });
}

void SimNetwork::Send(const std::shared_ptr<Channel>& channel, int side, std::function<void()> arrive) {
  if (Vanishes(*channel)) {
    vanished_[channel->ends[1].address].push_back(
        [this, channel, side, arrive = std::move(arrive)] { Send(channel, side, arrive); });
    return;
  }
  auto& last = channel->ends[side].last_arrival;
  last = std::max(last, clock_.Now() + Delay());
  At(last, std::move(arrive));
}

bool SimNetwork::Vanishes(const Channel& channel) const {
  return !vanished_.empty() && vanished_.contains(channel.ends[1].address);
}

void SimNetwork::BlackHole(const net::Address& at, bool on) {
  if (on) {
    vanished_.try_emplace(at);
    return;
  }
  const auto found = vanished_.extract(at);
  if (found.empty()) return;
  for (const std::function<void()>& send : found.mapped()) send();
}

void SimNetwork::ResetOnClose(net::Socket& socket) { static_cast<SimSocket&>(socket).ResetOnClose(); }

class SimListen : public net::ListenSocket {
 public:
  SimListen(SimNetwork& network, const net::Address& local, net::Observer& observer,
            std::shared_ptr<SimProcess> process)
      : network_(network), local_(local), observer_(observer), process_(std::move(process)) {
    network_.listening_[local] = this;
  }
  ~SimListen() override {
    network_.listening_.erase(local_);
    for (const auto& socket : waiting_) SimNetwork::ResetOnClose(*socket);
  }
  std::unique_ptr<net::Socket> Accept() override {
    if (waiting_.empty()) return nullptr;
    auto socket = std::move(waiting_.front());
    waiting_.pop_front();
    return socket;
  }
  const net::Address& local() const override { return local_; }
  void FastOpen(bool on) override { fast_open_ = on; }
  bool fast_open() const { return fast_open_; }
  const std::shared_ptr<SimProcess>& process() const { return process_; }
  void Arrive(std::unique_ptr<net::Socket> socket) {
    waiting_.push_back(std::move(socket));
    observer_.OnReady(true, false);
  }

 private:
  SimNetwork& network_;
  net::Address local_;
  net::Observer& observer_;
  std::shared_ptr<SimProcess> process_;
  std::deque<std::unique_ptr<net::Socket>> waiting_;
  bool fast_open_ = false;
};

bool SimNetwork::fast_open(const net::Address& at) const {
  const auto found = listening_.find(at);
  return found != listening_.end() && found->second->fast_open();
}

void SimNetwork::Dial(const std::shared_ptr<Channel>& channel) {
  if (Vanishes(*channel)) {
    vanished_[channel->ends[1].address].push_back([this, channel] { Dial(channel); });
    return;
  }
  At(clock_.Now() + Delay(), [this, channel] {
    auto& end = channel->ends[0];
    if (end.closed) return;
    const auto listening = listening_.find(channel->ends[1].address);
    const bool refused = listening == listening_.end() || random_.Percent(faults_.connect_refused_percent);
    channel->connect_error = refused ? ECONNREFUSED : 0;
    if (refused) {
      end.reset = true;
      end.error = ECONNREFUSED;
    } else {
      listening->second->Arrive(std::make_unique<SimSocket>(*this, channel, 1, listening->second->process()));
    }
    end.Notify(refused, true);
  });
}

class SimLoop : public net::Loop {
 public:
  explicit SimLoop(SimNetwork& network) : network_(network) {}
  std::unique_ptr<net::Socket> Connect(const net::Address& to, net::Observer& observer, int* error) override {
    if (process_->killed) {
      *error = ECONNRESET;
      return nullptr;
    }
    auto channel = std::make_shared<SimNetwork::Channel>();
    channel->ends[0].observer = &observer;
    channel->ends[0].address =
        net::Address::Parse("127.0.0.1", network_.next_port_++).value_or(net::Address());
    channel->dialled = to;
    const auto redirected = network_.redirected_.find({this, to});
    const net::Address reached = redirected == network_.redirected_.end() ? to : redirected->second;
    channel->ends[1].address = reached;
    auto socket = std::make_unique<SimSocket>(network_, channel, 0, process_);
    network_.Count(*channel);
    if (!network_.random_.Percent(network_.faults_.connect_lost_percent)) network_.Dial(channel);
    return socket;
  }
  bool Observe(net::Socket& socket, net::Observer& observer) override {
    const auto [watched, told] = socket.Watched(observer);
    static_cast<SimSocket&>(*watched).Observe(*told);
    return true;
  }
  std::unique_ptr<net::ListenSocket> Listen(const net::Address& at, net::Observer& observer,
                                            int* error) override {
    if (network_.listening_.count(at) != 0) {
      *error = EADDRINUSE;
      return nullptr;
    }
    return std::make_unique<SimListen>(network_, at, observer, process_);
  }
  void Wait(time::MonotonicTime) override {}
  void Wake() override {}
  void Kill() {
    process_->killed = true;
    for (const auto& [id, socket] : process_->sockets) socket->Wake();
  }

 private:
  SimNetwork& network_;
  std::shared_ptr<SimProcess> process_ = std::make_shared<SimProcess>();
};

void SimNetwork::Kill(net::Loop& loop) { static_cast<SimLoop&>(loop).Kill(); }

void SimNetwork::Count(Channel& channel) {
  if (cuts_.empty()) return;
  const net::Address& to = channel.ends[1].address;
  const uint32_t number = dialled_[to]++;
  for (const Cut& cut : cuts_) {
    if (cut.to == to && cut.connection == number) channel.ends[cut.answers ? 1 : 0].cut_after = cut.after;
  }
}

std::unique_ptr<net::Loop> SimNetwork::NewLoop() { return std::make_unique<SimLoop>(*this); }

void SimNetwork::At(time::MonotonicTime at, std::function<void()> act) {
  events_.push_back({at, next_event_id_++, std::move(act)});
  std::push_heap(events_.begin(), events_.end(), Later);
}

time::Duration SimNetwork::Delay() {
  return time::Duration(
      static_cast<int64_t>(random_.Next() % static_cast<uint64_t>(faults_.max_delay.count() + 1)));
}

time::MonotonicTime SimNetwork::NextEvent() const {
  return events_.empty() ? time::MonotonicTime::max() : events_.front().at;
}

void SimNetwork::Deliver() {
  while (!events_.empty() && events_.front().at <= clock_.Now()) {
    std::pop_heap(events_.begin(), events_.end(), Later);
    const std::function<void()> act = std::move(events_.back().act);
    events_.pop_back();
    act();
  }
}

}  // namespace pillion::testing
