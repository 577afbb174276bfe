// A set of a cluster's endpoints among which one is chosen for each attempt: priorities, localities, and
// within one the balancer. Made anew when its members or their standing change; what a choice costs then does
// not depend on that. One worker's.
//
//   EndpointSet > Level (a priority's good ones, or its degraded ones; a share of the load)
//               > Group (a locality's, or all of the level's)  > endpoint
#ifndef PILLION_SIDECAR_UPSTREAM_ENDPOINT_SET_H_
#define PILLION_SIDECAR_UPSTREAM_ENDPOINT_SET_H_

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/config/cluster.h"
#include "sidecar/time/clock.h"
#include "sidecar/upstream/callers.h"
#include "sidecar/upstream/endpoint_state.h"
#include "sidecar/upstream/hash_table.h"

namespace pillion::upstream {

// What is known of a request when its endpoint is chosen.
struct PickQuery {
  Tried tried = {};  // by its earlier attempts
  time::MonotonicTime now;
  Random& random;
  std::optional<uint64_t> hash = std::nullopt;  // of what its route says; none: any endpoint is as good
  // Who has all labels of one of these is asked only where nobody else is left.
  std::span<const config::Labels> avoided = {};
};

class EndpointSet {
 public:
  EndpointSet() = default;
  // `members`: all of them, whatever their standing; they outlive the set. `callers`: null where zones do not
  // count. `before`: the set that this one takes the place of, whose turns go on.
  EndpointSet(std::span<EndpointState* const> members, const config::Cluster& cluster,
              const config::Assignment& assignment, Callers* callers, const EndpointSet* before,
              time::MonotonicTime now, Random& random);

  // As the balancer has it, of those that can be reached and have not been tried, first in the level and
  // group whose turn it is, then in the others (but none where the level fails); where there is none, of
  // those that can be reached but for the one that was tried last; else of all but that one. Null when there
  // is none.
  EndpointState* Pick(const PickQuery& query);
  // May be chosen.
  bool Contains(const EndpointState& endpoint) const;
  // How many may be.
  size_t eligible() const { return eligible_; }
  // When weights change by time alone; max: they do not.
  time::MonotonicTime refresh_at() const { return refresh_at_; }

 private:
  struct Group {
    std::vector<EndpointState*> members;
    std::vector<uint64_t> sums;    // of the weights up to and with each
    std::vector<int64_t> credits;  // smooth weighted round robin; empty: all have the same weight
    size_t cursor = 0;             // round robin where all have
    HashTable table;               // made when first asked for
  };
  struct Level {
    uint32_t load = 0;           // percent
    std::vector<Group> groups;   // none: what is its load fails
    std::vector<uint64_t> sums;  // of the groups' weights up to and with each
    std::vector<int64_t> credits;
  };

  void AddLevel(std::span<EndpointState* const> members, uint32_t load, const config::Assignment& assignment,
                std::span<const uint32_t> all_by_locality, time::MonotonicTime now);
  bool AddZones(std::span<EndpointState* const> good, uint32_t load, Callers* callers,
                time::MonotonicTime now);
  Group MakeGroup(std::vector<EndpointState*> members, time::MonotonicTime now);
  void TakeTurnsOver(const EndpointSet* before, Random& random);
  uint64_t WeightNow(const EndpointState& endpoint, time::MonotonicTime now);
  size_t ChooseLevel(const PickQuery& query) const;
  template <typename May>
  EndpointState* PickInLevel(Level& level, May may, const PickQuery& query);
  template <typename May>
  EndpointState* PickInGroup(Group& group, May may, const PickQuery& query);
  template <typename May>
  std::optional<size_t> TakeTurn(Group& group, May may);
  template <typename May>
  std::optional<size_t> FindByHash(Group& group, May may, const PickQuery& query);
  template <typename May>
  static std::optional<size_t> TakeGroupTurn(Level& level, May may);
  template <typename May>
  EndpointState* PickOther(Level& level, May may, const PickQuery& query);
  template <typename May>
  EndpointState* PickWhere(May may, size_t first, const PickQuery& query);

  const config::Cluster* cluster_ = nullptr;  // of the cluster's state
  std::vector<Level> levels_;
  size_t eligible_ = 0;
  EndpointState* sole_ = nullptr;  // the only one that may be chosen
  time::MonotonicTime refresh_at_ = time::MonotonicTime::max();
};

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_ENDPOINT_SET_H_
