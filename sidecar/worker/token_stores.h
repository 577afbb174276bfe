// The shared stores of one worker, by domain, as its configuration names them. One that is named no more
// stays until what was begun in it is told. On the worker's thread.
#ifndef PILLION_SIDECAR_WORKER_TOKEN_STORES_H_
#define PILLION_SIDECAR_WORKER_TOKEN_STORES_H_

#include <map>
#include <memory>
#include <vector>

#include "sidecar/config/snapshot.h"
#include "sidecar/idempotency/store.h"
#include "sidecar/stream/turn.h"
#include "sidecar/upstream/cluster_state.h"
#include "sidecar/worker/token_store.h"

namespace pillion::worker {

class TokenStores final : public stream::Runnable {
 public:
  explicit TokenStores(const TokenStore::Parts& parts) : parts_(parts), timer_(this) {}
  ~TokenStores() override;
  TokenStores(const TokenStores&) = delete;
  TokenStores& operator=(const TokenStores&) = delete;

  // Between turns, when `clusters` has taken the configuration over.
  void Apply(const config::Snapshot& snapshot, const upstream::ClusterTable& clusters);
  // For guards; what it leads to is there as long as they hold a claim of it.
  const idempotency::WorkerStores& stores() const { return stores_; }
  stream::Progress Run() override;

 private:
  void Name(idempotency::DomainId id, const config::TableHolder& holder, TokenStore::Terms terms,
            const upstream::ClusterTable& clusters);
  static TokenStore::Target TargetOf(const config::TokenStore& store, const upstream::ClusterTable& clusters);

  const TokenStore::Parts parts_;
  std::map<idempotency::DomainId, std::unique_ptr<TokenStore>> named_;
  std::vector<std::unique_ptr<TokenStore>> leaving_;
  idempotency::WorkerStores stores_;
  stream::Timer timer_;
};

}  // namespace pillion::worker

#endif  // PILLION_SIDECAR_WORKER_TOKEN_STORES_H_
