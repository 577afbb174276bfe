#include "sidecar/worker/find_tables.h"

#include <memory>
#include <variant>

#include "sidecar/config/filters.h"

namespace pillion::worker {
namespace {

void FindTables(const config::TokenDomain& domain, idempotency::Tables* tables) {
  if (domain.holder->table != nullptr) return;  // the configuration before had this very part
  if (tables == nullptr) {
    domain.holder->table = std::make_shared<idempotency::LocalTable>(domain.terms);
    if (domain.keys.counts())
      domain.keys.holder->table = std::make_shared<idempotency::LocalTable>(domain.terms);
    return;
  }
  domain.holder->incarnation = tables->incarnation();
  domain.holder->table = tables->Find(domain.id, domain.terms);
  if (domain.keys.counts())
    domain.keys.holder->table = tables->FindForKeys(domain.keys.records, domain.terms);
}

}  // namespace

void FindTables(const config::Snapshot& snapshot, idempotency::Tables* tables) {
  for (const auto& [name, entry] : snapshot.listeners) {
    for (size_t i = 0; i < entry.listener->chain_count(); ++i) {
      const auto& http = entry.listener->chain(i).http;
      if (http == nullptr || http->http.filters == nullptr) continue;
      for (const config::FilterEntry& filter : *http->http.filters) {
        const auto* const domains =
            filter.options == nullptr ? nullptr : std::get_if<config::TokenDomains>(filter.options.get());
        if (domains == nullptr) continue;
        for (const config::TokenDomain& domain : domains->all) FindTables(domain, tables);
      }
    }
  }
}

}  // namespace pillion::worker
