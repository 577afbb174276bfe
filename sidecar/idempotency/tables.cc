#include "sidecar/idempotency/tables.h"

#include "sidecar/base/mutant.h"

namespace pillion::idempotency {

using Lock = std::lock_guard<std::mutex>;

std::shared_ptr<LocalTable> Tables::Find(DomainId domain, const TableTerms& terms) {
  const Lock lock(mutex_);
  std::shared_ptr<LocalTable>& table = tables_[domain];
  if (table == nullptr || Mutated(Mutant::kTableLostByConfiguration))
    table = std::make_shared<LocalTable>(terms, workers_);
  return table;
}

std::shared_ptr<LocalTable> Tables::FindForKeys(DomainId keys, const TableTerms& terms) {
  std::shared_ptr<LocalTable> table = Find(keys, terms);
  table->Adopt(terms);
  return table;
}

std::shared_ptr<SharedTally> Tables::FindTally(DomainId domain) {
  const Lock lock(mutex_);
  std::shared_ptr<SharedTally>& tally = tallies_[domain];
  if (tally == nullptr) tally = std::make_shared<SharedTally>();
  return tally;
}

std::map<DomainId, std::shared_ptr<SharedTally>> Tables::AllTallies() const {
  const Lock lock(mutex_);
  return tallies_;
}

void Tables::Sweep(DomainTime now) {
  for (const auto& [domain, table] : All()) table->Sweep(now);
  const Lock lock(mutex_);
  std::erase_if(tallies_, [](const auto& item) { return item.second.use_count() == 1; });
  std::erase_if(tables_, [](const auto& item) {
    return item.second.use_count() == 1 && item.second->Count().room.records == 0;
  });
}

void Tables::ShedHalf() {
  for (const auto& [domain, table] : All()) {
    table->Shed((table->Count().answer_bytes + 1) / 2);
  }
}

std::map<DomainId, std::shared_ptr<LocalTable>> Tables::All() const {
  const Lock lock(mutex_);
  return tables_;
}

}  // namespace pillion::idempotency
