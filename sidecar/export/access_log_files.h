// The access logs of the process: a bounded buffer and a descriptor per path.
//
//   Write -> [buffer <= 1 MiB] --at 64 KiB, or 200 ms after the first line--> write(2), O_APPEND
//
// A log must never hurt traffic: what cannot be written is told on stderr once per path, lost lines are
// counted, and a path that failed is tried again at most once per kRetryAfter. Pipes, terminals and sockets
// are never waited for; a regular file is written as fast as its disk takes it, which may hold up the main
// loop and no worker. Owner: the main loop; single-threaded.
#ifndef PILLION_SIDECAR_EXPORT_ACCESS_LOG_FILES_H_
#define PILLION_SIDECAR_EXPORT_ACCESS_LOG_FILES_H_

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "sidecar/stream/turn.h"
#include "sidecar/telemetry/request_record.h"
#include "sidecar/telemetry/stats.h"

namespace pillion::exporting {

class AccessLogFiles final : public stream::Runnable {
 public:
  // Attack: memory, by a disk that is slower than the requests.
  static constexpr size_t kMaxBufferBytes = size_t{1024} * 1024;
  static constexpr size_t kFlushBytes = size_t{64} * 1024;
  static constexpr auto kFlushAfter = std::chrono::milliseconds(200);
  static constexpr auto kRetryAfter = std::chrono::seconds(5);

  // Both outlive it. Lost lines are counted in stats.log_records_dropped.
  AccessLogFiles(stream::Turn& turn, telemetry::WorkerStats& stats)
      : turn_(turn), stats_(stats), timer_(this) {}
  // Writes what is buffered, as far as it goes without waiting.
  ~AccessLogFiles() override;
  AccessLogFiles(const AccessLogFiles&) = delete;
  AccessLogFiles& operator=(const AccessLogFiles&) = delete;

  // A line into its listener's log; nothing when the listener has none.
  void Write(const telemetry::RequestRecord& record);
  void Flush();
  // After a log was moved away (logrotate): writes what is left to the old file, then opens the path anew.
  void Reopen();

  stream::Progress Run() override;

 private:
  struct File {
    int fd = -1;
    bool socket = false;    // written with send: standard output may be one
    bool told = false;      // on stderr, since the last Reopen
    bool mid_line = false;  // the front of the buffer is the rest of a line that has begun
    std::string buffer;
    time::MonotonicTime retry_at{};
  };
  void Open(const std::string& path, File& file);
  // Writes the buffer as far as it goes.
  void FlushOne(const std::string& path, File& file);
  void Fail(const std::string& path, File& file, std::string_view what, int error);
  static void Written(File& file, size_t bytes);
  static void Close(File& file);

  stream::Turn& turn_;
  telemetry::WorkerStats& stats_;
  stream::Timer timer_;
  std::map<std::string, File, std::less<>> files_;
};

}  // namespace pillion::exporting

#endif  // PILLION_SIDECAR_EXPORT_ACCESS_LOG_FILES_H_
