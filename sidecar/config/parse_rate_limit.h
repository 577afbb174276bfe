// envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit -> RateLimit. Pure; any thread.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_RATE_LIMIT_H_
#define PILLION_SIDECAR_CONFIG_PARSE_RATE_LIMIT_H_

#include <google/protobuf/any.pb.h>

#include <string>

#include "sidecar/config/rate_limit.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// Each costs a look at every request that is counted.
inline constexpr int kMaxDescriptors = 32;
inline constexpr int kMaxDescriptorEntries = 8;

RateLimit ReadRateLimit(const google::protobuf::Any& any, const std::string& path, ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_RATE_LIMIT_H_
