// Finished requests on their way from the workers to the main loop. Bounded: a main loop that is held up (a
// slow disk under an access log) must cost records, not memory. Any thread puts; the main loop takes.
#ifndef PILLION_SIDECAR_EXPORT_RECORD_INBOX_H_
#define PILLION_SIDECAR_EXPORT_RECORD_INBOX_H_

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
  static constexpr size_t kMaxBytes = size_t{32} * 1024 * 1024;

  // Returns how many did not fit; the caller counts them where it counts. Afterwards the taker has to be
  // woken.
  [[nodiscard]] size_t Put(std::vector<telemetry::RequestRecord> records) {
    const std::lock_guard<std::mutex> lock(mutex_);
    size_t fit = 0;
    for (; fit < records.size() && records_.size() + fit < kMaxRecords; ++fit) {
      const size_t bytes = records[fit].bytes();
      if (bytes > kMaxBytes - bytes_) break;
      bytes_ += bytes;
    }
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
    bytes_ = 0;
    return std::exchange(records_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<telemetry::RequestRecord> records_;
  size_t bytes_ = 0;  // of records_, <= kMaxBytes
  std::atomic<bool> waiting_{false};
};

}  // namespace pillion::exporting

#endif  // PILLION_SIDECAR_EXPORT_RECORD_INBOX_H_
