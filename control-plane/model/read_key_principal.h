// The `principal` of an IdempotencyPolicy; used by read_idempotency.cc only.
#ifndef PILLION_CONTROL_PLANE_MODEL_READ_KEY_PRINCIPAL_H_
#define PILLION_CONTROL_PLANE_MODEL_READ_KEY_PRINCIPAL_H_

#include "control-plane/model/objects.h"
#include "control-plane/model/report.h"
#include "pillion/kube/policy/v1alpha1/idempotency.pb.h"

namespace pillion::control {

KeyPrincipalRule ReadKeyPrincipal(const kube::policy::v1alpha1::IdempotencyPolicySpec::Principal& principal,
                                  Report& report);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_MODEL_READ_KEY_PRINCIPAL_H_
