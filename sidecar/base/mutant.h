// Seeded faults: each makes one mistake in the sidecar's own code, at the place where that mistake would be
// made, so that tests can show that they would find it. They exist in builds with PILLION_MUTANTS alone
// (third_party/bazel/mutants.bzl); in all others Mutated is false when it is compiled, and nothing is left of
// them. One thread. Tests: tests/simulation/tokens/mutants.cc.
#ifndef PILLION_SIDECAR_BASE_MUTANT_H_
#define PILLION_SIDECAR_BASE_MUTANT_H_

#include <cstdint>

namespace pillion {

enum class Mutant : uint8_t {
  kNone,
  // Of specs/idempotency.md 4.3.
  kUnpinnedRetry,           // another attempt goes to any endpoint
  kRestartNotNoticed,       // a process takes tokens whose first attempt another one had
  kCheckThenSet,            // who looks before another has finished finds nothing
  kReleaseAfter5xx,         // an app's 5xx frees the token
  kAmbiguousAsNotExecuted,  // what broke under way is told as not executed
  kEviction,                // a full table drops its oldest record
  kShortRecords,            // a record ends before its token
  kNoMintCheck,             // a token is never too old
  kTakeover,                // what is unknown is run again
  kUnfencedCompletion,      // an execution ends the record of another
  // Others. Of the service's side.
  kFingerprintIgnored,
  kKeyIgnoresToken,    // all tokens of a caller are one
  kSkewIgnored,        // a token may be of the future
  kDeadlineIgnored,    // who waits is not told in time
  kClientGoneCancels,  // an execution ends with its client
  kToldBeforeSaved,
  kTrailersNotReplayed,
  kWaitersNotRung,
  kWaiterLimitIgnored,
  kRoomIgnored,
  kShedDropsRecord,  // and not its answer alone
  kTableLostByConfiguration,
  kDetachedForEver,  // they are not counted down
  kDetachedLimitIgnored,
  // Of the client's side.
  kIncarnationNotCompared,  // before another attempt is sent
  kStampWithoutHello,       // to who says nothing of the domain
  kAcrossPolicyVersions,    // a token is stamped for whatever domain there is
  kFirstOnlyOnce,           // pillion-first is sent with the first attempt alone
  kTokensAlike,             // of one millisecond
  kVerdictFromStatus,
  kBodyLimitIgnored,
  kNewTokenAfterAmbiguous,
  kUnknownToldAsError,
  // Of mode shared; the first two of specs/idempotency.md 4.3.
  kNoEpochRule,           // what is absent was never there
  kEpochRuleSparesFirst,  // a first attempt is never in doubt
  kWaitNotWaitedFor,      // what is claimed is run at once
  kToldBeforeStored,
  kLeaveForgotten,  // who is told something else goes on claiming
  kFencedToldAsExecuted,
  kBypassRunsLater,        // not the first attempt alone, when the store cannot be asked
  kBypassClaimsLater,      // what may have run unprotected before
  kLaterToWhoeverThereIs,  // an attempt after one that may have run, without its token
  kDoubtIsNotRun,          // whatever was sent before
};
inline constexpr Mutant kLastMutant = Mutant::kDoubtIsNotRun;

#ifdef PILLION_MUTANTS
inline Mutant mutant_in_force = Mutant::kNone;
inline bool Mutated(Mutant mutant) { return mutant == mutant_in_force; }
// From now on, and no other. False: this build has none.
inline bool PutInForce(Mutant mutant) {
  mutant_in_force = mutant;
  return true;
}
#else
constexpr bool Mutated(Mutant) { return false; }
inline bool PutInForce(Mutant) { return false; }
#endif

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_MUTANT_H_
