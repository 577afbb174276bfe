// What a sidecar's /tokens says, as tables for people.
#ifndef PILLION_CONTROL_PLANE_CLI_TOKENS_TEXT_H_
#define PILLION_CONTROL_PLANE_CLI_TOKENS_TEXT_H_

#include <optional>
#include <string>

namespace pillion::control {

// Of /tokens: records by domain and state, then what was said of tokens, by route. nullopt: it is none.
std::optional<std::string> TokensText(const std::string& json);
// Of /tokens?hash=...: a block of lines for each record. nullopt: it is none.
std::optional<std::string> TokenText(const std::string& json);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_CLI_TOKENS_TEXT_H_
