// The process's object graph: workers, main loop, configuration, admin, export; explicit, in the order of its
// lifetime.
//
//   main loop (this thread): xDS, admin, export, signals     workers (threads): users' traffic
//
// Drain on SIGTERM: inbound stops first, outbound goes on serving the app until inbound is empty, then it
// drains too; at the deadline what is left is ended. A second signal ends at once.
#ifndef PILLION_SIDECAR_MAIN_PROCESS_H_
#define PILLION_SIDECAR_MAIN_PROCESS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "sidecar/config/bootstrap.h"

namespace pillion {

struct ProcessOptions {
  std::shared_ptr<const config::Bootstrap> bootstrap;
  unsigned concurrency = 1;
  std::string state_dir;          // "": the last good configuration is not kept on disk
  bool warn_unsupported = false;  // --unsupported-fields=warn
  unsigned drain_seconds = 30;
  unsigned config_drain_seconds = 600;    // of what a configuration does not serve any more
  uint64_t memory_limit_bytes = 0;        // 0: the cgroup's, if there is one
  uint64_t max_connections = UINT64_MAX;  // of clients
};

// Runs until a signal or POST /quitquitquit. The exit code: 0 after a drain, 1 when it could not start (told
// on stderr).
int RunProcess(const ProcessOptions& options);

}  // namespace pillion

#endif  // PILLION_SIDECAR_MAIN_PROCESS_H_
