// One ADS stream on gRPC; used by ads_service.cc only. Deletes itself when gRPC is done with it.
#ifndef PILLION_CONTROL_PLANE_SERVER_ADS_REACTOR_H_
#define PILLION_CONTROL_PLANE_SERVER_ADS_REACTOR_H_

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "control-plane/server/ads_service.h"
#include "control-plane/snapshot/node_facts.h"
#include "control-plane/xds/stream.h"

namespace pillion::control {

// One read and one write at a time. gRPC calls from its own threads, the service from others; mutex_ orders
// them.
class AdsReactor final : public grpc::ServerBidiReactor<envoy::service::discovery::v3::DiscoveryRequest,
                                                        envoy::service::discovery::v3::DiscoveryResponse> {
 public:
  // Reading starts with Start, once the service knows this reactor.
  AdsReactor(AdsService& service, std::string peer);
  void Start() { StartRead(&request_); }
  // Instead of Start.
  void Refuse(const grpc::Status& status) { Finish(status); }

  // A newer model than the one in use; an older one is ignored.
  void Adopt(const AdsService::Published& published);
  // Something may be due.
  void Tick();
  void End(const grpc::Status& status);
  v1::NodeStatus View() const;
  // Which domains of tokens its inbound listener enforces, which it has accepted.
  struct OfTokens {
    EnforcerKey key;
    TokenDomains domains;
  };
  // nullopt: it has none, or has not said yet.
  std::optional<OfTokens> Enforced() const;

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  enum class Phase {
    kOpen,
    kEnding,  // Finish waits until the write under way is over
    kEnded,
  };

  // With mutex_ held.
  NodeFacts ReadFacts() const;
  void AdoptLocked(const AdsService::Published& published);
  void WriteNext();
  // False: what the sidecar's inbound listener enforces is as it was.
  bool LearnEnforced();
  void EndLocked(const grpc::Status& status);

  AdsService& service_;
  const std::string peer_;
  const std::chrono::system_clock::time_point connected_at_;

  mutable std::mutex mutex_;
  Stream stream_;
  std::shared_ptr<const ResourceSet> accepted_;  // the last one without problems; null: none yet
  uint64_t revision_ = 0;
  std::vector<std::string> node_problems_;
  std::optional<OfTokens> enforced_;
  std::string inbound_version_;  // of the inbound listener that this is of
  Phase phase_ = Phase::kOpen;
  grpc::Status end_status_;
  bool writing_ = false;
  envoy::service::discovery::v3::DiscoveryRequest request_;  // the reader's
  envoy::service::discovery::v3::DiscoveryResponse response_;
};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SERVER_ADS_REACTOR_H_
