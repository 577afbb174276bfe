#include "sidecar/filter/filter.h"

#include <algorithm>

namespace pillion::filter {

std::vector<const Filter*> FiltersOf(const FilterList& list, const config::HttpOptions& http) {
  std::vector<const Filter*> filters;
  for (const FilterList::Entry& entry : list.all) {
    // One that is switched off here may be on for a route.
    const bool named = entry.kind && http.filters != nullptr &&
                       std::ranges::count(*http.filters, entry.kind, &config::FilterEntry::kind) > 0;
    if (!entry.kind || named) filters.push_back(entry.filter.get());
  }
  return filters;
}

}  // namespace pillion::filter
