// "Did you mean ...": the known name that a misspelt one is closest to. Pure.
#ifndef PILLION_SIDECAR_CONFIG_DOCUMENT_SUGGEST_H_
#define PILLION_SIDECAR_CONFIG_DOCUMENT_SUGGEST_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pillion::config {

// Nothing when none is close: an edit per three letters, at least one. Case and underscores count little:
// they are not compared.
std::optional<std::string> ClosestName(std::string_view name, const std::vector<std::string>& known);

// " (did you mean X?)" or "".
std::string DidYouMean(std::string_view name, const std::vector<std::string>& known);

// "maxRetries" -> "max_retries"; a snake_case name stays.
std::string SnakeCase(std::string_view name);

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_DOCUMENT_SUGGEST_H_
