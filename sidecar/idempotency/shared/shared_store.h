// The records of one domain's tokens in Redis: mode `shared` (specs/idempotency.md 2.2, 3 and 4.1). Of one
// worker and one domain; on the worker's thread. A public call sends, and looks up; what comes of it is found
// out when this runs (STYLE.md R3), and then a Bell is rung, which wakes the request in the worker's turn
// after it.
//
// A request with a token, as its guard uses this:
//
//   ticket = Claim(...)       Answer(ticket) is null until the store has answered; then the claim's waiter is
//                             rung, once. If the answer is there at once (the store is down) nobody is rung.
//       hold the request (Await), and look again when rung. When there is no time left: Drop; it was not run.
//   kClaimed: run it. The lease is renewed here.
//   Complete(ticket, ...)     when the whole answer is here; hold it (Await) until HowEnded(ticket) says
//     or Release(ticket)      something, of which the waiter given with it is rung, once. Whatever it says,
//     or Abandon(ticket)      the answer is the truth and may be told then; only kFenced is not to be told as
//                             executed (I10). An answer that is too large to hold: Complete with none before
//                             its head goes on. Release only if it provably never ran.
//   Drop(ticket)              once, last, also in the guard's destructor: the ticket is void. A claim that is
//                             granted later is released, for nobody runs it; an execution that was not ended
//                             is abandoned; what has been ended is still brought to the store.
//   client gone               while it is claimed or waits: Drop. While it runs: go on as before (2.3).
//
//   Claim --> kClaims --CLAIMED--> kConfirms --replicas have it--> kOver, kClaimed (executions.h goes on)
//                |  ^                  \------too few, or not known--> kOver, kRefused, and released
//                |  +--a look says CLAIMED--+
//                |--another runs it--> kWaits --a look says how it ended--> kOver
//                \--any other answer------------------------------------> kOver
//
// Replicas: all claims of one turn share one WAIT, which leaves behind them in the same write. A claim that
// was granted to a look is confirmed by the next.
//
// Waiting (look_outs.h): one look-out per token, whose first waiter looks for all of this worker.
//
// The connection is lost: claims under way are refused (this attempt runs nothing), and released when the
// server is back, as they may have got there. Who waits goes on waiting. For executions see executions.h.
// Scripts that the server does not know are sent as text, and known to it from then on.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_SHARED_STORE_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_SHARED_STORE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sidecar/idempotency/bell.h"
#include "sidecar/idempotency/saved_answer.h"
#include "sidecar/idempotency/shared/claim_reply.h"
#include "sidecar/idempotency/shared/executions.h"
#include "sidecar/idempotency/shared/look_outs.h"
#include "sidecar/idempotency/shared/record_cipher.h"
#include "sidecar/idempotency/shared/scripts.h"
#include "sidecar/idempotency/shared/store_parts.h"
#include "sidecar/idempotency/shared/terms.h"
#include "sidecar/idempotency/shared_tally.h"
#include "sidecar/idempotency/store.h"

namespace pillion::idempotency {

class SharedStore final : public stream::Runnable, public stream::Flushable {
 public:
  // `counts`: its own alone.
  SharedStore(const StoreParts& parts, SharedTerms terms,
              std::shared_ptr<StoreCounts> counts = std::make_shared<StoreCounts>());
  // Not from its own Run. What is under way stays as it is at the store: its leases lapse.
  ~SharedStore() override;
  SharedStore(const SharedStore&) = delete;
  SharedStore& operator=(const SharedStore&) = delete;

  enum class Waits : bool { kNever, kIfInFlight };
  // `key`: the record's (LookupKey), which also says whose it is. The claim's waiter is who is rung; its
  // `key`, `now` and `of_another_incarnation` say nothing here: the clock is the store's, any process will
  // do, and the store is not divided among callers.
  Ticket Claim(const Digest& key, const idempotency::Claim& claim, Waits waits);
  // Null: not yet. Valid until Drop.
  const ClaimAnswer* Answer(Ticket ticket) const;

  // Of a ticket that was answered kClaimed, once. `answer` null, or larger than may be stored: only its
  // status is kept.
  void Complete(Ticket ticket, const SavedAnswer* answer, uint16_t status, Waiter waiter);
  void Release(Ticket ticket, Waiter waiter);
  void Abandon(Ticket ticket, Waiter waiter);
  // nullopt: not yet. Valid until Drop; kLater may become another.
  std::optional<Ended> HowEnded(Ticket ticket) const { return executions_.HowEnded(ticket); }

  void Drop(Ticket ticket);

  // From now on answers are sealed with it, and those of another one cannot be told.
  void SetKey(const std::array<uint8_t, 32>& key);

  const StoreCounts& counts() const { return *counts_; }
  // Tickets that are held or under way, and executions, recent ones among them.
  size_t size() const { return asked_.size() + executions_.size(); }
  size_t waiting() const { return look_outs_.waiting(); }
  // Why the server, which can be asked, did not take the last claim, or would not begin epochs; "": it did.
  const std::string& refusal() const { return refusal_.empty() ? executions_.refusal() : refusal_; }
  // Another execution is under way, whose end it waits for.
  bool IsWaiting(Ticket ticket) const;
  std::vector<RecordView> Find(const std::array<uint8_t, 8>& hash) const { return executions_.Find(hash); }
  const SharedTerms& terms() const { return terms_; }

  stream::Progress Run() override;
  // The WAIT of this turn's claims.
  void Flush() override;

 private:
  enum class State : uint8_t { kClaims, kConfirms, kWaits, kOver };
  enum class Op : uint8_t { kClaim, kLook, kWait };
  struct Asked;
  Asked* Find(Ticket ticket) const;
  bool Send(Asked& asked, Op op, ScriptCall::By by);
  void Take(const redis::Ended& ended);
  void OnClaim(Asked& asked, const redis::Ended& ended);
  void OnLook(Asked& asked, const redis::Ended& ended);
  void OnWait(uint64_t group, const redis::Ended& ended);
  ClaimAnswer Read(const Asked& asked, const redis::Reply& reply, bool& understood);
  void Confirm(Asked& asked);
  void Begin(Asked& asked);
  void Refuse(Asked& asked, bool may_have_claimed);
  void Settle(Asked& asked, ClaimAnswer answer);
  void StopWaiting(Asked& asked);
  void Look(const Digest& key);
  std::unique_ptr<Execution> ExecutionOf(const Asked& asked) const;

  const StoreParts parts_;
  const SharedTerms terms_;
  const Scripts scripts_;
  const KeyNames names_;
  const std::shared_ptr<StoreCounts> counts_;
  const StoreShare share_;
  std::unique_ptr<RecordCipher> cipher_;
  redis::Inbox inbox_;
  absl::flat_hash_map<Ticket, std::unique_ptr<Asked>> asked_;
  Executions executions_;
  LookOuts look_outs_;
  std::string refusal_;
  Ticket last_ticket_ = 0;
  uint64_t group_ = 1;                                           // of the claims of this turn
  std::vector<Ticket> in_group_;                                 // these claims
  std::deque<std::pair<uint64_t, std::vector<Ticket>>> groups_;  // whose WAIT was sent
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_SHARED_STORE_H_
