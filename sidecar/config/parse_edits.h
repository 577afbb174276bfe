// envoy.config.core.v3.HeaderValueOption -> HeaderEdits. For the parsers in this folder only.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_EDITS_H_
#define PILLION_SIDECAR_CONFIG_PARSE_EDITS_H_

#include <google/protobuf/repeated_field.h>

#include <string>
#include <string_view>

#include "envoy/config/core/v3/core.pb.h"
#include "sidecar/config/header_edits.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// Of one level: what is removed, then what is added, as Envoy does. `side`: "request" or "response"; the
// fields' names begin with it.
HeaderEdits ReadEdits(
    const google::protobuf::RepeatedPtrField<envoy::config::core::v3::HeaderValueOption>& add,
    const google::protobuf::RepeatedPtrField<std::string>& remove, const std::string& path,
    std::string_view side, ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_EDITS_H_
