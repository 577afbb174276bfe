#include "tests/simulation/tokens/redis/redis_server.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "sidecar/base/check.h"
#include "sidecar/base/hex.h"
#include "sidecar/idempotency/shared/claim_reply.h"

namespace pillion::simulation::tokens {
namespace {

using redis::Reply;

constexpr auto kSecond = std::chrono::seconds(1);
constexpr auto kLongestSync = std::chrono::milliseconds(100);

Reply Error(std::string_view text) { return {Reply::Kind::kError, 0, std::string(text), {}}; }
Reply Text(std::string_view text) { return {Reply::Kind::kText, 0, std::string(text), {}}; }
Reply Integer(int64_t number) { return {Reply::Kind::kInteger, number, {}, {}}; }
Reply List(std::vector<Reply> parts) { return {Reply::Kind::kArray, 0, {}, std::move(parts)}; }

std::string DrawRunId(Random& random) {
  std::string id;
  for (int i = 0; i < 5; ++i) {
    const uint64_t drawn = random.Next();
    AppendHex({reinterpret_cast<const uint8_t*>(&drawn), 4}, id);
  }
  return id;
}

}  // namespace

class RedisServer::Connection final : public testing::SimPeer {
 public:
  struct Wait {
    uint64_t offset = 0;
    size_t replicas = 0;
    time::MonotonicTime until;
  };
  Connection(RedisServer& server, std::unique_ptr<net::Socket> socket)
      : SimPeer(*server.loop_, std::move(socket)), server_(server) {}
  void OnReady(bool, bool) override {
    ready = true;
    server_.called_ = true;
  }
  void Put(const Reply& reply) {
    AppendReply(reply, unsent);
    Flush();
  }
  void Flush() {
    if (!unsent.empty() && !closed) unsent.erase(0, SendSome(unsent));
  }
  void CloseNow() {
    if (!std::exchange(closed, true)) Close();
  }
  bool gone() const { return closed || ended || reset; }
  // Reads what has come. False: that is no command.
  bool Take() {
    Read();
    reader_.Feed(std::exchange(text, {}));
    Reply command;
    while (true) {
      const redis::ReplyReader::State state = reader_.Next(command);
      if (state != redis::ReplyReader::State::kReply) return state == redis::ReplyReader::State::kMore;
      std::vector<std::string>& words = commands.emplace_back();
      for (Reply& part : command.parts) words.push_back(std::move(part.text));
    }
  }
  std::deque<std::vector<std::string>> commands;
  std::optional<Wait> wait;
  uint64_t changed = 0;  // the server's offset behind its last command
  std::set<std::string> channels;
  std::string unsent;
  bool ready = true;
  bool closed = false;

