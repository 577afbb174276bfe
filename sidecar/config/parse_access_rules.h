// envoy.extensions.filters.http.rbac.v3.RBAC and RBACPerRoute -> AccessControl. Pure; any thread.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_ACCESS_RULES_H_
#define PILLION_SIDECAR_CONFIG_PARSE_ACCESS_RULES_H_

#include <google/protobuf/any.pb.h>

#include <string>

#include "sidecar/config/access_rules.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// Fields that are not implemented are errors here, and not only `unsupported`: a condition that is left out
// would let through what it is to keep out.
AccessControl ReadAccessControl(const google::protobuf::Any& any, const std::string& path,
                                ConfigErrors& errors);
// `disabled`: it says that nothing is denied.
AccessControl ReadAccessControlPerRoute(const google::protobuf::Any& any, const std::string& path,
                                        bool& disabled, ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_ACCESS_RULES_H_
