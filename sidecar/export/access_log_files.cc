#include "sidecar/export/access_log_files.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <optional>

#include "sidecar/config/listener.h"
#include "sidecar/export/access_log.h"

namespace pillion::exporting {
namespace {

constexpr mode_t kLogMode = 0640;  // requests are nobody else's business

// Our own standard stream when `path` names it; else -1.
int StandardStream(std::string_view path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  return -1;
}

bool IsSocket(int fd) {
  struct stat status = {};
  return fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode);
}

uint64_t Lines(std::string_view text) {
  return static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace

AccessLogFiles::~AccessLogFiles() {
  for (auto& [path, file] : files_) {
    FlushOne(path, file);
    Close(file);
  }
}

void AccessLogFiles::Write(const telemetry::RequestRecord& record) {
  if (record.reporting == nullptr) return;
  const std::optional<config::AccessLog>& log = record.reporting->access_log;
  if (!log) return;
  const std::string& path = log->path;
  File& file = files_[path];
  const std::string line = AccessLogLine(record);
  if (file.buffer.size() + line.size() > kMaxBufferBytes) FlushOne(path, file);
  if (file.buffer.size() + line.size() > kMaxBufferBytes) {
    stats_.log_records_dropped.Add();
    return;
  }
  const bool crossed = file.buffer.size() < kFlushBytes && file.buffer.size() + line.size() >= kFlushBytes;
  file.buffer += line;
  if (crossed) FlushOne(path, file);
  if (!file.buffer.empty() && !timer_.armed()) turn_.Arm(timer_, turn_.now() + kFlushAfter);
}

stream::Progress AccessLogFiles::Run() {
  if (!timer_.armed()) Flush();
  return stream::Progress::kIdle;
}

void AccessLogFiles::Flush() {
  bool left = false;
  for (auto& [path, file] : files_) {
    FlushOne(path, file);
    left = left || !file.buffer.empty();
  }
  if (left && !timer_.armed()) turn_.Arm(timer_, turn_.now() + kFlushAfter);
}

void AccessLogFiles::Reopen() {
  for (auto& [path, file] : files_) {
    FlushOne(path, file);
    // The rest of a line that has begun in the old file would spoil the new one.
    stats_.log_records_dropped.Add(Lines(file.buffer));
    Close(file);
  }
  files_.clear();
}

void AccessLogFiles::Open(const std::string& path, File& file) {
  if (turn_.now() < file.retry_at) return;
  // Opened anew even when it is our own standard output: O_NONBLOCK on a shared description would reach
  // whoever else writes there.
  file.fd = open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, kLogMode);
  const int error = errno;
  // A socket (journald) cannot be opened by name, and another user's terminal must not be.
  if (file.fd < 0 && StandardStream(path) >= 0) file.fd = fcntl(StandardStream(path), F_DUPFD_CLOEXEC, 0);
  if (file.fd < 0) return Fail(path, file, "cannot open it", error);
  file.socket = IsSocket(file.fd);
}

void AccessLogFiles::FlushOne(const std::string& path, File& file) {
  if (file.buffer.empty()) return;
  if (file.fd < 0) Open(path, file);
  size_t written = 0;
  while (file.fd >= 0 && written < file.buffer.size()) {
    const char* from = file.buffer.data() + written;
    const size_t size = file.buffer.size() - written;
    const ssize_t n =
        file.socket ? send(file.fd, from, size, MSG_DONTWAIT | MSG_NOSIGNAL) : write(file.fd, from, size);
    if (n >= 0) {
      written += static_cast<size_t>(n);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      break;
    } else if (errno != EINTR) {
      const int error = errno;
      Written(file, written);
      return Fail(path, file, "cannot write to it", error);
    }
  }
  Written(file, written);
}

void AccessLogFiles::Written(File& file, size_t bytes) {
  if (bytes == 0) return;
  file.mid_line = file.buffer[bytes - 1] != '\n';
  file.buffer.erase(0, bytes);
}

// The buffer waits for the next try, up to its limit, except the end of a line that has begun: after a
// failure nobody knows what stands before it.
void AccessLogFiles::Fail(const std::string& path, File& file, std::string_view what, int error) {
  if (!file.told) {
    std::fprintf(stderr, "pillion-sidecar: access log %s: %.*s: %s\n", path.c_str(),
                 static_cast<int>(what.size()), what.data(), std::strerror(error));
  }
  file.told = true;
  if (file.mid_line) {
    file.buffer.erase(0, file.buffer.find('\n') + 1);
    stats_.log_records_dropped.Add();
  }
  file.mid_line = false;
  file.retry_at = turn_.now() + kRetryAfter;
  Close(file);
}

void AccessLogFiles::Close(File& file) {
  if (file.fd >= 0) close(file.fd);
  file.fd = -1;
}

}  // namespace pillion::exporting
