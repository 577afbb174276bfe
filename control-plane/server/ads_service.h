// The ADS service: one reactor per stream, each with its Stream (xds/). Thin: it moves messages, locks, and
// builds a node's resources when the model or the node is new.
#ifndef PILLION_CONTROL_PLANE_SERVER_ADS_SERVICE_H_
#define PILLION_CONTROL_PLANE_SERVER_ADS_SERVICE_H_

#include <condition_variable>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "control-plane/model/model.h"
#include "control-plane/snapshot/rollout.h"
#include "envoy/service/discovery/v3/discovery.grpc.pb.h"
#include "pillion/control/v1/control.pb.h"

namespace pillion::control {

class AdsReactor;

// Any thread. Outlives the grpc::Server it is registered with; Drain before that one's Shutdown.
class AdsService final : public envoy::service::discovery::v3::AggregatedDiscoveryService::CallbackService {
 public:
  AdsService();
  ~AdsService() override;

  // Every stream gets the new model; status answers have it before any stream does.
  void Publish(std::shared_ptr<const Model> model);

  // Ends all streams (UNAVAILABLE: they come back, here or elsewhere) and takes no new ones.
  void Drain();

  // How far each policy has come.
  std::vector<Rollout> Rollouts() const;

  // Connected nodes first.
  std::vector<v1::NodeStatus> Nodes() const;

  grpc::ServerBidiReactor<envoy::service::discovery::v3::DiscoveryRequest,
                          envoy::service::discovery::v3::DiscoveryResponse>*
  StreamAggregatedResources(grpc::CallbackServerContext* context) override;

 private:
  friend class AdsReactor;

  struct Published {
    std::shared_ptr<const Model> model;  // null before the first
    std::shared_ptr<const Stamped> stamped;
    uint64_t revision = 0;
  };

  // For reactors. None may hold its own lock here: Publish locks this, then theirs.
  Published published() const;
  void Remove(AdsReactor& reactor);
  // For reactors, with or without their lock: some stream waits for a time.
  void NoteDeadline();
  // Likewise: what the sidecar of some stream enforces is another thing now.
  void NoteEnforcer();

  // With mutex_ held.
  std::vector<Rollout> FindRollouts() const;
  bool Restamp();

  void RunTimer();

  mutable std::mutex mutex_;
  Published published_;
  Enforcers departed_enforcers_;  // of sidecars that are not connected any more: they go on
  // Of the first model. For a while after the start nothing is known of sidecars that are on their way back:
  // callers that stamp go on.
  TokenDomains patient_;
  int64_t patient_ticks_;
  bool draining_ = false;
  std::set<AdsReactor*> reactors_;
  std::list<v1::NodeStatus> departed_;  // the latest first

  std::mutex timer_mutex_;
  std::condition_variable timer_wake_;
  bool deadlines_ = false;
  bool enforcers_changed_ = false;
  bool stopping_ = false;
  std::thread timer_;
};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SERVER_ADS_SERVICE_H_
