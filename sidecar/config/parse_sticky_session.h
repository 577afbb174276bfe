// envoy.extensions.filters.http.stateful_session.v3 -> StickySession. Pure; any thread.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_STICKY_SESSION_H_
#define PILLION_SIDECAR_CONFIG_PARSE_STICKY_SESSION_H_

#include <google/protobuf/any.pb.h>

#include <string>

#include "sidecar/config/filters.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// A StatefulSession, of a listener. Without a state: Present, which makes no sessions.
FilterOptions ReadStickySession(const google::protobuf::Any& any, const std::string& path,
                                ConfigErrors& errors);
// A StatefulSessionPerRoute. `disabled` is set where it switches the filter off.
FilterOptions ReadStickySessionPerRoute(const google::protobuf::Any& any, const std::string& path,
                                        bool& disabled, ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_STICKY_SESSION_H_
