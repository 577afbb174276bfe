// What the sidecar of a service says of one attempt of a token, in `pillion-dedup`, and what that means for
// the sidecar that sent it (specs/idempotency.md 2.1). Nothing is ever concluded from a status code instead:
// an app has its own uses for 409 and 503.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_VERDICT_H_
#define PILLION_SIDECAR_IDEMPOTENCY_VERDICT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pillion::idempotency {

enum class Verdict : uint8_t {
  kExecuted,     // it ran now, and the answer is its own
  kReplayed,     // the answer that was saved
  kCoalesced,    // that of the execution that was under way when it came
  kTombstone,    // it ran before; the answer was not kept
  kNotExecuted,  // refused before any byte of it reached the app
  kInFlight,     // it runs still, for longer than could be waited
  kUnknown,      // it may have run, or not
  kMismatch,     // another request had that token
  kExpired,      // the token is too old
  kBadToken,     // it is none, or one of the future
  kDoubt,        // not run by this attempt; whether by one before is not known any more
  kBypass,       // nothing protects this request: too large, a stream, or by policy
};
inline constexpr size_t kVerdicts = static_cast<size_t>(Verdict::kBypass) + 1;

// As in the header.
std::string_view ToString(Verdict verdict);
// Of a header's value: what stands before the first parameter. nullopt: a word that we do not know, which is
// no verdict.
std::optional<Verdict> ParseVerdict(std::string_view value);

// What may be done about an attempt.
enum class Meaning : uint8_t {
  kDefinitive,   // this is the answer
  kNotRun,       // this attempt did not run: another one may, anywhere in the domain
  kAmbiguous,    // it may have run, or still run: another one with the same token, which runs nothing twice
  kStop,         // nobody may try again: the client is told
  kUnprotected,  // as if there were no token
};
// `only`: no other attempt of the token was ever sent. What is not run by the only one of them has not run at
// all.
Meaning MeaningOf(Verdict verdict, bool only);

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_VERDICT_H_
