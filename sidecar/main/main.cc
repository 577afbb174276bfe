// pillion-sidecar: flags.
#include <google/protobuf/stubs/logging.h>
#include <malloc.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "sidecar/config/load_bootstrap.h"
#include "sidecar/main/cpu_quota.h"
#include "sidecar/main/process.h"
#include "sidecar/main/tls_keeper.h"
#include "sidecar/time/clock.h"

namespace {

// A turn takes what its requests need and gives it back at its end. With the default (128 KiB) the C library
// then returns it to the kernel, and each turn faults the same pages in again.
constexpr int kKeepFreeBytes = 2 * 1024 * 1024;

// The soft limit that shells and container engines set is for programs that call select. Returns how many
// connections of clients there may be: each request may hold two, and files, listeners and the control plane
// need some.
uint64_t RaiseDescriptorLimit() {
  constexpr rlim_t kOurOwn = 64;
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return UINT64_MAX;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_max > 2 * kOurOwn ? (limit.rlim_max - kOurOwn) / 2 : kOurOwn / 2;
}

int Run(int argc, char** argv) {
  CLI::App app("The Pillion sidecar: HTTP/1 and HTTP/2 beside one application.", "pillion-sidecar");
  std::string config_path;
  std::string mode = "serve";
  std::string unsupported = "refuse";
  pillion::ProcessOptions options;
  options.concurrency = pillion::CpuQuota();
  app.add_option("-c,--config-path", config_path, "bootstrap file (Envoy v3, YAML or JSON)")->required();
  app.add_option("--concurrency", options.concurrency, "worker threads; default: the CPU quota")
      ->check(CLI::Range(1u, 256u));
  app.add_option("--mode", mode, "serve, or validate: check the file and exit")
      ->check(CLI::IsMember({"serve", "validate"}));
  app.add_option("--state-dir", options.state_dir, "directory where the last good configuration is kept");
  app.add_option("--unsupported-fields", unsupported, "of pushed resources: refuse, or warn")
      ->check(CLI::IsMember({"refuse", "warn"}));
  app.add_option("--drain-time-s", options.drain_seconds, "longest time between SIGTERM and exit")
      ->check(CLI::Range(0u, 86400u));
  app.add_option("--config-drain-time-s", options.config_drain_seconds,
                 "longest life of connections whose listener or filter chain was removed or changed")
      ->check(CLI::Range(0u, 7u * 86400u));
  uint64_t memory_limit_mib = 0;
  app.add_option("--memory-limit-mib", memory_limit_mib,
                 "sheds work when it uses nearly so much; default: the cgroup's limit");
  CLI11_PARSE(app, argc, argv);
  options.warn_unsupported = unsupported == "warn";

  const pillion::config::LoadedBootstrap loaded = pillion::config::LoadBootstrap(config_path);
  for (const std::string& error : loaded.errors) std::fprintf(stderr, "%s\n", error.c_str());
  if (loaded.bootstrap == nullptr) return 1;
  const std::vector<std::string> failures =
      pillion::TlsFailures(*loaded.bootstrap, pillion::time::SystemClock().Now());
  for (const std::string& failure : failures)
    std::fprintf(stderr, "%s: %s\n", config_path.c_str(), failure.c_str());
  if (!failures.empty()) return 1;
  if (mode == "validate") {
    std::printf("%s: OK\n", config_path.c_str());
    return 0;
  }
  options.bootstrap = loaded.bootstrap;
  options.max_connections = RaiseDescriptorLimit();
  options.memory_limit_bytes = memory_limit_mib << 20;
  return pillion::RunProcess(options);
}

}  // namespace

int main(int argc, char** argv) {
  mallopt(M_TRIM_THRESHOLD, kKeepFreeBytes);
  // What cannot be parsed is told by whoever asked; protobuf would print a line for each bad request.
  google::protobuf::SetLogHandler(nullptr);
  try {
    return Run(argc, argv);
  } catch (const std::exception& error) {  // the flag parser's
    std::fprintf(stderr, "pillion-sidecar: %s\n", error.what());
    return 1;
  }
}
