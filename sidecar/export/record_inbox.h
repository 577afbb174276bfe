// Finished requests on their way from the workers to the main loop. Bounded: a main loop that is held up (a
// slow disk under an access log) must cost records, not memory. Any thread puts; the main loop takes.
#ifndef PILLION_SIDECAR_EXPORT_RECORD_INBOX_H_
#define PILLION_SIDECAR_EXPORT_RECORD_INBOX_H_

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

#include "sidecar/telemetry/request_record.h"

namespace pillion::exporting {

class RecordInbox {
 public:
  static constexpr size_t kMaxRecords = 16384;

  // Returns how many did not fit; the caller counts them where it counts. Afterwards the taker has to be
  // woken.
  [[nodiscard]] size_t Put(std::vector<telemetry::RequestRecord> records) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const size_t fit = std::min(records.size(), kMaxRecords - records_.size());
    const size_t over = records.size() - fit;
    const auto end = records.begin() + static_cast<std::ptrdiff_t>(fit);
    if (records_.empty() && fit == records.size()) {
      records_ = std::move(records);
    } else {
      records_.insert(records_.end(), std::make_move_iterator(records.begin()), std::make_move_iterator(end));
    }
    waiting_.store(!records_.empty(), std::memory_order_release);
    return over;
  }
  bool waiting() const { return waiting_.load(std::memory_order_acquire); }
  std::vector<telemetry::RequestRecord> Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.store(false, std::memory_order_relaxed);
    return std::exchange(records_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<telemetry::RequestRecord> records_;
  std::atomic<bool> waiting_{false};
};

}  // namespace pillion::exporting

#endif  // PILLION_SIDECAR_EXPORT_RECORD_INBOX_H_
