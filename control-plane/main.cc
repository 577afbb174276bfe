// pillion-control-plane: the object graph, the loading thread, signals.
#include <signal.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "control-plane/admin/control_service.h"
#include "control-plane/model/model.h"
#include "control-plane/model/token_keys.h"
#include "control-plane/server/ads_service.h"
#include "control-plane/server/server.h"
#include "control-plane/snapshot/build.h"
#include "control-plane/source/file/directory.h"
#include "control-plane/source/file/watch.h"

namespace pillion::control {
namespace {

// Streams are ended by us first; this is for a peer that does not read, or keeps an idle connection open.
constexpr std::chrono::seconds kShutdownPatience{1};

// Null where `path` is "". nullopt: the file is no key, which was said.
std::optional<std::unique_ptr<const TokenKeys>> ReadTokenKeys(const std::string& path) {
  if (path.empty()) return nullptr;
  std::string error;
  const std::optional<std::string> text = ReadWholeFile(path, error);
  if (!text.has_value()) {
    spdlog::error("--token-key-file: {} cannot be read: {}", path, error);
    return std::nullopt;
  }
  const std::optional<TokenKeys> keys = TokenKeys::Parse(*text);
  if (!keys.has_value()) {
    spdlog::error("--token-key-file: {}: expected 32 bytes, or 64 hexadecimal digits, found {} bytes", path,
                  text->size());
    return std::nullopt;
  }
  return std::make_unique<const TokenKeys>(*keys);
}

// `keys` may be null.
void Load(const Directory& directory, const TokenKeys* keys, ControlService& control, AdsService& ads) {
  BuiltModel built = BuildModel(directory.objects(), keys);
  std::vector<Problem> problems = directory.problems();
  problems.insert(problems.end(), built.problems.begin(), built.problems.end());
  const std::vector<Problem> overrides = ProblemsOfOverrides(*built.model);
  problems.insert(problems.end(), overrides.begin(), overrides.end());
  for (const Problem& problem : problems) spdlog::error("{}", problem.ToString());
  spdlog::info("configuration: {} services, {} routes, {} policies, {} problems",
               built.model->services.size(), built.model->route_count, built.model->policy_count,
               problems.size());
  control.SetConfig(*built.model, problems);
  ads.Publish(std::move(built.model));
}

struct Flags {
  std::string config_dir;
  std::string listen = "127.0.0.1:15010";
  std::string token_key_file;
};

int Run(const Flags& flags) {
  const auto keys = ReadTokenKeys(flags.token_key_file);
  if (!keys.has_value()) return 1;
  // Blocked before any thread exists, so that only sigwait below takes them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  AdsService ads;
  ControlService control(ads);
  Watch watch(flags.config_dir);
  Directory directory(flags.config_dir);
  // Before listening: a sidecar that connects at once must not be told that the mesh is empty.
  directory.Reload();
  Load(directory, keys->get(), control, ads);

  int port = 0;
  const std::unique_ptr<grpc::Server> server = StartServer(flags.listen, {&ads, &control}, port);
  if (server == nullptr) {
    spdlog::error("--listen: cannot listen on {}", flags.listen);
    return 1;
  }
  spdlog::info("listening on {} (port {})", flags.listen, port);
  std::thread loader([&] {
    while (watch.Wait()) {
      if (directory.Reload()) Load(directory, keys->get(), control, ads);
    }
  });

  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("{}: shutting down", strsignal(signal));
  watch.Stop();
  loader.join();
  ads.Drain();
  // Without a deadline it would wait for streams for ever.
  server->Shutdown(std::chrono::system_clock::now() + kShutdownPatience);
  server->Wait();
  return 0;
}

}  // namespace
}  // namespace pillion::control

int main(int argc, char** argv) {
  CLI::App app("Tells the sidecars of a mesh what to do.", "pillion-control-plane");
  pillion::control::Flags flags;
  app.add_option("--config-dir", flags.config_dir, "Directory of YAML files; changes take effect at once")
      ->required()
      ->check(CLI::ExistingDirectory);
  app.add_option("--listen", flags.listen, "ip:port for sidecars and pillionctl")->capture_default_str();
  app.add_option(
      "--token-key-file", flags.token_key_file,
      "32 bytes, or 64 hexadecimal digits, read at the start: what the keys are made of that sidecars "
      "seal answers with in Redis (IdempotencyPolicy of mode Shared)");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 has a code of its own per mistake; a script only wants to know that there was one.
    return app.exit(error) == 0 ? 0 : 1;
  }
  spdlog::set_default_logger(spdlog::stderr_logger_mt("control-plane"));
  return pillion::control::Run(flags);
}
