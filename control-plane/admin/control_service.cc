#include "control-plane/admin/control_service.h"

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "control-plane/admin/views.h"

namespace pillion::control {
namespace {

constexpr int kMostListed = 100;

}  // namespace

void ControlService::SetConfig(const Model& model, const std::vector<Problem>& problems) {
  v1::ConfigStatus config;
  SetTimestamp(config.mutable_loaded_at(), std::chrono::system_clock::now());
  size_t endpoints = 0;
  for (const auto& [name, service] : model.services) {
    for (const MeshPort& port : service.ports) endpoints += port.endpoints.size();
  }
  config.set_services(static_cast<uint32_t>(model.services.size()));
  config.set_endpoints(static_cast<uint32_t>(endpoints));
  config.set_routes(static_cast<uint32_t>(model.route_count));
  config.set_policies(static_cast<uint32_t>(model.policy_count));
  for (const Problem& problem : problems) config.add_problems(problem.ToString());
  const std::lock_guard lock(mutex_);
  config.set_revision(config_.revision() + 1);
  config_ = std::move(config);
}

grpc::ServerUnaryReactor* ControlService::GetStatus(grpc::CallbackServerContext* context,
                                                    const v1::GetStatusRequest* request,
                                                    v1::GetStatusResponse* response) {
  {
    const std::lock_guard lock(mutex_);
    *response->mutable_config() = config_;
  }
  for (v1::NodeStatus& node : ads_.Nodes()) {
    if (!request->node_id().empty() && node.node_id() != request->node_id()) continue;
    *response->add_nodes() = std::move(node);
  }
  for (const Rollout& rollout : ads_.Rollouts()) {
    v1::TokenStatus& to = *response->add_tokens();
    to.set_service(absl::StrCat(rollout.service.ToString(), ":", rollout.port));
    to.set_domain(absl::StrCat(absl::Hex(rollout.domain, absl::kZeroPad16)));
    to.set_endpoints(static_cast<uint32_t>(rollout.endpoints));
    to.set_stamping(rollout.stamps());
    to.set_keys_refused(rollout.keys_refused);
    to.set_of_service(rollout.of_service);
    for (const std::string& route : rollout.routes) {
      if (to.routes_size() < kMostListed) to.add_routes(route);
    }
    for (const std::string& address : rollout.missing) {
      if (to.missing_size() < kMostListed) to.add_missing(address);
    }
  }
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

}  // namespace pillion::control
