// What the v3 xDS API calls its fields: the wire contract table (tests/conformance/xds-wire-contract.tsv),
// compiled in. It knows far more than Pillion implements; that is its use: a field that we refuse can be
// named although it reached us as a number, and can be told from one that exists nowhere. Immutable; any
// thread.
#ifndef PILLION_SIDECAR_CONFIG_CONTRACT_CONTRACT_H_
#define PILLION_SIDECAR_CONFIG_CONTRACT_CONTRACT_H_

#include <optional>
#include <string_view>

namespace pillion::config::contract {

// `message` is a full name such as "envoy.config.listener.v3.Listener"; `field` a proto field name.
std::optional<std::string_view> FieldName(std::string_view message, int number);
std::optional<int> FieldNumber(std::string_view message, std::string_view field);

// Does the table have a field of this message? (Messages without fields are not in it.)
bool HasMessage(std::string_view message);

}  // namespace pillion::config::contract

#endif  // PILLION_SIDECAR_CONFIG_CONTRACT_CONTRACT_H_
