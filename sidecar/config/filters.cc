#include "sidecar/config/filters.h"

#include <algorithm>
#include <variant>

namespace pillion::config {

const FilterOptions* OptionsOf(FilterKind kind, const HttpOptions& http, const Route* route) {
  if (http.filters == nullptr) return nullptr;
  const auto entry = std::ranges::find(*http.filters, std::optional(kind), &FilterEntry::kind);
  if (entry == http.filters->end()) return nullptr;
  if (route != nullptr && route->filters != nullptr) {
    const auto said = std::ranges::find(*route->filters, entry->name, &FilterEntry::name);
    if (said != route->filters->end()) {
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
