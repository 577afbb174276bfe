// envoy.config.bootstrap.v3.Bootstrap -> Bootstrap. Beyond each resource it checks what holds between them:
// unique names and addresses, and that everything named is there. Pure; any thread.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_BOOTSTRAP_H_
#define PILLION_SIDECAR_CONFIG_PARSE_BOOTSTRAP_H_

#include "envoy/config/bootstrap/v3/bootstrap.pb.h"
#include "sidecar/config/bootstrap.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

Validated<Bootstrap> ParseBootstrap(const envoy::config::bootstrap::v3::Bootstrap& proto);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_BOOTSTRAP_H_
