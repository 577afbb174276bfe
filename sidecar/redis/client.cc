#include "sidecar/redis/client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "sidecar/tls/socket.h"

namespace pillion::redis {
namespace {

constexpr size_t kReadBytes = size_t{16} * 1024;
// A busy connection must not keep the worker's others waiting.
constexpr int kReadsPerRun = 16;
// Room for output that is kept when there is none.
constexpr size_t kKeptOutputBytes = size_t{256} * 1024;

std::string ErrorText(std::string_view what, int error) {
  return std::string(what) + ": " + std::strerror(error);
}

}  // namespace

Inbox::Inbox(Client& client, stream::Runnable& owner) : client_(client), owner_(owner) {
  client_.inboxes_.PushBack(this);
}

Inbox::~Inbox() { client_.Forget(*this); }

Client::Client(const ClientParts& parts, ClientSettings settings, Use use)
    : parts_(parts), settings_(std::move(settings)), use_(use), timer_(this) {
  parts_.turn.Arm(timer_, parts_.turn.now());
}

Client::~Client() = default;

void Client::Forget(Inbox& inbox) {
  for (Pending& one : pending_) {
    if (one.inbox == &inbox) one.inbox = nullptr;
  }
  for (auto& [channel, listener] : channels_) {
    if (listener == &inbox) listener = nullptr;
  }
}

void Client::WakeAll() {
  for (Inbox* inbox = inboxes_.front(); inbox != nullptr; inbox = inboxes_.Next(inbox))
    parts_.turn.Wake(inbox->owner_);
}

void Client::OnReady(bool readable, bool writable) {
  readable_ = readable_ || readable;
  writable_ = writable_ || writable;
  if (writable && out_begin_ < out_.size()) parts_.turn.MarkDirty(*this);
  parts_.turn.Wake(*this);
}

stream::Progress Client::Run() {
  if (state_ == State::kWaiting && parts_.turn.now() >= timer_.deadline()) Dial();
  if (state_ == State::kConnecting) FinishDial();
  if (connected()) Read();
  // After what came before the connection broke: it was answered.
  if (connected() && !broken_.empty()) GiveUp(broken_);
  if (state_ == State::kLeaving && pending_.empty()) GiveUp("the server is no master any more");
  CheckDeadline();
  return stream::Progress::kIdle;
}

void Client::Dial() {
  ++counts_.dials;
  state_ = State::kConnecting;
  out_.clear();
  out_begin_ = 0;
  written_ = appended_ = offered_ = 0;
  readable_ = writable_ = false;
  reader_ = std::make_unique<ReplyReader>(settings_.limits);
  if (settings_.addresses.empty()) return GiveUp("the server has no address");
  const auto credentials = settings_.credentials == nullptr ? nullptr : settings_.credentials->Get();
  if (settings_.credentials != nullptr && credentials == nullptr)
    return GiveUp("the certificates to call the server with are not here, or are of no use");
  int error = 0;
  address_ = settings_.addresses[at_ % settings_.addresses.size()];
  socket_ = parts_.loop.Connect(address_, *this, &error);
  if (socket_ == nullptr) return GiveUp(ErrorText("cannot dial " + address_.ToString(), error));
  if (credentials != nullptr) {
    socket_ = tls::Dial(std::move(socket_), credentials, parts_.tls,
                        {.sni = settings_.server_name, .only_alpn = {}});
    parts_.loop.Observe(*socket_, *this);
  }
  parts_.turn.Arm(timer_, parts_.turn.now() + settings_.connect_timeout);
}

void Client::FinishDial() {
  const int error = socket_->ConnectError();
  if (error == EINPROGRESS) return;
  if (error != 0) {
    const net::Security* security = socket_->security();
    const bool tls = security != nullptr && security->failure != net::TlsFailure::kNone;
    GiveUp(tls ? "TLS with " + address_.ToString() + ": " + std::string(ToString(security->failure)) + ": " +
                     std::string(security->detail)
               : ErrorText("cannot connect to " + address_.ToString(), error));
    return;
  }
  socket_->GiveUpSilentPeerAfter(settings_.command_timeout);
  state_ = State::kGreeting;
  readable_ = writable_ = true;
  Greet();
}

// All at once: what is refused refuses nothing else.
void Client::Greet() {
  greeting_.clear();
  const auto ask = [this](std::initializer_list<std::string_view> arguments) {
    Append(nullptr, 0, {arguments.begin(), arguments.size()}, settings_.connect_timeout);
  };
  if (!settings_.password.empty()) {
    if (settings_.user.empty()) {
      ask({"AUTH", settings_.password});
    } else {
      ask({"AUTH", settings_.user, settings_.password});
    }
  }
  if (use_ == Use::kSubscriber) {
    ask({"PING"});
    return;
  }
  ask({"INFO"});
  for (const std::string_view setting : kCheckedSettings) ask({"CONFIG", "GET", setting});
}

// The greeting has been answered.
void Client::Judge() {
  size_t next = 0;
  if (!settings_.password.empty()) {
    const Reply& auth = greeting_[next++];
    // No more of it: a server that knows no AUTH says what it was sent.
    if (auth.is(Reply::Kind::kError)) return GiveUp("AUTH: " + auth.text.substr(0, auth.text.find(' ')));
  }
  const Reply& first = greeting_[next++];
  if (first.is(Reply::Kind::kError))
    return GiveUp((use_ == Use::kSubscriber ? "PING: " : "INFO: ") + first.text);
  if (use_ == Use::kCommander) {
    facts_ = {};
    ReadInfo(first.text, facts_);
    for (const std::string_view setting : kCheckedSettings) ReadSetting(setting, greeting_[next++], facts_);
    if (!facts_.master())
      return GiveUp("role: found " + (facts_.role.empty() ? "nothing" : facts_.role) + ", expected master");
    if (std::string faults = FindFaults(facts_, settings_.requirements); !faults.empty())
      return GiveUp(std::move(faults));
  }
  state_ = State::kReady;
  ++generation_;
  timer_.Cancel();
  WakeAll();
}

void Client::Read() {
  std::array<char, kReadBytes> room;
  for (int reads = 0; reads < kReadsPerRun; ++reads) {
    if (!readable_ && broken_.empty()) return;
    const net::IoResult result = socket_->Read({room.data(), room.size()});
    switch (result.kind) {
      case net::IoResult::Kind::kBytes:
        if (result.drained) readable_ = false;
        reader_->Feed({room.data(), result.bytes});
        TakeReplies();
        if (!connected()) return;
        break;
      case net::IoResult::Kind::kWouldBlock:
        readable_ = false;
        return;
      case net::IoResult::Kind::kEnd:
        GiveUp("the server closed the connection");
        return;
      case net::IoResult::Kind::kReset:
        GiveUp(ErrorText("the connection broke", result.error));
        return;
    }
  }
  parts_.turn.WakeNextTurn(*this);
}

void Client::TakeReplies() {
  Reply reply;
  while (connected()) {
    switch (reader_->Next(reply)) {
      case ReplyReader::State::kMore:
        return;
      case ReplyReader::State::kBroken:
        GiveUp("what the server said is no reply: " + std::string(reader_->error()));
        return;
      case ReplyReader::State::kReply:
        if (use_ == Use::kSubscriber && TakeMessage(reply)) break;
        if (pending_.empty()) {
          GiveUp("the server replied to nothing: " + ToString(reply).substr(0, 100));
          return;
        }
        TakeReply(reply);
        break;
    }
  }
}

bool Client::TakeMessage(Reply& reply) {
  if (!reply.is(Reply::Kind::kArray) || reply.parts.size() != 3 || reply.parts[0].text != "message")
    return false;
  const auto found = channels_.find(reply.parts[1].text);
  if (found == channels_.end() || found->second == nullptr) {
    ++counts_.strays;
    return true;
  }
  Inbox& inbox = *found->second;
  inbox.messages_.push_back({std::move(reply.parts[1].text), std::move(reply.parts[2].text)});
  parts_.turn.Wake(inbox.owner_);
  return true;
}

void Client::TakeReply(Reply& reply) {
  const Pending pending = pending_.front();
  pending_.pop_front();
  if (state_ == State::kGreeting) {
    greeting_.push_back(std::move(reply));
    if (pending_.empty()) Judge();
    return;
  }
  failures_ = 0;
  if (reply.IsError("READONLY") && state_ == State::kReady) {
    state_ = State::kLeaving;
    WakeAll();
  }
  Put(pending.inbox, {pending.tag, Ended::How::kReply, std::move(reply)});
}

void Client::Put(Inbox* inbox, Ended ended) {
  if (inbox == nullptr) return;
  inbox->ended_.push_back(std::move(ended));
  parts_.turn.Wake(inbox->owner_);
}

void Client::GiveUp(std::string why) {
  ++counts_.failures;
  trouble_ = std::move(why);
  // What was offered and not taken may have left, as far as a socket over TLS knows.
  const uint64_t left = socket_ != nullptr && socket_->MayHaveSent() ? offered_ : written_;
  for (const Pending& one : std::exchange(pending_, {}))
    Put(one.inbox, {one.tag, one.end > left ? Ended::How::kNotSent : Ended::How::kUnknown, {}});
  const bool was_usable = state_ == State::kReady || state_ == State::kLeaving;
  state_ = State::kWaiting;
  socket_.reset();
  reader_.reset();
  channels_.clear();
  broken_.clear();
  if (was_usable) WakeAll();
  constexpr uint32_t kMostDoublings = 16;
  // A round over all addresses counts as one failure.
  const auto rounds = static_cast<uint32_t>(failures_++ / std::max<size_t>(settings_.addresses.size(), 1));
  const time::Duration most =
      std::min(settings_.backoff_cap, settings_.backoff_base * (1 << std::min(rounds, kMostDoublings)));
  ++at_;
  parts_.turn.Arm(timer_, parts_.turn.now() + DrawUpTo(most, parts_.random));
}

// The first of the pending has the earliest deadline; the timer may have been set for one before it.
void Client::CheckDeadline() {
  if (state_ == State::kWaiting) return;
  const time::MonotonicTime now = parts_.turn.now();
  if (state_ == State::kConnecting || state_ == State::kGreeting) {
    if (now >= timer_.deadline()) GiveUp("no greeting from " + address_.ToString() + " in time");
    return;
  }
  if (pending_.empty()) return;
  if (now >= pending_.front().deadline) {
    ++counts_.late;
    GiveUp("no reply in time");
  } else if (!timer_.armed()) {
    parts_.turn.Arm(timer_, pending_.front().deadline);
  }
}

void Client::Append(Inbox* inbox, uint64_t tag, std::span<const std::string_view> arguments,
                    time::Duration blocks) {
  const size_t before = out_.size();
  AppendCommand(arguments, out_);
  appended_ += out_.size() - before;
  time::MonotonicTime deadline = parts_.turn.now() + settings_.command_timeout + blocks;
  // It waits for those before it.
  if (!pending_.empty()) deadline = std::max(deadline, pending_.back().deadline);
  pending_.push_back({inbox, tag, appended_, deadline});
  if (state_ == State::kReady && !timer_.armed()) parts_.turn.Arm(timer_, deadline);
  parts_.turn.MarkDirty(*this);
}

Client::Taken Client::Send(Inbox& inbox, uint64_t tag, std::span<const std::string_view> arguments,
                           time::Duration blocks) {
  if (state_ != State::kReady) return Taken::kNotReady;
  size_t bytes = out_.size() - out_begin_;
  for (const std::string_view argument : arguments) bytes += argument.size();
  if (pending_.size() >= settings_.limits.max_pending_commands || bytes > settings_.limits.max_output_bytes)
    return Taken::kFull;
  ++counts_.commands;
  Append(&inbox, tag, arguments, blocks);
  return Taken::kYes;
}

Client::Taken Client::Subscribe(Inbox& inbox, uint64_t tag, std::string_view channel) {
  if (channels_.size() >= settings_.limits.max_channels) return Taken::kFull;
  const std::array<std::string_view, 2> command = {"SUBSCRIBE", channel};
  const Taken taken = Send(inbox, tag, command);
  if (taken == Taken::kYes) channels_[std::string(channel)] = &inbox;
  return taken;
}

// No limit keeps it from being sent: then it would be listened to for ever.
void Client::Unsubscribe(std::string_view channel) {
  if (state_ != State::kReady || channels_.erase(std::string(channel)) == 0) return;
  const std::array<std::string_view, 2> command = {"UNSUBSCRIBE", channel};
  Append(nullptr, 0, command, time::Duration::zero());
}

void Client::Flush() {
  if (!connected()) return;
  while (out_begin_ < out_.size()) {
    if (!writable_) return;
    const iovec piece = {out_.data() + out_begin_, out_.size() - out_begin_};
    offered_ = appended_;
    const net::IoResult result = socket_->Write({&piece, 1});
    if (result.kind == net::IoResult::Kind::kWouldBlock) {
      writable_ = false;
      return;
    }
    if (result.kind != net::IoResult::Kind::kBytes) {
      broken_ = ErrorText("the connection broke", result.error);
      parts_.turn.Wake(*this);
      return;
    }
    out_begin_ += result.bytes;
    written_ += result.bytes;
    if (result.bytes < piece.iov_len) writable_ = false;  // the loop tells when there is room again
    if (out_begin_ > out_.size() / 2) out_.erase(0, std::exchange(out_begin_, 0));
  }
  out_.clear();
  out_begin_ = 0;
  if (out_.capacity() > kKeptOutputBytes) out_.shrink_to_fit();
}

}  // namespace pillion::redis
