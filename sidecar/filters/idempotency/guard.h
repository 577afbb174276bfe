// One request with a token: claimed when all of it is here, run, its answer saved before it is told
// (specs/idempotency.md 4.1).
//
//   gathers --claimed--> runs --the whole answer is here--> over
//      |  \                 \--the answer is too large to keep: its status is saved--> over
//      |   \                 \--provably not run: the token is free--> over
//      |    \                 \--it may have run: nobody runs it again--> over
//      |     waits for another attempt of the token, then claims again
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
#include "sidecar/idempotency/local_table.h"
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

class Guard final : public filter::Transform, public Recycled<Guard> {
 public:
  // `domain`, `scratch`, which is its worker's, and `told`, which is the request's own and has taken a token,
  // outlive it.
  Guard(const config::TokenDomain& domain, std::string& scratch, filter::TokenState& told,
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
    kOver,
    kReplaces,  // the answer's content is ours, instead
  };
  idempotency::Claim MakeClaim(const filter::RequestBodyView& body);
  filter::Decision Claim(const filter::RequestBodyView& body);
  filter::Decision Wait(const filter::RequestBodyView& body);
  filter::Decision Tell(const filter::RequestBodyView& body, const TokenAnswer& answer);
  filter::Decision Replay(const filter::RequestBodyView& body, const idempotency::ClaimAnswer& answer);
  void StopWaiting();
  void Say(idempotency::Verdict verdict, http::HeaderList& headers);
  // The execution has ended, in one of these ways.
  void Save(const http::ResponseHead& head, const SliceQueue& content, const http::HeaderList* trailers);
  void KeepStatus(uint16_t status);
  void Release();
  void Abandon();
  bool IsRelease(const filter::ResponseHeadView& response) const;

  const config::TokenDomain& domain_;
  std::string& scratch_;
  const std::shared_ptr<idempotency::LocalTable> table_;
  filter::TokenState& told_;
  const Tokened request_;
  State state_ = State::kGathers;
  bool answered_ = false;                           // the app had begun to
  std::optional<time::MonotonicTime> waits_since_;  // it has waited
  bool detached_ = false;
  std::optional<idempotency::Waiter> waiter_;  // in the table
  idempotency::TokenKey key_;
  uint64_t number_ = 0;  // of the execution
  idempotency::ExecutionSpan execution_;
  time::MonotonicTime until_{};  // an execution is given up then
  std::string grpc_;             // content type of its request; "": it is none
  idempotency::SavedAnswer replay_;
  SliceQueue instead_;  // kReplaces
};

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_IDEMPOTENCY_GUARD_H_
