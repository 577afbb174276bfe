// pillionctl: asks the control plane, and checks files without one.
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "control-plane/cli/status_text.h"
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
  return pillion::control::Validate(paths);
}
