// Makes sure that a request with a token, or a key of its app's, runs at most once (specs/idempotency.md):
// the side of the service, at the listener that sidecars come in by. What it does with one request is
// guard.h.
#ifndef PILLION_SIDECAR_FILTERS_IDEMPOTENCY_IDEMPOTENCY_H_
#define PILLION_SIDECAR_FILTERS_IDEMPOTENCY_IDEMPOTENCY_H_

#include <memory>

#include "sidecar/config/tokens.h"
#include "sidecar/filter/filter.h"
#include "sidecar/idempotency/store.h"

namespace pillion::filters {

struct Tokened;

class Idempotency final : public filter::Filter {
 public:
  // `stores`, its worker's, outlive it.
  explicit Idempotency(const idempotency::WorkerStores& stores);
  ~Idempotency() override;
  Idempotency(const Idempotency&) = delete;
  Idempotency& operator=(const Idempotency&) = delete;
  filter::Decision OnRequestHead(const filter::RequestView& request) const override;

 private:
  filter::Decision TakeStamped(const filter::RequestView& request) const;
  filter::Decision TakeUnstamped(const filter::RequestView& request, const config::TokenDomain& domain) const;
  filter::Decision Guarded(const filter::RequestView& request, const config::TokenDomain& domain,
                           Tokened tokened) const;
  // Its worker's, for one request at a time: const filters have no state of their own.
  struct OfWorker;
  const std::unique_ptr<OfWorker> worker_;
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_IDEMPOTENCY_IDEMPOTENCY_H_
