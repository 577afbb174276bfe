// Requests that wait for executions of other processes: one look-out per token, for all of one worker that
// wait for it (specs/idempotency.md 3.3). Says which tokens are to be looked up now, and for whom; the store
// does that. For the files of this folder only.
//
//   Join --> subscribes; due when that is confirmed, when the channel says something, and some time after
//            each look, twice as long each time, drawn from the upper half: messages may be lost, and all
//            must not look at once
//   TakeDue --> being looked up --> Looked: it goes on | Leave of the last: it is over
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_LOOK_OUTS_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_LOOK_OUTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/shared/store_parts.h"

namespace pillion::idempotency {

class LookOuts final : public stream::Runnable {
 public:
  // `owner` is woken when something is due; it outlives this.
  LookOuts(const StoreShare& share, stream::Runnable& owner);
  ~LookOuts() override;
  LookOuts(const LookOuts&) = delete;
  LookOuts& operator=(const LookOuts&) = delete;

  // False, and it does not wait: there are too many, of this token or in all.
  bool Join(const Digest& key, Ticket ticket);
  // Once for each that has joined.
  void Leave(const Digest& key, Ticket ticket);
  // Who waits, the first of them first: he looks.
  std::vector<Ticket> Waiting(const Digest& key) const;
  // Each is being looked up from now on, until Looked.
  std::vector<Digest> TakeDue();
  void Looked(const Digest& key);
  size_t waiting() const { return waiting_; }

  stream::Progress Run() override;

 private:
  struct LookOut;
  LookOut* Find(const Digest& key) const;
  void MarkDue(LookOut& out);
  void Subscribe(LookOut& out);
  void Listen();

  const StoreShare& share_;
  stream::Runnable& owner_;
  redis::Inbox inbox_;
  absl::flat_hash_map<Digest, std::unique_ptr<LookOut>> all_;
  absl::flat_hash_map<uint64_t, Digest> subscribing_;  // by tag
  std::vector<Digest> due_;
  uint64_t last_tag_ = 0;
  uint64_t generation_ = 0;  // of the connection on which they are subscribed
  size_t waiting_ = 0;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_LOOK_OUTS_H_
