// What the workers of one process do for a domain whose records are shared (shared/): for people, and for
// limits that are the process's. Counts are added to by one worker each, and read by anybody.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_TALLY_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_TALLY_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sidecar/idempotency/detached.h"

namespace pillion::idempotency {

// Added to by one thread.
class OwnCount {
 public:
  OwnCount& operator++() { return *this += 1; }
  OwnCount& operator+=(uint64_t n) { return *this = value() + n; }
  OwnCount& operator=(uint64_t value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }
  operator uint64_t() const { return value(); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Of one worker's store since it was made, or of several.
template <typename Number>
struct StoreNumbers {
  // Of now.
  Number ready{};  // the store can be asked
  Number held{};   // claims and executions under way, and ends that are kept for a while
  Number waiting{};
  // Since then.
  Number claims{};
  Number claimed{};
  Number doubts{};         // answered so
  Number refused{};        // the store was down, or would not write
  Number unconfirmed{};    // of these: too few replicas had the claim in time
  Number undecryptable{};  // answers that were not told for that reason
  Number fenced{};         // executions that another one had replaced: by policy, or a bug
  Number lost{};           // ends that could not be told before the lease lapsed
  Number gone{};           // ends whose record was not there any more
  Number not_renewed{};    // renewals that came too late, or to no record
  Number reasserted{};     // told to another server, or another connection
  Number unknown_scripts{};
  Number forgotten{};  // recent ends that were let go of early, for want of room
  Number waits{};      // WAIT commands
  Number looks{};      // look-ups of who waits
  struct Named {
    std::string_view name;
    Number StoreNumbers::* number;
  };
  static constexpr size_t kGauges = 3;
  // The gauges first.
  static const std::array<Named, 18>& all();
};

template <typename Number>
const std::array<typename StoreNumbers<Number>::Named, 18>& StoreNumbers<Number>::all() {
  using N = StoreNumbers;
  static constexpr std::array<Named, 18> kAll = {{
      {"ready", &N::ready},
      {"held", &N::held},
      {"waiting", &N::waiting},
      {"claims", &N::claims},
      {"claimed", &N::claimed},
      {"doubt", &N::doubts},
      {"refused", &N::refused},
      {"unconfirmed", &N::unconfirmed},
      {"undecryptable", &N::undecryptable},
      {"fenced", &N::fenced},
      {"lost", &N::lost},
      {"gone", &N::gone},
      {"not_renewed", &N::not_renewed},
      {"reasserted", &N::reasserted},
      {"unknown_scripts", &N::unknown_scripts},
      {"forgotten", &N::forgotten},
      {"replica_waits", &N::waits},
      {"looks", &N::looks},
  }};
  return kAll;
}

using StoreCounts = StoreNumbers<OwnCount>;
using StoreTotals = StoreNumbers<uint64_t>;

class SharedTally {
 public:
  // Of one more store; what it has counted is remembered when it has been let go of.
  std::shared_ptr<StoreCounts> Begin() {
    const std::lock_guard<std::mutex> lock(mutex_);
    Forget();
    return stores_.emplace_back(std::make_shared<StoreCounts>());
  }
  struct View {
    StoreTotals totals;
    uint64_t stores = 0;  // of workers
    uint32_t detached = 0;
    uint64_t refused_full = 0;  // claims: too many were
    std::string trouble;        // why one of them cannot be asked; "": nothing is known
  };
  View Look() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    View view{past_, stores_.size(), detached_.now(), detached_.refused(), {}};
    for (const auto& one : stores_) {
      const bool gone = one.use_count() == 1;  // and holds nothing any more
      Add(*one, view.totals, gone ? StoreTotals::kGauges : 0);
      view.stores -= gone ? 1 : 0;
      const auto trouble = troubles_.find(one.get());
      if (!gone && trouble != troubles_.end() && !trouble->second.empty()) view.trouble = trouble->second;
    }
    return view;
  }
  // Of who counts there; "": its store can be asked, and writes.
  void NoteTrouble(const StoreCounts& of, std::string why) {
    const std::lock_guard<std::mutex> lock(mutex_);
    troubles_[&of] = std::move(why);
  }

  Detached& detached() { return detached_; }

 private:
  static void Add(const StoreCounts& from, StoreTotals& to, size_t first) {
    for (size_t i = first; i < StoreTotals::all().size(); ++i)
      to.*StoreTotals::all()[i].number += (from.*StoreCounts::all()[i].number).value();
  }
  void Forget() {
    std::erase_if(stores_, [this](const std::shared_ptr<StoreCounts>& one) {
      if (one.use_count() > 1) return false;
      Add(*one, past_, StoreTotals::kGauges);
      troubles_.erase(one.get());
      return true;
    });
  }
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<StoreCounts>> stores_;
  StoreTotals past_;
  std::map<const StoreCounts*, std::string> troubles_;
  Detached detached_;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_TALLY_H_
