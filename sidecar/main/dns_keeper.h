// Keeps the addresses of the clusters that are by DNS: resolves the names that configured clusters have,
// again when it is time, and makes their endpoints.
//
//   clusters --Update--> names --asked--> answers --a difference--> `changed`, which calls Update again
//                          ^--------------timer------------'             --> endpoints
//
// One question is asked once, however many clusters have it (with the same options). Names that no cluster
// has any more are forgotten; what is still asked for them is not looked at. Main loop only.
#ifndef PILLION_SIDECAR_MAIN_DNS_KEEPER_H_
#define PILLION_SIDECAR_MAIN_DNS_KEEPER_H_

#include <compare>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/config/snapshot.h"
#include "sidecar/main/resolved_name.h"
#include "sidecar/stream/turn.h"
#include "sidecar/telemetry/stats.h"

namespace pillion {

class DnsKeeper final : public stream::Runnable {
 public:
  // Asks one question; the answer comes later, in a turn, or never when both end before.
  using Ask = std::function<void(net::DnsQuestion, std::function<void(const net::DnsAnswer&)>)>;

  // All outlive the keeper. `changed` is called in a turn when Update may answer otherwise than last.
  DnsKeeper(stream::Turn& turn, Random& random, telemetry::WorkerStats& stats, Ask ask,
            std::function<void()> changed);

  // All clusters by DNS that there are. Answers with the endpoints of those whose names have all been
  // resolved once, well or badly; the same object as long as nothing differs.
  config::ResolvedEndpoints Update(const std::vector<std::shared_ptr<const config::Cluster>>& clusters);
  stream::Progress Run() override;

  struct Entry {
    std::string cluster;
    std::string host;
    std::vector<net::Address> addresses;
    bool known = false;   // resolved once, well or badly
    std::string failure;  // the last one; "": none
    time::Duration failure_age{};
    time::Duration next_in{};  // until the next resolution; 0: it is under way
  };
  // By cluster, for admin.
  std::vector<Entry> entries() const;

 private:
  struct Key {
    std::string host;
    config::DnsOptions options;
    ResolvedName::Use use;
    friend auto operator<=>(const Key&, const Key&) = default;
  };
  struct Name {
    explicit Name(const Key& key) : state(key.options, key.use) {}
    ResolvedName state;
    enum class Asking : bool { kNo, kYes } asking = Asking::kNo;
    uint64_t wanted = 0;  // by that Update
  };
  struct Kept {
    std::shared_ptr<const config::Cluster> cluster;
    std::vector<std::shared_ptr<const Name>> names;  // as the cluster has them
    std::vector<uint64_t> revisions;                 // that `endpoints` was made from
    std::shared_ptr<const config::Assignment> endpoints;
  };
  Kept Keep(const std::shared_ptr<const config::Cluster>& cluster);
  static void Make(Kept& kept);
  void Answered(const Key& key, const net::DnsAnswer& answer);

  stream::Turn& turn_;
  Random& random_;
  telemetry::WorkerStats& stats_;
  const Ask ask_;
  const std::function<void()> changed_;
  stream::Timer timer_;
  std::map<Key, std::shared_ptr<Name>> names_;
  std::map<std::string, Kept> clusters_;
  uint64_t updates_ = 0;
  bool differs_ = false;  // and `changed` has not been told yet
};

}  // namespace pillion

#endif  // PILLION_SIDECAR_MAIN_DNS_KEEPER_H_
