// pillionctl: asks the control plane and sidecars, and checks files without either.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "control-plane/cli/fetch.h"
#include "control-plane/cli/status_text.h"
#include "control-plane/cli/tokens_text.h"
#include "control-plane/cli/validate.h"
#include "pillion/control/v1/control.grpc.pb.h"

namespace pillion::control {
namespace {

constexpr std::chrono::seconds kCallTimeout{5};

int Status(const std::string& address, const std::string& node) {
  const auto stub = v1::Control::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallTimeout);
  v1::GetStatusRequest request;
  request.set_node_id(node);
  v1::GetStatusResponse response;
  const grpc::Status status = stub->GetStatus(&context, request, &response);
  if (!status.ok()) {
    std::fprintf(stderr, "pillionctl: %s: %s\n", address.c_str(), status.error_message().c_str());
    return 1;
  }
  std::fputs(StatusText(response, std::time(nullptr)).c_str(), stdout);
  return 0;
}

int Tokens(const std::string& address, const std::string& hash) {
  const Fetched page = Fetch(address, hash.empty() ? "/tokens" : "/tokens?hash=" + hash);
  const auto text = hash.empty() ? TokensText(page.body) : TokenText(page.body);
  if (page.error.empty() && text.has_value()) {
    std::fputs(text->c_str(), stdout);
    return 0;
  }
  const std::string why = page.error.empty() ? "expected the admin address of a sidecar" : page.error;
  std::fprintf(stderr, "pillionctl: %s: %s\n", address.c_str(), why.c_str());
  return 1;
}

int Validate(const std::vector<std::string>& paths) {
  const std::vector<Problem> problems = ValidateFiles(paths);
  for (const Problem& problem : problems) std::printf("%s\n", problem.ToString().c_str());
  return problems.empty() ? 0 : 1;
}

}  // namespace
}  // namespace pillion::control

int main(int argc, char** argv) {
  CLI::App app("Looks into a Pillion mesh.", "pillionctl");
  app.require_subcommand(1);
  std::string address = "127.0.0.1:15010";
  std::string node;
  CLI::App* status = app.add_subcommand("status", "What each sidecar was sent, acked and rejected, and why");
  status->add_option("--address", address, "ip:port of the control plane")->capture_default_str();
  status->add_option("--node", node, "Only this node");
  std::string sidecar = "127.0.0.1:15000";
  std::string hash;
  CLI::App* tokens =
      app.add_subcommand("tokens", "A sidecar's idempotency tokens: by state and route, or one of them");
  tokens->add_option("--sidecar", sidecar, "ip:port of the sidecar's admin pages")->capture_default_str();
  tokens->add_option("HASH", hash,
                     "Only the records of this token: its token_hash, as access logs and spans have it");
  std::vector<std::string> paths;
  CLI::App* validate =
      app.add_subcommand("validate", "Check files or directories together, without applying them");
  validate->add_option("FILE", paths, "YAML or JSON files, or directories of them")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 1;
  }
  if (status->parsed()) return pillion::control::Status(address, node);
  if (tokens->parsed()) return pillion::control::Tokens(sidecar, hash);
  return pillion::control::Validate(paths);
}
