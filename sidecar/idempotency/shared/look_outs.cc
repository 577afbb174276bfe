#include "sidecar/idempotency/shared/look_outs.h"

#include <algorithm>
#include <utility>

namespace pillion::idempotency {

struct LookOuts::LookOut final : stream::Runnable {
  enum class Looking : uint8_t { kNo, kYes, kAndAgain };  // kAndAgain: something came meanwhile
  LookOut(LookOuts& outs, const Digest& of)
      : all(outs), key(of), longest(outs.share_.terms.first_look), timer(this) {}
  // Its time has come.
  stream::Progress Run() override {
    all.MarkDue(*this);
    return stream::Progress::kIdle;
  }
  LookOuts& all;
  const Digest key;
  std::vector<Ticket> tickets;
  Looking looking = Looking::kNo;
  bool due = false;    // in due_
  DomainTime longest;  // until the next look
  stream::Timer timer;
};

LookOuts::LookOuts(const StoreShare& share, stream::Runnable& owner)
    : share_(share), owner_(owner), inbox_(share.parts.subscriber, *this) {}
LookOuts::~LookOuts() = default;

LookOuts::LookOut* LookOuts::Find(const Digest& key) const {
  const auto found = all_.find(key);
  return found == all_.end() ? nullptr : found->second.get();
}

void LookOuts::MarkDue(LookOut& out) {
  if (out.looking == LookOut::Looking::kYes) out.looking = LookOut::Looking::kAndAgain;
  if (out.looking != LookOut::Looking::kNo || std::exchange(out.due, true)) return;
  due_.push_back(out.key);
  share_.parts.turn.Wake(owner_);
}

bool LookOuts::Join(const Digest& key, Ticket ticket) {
  LookOut* out = Find(key);
  const TableTerms& terms = share_.terms.table;
  if (waiting_ >= terms.room.waiters || (out != nullptr && out->tickets.size() >= terms.waiters))
    return false;
  ++waiting_;
  Listen();
  if (out == nullptr) {
    out = all_.emplace(key, std::make_unique<LookOut>(*this, key)).first->second.get();
    Subscribe(*out);
    Looked(key);
  }
  out->tickets.push_back(ticket);
  return true;
}

void LookOuts::Leave(const Digest& key, Ticket ticket) {
  LookOut* out = Find(key);
  if (out == nullptr || std::erase(out->tickets, ticket) == 0) return;
  --waiting_;
  if (!out->tickets.empty()) return;
  share_.parts.subscriber.Unsubscribe(share_.names.Channel(key));
  all_.erase(key);
}

std::vector<Ticket> LookOuts::Waiting(const Digest& key) const {
  const LookOut* out = Find(key);
  return out == nullptr ? std::vector<Ticket>() : out->tickets;
}

std::vector<Digest> LookOuts::TakeDue() {
  std::vector<Digest> due;
  for (const Digest& key : std::exchange(due_, {})) {
    LookOut* out = Find(key);
    // One that is over may have been followed by another.
    if (out == nullptr || !std::exchange(out->due, false)) continue;
    out->looking = LookOut::Looking::kYes;
    out->timer.Cancel();
    due.push_back(key);
  }
  return due;
}

void LookOuts::Looked(const Digest& key) {
  LookOut* out = Find(key);
  if (out == nullptr) return;
  if (std::exchange(out->looking, LookOut::Looking::kNo) == LookOut::Looking::kAndAgain) {
    MarkDue(*out);
    return;
  }
  const time::Duration half = time::Duration(out->longest) / 2;
  const time::Duration wait = half + DrawUpTo(half, share_.parts.random);
  out->longest = std::min(2 * out->longest, share_.terms.longest_between_looks);
  share_.parts.turn.Arm(out->timer, share_.parts.turn.now() + wait);
}

// Where that cannot be, looking from time to time must do.
void LookOuts::Subscribe(LookOut& out) {
  if (!share_.parts.subscriber.ready()) return;
  const uint64_t tag = ++last_tag_;
  if (share_.parts.subscriber.Subscribe(inbox_, tag, share_.names.Channel(out.key)) ==
      redis::Client::Taken::kYes)
    subscribing_.emplace(tag, out.key);
}

// Another connection knows nothing of what was subscribed on the one before.
void LookOuts::Listen() {
  redis::Client& subscriber = share_.parts.subscriber;
  if (!subscriber.ready() || std::exchange(generation_, subscriber.generation()) == subscriber.generation())
    return;
  for (const auto& [key, out] : all_) Subscribe(*out);
}

stream::Progress LookOuts::Run() {
  Listen();
  for (const redis::Ended& ended : inbox_.TakeEnded()) {
    const auto found = subscribing_.find(ended.tag);
    if (found == subscribing_.end()) continue;
    LookOut* out = Find(found->second);
    subscribing_.erase(found);
    // What came before it was heard of by nobody.
    if (out != nullptr && ended.how == redis::Ended::How::kReply) MarkDue(*out);
  }
  for (const redis::Message& message : inbox_.TakeMessages()) {
    const std::optional<Digest> key = KeyNames::KeyOf(message.channel);
    if (!key) continue;
    if (LookOut* out = Find(*key); out != nullptr) MarkDue(*out);
  }
  return stream::Progress::kIdle;
}

}  // namespace pillion::idempotency
