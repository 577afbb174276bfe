#include "control-plane/server/ads_service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "control-plane/admin/views.h"
#include "control-plane/server/ads_reactor.h"
#include "control-plane/server/limits.h"

namespace pillion::control {
namespace {

using Reactor = grpc::ServerBidiReactor<envoy::service::discovery::v3::DiscoveryRequest,
                                        envoy::service::discovery::v3::DiscoveryResponse>;

// While some stream waits for a time, all are looked at this often. Its accuracy matters to nobody.
constexpr std::chrono::milliseconds kTick{100};

}  // namespace

AdsService::AdsService() : timer_([this] { RunTimer(); }) {}

AdsService::~AdsService() {
  {
    const std::lock_guard lock(timer_mutex_);
    stopping_ = true;
  }
  timer_wake_.notify_one();
  timer_.join();
}

AdsService::Published AdsService::published() const {
  const std::lock_guard lock(mutex_);
  return published_;
}

void AdsService::Publish(std::shared_ptr<const Model> model) {
  const std::lock_guard lock(mutex_);
  Forget(*model, enforcers_);
  published_.stamped = std::make_shared<const TokenDomains>(StampedOf(RolloutsOf(*model, enforcers_)));
  published_.model = std::move(model);
  ++published_.revision;
  for (AdsReactor* reactor : reactors_) reactor->Adopt(published_);
}

// Only when something comes of it do all get new tables.
void AdsService::NoteEnforcer(const std::string& address, TokenDomains domains) {
  const std::lock_guard lock(mutex_);
  if (domains.empty()) {
    enforcers_.erase(address);
  } else {
    enforcers_[address] = std::move(domains);
  }
  if (published_.model == nullptr) return;
  Forget(*published_.model, enforcers_);
  TokenDomains stamped = StampedOf(RolloutsOf(*published_.model, enforcers_));
  if (stamped == *published_.stamped) return;
  published_.stamped = std::make_shared<const TokenDomains>(std::move(stamped));
  ++published_.revision;
  for (AdsReactor* reactor : reactors_) reactor->Adopt(published_);
}

std::vector<Rollout> AdsService::Rollouts() const {
  const std::lock_guard lock(mutex_);
  return published_.model == nullptr ? std::vector<Rollout>() : RolloutsOf(*published_.model, enforcers_);
}

void AdsService::Drain() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
  for (AdsReactor* reactor : reactors_) {
    reactor->End({grpc::StatusCode::UNAVAILABLE, "the control plane shuts down"});
  }
}

Reactor* AdsService::StreamAggregatedResources(grpc::CallbackServerContext* context) {
  // Deleted by its OnDone.
  auto* reactor = new AdsReactor(*this, context->peer());
  const std::lock_guard lock(mutex_);
  if (draining_) {
    reactor->Refuse({grpc::StatusCode::UNAVAILABLE, "the control plane shuts down"});
  } else if (reactors_.size() >= kMaxStreams) {
    reactor->Refuse({grpc::StatusCode::RESOURCE_EXHAUSTED, "too many streams"});
  } else {
    reactors_.insert(reactor);
    reactor->Start();
  }
  return reactor;
}

void AdsService::Remove(AdsReactor& reactor) {
  v1::NodeStatus view = reactor.View();
  const std::lock_guard lock(mutex_);
  if (reactors_.erase(&reactor) == 0 || view.node_id().empty()) return;
  spdlog::info("{} disconnected", view.node_id());
  view.set_connected(false);
  SetTimestamp(view.mutable_disconnected_at(), std::chrono::system_clock::now());
  std::erase_if(departed_, [&](const auto& old) { return old.node_id() == view.node_id(); });
  departed_.push_front(std::move(view));
  if (departed_.size() > kMaxDepartedNodes) departed_.pop_back();
}

std::vector<v1::NodeStatus> AdsService::Nodes() const {
  const std::lock_guard lock(mutex_);
  std::vector<v1::NodeStatus> nodes;
  std::set<std::string> connected;
  for (const AdsReactor* reactor : reactors_) {
    v1::NodeStatus view = reactor->View();
    if (view.node_id().empty()) continue;
    connected.insert(view.node_id());
    nodes.push_back(std::move(view));
  }
  std::sort(nodes.begin(), nodes.end(),
            [](const auto& a, const auto& b) { return a.node_id() < b.node_id(); });
  for (const v1::NodeStatus& view : departed_) {
    if (!connected.contains(view.node_id())) nodes.push_back(view);
  }
  return nodes;
}

void AdsService::NoteDeadline() {
  {
    const std::lock_guard lock(timer_mutex_);
    deadlines_ = true;
  }
  timer_wake_.notify_one();
}

void AdsService::RunTimer() {
  std::unique_lock lock(timer_mutex_);
  while (!stopping_) {
    timer_wake_.wait(lock, [this] { return stopping_ || deadlines_; });
    timer_wake_.wait_for(lock, kTick, [this] { return stopping_; });
    if (stopping_) return;
    // Streams that still wait say so again in Tick.
    deadlines_ = false;
    lock.unlock();
    {
      const std::lock_guard all(mutex_);
      for (AdsReactor* reactor : reactors_) reactor->Tick();
    }
    lock.lock();
  }
}

}  // namespace pillion::control
