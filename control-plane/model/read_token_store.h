// The `store` of an IdempotencyPolicy; used by read_idempotency.cc only.
#ifndef PILLION_CONTROL_PLANE_MODEL_READ_TOKEN_STORE_H_
#define PILLION_CONTROL_PLANE_MODEL_READ_TOKEN_STORE_H_

#include "control-plane/model/objects.h"
#include "control-plane/model/report.h"
#include "pillion/kube/policy/v1alpha1/idempotency.pb.h"

namespace pillion::control {

// Of a policy of mode Shared.
TokenStoreRule ReadTokenStore(const kube::policy::v1alpha1::IdempotencyPolicySpec::Store& store,
                              Report& report);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_MODEL_READ_TOKEN_STORE_H_
