// Fields of a pushed message that our protos do not have. protobuf keeps them as numbers; Pillion refuses
// them, because a field without effect is a policy that silently does not hold.
#ifndef PILLION_SIDECAR_CONFIG_UNKNOWN_FIELDS_H_
#define PILLION_SIDECAR_CONFIG_UNKNOWN_FIELDS_H_

#include <google/protobuf/message.h>

#include <string>
#include <vector>

namespace pillion::config {

// Levels of messages that are looked into. protobuf's own parser stops at 100 nested messages, but each Any
// starts a parse of its own. Attack: Any inside Any inside Any.
inline constexpr int kMaxMessageDepth = 100;

struct UnknownField {
  std::string path;     // ends in the number: "filter_chains[0].6"
  std::string message;  // "field transport_socket of envoy.config.listener.v3.FilterChain is not implemented"
};

// All of them, each once per message; inside Any too, where its type is one of ours. An Any that cannot be
// parsed or lies too deep is listed as well (its path ends in `value`): it was not looked into.
std::vector<UnknownField> UnknownFields(const google::protobuf::Message& message);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_UNKNOWN_FIELDS_H_
