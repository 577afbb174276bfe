#include "sidecar/worker/find_tables.h"

#include <memory>
#include <variant>

#include "sidecar/config/filters.h"
#include "sidecar/idempotency/shared_tally.h"

namespace pillion::worker {
namespace {

void FindTables(const config::TokenDomain& domain, idempotency::Tables* tables) {
  if (domain.holder->found()) return;  // the configuration before had this very part
  if (tables != nullptr) domain.holder->incarnation = tables->incarnation();
  const auto find = [&](config::TableHolder& holder, idempotency::DomainId id, bool keys) {
    if (domain.store != nullptr) {
      holder.tally = tables == nullptr ? std::make_shared<idempotency::SharedTally>() : tables->FindTally(id);
    } else if (tables == nullptr) {
      holder.table = std::make_shared<idempotency::LocalTable>(domain.terms);
    } else {
      holder.table = keys ? tables->FindForKeys(id, domain.terms) : tables->Find(id, domain.terms);
    }
  };
  find(*domain.holder, domain.id, false);
  if (domain.keys.counts()) find(*domain.keys.holder, domain.keys.records, true);
}

}  // namespace

void ForEachTokenDomain(const config::Snapshot& snapshot,
                        const std::function<void(const config::TokenDomain&)>& use) {
  for (const auto& [name, entry] : snapshot.listeners) {
    for (size_t i = 0; i < entry.listener->chain_count(); ++i) {
      const auto& http = entry.listener->chain(i).http;
      if (http == nullptr || http->http.filters == nullptr) continue;
      for (const config::FilterEntry& filter : *http->http.filters) {
        const auto* const domains =
            filter.options == nullptr ? nullptr : std::get_if<config::TokenDomains>(filter.options.get());
        if (domains == nullptr) continue;
        for (const config::TokenDomain& domain : domains->all) use(domain);
      }
    }
  }
}

void FindTables(const config::Snapshot& snapshot, idempotency::Tables* tables) {
  ForEachTokenDomain(snapshot, [&](const config::TokenDomain& domain) { FindTables(domain, tables); });
}

}  // namespace pillion::worker
