// What the records of one domain may hold together, and each caller of it (specs/idempotency.md 2.8). Any
// thread.
//
// Who has the table to itself may use half of it: a caller is refused when it holds its share and no less
// than is left for all others (Choudhury and Hahne, "Dynamic queue length thresholds", 1998). A fixed tenth
// of the table, as the specification has it, would refuse a service's only caller at a tenth of what the
// table carries (of 500 000 records that live 165 s: 303 requests a second).
#ifndef PILLION_SIDECAR_IDEMPOTENCY_ROOM_H_
#define PILLION_SIDECAR_IDEMPOTENCY_ROOM_H_

#include <cstdint>
#include <mutex>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/terms.h"

namespace pillion::idempotency {

class Room {
 public:
  enum class Answer : uint8_t { kTaken, kNoRecords, kNoBytes, kQuota };
  struct Taken {
    Answer answer = Answer::kNoRecords;
    uint32_t caller = 0;  // of kTaken: to be given back with the record
  };

  explicit Room(const RoomLimits& limits) : limits_(limits) {}
  // What is held beyond them stays, and nothing is taken meanwhile.
  void Adopt(const RoomLimits& limits);
  // One more record of that caller, and the bytes that it may come to need.
  [[nodiscard]] Taken Take(CallerId caller, uint64_t bytes);
  // So many of its records, and what they took together.
  void Give(uint32_t caller, uint64_t records, uint64_t bytes);
  [[nodiscard]] bool TakeBytes(uint64_t bytes);
  void GiveBytes(uint64_t bytes);
  [[nodiscard]] bool TakeWaiter();
  void GiveWaiters(uint64_t count);

  struct Use {
    uint64_t records = 0;
    uint64_t bytes = 0;
    uint64_t waiters = 0;
    uint64_t callers = 0;  // that hold records
    uint64_t places = 0;   // for callers, ever needed at once
  };
  Use use() const;

 private:
  struct Caller {
    CallerId who = 0;
    uint64_t records = 0;
  };
  // Of the bytes, so many may be had still.
  uint64_t BytesLeft() const { return bytes_ < limits_.bytes ? limits_.bytes - bytes_ : 0; }
  mutable std::mutex mutex_;
  RoomLimits limits_;
  uint64_t records_ = 0;
  uint64_t bytes_ = 0;
  uint64_t waiters_ = 0;
  std::vector<Caller> callers_;
  std::vector<uint32_t> free_;                         // places in it
  absl::flat_hash_map<CallerId, uint32_t> by_caller_;  // those that hold records
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_ROOM_H_
