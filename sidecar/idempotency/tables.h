// The tables of one process, found again by their domain: a new configuration that names the domain of an old
// one goes on with its records. A table that no configuration names any more stays until its last token is
// refused: the same domain may come back, and its tokens must not run again. Any thread.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_TABLES_H_
#define PILLION_SIDECAR_IDEMPOTENCY_TABLES_H_

#include <map>
#include <memory>
#include <mutex>

#include "sidecar/idempotency/local_table.h"
#include "sidecar/idempotency/shared_tally.h"
#include "sidecar/idempotency/terms.h"

namespace pillion::idempotency {

class Tables {
 public:
  // For so many workers.
  explicit Tables(const Incarnation& incarnation, unsigned workers = 4)
      : incarnation_(incarnation), workers_(workers) {}
  const Incarnation& incarnation() const { return incarnation_; }
  // The terms are those of the first who names it: another version of them is another domain.
  std::shared_ptr<LocalTable> Find(DomainId domain, const TableTerms& terms);
  // Of keys, whose records outlive a version of the policy: what is there goes on with the new terms.
  std::shared_ptr<LocalTable> FindForKeys(DomainId keys, const TableTerms& terms);
  // Of a domain whose records are shared.
  std::shared_ptr<SharedTally> FindTally(DomainId domain);
  // By domain; those that no configuration names any more among them.
  std::map<DomainId, std::shared_ptr<SharedTally>> AllTallies() const;
  // Drops records that are over, and then tables that nobody names. From time to time.
  void Sweep(DomainTime now);
  // Memory is short: of each table half of what its answers hold, the largest first.
  void ShedHalf();
  // By domain.
  std::map<DomainId, std::shared_ptr<LocalTable>> All() const;

 private:
  const Incarnation incarnation_;
  const unsigned workers_;
  mutable std::mutex mutex_;
  std::map<DomainId, std::shared_ptr<LocalTable>> tables_;
  std::map<DomainId, std::shared_ptr<SharedTally>> tallies_;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_TABLES_H_
