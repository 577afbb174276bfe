#include "control-plane/server/ads_service.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>
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
// So long sidecars have to come back to a control plane that has started anew.
constexpr std::chrono::seconds kPatience{15};

}  // namespace

AdsService::AdsService() : patient_ticks_(kPatience / kTick), timer_([this] { RunTimer(); }) {}

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
  if (published_.model == nullptr) {
    patient_ = DomainsOf(*model);
    NoteDeadline();
  }
  published_.model = std::move(model);
  Forget(*published_.model, departed_enforcers_);
  Restamp();
  ++published_.revision;
  for (AdsReactor* reactor : reactors_) reactor->Adopt(published_);
}

std::vector<Rollout> AdsService::FindRollouts() const {
  if (published_.model == nullptr) return {};
  Enforcers enforcers = departed_enforcers_;
  for (const AdsReactor* reactor : reactors_) {
    if (auto known = reactor->Enforced()) enforcers[std::move(known->key)] = std::move(known->domains);
  }
  return RolloutsOf(*published_.model, enforcers, patient_);
}

// Whether requests may be stamped where they were not, or the other way round.
bool AdsService::Restamp() {
  Stamped stamped = StampedOf(FindRollouts());
  if (published_.stamped != nullptr && stamped == *published_.stamped) return false;
  published_.stamped = std::make_shared<const Stamped>(std::move(stamped));
  return true;
}

std::vector<Rollout> AdsService::Rollouts() const {
  const std::lock_guard lock(mutex_);
  return FindRollouts();
}

void AdsService::NoteEnforcer() {
  {
    const std::lock_guard lock(timer_mutex_);
    deadlines_ = true;
    enforcers_changed_ = true;
  }
  timer_wake_.notify_one();
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
  std::optional<AdsReactor::OfTokens> enforced = reactor.Enforced();
  const std::lock_guard lock(mutex_);
  if (reactors_.erase(&reactor) == 0 || view.node_id().empty()) return;
  if (enforced.has_value()) {
    departed_enforcers_[std::move(enforced->key)] = std::move(enforced->domains);
    if (published_.model != nullptr) Forget(*published_.model, departed_enforcers_);
  }
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
    const bool changed = std::exchange(enforcers_changed_, false);
    lock.unlock();
    bool patient = false;
    {
      const std::lock_guard all(mutex_);
      const bool over = !patient_.empty() && --patient_ticks_ <= 0;
      if (over) patient_.clear();
      // All that has changed in a tick is one change for the mesh.
      if ((changed || over) && Restamp()) {
        ++published_.revision;
        for (AdsReactor* reactor : reactors_) reactor->Adopt(published_);
      }
      for (AdsReactor* reactor : reactors_) reactor->Tick();
      patient = !patient_.empty();
    }
    lock.lock();
    deadlines_ = deadlines_ || patient;
  }
}

}  // namespace pillion::control
