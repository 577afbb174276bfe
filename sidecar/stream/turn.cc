#include "sidecar/stream/turn.h"

#include "sidecar/base/check.h"

namespace pillion::stream {

bool Turn::Run() {
  PILLION_CHECK(!running_);  // re-entrancy is how this field's crashes begin
  running_ = true;
  ++number_;
  now_ = clock_.Now();
  if (now_ - wall_read_ >
      std::chrono::seconds(1)) {  // follow steps of the wall clock without a read per turn
    wall_read_ = now_;
    wall_offset_ = clock_.Wall().time_since_epoch() - now_.time_since_epoch();
  }
  queue_.Splice(next_);
  timers_.Advance(now_, [this](Timer& timer) { Wake(*timer.owner()); });
  for (size_t runs = 0; runs < kMaxRunsPerTurn; ++runs) {
    Runnable* work = queue_.PopFront();
    if (work == nullptr) break;
    if (work->Run() == Progress::kDone) delete work;
    if (runs % kRunsPerLook == kRunsPerLook - 1 && clock_.Now() - now_ > longest_) break;
  }
  IntrusiveList<Flushable, FlushTag> flushing;
  flushing.Splice(dirty_);
  while (Flushable* work = flushing.PopFront()) work->Flush();
  running_ = false;
  return has_work();
}

}  // namespace pillion::stream
