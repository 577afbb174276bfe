// The records of one domain's tokens, as the requests of one worker use them: in this process (LocalTable),
// or shared with others (sidecar/worker/token_store.h), where what a call comes to is known later.
//
// One request with a token, which has a Held of its own:
//
//   Claim            until it answers something else than kWaits: again whenever the claim's waiter was rung,
//                    or its time has come. kClaimed: run it, then end it once, in one of three ways:
//   Complete         its answer is here. Told only when this, or HowEnded later, says how it ended; then the
//                    waiter has been rung.
//   Release          it provably never ran
//   Abandon          it may have run
//   Leave            always last: it waits no more. What runs still is abandoned.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_STORE_H_
#define PILLION_SIDECAR_IDEMPOTENCY_STORE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string_view>

#include "sidecar/idempotency/bell.h"
#include "sidecar/idempotency/detached.h"
#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/saved_answer.h"
#include "sidecar/idempotency/terms.h"
#include "sidecar/idempotency/token_key.h"

namespace pillion::idempotency {

struct Claim {
  TokenKey key;
  Digest fingerprint;
  DomainTime now;
  // nullopt: the key has no time. Such a key runs again when its record's time is over.
  std::optional<DomainTime> minted;
  // An attempt of this token has gone to another incarnation of this process, whose records are gone.
  bool of_another_incarnation = false;
  // It is not the token's first attempt, and where others have run without a record nobody knows whether the
  // first did: a token that is not there is `doubt`.
  bool only_if_known = false;
  bool runs_again = false;  // what is unknown, by policy: at least once, no more at most once
  bool conflict = false;    // while another one runs it does not wait
  // What answers are likely to have is reserved until it is known how much that is; at most so many bytes,
  // and as far as there are some.
  uint64_t most_answer_bytes = 0;
  std::optional<Waiter> waiter;
};

struct ClaimAnswer {
  enum class Kind : uint8_t {
    kClaimed,    // run it, then end `execution`: Complete, Release or Abandon
    kReplay,     // `answer`
    kTombstone,  // it ran; `status` was the answer's
    kWaits,      // the waiter is rung, then: claim again, or Leave
    kInFlight,   // another execution is under way, but nobody waits, or too many
    kAsks,       // nobody knows without a waiter: claim again with one
    kUnknown,
    kMismatch,
    kExpired,
    kBadClock,  // minted in the future
    kFull,      // no room for another token
    kQuota,     // none for another of this caller
    kDoubt,     // it was not run now; whether an earlier attempt was is not known any more
    kDown,      // the records cannot be asked; it was not run
    kRefused,   // they can, and were not sure to keep it; it was not run
  };
  static constexpr size_t kKinds = static_cast<size_t>(Kind::kRefused) + 1;
  Kind kind = Kind::kFull;
  uint64_t execution = 0;       // of kReplay: the one that was answered
  uint32_t place = UINT32_MAX;  // of its record, where the store has it in memory and it was claimed
  uint16_t status = 0;
  bool waited = false;  // kReplay: for its end, as far as this store knows that
  SavedAnswer answer = {};
};

// As a record is held; for people.
struct RecordView {
  std::string_view state;  // "in_flight", "completed", "tombstone", "unknown"
  uint64_t execution = 0;
  uint16_t status = 0;  // of the app's answer; 0: there is none
  uint64_t answer_bytes = 0;
  DomainTime over{};  // when it is dropped
};

// How an execution's end was taken.
enum class Ended : uint8_t {
  kDone,
  kGone,     // its record's time is over
  kFenced,   // policy has let another execution begin meanwhile
  kAlready,  // it has been completed before
  kLater,    // the records cannot be told now; they are when they can, unless it is too late then
};

class Store {
 public:
  // What a request holds of it.
  struct Held {
    TokenKey key;
    uint64_t number = 0;           // of its execution, or claim
    uint32_t place = UINT32_MAX;   // as ClaimAnswer's
    std::optional<Waiter> waiter;  // that may be rung
    bool runs = false;             // it was told kClaimed
  };
  virtual ~Store() = default;
  virtual ClaimAnswer Claim(Held& held, const idempotency::Claim& claim) = 0;
  // `written` (WriteAnswer) empty, or too large: only `status` is kept. nullopt: not yet; then `waiter`,
  // which is needed where claims answer kAsks, is rung.
  virtual std::optional<Ended> Complete(Held& held, std::string_view written, uint16_t status,
                                        const std::optional<Waiter>& waiter) = 0;
  virtual std::optional<Ended> HowEnded(const Held& held) const = 0;
  virtual void Release(Held& held) = 0;
  virtual void Abandon(Held& held) = 0;
  virtual void Leave(Held& held) = 0;

  virtual Detached& detached() = 0;
};

// Those of one worker that are shared with other processes. Its own thread.
using WorkerStores = std::map<DomainId, Store*>;

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_STORE_H_
