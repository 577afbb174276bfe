// One request with a token: claimed when all of it is here, run, its answer saved before it is told
// (specs/idempotency.md 4.1).
//
//   gathers --claimed--> runs --the whole answer is here--> ends --it is saved--> over
//      |  \                 \--the answer is too large to keep--> ends --its status is--> over
//      |   \                 \--provably not run: the token is free--> over
//      |    \                 \--it may have run: nobody runs it again--> over
//      |     waits for the store, or another attempt of the token, then claims again
//      told what the record says, or why there is none --> over
//
// Owned by its chain. A guard that is destroyed while it runs leaves a record that says that the request may
// have run.
#ifndef PILLION_SIDECAR_FILTERS_IDEMPOTENCY_GUARD_H_
#define PILLION_SIDECAR_FILTERS_IDEMPOTENCY_GUARD_H_

#include <memory>
#include <optional>
#include <string>

#include "sidecar/base/recycled.h"
#include "sidecar/config/tokens.h"
#include "sidecar/filter/filter.h"
#include "sidecar/filters/idempotency/token_answers.h"
#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/store.h"
#include "sidecar/idempotency/token_key.h"

namespace pillion::filters {

// What is known of a request when its head is here.
struct Tokened {
  std::optional<idempotency::DomainTime> minted;  // its token; nullopt: it has an app's key instead
  bool of_another_incarnation = false;
  bool translated = false;  // other filters may have changed its content
  idempotency::CallerId caller = 0;
  time::MonotonicTime deadline = time::MonotonicTime::max();
};

// Of one worker, for all its guards; outlives them.
struct GuardTools {
  // Where records are shared. One that is held, or claimed from, is there.
  const idempotency::WorkerStores& stores;
  std::string scratch;
};

class Guard final : public filter::Transform, public Recycled<Guard> {
 public:
  // `domain`, and `told`, which is the request's own and has taken a token, outlive it.
  Guard(const config::TokenDomain& domain, GuardTools& tools, filter::TokenState& told,
        const Tokened& request);
  ~Guard() override;

  filter::Decision OnRequestBody(const filter::RequestBodyView& body) override;
  filter::Decision OnRequestTrailers(const filter::RequestBodyView& body,
                                     http::HeaderList& trailers) override;
  filter::Decision OnResponseHead(const filter::ResponseHeadView& response) override;
  filter::Decision OnResponseBody(const filter::ResponseBodyView& body) override;
  filter::Decision OnResponseTrailers(const filter::ResponseBodyView& body,
                                      http::HeaderList& trailers) override;
  std::optional<time::MonotonicTime> goes_on_until() const override;
  bool OnClientGone() override;

 private:
  enum class State : uint8_t {
    kGathers,
    kBypass,  // nothing protects it
    kRuns,
    kEnds,  // what it came to is being saved
    kOver,
    kReplaces,  // the answer's content is ours, instead
  };
  idempotency::Claim MakeClaim(const filter::RequestBodyView& body);
  filter::Decision Claim(const filter::RequestBodyView& body);
  idempotency::Store* FindStore() const;
  filter::Decision Run(const filter::RequestBodyView& body, idempotency::DomainTime now);
  // For another execution of the token, or to be told what its record says.
  enum class WaitsFor : bool { kAnother, kAnswer };
  filter::Decision Wait(const filter::RequestBodyView& body, WaitsFor what);
  filter::Decision Tell(const filter::RequestBodyView& body, const TokenAnswer& answer);
  filter::Decision TellDown(const filter::RequestBodyView& body);
  filter::Decision Replay(const filter::RequestBodyView& body, const idempotency::ClaimAnswer& answer);
  void LeaveStore();
  void Say(idempotency::Verdict verdict, http::HeaderList& headers);
  // An answer of ours takes the place of what came.
  void ReplaceByUnknown(http::ResponseHead& head);
  // What is kept of an answer, `content` null: its status alone.
  struct Kept {
    const SliceQueue* content = nullptr;
    const http::HeaderList* trailers = nullptr;
  };
  // The execution has been answered. False: that is not saved yet; hold the answer, and call this again with
  // the same.
  bool End(http::ResponseHead& head, Kept kept);
  void Release();
  void Abandon();
  bool IsRelease(const filter::ResponseHeadView& response) const;

  const config::TokenDomain& domain_;
  GuardTools& tools_;
  filter::TokenState& told_;
  const Tokened request_;
  State state_ = State::kGathers;
  bool answered_ = false;                           // the app had begun to
  bool keeps_answer_ = true;                        // no more than its status, else
  std::optional<time::MonotonicTime> waits_since_;  // it has waited
  bool detached_ = false;
  idempotency::Store* store_ = nullptr;  // null: nothing is claimed
  bool store_asks_ = false;              // it knows nothing at once
  idempotency::Store::Held held_;
  std::optional<idempotency::Digest> fingerprint_;
  idempotency::ExecutionSpan execution_;
  time::MonotonicTime until_{};  // an execution is given up then
  std::string grpc_;             // content type of its request; "": it is none
  idempotency::SavedAnswer replay_;
  SliceQueue instead_;  // kReplaces
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_IDEMPOTENCY_GUARD_H_
