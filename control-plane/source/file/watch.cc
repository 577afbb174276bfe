#include "control-plane/source/file/watch.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cstdint>
#include <utility>

#include "sidecar/base/check.h"

namespace pillion::control {
namespace {

using std::chrono::milliseconds;

// Without news for this long a burst is over: editors and `kubectl apply` touch several files in a row.
constexpr milliseconds kQuiet{50};
// A burst that does not end is cut after this; also how long a writer may keep a file open.
constexpr milliseconds kLongestBurst{2000};
constexpr milliseconds kRescan{10'000};
constexpr uint32_t kEvents = IN_CLOSE_WRITE | IN_MODIFY | IN_CREATE | IN_DELETE | IN_MOVED_TO |
                             IN_MOVED_FROM | IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF;

}  // namespace

Watch::Watch(std::string directory)
    : directory_(std::move(directory)),
      inotify_(inotify_init1(IN_NONBLOCK | IN_CLOEXEC)),
      stop_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  PILLION_CHECK(stop_ >= 0);
  // Without inotify (its per-user limit is reached) the rescan is left.
  Arm();
}

Watch::~Watch() {
  if (inotify_ >= 0) close(inotify_);
  close(stop_);
}

// The directory may be replaced under its name; the watch stays with the old one, so it is asked for anew
// each time.
void Watch::Arm() {
  if (inotify_ < 0) return;
  const int watched = inotify_add_watch(inotify_, directory_.c_str(), kEvents | IN_ONLYDIR);
  if (watched_ >= 0 && watched != watched_) {
    inotify_rm_watch(inotify_, watched_);
    being_written_.clear();
  }
  watched_ = watched;
}

bool Watch::Poll(milliseconds timeout, bool& events) {
  pollfd fds[2] = {{stop_, POLLIN, 0}, {inotify_, POLLIN, 0}};
  poll(fds, inotify_ >= 0 ? 2 : 1, static_cast<int>(timeout.count()));
  events = inotify_ >= 0 && (fds[1].revents & POLLIN) != 0;
  return (fds[0].revents & POLLIN) == 0;
}

void Watch::Drain() {
  alignas(inotify_event) char buffer[16 * 1024];
  ssize_t count = 0;
  while ((count = read(inotify_, buffer, sizeof(buffer))) > 0) {
    for (ssize_t at = 0; at < count;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      if (event->wd != watched_ || event->len == 0) continue;
      const std::string name = event->name;
      if ((event->mask & IN_MODIFY) != 0) being_written_.insert(name);
      if ((event->mask & (IN_CLOSE_WRITE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM)) != 0) {
        being_written_.erase(name);
      }
    }
  }
}

bool Watch::Wait() {
  Arm();
  bool events = false;
  if (!Poll(kRescan, events)) return false;
  if (!events) return true;
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < kLongestBurst) {
    if (events) Drain();
    if (!Poll(kQuiet, events)) return false;
    if (!events && being_written_.empty()) return true;
  }
  // A writer that died or sleeps must not hide the changes of others for ever.
  being_written_.clear();
  return true;
}

void Watch::Stop() {
  const uint64_t one = 1;
  // Fails only when the counter is full: then it is stopped already.
  [[maybe_unused]] const ssize_t written = write(stop_, &one, sizeof(one));
}

}  // namespace pillion::control
