#include "sidecar/worker/find_tables.h"

#include <memory>
#include <variant>

#include "sidecar/config/filters.h"

namespace pillion::worker {

void FindTables(const config::Snapshot& snapshot, idempotency::Tables* tables) {
  for (const auto& [name, entry] : snapshot.listeners) {
    for (size_t i = 0; i < entry.listener->chain_count(); ++i) {
      const auto& http = entry.listener->chain(i).http;
      if (http == nullptr || http->http.filters == nullptr) continue;
      for (const config::FilterEntry& filter : *http->http.filters) {
        const auto* const domains =
            filter.options == nullptr ? nullptr : std::get_if<config::TokenDomains>(filter.options.get());
        if (domains == nullptr) continue;
        for (const config::TokenDomain& domain : domains->all) {
          std::shared_ptr<idempotency::LocalTable>& table = domain.holder->table;
          if (table != nullptr) continue;  // the configuration before had this very part
          if (tables != nullptr) domain.holder->incarnation = tables->incarnation();
          table = tables == nullptr ? std::make_shared<idempotency::LocalTable>(domain.terms)
                                    : tables->Find(domain.id, domain.terms);
        }
      }
    }
  }
}

}  // namespace pillion::worker
