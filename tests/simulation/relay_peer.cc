#include "tests/simulation/relay_peer.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/proxy_header.h"

namespace pillion::simulation {
namespace {

constexpr auto kNever = time::MonotonicTime::max();
constexpr auto kSlowRead = std::chrono::milliseconds(5);
constexpr size_t kSlowReadBytes = 40000;
constexpr size_t kMaxPieces = 5;
constexpr uint64_t kMaxPauseMs = 2000;
// A listener that drains waits a second for it.
constexpr uint64_t kMaxIntroductionMs = 300;

}  // namespace

void RelayPeer::Wrong(const std::string& what) {
  ledger_.wrong.push_back("relay " + std::to_string(fate_ == nullptr ? 0 : fate_->plan.id) + ", " +
                          (role_ == Role::kClient ? "client: " : "app: ") + what);
}

void RelayPeer::Greet() {
  out = kBanner;
  queued_ = out.size();
}

void RelayPeer::Begin(RelayFate& fate) {
  fate_ = &fate;
  const uint64_t id = fate.plan.id;
  const std::string line = std::to_string(id) + "\n";
  const bool client = role_ == Role::kClient;
  expected_ = client ? std::string(kBanner) + BodyOf(id, fate.plan.app.bytes, 'a')
                     : line + BodyOf(id, fate.plan.client.bytes, 'c');
  if (client) Introduce();
  CutIntoPieces();
  write_at_ = clock_.Now();
  if (plan().reads == Pace::kFast) return;
  allowance = 0;
  read_at_ = clock_.Now() + (plan().reads == Pace::kDeaf ? 3 * ledger_.relay_idle : kSlowRead);
}

// What stands before a client's own bytes, cut somewhere.
void RelayPeer::Introduce() {
  const RelayPlan& plan = fate_->plan;
  std::string line = std::to_string(plan.id) + "\n";
  std::string head = plan.proxy_version == 0 ? "" : ProxyHeaderOf(plan.id, plan.proxy_version, plan.fault);
  header_ = head.size();
  if (plan.fault == HeaderFault::kUnfinished) line.clear();
  if (!plan.listens_first) head += std::exchange(line, {});
  const size_t cut = random_.Next() % (head.size() + 1);
  const time::Duration wait = std::chrono::milliseconds(random_.Next() % kMaxIntroductionMs);
  if (!head.empty()) {
    pieces_.push_back({{}, head.substr(0, cut)});
    pieces_.push_back({wait, head.substr(cut)});
  }
  if (!line.empty()) pieces_.push_back({{}, line, true});
}

// The bytes as they will be written, and where a reset takes their place.
void RelayPeer::CutIntoPieces() {
  std::string body = BodyOf(fate_->plan.id, plan().bytes, role_ == Role::kClient ? 'c' : 'a');
  if (role_ == Role::kClient && fate_->plan.fault == HeaderFault::kUnfinished) return;
  const bool reset = plan().manner == EndManner::kReset;
  if (reset) body.resize(std::min(plan().reset_after, body.size()));
  const size_t cuts = plan().slow_writer ? 1 + random_.Next() % kMaxPieces : 0;
  for (size_t i = 0; i < cuts && body.size() > 1; ++i) {
    const size_t n = 1 + random_.Next() % (body.size() - 1);
    pieces_.push_back({std::chrono::milliseconds(random_.Next() % kMaxPauseMs), body.substr(0, n)});
    body.erase(0, n);
  }
  pieces_.push_back({{}, std::move(body)});
  if (reset) pieces_.push_back({std::chrono::milliseconds(random_.Next() % kMaxPauseMs), ""});
}

bool RelayPeer::Run() {
  if (over_) return false;
  const bool due = write_at_ <= clock_.Now() || read_at_ <= clock_.Now();
  if (!ready() && !due) return false;
  if (read_at_ <= clock_.Now()) {
    const bool slow = plan().reads == Pace::kSlow;
    allowance = slow ? 1 + random_.Next() % kSlowReadBytes : SIZE_MAX;
    read_at_ = kNever;
  }
  Pump();
  Check();
  if (fate_ != nullptr) {
    while (!pieces_.empty() && write_at_ <= clock_.Now()) {
      if (pieces_.front().in_answer && mine().received == 0) {
        write_at_ = kNever;
        break;
      }
      queued_ += pieces_.front().bytes.size();
      out += pieces_.front().bytes;
      pieces_.pop_front();
      write_at_ = pieces_.empty() ? kNever : clock_.Now() + pieces_.front().wait;
    }
    Pump();
    Check();
  }
  End();
  return true;
}

// Every byte that came is one that was sent, at its place, and no more are on their way than there is room
// for.
void RelayPeer::Check() {
  if (fate_ == nullptr) return;
  RelayEnd& me = mine();
  if (expected_.compare(me.received, in.size(), in) != 0 || me.received + in.size() > expected_.size())
    Wrong("other bytes than were sent, behind " + std::to_string(me.received));
  me.received = std::min<uint64_t>(me.received + in.size(), expected_.size());
  in.clear();
  if (me.received > 0 && write_at_ == kNever && !pieces_.empty()) write_at_ = clock_.Now();
  const uint64_t left = queued_ - out.size();
  me.header = std::min(left, header_);
  me.written = left - me.header;
  if (allowance == 0 && read_at_ == kNever) read_at_ = clock_.Now() + kSlowRead;
  if (me.written > other().received + ledger_.relay_room)
    Wrong(std::to_string(me.written - other().received) + " bytes are held for who does not take them");
}

void RelayPeer::End() {
  if (fate_ == nullptr) {                            // an app whose client has not said who it is
    if (in.find('\n') != std::string::npos) return;  // it has, just now
    if (ended) ShutdownWrite();
    over_ = (ended && !shutting()) || broken;
    return;
  }
  RelayEnd& me = mine();
  if (ended) me.saw_end = true;
  if (broken) {
    me.saw_reset = true;
    over_ = true;
    return;
  }
  if (pieces_.empty() && out.empty() && !me.told_end) {
    if (plan().manner == EndManner::kReset) {
      me.did_reset = true;
      ResetOnClose();
      over_ = true;
      return;
    }
    if (plan().manner == EndManner::kAtOnce || ended) {
      me.told_end = true;
      ShutdownWrite();
    }
  }
  const bool unheard =
      me.written + me.header == 0 && me.received == 0;  // what it waits for does not come any more
  over_ = (me.told_end || unheard) && ended && !shutting();
}

time::MonotonicTime RelayPeer::NextDeadline() const { return over_ ? kNever : std::min(write_at_, read_at_); }

bool RelayClient::Run() {
  if (done()) return false;
  if (peer_ == nullptr) {
    if (!MayDial()) return false;
    peer_ = std::make_unique<RelayPeer>(clock_, ledger_, RelayPeer::Role::kClient, random_.Next());
    Dial(*peer_);
    return true;
  }
  if (!Connected(peer_)) return peer_ == nullptr;
  if (peer_->fate() == nullptr) {
    peer_->Begin(ledger_.relays.at(ids_.front()));
    ids_.pop_front();
  }
  const bool worked = peer_->Run();
  if (peer_->over()) Finish();
  return worked;
}

void RelayClient::Finish() {
  RelayFate& fate = *peer_->fate();
  peer_.reset();
  const RelayEnd& end = fate.client;
  const bool unheard = end.written + end.header == 0 && end.received == 0 && end.saw_end && !end.saw_reset;
  if (ledger_.calm && unheard && ++fate.repeated < kMaxRefusals) {
    // A sidecar that drains does not wait for who says nothing.
    fate.client = {};
    ids_.push_front(fate.plan.id);
  } else {
    ++fate.over;
  }
}

time::MonotonicTime RelayClient::NextDeadline() const {
  if (done()) return kNever;
  return std::min(wait_until_, peer_ == nullptr ? kNever : peer_->NextDeadline());
}

TcpApp::TcpApp(const PeerParts& parts, const net::Address& at, size_t number, uint64_t seed)
    : parts_(parts), random_(seed), number_(number) {
  int error = 0;
  listen_ = parts_.loop.Listen(at, *this, &error);
}

void TcpApp::Accept() {
  while (accept_) {
    auto peer = parts_.Accept<RelayPeer>(*listen_, parts_.clock, parts_.ledger, RelayPeer::Role::kApp,
                                         random_.Next());
    accept_ = peer != nullptr;
    if (!accept_) return;
    peer->Greet();
    peers_.push_back(std::move(peer));
  }
}

bool TcpApp::Run() {
  bool worked = accept_;
  Accept();
  for (auto& peer : peers_) {
    worked = peer->Run() || worked;
    const size_t line = peer->fate() == nullptr ? peer->in.find('\n') : std::string::npos;
    if (line == std::string::npos) continue;
    const auto found = parts_.ledger.relays.find(std::strtoull(peer->in.c_str(), nullptr, 10));
    if (found == parts_.ledger.relays.end()) {
      parts_.ledger.wrong.push_back("the TCP app got an unknown id: " + peer->in.substr(0, line));
      continue;
    }
    ++found->second.met[number_];
    peer->Begin(found->second);
    peer->Run();
  }
  std::erase_if(peers_, [](const auto& peer) { return peer->over(); });
  return worked;
}

time::MonotonicTime TcpApp::NextDeadline() const {
  auto next = kNever;
  for (const auto& peer : peers_) next = std::min(next, peer->NextDeadline());
  return next;
}

}  // namespace pillion::simulation
