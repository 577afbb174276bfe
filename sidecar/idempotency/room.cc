#include "sidecar/idempotency/room.h"

#include "sidecar/base/mutant.h"

namespace pillion::idempotency {

using Lock = std::lock_guard<std::mutex>;

void Room::Adopt(const RoomLimits& limits) {
  const Lock lock(mutex_);
  limits_ = limits;
}

Room::Taken Room::Take(CallerId caller, uint64_t bytes) {
  const Lock lock(mutex_);
  const bool full = records_ >= limits_.records;
  if (full && !Mutated(Mutant::kRoomIgnored)) return {Answer::kNoRecords};
  const uint64_t free = limits_.records - records_;
  const uint64_t share = uint64_t{limits_.records} * limits_.caller_percent / 100;
  const auto known = by_caller_.find(caller);
  const uint64_t held = known == by_caller_.end() ? 0 : callers_[known->second].records;
  if (held >= share && held >= free && !Mutated(Mutant::kRoomIgnored)) return {Answer::kQuota};
  if (bytes > BytesLeft()) return {Answer::kNoBytes};
  uint32_t place = 0;
  if (known != by_caller_.end()) {
    place = known->second;
  } else if (free_.empty()) {
    place = static_cast<uint32_t>(callers_.size());
    callers_.push_back({caller});
    by_caller_.emplace(caller, place);
  } else {
    place = free_.back();
    free_.pop_back();
    callers_[place] = {caller};
    by_caller_.emplace(caller, place);
  }
  ++callers_[place].records;
  ++records_;
  bytes_ += bytes;
  return {Answer::kTaken, place};
}

void Room::Give(uint32_t caller, uint64_t records, uint64_t bytes) {
  if (records == 0) return;
  const Lock lock(mutex_);
  bytes_ -= bytes;
  records_ -= records;
  callers_[caller].records -= records;
  if (callers_[caller].records > 0) return;
  by_caller_.erase(callers_[caller].who);
  free_.push_back(caller);
}

bool Room::TakeBytes(uint64_t bytes) {
  const Lock lock(mutex_);
  if (bytes > BytesLeft()) return false;
  bytes_ += bytes;
  return true;
}

void Room::GiveBytes(uint64_t bytes) {
  const Lock lock(mutex_);
  bytes_ -= bytes;
}

bool Room::TakeWaiter() {
  const Lock lock(mutex_);
  if (waiters_ >= limits_.waiters) return false;
  ++waiters_;
  return true;
}

void Room::GiveWaiters(uint64_t count) {
  if (count == 0) return;
  const Lock lock(mutex_);
  waiters_ -= count;
}

Room::Use Room::use() const {
  const Lock lock(mutex_);
  return {records_, bytes_, waiters_, by_caller_.size(), callers_.size()};
}

}  // namespace pillion::idempotency
