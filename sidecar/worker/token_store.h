// One worker's door to the records of one domain that are shared with other processes: two connections to the
// server, and the store on them. Made when the configuration names it; while the store's addresses or secrets
// are not here it is down. On the worker's thread.
#ifndef PILLION_SIDECAR_WORKER_TOKEN_STORE_H_
#define PILLION_SIDECAR_WORKER_TOKEN_STORE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/config/tokens.h"
#include "sidecar/idempotency/shared/shared_store.h"
#include "sidecar/idempotency/shared_tally.h"
#include "sidecar/idempotency/store.h"
#include "sidecar/net/address.h"
#include "sidecar/net/loop.h"
#include "sidecar/redis/client.h"
#include "sidecar/stream/turn.h"
#include "sidecar/telemetry/stats.h"
#include "sidecar/tls/holder.h"
#include "sidecar/tls/worker_tools.h"

namespace pillion::worker {

class TokenStore final : public idempotency::Store {
 public:
  // Whose records it has, and under which terms.
  struct Terms {
    std::shared_ptr<const config::TokenStore> store;
    idempotency::SharedTerms shared;
    idempotency::KeySource source;
    // But for what may change under way.
    bool operator==(const Terms& other) const;
  };
  // All outlive it.
  struct Parts {
    stream::Turn& turn;
    net::Loop& loop;
    tls::WorkerTools& tls;
    Random& random;
    telemetry::TokenStoreTimes& times;
  };
  TokenStore(const Parts& parts, Terms terms, std::shared_ptr<idempotency::SharedTally> tally);
  // Not from within its own Run.
  ~TokenStore() override;
  TokenStore(const TokenStore&) = delete;
  TokenStore& operator=(const TokenStore&) = delete;

  // Where the server is.
  struct Target {
    std::vector<net::Address> addresses;
    std::shared_ptr<const tls::Holder<tls::ClientCredentials>> credentials;  // null: plain text
  };
  // From the next dial on. `store`: under the same terms.
  void Take(std::shared_ptr<const config::TokenStore> store, Target target);
  const Terms& terms() const { return terms_; }
  // Nobody holds anything of it, and there is nothing to tell its server.
  bool idle() const;
  // Of how it stands, from time to time.
  void TellPeople();
  std::vector<idempotency::RecordView> Find(const std::array<uint8_t, 8>& hash) const;

  idempotency::ClaimAnswer Claim(Held& held, const idempotency::Claim& claim) override;
  std::optional<idempotency::Ended> Complete(Held& held, std::string_view written, uint16_t status,
                                             const std::optional<idempotency::Waiter>& waiter) override;
  std::optional<idempotency::Ended> HowEnded(const Held& held) const override;
  void Release(Held& held) override;
  void Abandon(Held& held) override;
  void Leave(Held& held) override;
  idempotency::Detached& detached() override { return tally_->detached(); }

 private:
  struct Link;
  // Takes over secrets that have changed. False: it is down.
  bool Prepare();
  idempotency::Digest LookupKeyOf(const idempotency::TokenKey& key) const;

  const Parts parts_;
  Terms terms_;
  const std::shared_ptr<idempotency::SharedTally> tally_;
  const std::shared_ptr<idempotency::StoreCounts> counts_;
  Target target_;
  std::shared_ptr<const config::StoreSecrets> secrets_;  // that the link was told
  std::unique_ptr<Link> link_;                           // null: it has nowhere to go yet
};

}  // namespace pillion::worker

#endif  // PILLION_SIDECAR_WORKER_TOKEN_STORE_H_
