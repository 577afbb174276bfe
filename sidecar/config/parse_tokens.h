// What is configured of idempotency tokens -> domain.
#ifndef PILLION_SIDECAR_CONFIG_PARSE_TOKENS_H_
#define PILLION_SIDECAR_CONFIG_PARSE_TOKENS_H_

#include <google/protobuf/any.pb.h>

#include <string>

#include "sidecar/config/tokens.h"
#include "sidecar/config/validated.h"

namespace pillion::config {

// Of pillion.sidecar.v1.Idempotency.
TokenDomains ReadTokenDomains(const google::protobuf::Any& any, const std::string& path,
                              ConfigErrors& errors);

// Of pillion.sidecar.v1.TokenPolicy.
TokenPolicy ReadTokenPolicy(const google::protobuf::Any& any, const std::string& path, ConfigErrors& errors);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_PARSE_TOKENS_H_
