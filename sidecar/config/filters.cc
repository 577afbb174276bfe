#include "sidecar/config/filters.h"

#include <algorithm>
#include <variant>

namespace pillion::config {

const FilterOptions* OptionsOf(FilterKind kind, const HttpOptions& http, const Route* route,
                               const std::vector<FilterEntry>* of_cluster) {
  if (http.filters == nullptr) return nullptr;
  const auto entry = std::ranges::find(*http.filters, std::optional(kind), &FilterEntry::kind);
  if (entry == http.filters->end()) return nullptr;
  const std::vector<FilterEntry>* below = of_cluster;
  if (below == nullptr && route != nullptr) below = route->filters.get();
  if (below != nullptr) {
    const auto said = std::ranges::find(*below, entry->name, &FilterEntry::name);
    if (said != below->end()) {
      if (said->disabled) return nullptr;
      // Options of another filter's type under this name say nothing of it.
      if (said->kind == kind) return said->options.get();
    }
  }
  return entry->disabled ? nullptr : entry->options.get();
}

const TokenDomains* TokenDomainsOf(const HttpOptions& http) {
  const FilterOptions* const options = OptionsOf(FilterKind::kIdempotency, http, nullptr);
  return options == nullptr ? nullptr : std::get_if<TokenDomains>(options);
}

}  // namespace pillion::config