 private:
  RedisServer& server_;
  redis::ReplyReader reader_;
};

RedisServer::RedisServer(const ServerParts& parts, ServerSettings settings)
    : parts_(parts), settings_(std::move(settings)), model_(settings_.ran) {
  model_.standing.min_replicas = settings_.min_replicas;
  Start({});
}

// Its primary may be gone already.
RedisServer::~RedisServer() {
  primary_ = nullptr;
  if (alive()) Kill();
}

ServerTime RedisServer::Now() const {
  return std::chrono::floor<ServerTime>(parts_.clock.Wall().time_since_epoch() + settings_.clock_error);
}

void RedisServer::Start(time::Duration lost) {
  PILLION_CHECK(!alive());
  DataSet holds = base_;
  std::erase_if(log_, [&](const Logged& one) { return lost.count() > 0 && one.at >= now() - lost; });
  for (const Logged& one : log_) holds.Apply(one.effect);
  model_.Restart(DrawRunId(parts_.random), std::move(holds));
  loop_ = parts_.network.NewLoop();
  paused_until_ = {};
  next_second_ = now() + DrawUpTo(time::Duration(kSecond), parts_.random);
  Listen();
  CountReplicas();
  if (primary_ != nullptr) Follow(*primary_, Clients::kAreClosed);
}

void RedisServer::Listen() {
  for (const net::Address& at : settings_.addresses) {
    int error = 0;
    listening_.push_back(loop_->Listen(at, *this, &error));
    PILLION_CHECK(listening_.back() != nullptr);
  }
  called_ = true;
}

void RedisServer::Kill() {
  testing::SimNetwork::Kill(*loop_);
  connections_.clear();
  listening_.clear();
  loop_.reset();
  followers_.clear();
  acks_.clear();
  if (primary_ != nullptr) {
    primary_->LoseFollower(*this);
    stream_.clear();
  }
}

void RedisServer::Set(const std::string& key, const Fields& fields) {
  if (!master()) return;
  std::vector<Effect> effects = {{.kind = Effect::Kind::kSet, .key = key, .fields = fields}};
  model_.data.Apply(effects[0]);
  Change(std::move(effects));
}

void RedisServer::FlushAll() {
  if (!master()) return;
  std::vector<Effect> effects = {{.kind = Effect::Kind::kFlush}};
  model_.data.Apply(effects[0]);
  Change(std::move(effects));
}

void RedisServer::CloseAll() {
  for (const auto& connection : connections_) connection->CloseNow();
  called_ = true;
}

// A primary that cannot be reached does not hear of it: to him the replica is one that has fallen silent.
void RedisServer::Leave() {
  if (!std::exchange(link_cut_, false)) primary_->LoseFollower(*this);
  stream_.clear();
  acks_.clear();
}

void RedisServer::Lead(Clients clients) {
  if (primary_ == nullptr) return;
  Leave();
  primary_ = nullptr;
  synchronizes_.reset();
  model_.standing.master = true;
  model_.standing.replid = std::to_string(parts_.random.Next());
  CountReplicas();
  if (clients == Clients::kAreClosed) CloseAll();
}

void RedisServer::Follow(RedisServer& primary, Clients clients) {
  PILLION_CHECK(&primary != this);
  if (primary_ != nullptr) Leave();
  primary_ = &primary;
  link_cut_ = false;
  followers_.clear();
  model_.standing.master = false;
  synchronizes_ = now() + DrawUpTo(time::Duration(kLongestSync), parts_.random);
  for (const auto& connection : connections_) {
    if (!connection->wait) continue;
    connection->Put(Error("UNBLOCKED force unblock from blocking operation, instance state changed"));
    connection->CloseNow();
  }
  if (clients == Clients::kAreClosed) CloseAll();
}

bool RedisServer::Accept() {
  bool any = false;
  for (const auto& listening : listening_) {
    while (auto socket = listening->Accept()) {
      connections_.push_back(std::make_unique<Connection>(*this, std::move(socket)));
      any = true;
    }
  }
  return any;
}

bool RedisServer::Run() {
  bool worked = Replicate();
  if (!acts()) return worked;
  worked = Synchronize() || worked;
  worked = EverySecond() || worked;
  if (std::exchange(called_, false)) {
    worked = true;
    Accept();
    for (const auto& connection : connections_) {
      if (connection->closed || !std::exchange(connection->ready, false)) continue;
      connection->Flush();
      if (!connection->Take()) connection->CloseNow();
    }
  }
  for (size_t i = 0; i < connections_.size(); ++i) worked = Serve(*connections_[i]) || worked;
  std::erase_if(connections_, [](const auto& one) { return one->gone(); });
  return worked;
}

// As far as it is not blocked.
bool RedisServer::Serve(Connection& connection) {
  bool worked = false;
  while (!connection.gone()) {
    if (connection.wait && !EndWait(connection)) break;
    if (connection.commands.empty()) break;
    const std::vector<std::string> command = std::move(connection.commands.front());
    connection.commands.pop_front();
    Execute(connection, command);
    worked = true;
  }
  return worked;
}

void RedisServer::Execute(Connection& connection, std::span<const std::string> command) {
  const std::string name = command.empty() ? "" : command[0];
  if (name == "WAIT" && command.size() == 3) return StartWait(connection, command);
  if (name == "SUBSCRIBE" && command.size() == 2) {
    connection.channels.insert(command[1]);
    const auto count = static_cast<int64_t>(connection.channels.size());
    return connection.Put(List({Text("subscribe"), Text(command[1]), Integer(count)}));
  }
  if (name == "UNSUBSCRIBE" && command.size() == 2) {
    connection.channels.erase(command[1]);
    const auto count = static_cast<int64_t>(connection.channels.size());
    return connection.Put(List({Text("unsubscribe"), Text(command[1]), Integer(count)}));
  }
  std::vector<Effect> effects;
  const Reply reply = model_.Execute(command, Now(), effects);
  Change(std::move(effects));
  connection.changed = offset_;
  connection.Put(reply);
}

void RedisServer::StartWait(Connection& connection, std::span<const std::string> command) {
  if (!master()) return connection.Put(Error("ERR WAIT cannot be used with replica instances."));
  const std::chrono::milliseconds most(std::strtoll(command[2].c_str(), nullptr, 10));
  connection.wait = {connection.changed, std::strtoull(command[1].c_str(), nullptr, 10), now() + most};
  if (!EndWait(connection)) AskFollowers();
}

bool RedisServer::EndWait(Connection& connection) {
  const Connection::Wait wait = connection.wait.value_or(Connection::Wait());
  const auto have = std::ranges::count_if(
      followers_, [&](const Follower& follower) { return follower.acked >= wait.offset; });
  if (static_cast<size_t>(have) < wait.replicas && now() < wait.until) return false;
  connection.wait.reset();
  connection.Put(Integer(have));
  return true;
}

void RedisServer::Tell(const Effect& message) {
  for (const auto& connection : connections_) {
    if (!connection->gone() && connection->channels.contains(message.key))
      connection->Put(List({Text("message"), Text(message.key), Text(message.text)}));
  }
}

// It was made here: to the file, and to all who follow.
// What a script has changed replicas have whole, or not at all: it comes to them in MULTI.
void RedisServer::Change(std::vector<Effect> effects) {
  for (Effect& effect : effects) {
    Keep(effect);
    for (const Follower& follower : followers_) {
      std::deque<Sent>& stream = follower.server->stream_;
      const time::MonotonicTime before = stream.empty() ? now() : stream.back().arrives;
      SendTo(*follower.server, effect);
      if (&effect != effects.data() && follower.server->primary_ == this) stream.back().arrives = before;
    }
  }
}

void RedisServer::Keep(const Effect& effect) {
  ++offset_;
  if (effect.kind == Effect::Kind::kPublish) return Tell(effect);
  log_.push_back({now(), effect});
  for (const auto& [name, value] : effect.fields) {
    if (name == "x") seen_.insert(idempotency::ExecutionNumber(value));
  }
}

void RedisServer::AskFollowers() {
  for (const Follower& follower : followers_) SendTo(*follower.server, std::nullopt);
}

void RedisServer::SendTo(RedisServer& replica, std::optional<Effect> effect) const {
  if (replica.primary_ != this) return;
  time::MonotonicTime arrives = now() + DrawUpTo(replica.settings_.link_delay, parts_.random);
  if (!replica.stream_.empty()) arrives = std::max(arrives, replica.stream_.back().arrives);
  replica.stream_.push_back({arrives, std::move(effect)});
}

void RedisServer::SendAck() {
  time::MonotonicTime arrives = now() + DrawUpTo(settings_.link_delay, parts_.random);
  if (!acks_.empty()) arrives = std::max(arrives, acks_.back().arrives);
  acks_.push_back({arrives, offset_});
}

// What is under way in both directions arrives, also while the other end stands still or is gone.
bool RedisServer::Replicate() {
  bool worked = false;
  if (link_cut_ || master()) return false;
  while (acts() && !stream_.empty() && stream_.front().arrives <= now()) {
    const Sent sent = std::move(stream_.front());
    stream_.pop_front();
    worked = true;
    if (sent.effect) {
      model_.data.Apply(*sent.effect);
      Keep(*sent.effect);
    } else {
      SendAck();
    }
  }
  while (LinkWorks() && !acks_.empty() && acks_.front().arrives <= now()) {
    primary_->TakeAck(*this, acks_.front().offset);
    acks_.pop_front();
    worked = true;
  }
  return worked;
}

// All that the primary has, at once; from then on it is told of changes.
bool RedisServer::Synchronize() {
  if (!synchronizes_ || now() < *synchronizes_ || !LinkWorks() || primary_->primary_ != nullptr) return false;
  synchronizes_.reset();
  model_.data = primary_->model_.data;
  base_ = model_.data;
  log_.clear();
  seen_.insert(primary_->seen_.begin(), primary_->seen_.end());
  offset_ = primary_->offset_;
  primary_->LoseFollower(*this);
  primary_->followers_.push_back({this, offset_, primary_->Second()});
  primary_->CountReplicas();
  primary_->called_ = true;
  return true;
}

void RedisServer::TakeAck(const RedisServer& replica, uint64_t offset) {
  for (Follower& follower : followers_) {
    if (follower.server != &replica) continue;
    follower.acked = offset;
    follower.heard = Second();
  }
}

void RedisServer::LoseFollower(const RedisServer& replica) {
  std::erase_if(followers_, [&](const Follower& one) { return one.server == &replica; });
  CountReplicas();
}

void RedisServer::CountReplicas() {
  Standing& standing = model_.standing;
  standing.replicas = followers_.size();
  const std::chrono::seconds limit(standing.max_lag_s);
  standing.good_replicas = static_cast<size_t>(std::ranges::count_if(
      followers_, [&](const Follower& follower) { return Second() - follower.heard <= limit; }));
}

bool RedisServer::EverySecond() {
  if (now() < next_second_) return false;
  next_second_ = now() + kSecond;
  if (master()) {
    CountReplicas();
    std::vector<Effect> effects;
    model_.DeleteExpired(Now(), effects);
    Change(std::move(effects));
  } else if (!synchronizes_) {
    SendAck();
  }
  return true;
}

time::MonotonicTime RedisServer::NextDeadline() const {
  if (!alive()) return time::MonotonicTime::max();
  if (!acts()) return paused_until_;
  time::MonotonicTime next = next_second_;
  if (!link_cut_ && !stream_.empty()) next = std::min(next, stream_.front().arrives);
  if (LinkWorks() && !acks_.empty()) next = std::min(next, acks_.front().arrives);
  if (synchronizes_ && LinkWorks()) next = std::min(next, std::max(*synchronizes_, now()));
  for (const auto& connection : connections_) {
    const std::optional<Connection::Wait>& wait = connection->wait;
    if (wait) next = std::min(next, wait->until);
  }
  return next;
}

}  // namespace pillion::simulation::tokens
