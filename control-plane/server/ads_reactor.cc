#include "control-plane/server/ads_reactor.h"

#include <spdlog/spdlog.h>

#include <optional>
#include <utility>

#include "absl/strings/str_replace.h"
#include "control-plane/admin/views.h"
#include "control-plane/snapshot/build.h"
#include "control-plane/snapshot/check.h"
#include "sidecar/net/address.h"

namespace pillion::control {
namespace {

// As gRPC writes it: "ipv4:10.0.0.5:1234", "ipv6:%5Bfd00::1%5D:1234". "" where it is none.
std::string PeerIp(const std::string& peer) {
  const std::string text = absl::StrReplaceAll(peer.substr(peer.find(':') + 1), {{"%5B", "["}, {"%5D", "]"}});
  const auto address = net::Address::ParseWithPort(text);
  return address.has_value() ? address->ip() : "";
}

Moment Now() { return {std::chrono::steady_clock::now(), std::chrono::system_clock::now()}; }

// Abseil's codes are gRPC's.
grpc::Status ToGrpc(const absl::Status& status) {
  return {static_cast<grpc::StatusCode>(status.code()), std::string(status.message())};
}

}  // namespace

AdsReactor::AdsReactor(AdsService& service, std::string peer)
    : service_(service), peer_(std::move(peer)), connected_at_(std::chrono::system_clock::now()) {}

void AdsReactor::Adopt(const AdsService::Published& published) {
  const std::lock_guard lock(mutex_);
  AdoptLocked(published);
  WriteNext();
}

void AdsReactor::AdoptLocked(const AdsService::Published& published) {
  if (published.model == nullptr || published.revision <= revision_ || stream_.node() == nullptr) return;
  NodeFacts facts = ReadFacts();
  revision_ = published.revision;
  const size_t facts_problems = facts.problems.size();
  node_problems_ = std::move(facts.problems);
  std::shared_ptr<const ResourceSet> target = BuildSnapshot(*published.model, facts, published.stamped.get());
  // Not empty only when model/ lets something through that a sidecar does not: our bug, and no reason to make
  // every sidecar say so.
  for (std::string& problem : CheckAsSidecar(*target, accepted_.get())) {
    spdlog::error("bug: {} would reject {}", facts.id, problem);
    node_problems_.push_back("not sent: " + std::move(problem));
  }
  const bool good = node_problems_.size() == facts_problems;
  if (good) accepted_ = target;
  // Without anything older a sidecar is better off with the good part.
  if (good || stream_.target() == nullptr) stream_.SetTarget(std::move(target));
}

void AdsReactor::Tick() {
  const std::lock_guard lock(mutex_);
  WriteNext();
}

void AdsReactor::WriteNext() {
  if (phase_ != Phase::kOpen || writing_) return;
  std::optional<envoy::service::discovery::v3::DiscoveryResponse> next = stream_.Next(Now());
  if (stream_.Deadline().has_value()) service_.NoteDeadline();
  if (!next.has_value()) return;
  response_ = *std::move(next);
  writing_ = true;
  StartWrite(&response_);
}

void AdsReactor::End(const grpc::Status& status) {
  const std::lock_guard lock(mutex_);
  EndLocked(status);
}

void AdsReactor::EndLocked(const grpc::Status& status) {
  if (phase_ != Phase::kOpen) return;
  if (writing_) {
    phase_ = Phase::kEnding;
    end_status_ = status;
    return;
  }
  phase_ = Phase::kEnded;
  Finish(status);
}

void AdsReactor::OnReadDone(bool ok) {
  // Before our own lock; see AdsService::published.
  const AdsService::Published published = service_.published();
  const std::lock_guard lock(mutex_);
  if (!ok) {
    EndLocked(grpc::Status::OK);
    return;
  }
  if (phase_ != Phase::kOpen) return;
  if (request_.has_error_detail()) {
    spdlog::warn("{} rejects {}: {}", stream_.node() != nullptr ? stream_.node()->id() : peer_,
                 request_.type_url(), request_.error_detail().message());
  }
  const bool known = stream_.node() != nullptr;
  if (const absl::Status status = stream_.OnRequest(request_, Now()); !status.ok()) {
    spdlog::warn("{} breaks the protocol: {}", peer_, std::string(status.message()));
    EndLocked(ToGrpc(status));
    return;
  }
  if (!known) spdlog::info("{} connected from {}", stream_.node()->id(), peer_);
  AdoptLocked(published);
  WriteNext();
  if (LearnEnforced()) service_.NoteEnforcer();
  StartRead(&request_);
}

// With the address that EndpointSlices have of it.
NodeFacts AdsReactor::ReadFacts() const {
  NodeFacts facts = ReadNode(*stream_.node());
  if (!facts.local.has_value()) return facts;
  SocketAddress address = facts.local->inbound_known_as.value_or(facts.local->inbound);
  if (address.ip == "0.0.0.0" || address.ip == "::") address.ip = PeerIp(peer_);
  facts.local->inbound_known_as = std::move(address);
  return facts;
}

bool AdsReactor::LearnEnforced() {
  const TypeState& listeners = stream_.state(ResourceType::kListener);
  const bool answered =
      !listeners.history().acked_version.empty() || !listeners.history().rejected_version.empty();
  const auto found = listeners.held().find(kInboundListener);
  const bool holds = found != listeners.held().end();
  const std::string version = holds ? found->second->version : "";
  if (!answered || (enforced_.has_value() && version == inbound_version_)) return false;
  const NodeFacts facts = ReadFacts();
  if (!facts.local.has_value()) return false;
  envoy::config::listener::v3::Listener listener;
  if (holds && !found->second->body.UnpackTo(&listener)) return false;
  const SocketAddress address = facts.local->inbound_known_as.value_or(facts.local->inbound);
  enforced_ = {{facts.service, EnforcerAddress(address.ip, address.port)}, DomainsOf(listener)};
  inbound_version_ = version;
  return true;
}

std::optional<AdsReactor::OfTokens> AdsReactor::Enforced() const {
  const std::lock_guard lock(mutex_);
  return enforced_;
}

void AdsReactor::OnWriteDone(bool ok) {
  const std::lock_guard lock(mutex_);
  writing_ = false;
  if (phase_ == Phase::kEnding) {
    phase_ = Phase::kEnded;
    Finish(end_status_);
    return;
  }
  if (!ok) {
    EndLocked(grpc::Status::CANCELLED);
    return;
  }
  WriteNext();
}

void AdsReactor::OnCancel() { End(grpc::Status::CANCELLED); }

void AdsReactor::OnDone() {
  service_.Remove(*this);
  delete this;
}

v1::NodeStatus AdsReactor::View() const {
  const std::lock_guard lock(mutex_);
  v1::NodeStatus view = ViewOf(stream_);
  view.set_peer(peer_);
  view.set_connected(true);
  SetTimestamp(view.mutable_connected_at(), connected_at_);
  for (const std::string& problem : node_problems_) view.add_problems(problem);
  return view;
}

}  // namespace pillion::control
