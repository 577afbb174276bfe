// Tells when the files of a directory may have changed (inotify). A file that is being written is waited for,
// so that half a file is not taken for a whole one; a burst of changes is one change.
#ifndef PILLION_CONTROL_PLANE_SOURCE_FILE_WATCH_H_
#define PILLION_CONTROL_PLANE_SOURCE_FILE_WATCH_H_

#include <chrono>
#include <set>
#include <string>

namespace pillion::control {

// Wait is for one thread, Stop for any.
class Watch {
 public:
  // Watches from here on: what changes after this and before Wait is not missed.
  explicit Watch(std::string directory);
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

  // Returns when something may have changed, and every 10 s: links into other directories and network file
  // systems tell nothing. False: stopped.
  bool Wait();
  // Makes this and every later Wait return false.
  void Stop();

 private:
  void Arm();
  // Takes all events that are there.
  void Drain();
  // False: stopped. `events`: there are some.
  bool Poll(std::chrono::milliseconds timeout, bool& events);

  std::string directory_;
  int inotify_ = -1;
  int stop_ = -1;
  int watched_ = -1;
  std::set<std::string> being_written_;
};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SOURCE_FILE_WATCH_H_
