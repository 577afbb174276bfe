// Where requests of one worker wait to be woken by other threads (idempotency/bell.h). One worker's, but for
// the bell.
#ifndef PILLION_SIDECAR_STREAM_DOORBELL_H_
#define PILLION_SIDECAR_STREAM_DOORBELL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "sidecar/idempotency/bell.h"
#include "sidecar/stream/turn.h"

namespace pillion::stream {

class Doorbell final : public Runnable {
 public:
  // `wake`: called on any thread; Answer must be called then, on the worker's. None: all who ring are there.
  Doorbell(Turn& turn, std::function<void()> wake) : turn_(turn), bell_(MakeBell(std::move(wake))) {}
  ~Doorbell() override { bell_->Silence(); }
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;

  // Rung, it wakes `work`, until Leave.
  idempotency::Waiter Enter(Runnable& work) {
    waiting_.emplace(++last_, &work);
    return {bell_, last_};
  }
  void Leave(uint64_t number) { waiting_.erase(number); }
  void Answer() {
    for (const uint64_t number : bell_->Take()) {
      if (const auto found = waiting_.find(number); found != waiting_.end()) turn_.Wake(*found->second);
    }
  }
  // Rung on its own thread: in the same turn, but not from within.
  Progress Run() override {
    Answer();
    return Progress::kIdle;
  }

 private:
  std::shared_ptr<idempotency::Bell> MakeBell(std::function<void()> wake) {
    const auto wake_here = [this] { turn_.Wake(*this); };
    return wake ? std::make_shared<idempotency::Bell>(std::move(wake), wake_here)
                : std::make_shared<idempotency::Bell>(wake_here);
  }

  Turn& turn_;
  const std::shared_ptr<idempotency::Bell> bell_;
  absl::flat_hash_map<uint64_t, Runnable*> waiting_;
  uint64_t last_ = 0;
};

}  // namespace pillion::stream

#endif  // PILLION_SIDECAR_STREAM_DOORBELL_H_
