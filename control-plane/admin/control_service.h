// pillion.control.v1.Control: what `pillionctl status` asks.
#ifndef PILLION_CONTROL_PLANE_ADMIN_CONTROL_SERVICE_H_
#define PILLION_CONTROL_PLANE_ADMIN_CONTROL_SERVICE_H_

#include <memory>
#include <mutex>
#include <vector>

#include "control-plane/model/model.h"
#include "control-plane/server/ads_service.h"
#include "pillion/control/v1/control.grpc.pb.h"

namespace pillion::control {

// Any thread.
class ControlService final : public v1::Control::CallbackService {
 public:
  // `ads` outlives it.
  explicit ControlService(const AdsService& ads) : ads_(ads) {}

  // What the configuration is now; call before AdsService::Publish of the same model.
  void SetConfig(const Model& model, const std::vector<Problem>& problems);

  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context,
                                      const v1::GetStatusRequest* request,
                                      v1::GetStatusResponse* response) override;

 private:
  const AdsService& ads_;
  mutable std::mutex mutex_;
  v1::ConfigStatus config_;
};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_ADMIN_CONTROL_SERVICE_H_
