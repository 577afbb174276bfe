#include "control-plane/xds/type_state.h"

#include <algorithm>
#include <utility>

#include "control-plane/xds/limits.h"
#include "sidecar/base/check.h"

namespace pillion::control {
namespace {

bool SameVersions(const Resources& a, const Resources& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && x.second->version == y.second->version;
  });
}

// Never inside a character: `status` carries the text in a protobuf string, which must be UTF-8.
void CutText(std::string& text, size_t bytes) {
  if (text.size() <= bytes) return;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xC0) == 0x80) --bytes;
  text.resize(bytes);
}

}  // namespace

void TypeState::Subscribe(const std::vector<std::string>& names) {
  const Subscription::Change change = subscription_.Update(names);
  if (IsFullState(type_)) {
    owed_all_ = owed_all_ || change.any_added();
  } else {
    owed_.insert(change.added.begin(), change.added.end());
    // Everything under a wildcard: as if each name were new.
    if (change.wildcard_added) sent_.clear();
  }
  // The client drops what it no longer wants; a later wish for it is a new one.
  const auto unwanted = [this](const auto& entry) { return !subscription_.Wants(entry.first); };
  std::erase_if(sent_, unwanted);
  std::erase_if(held_, unwanted);
  std::erase_if(owed_, [this](const std::string& name) { return !subscription_.Wants(name); });
  std::erase_if(doubtful_, [this](const std::string& name) { return !subscription_.Wants(name); });
}

void TypeState::Owe(const std::string& name) {
  if (subscription_.Wants(name)) owed_.insert(name);
}

void TypeState::Forget(const Resources& target) {
  if (IsFullState(type_)) return;  // there the missing name is itself the news
  // What was sent stays on record: the client may go on using it.
  for (const auto& [name, resource] : sent_) {
    if (!target.contains(name)) owed_.insert(name);
  }
}

std::optional<Resources> TypeState::Plan(const Resources& desired) const {
  if (!subscription_.started()) return std::nullopt;
  if (IsFullState(type_)) {
    if (owed_all_ || !SameVersions(desired, sent_)) return desired;
    return std::nullopt;
  }
  Resources plan;
  for (const auto& [name, resource] : desired) {
    const auto before = sent_.find(name);
    const bool changed = before == sent_.end() || before->second->version != resource->version;
    if (changed || owed_.contains(name)) plan.emplace(name, resource);
  }
  if (plan.empty()) return std::nullopt;
  // A client that rejects a response as a whole lacks its good half too. It rides along with the next
  // response that has a reason of its own, and is never the reason itself: that would loop.
  for (const std::string& name : doubtful_) {
    if (const auto it = desired.find(name); it != desired.end()) plan.insert(*it);
  }
  return plan;
}

void TypeState::Sent(Resources resources, std::string version, std::string nonce, const Moment& now) {
  history_.sent_version = std::move(version);
  history_.sent_at = now.wall;
  history_.sent_resources = resources.size();
  nonce_ = std::move(nonce);
  if (IsFullState(type_)) {
    owed_all_ = false;
    sent_ = resources;
  } else {
    for (const auto& [name, resource] : resources) {
      owed_.erase(name);
      sent_.insert_or_assign(name, resource);
    }
  }
  in_flight_ = std::move(resources);
}

Resources TypeState::TakeInFlight() {
  PILLION_CHECK(in_flight_.has_value());
  Resources taken = *std::move(in_flight_);
  in_flight_.reset();
  return taken;
}

void TypeState::Acked(const Moment& now) {
  history_.acked_version = history_.sent_version;
  history_.acked_at = now.wall;
  if (IsFullState(type_)) held_.clear();
  for (auto& [name, resource] : TakeInFlight()) {
    doubtful_.erase(name);
    if (subscription_.Wants(name)) held_.insert_or_assign(name, std::move(resource));
  }
}

void TypeState::Rejected(std::string why, const Moment& now) {
  CutText(why, kMaxErrorDetailBytes);
  history_.rejected_version = history_.sent_version;
  history_.rejected_at = now.wall;
  history_.rejection = std::move(why);
  for (const auto& [name, resource] : TakeInFlight()) {
    if (subscription_.Wants(name)) doubtful_.insert(name);
  }
}

}  // namespace pillion::control
