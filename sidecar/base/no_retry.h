// Why there was no further attempt: one list for logs, metrics, explain and the judgement that decides it.
#ifndef PILLION_SIDECAR_BASE_NO_RETRY_H_
#define PILLION_SIDECAR_BASE_NO_RETRY_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pillion {

// Why an attempt that failed, or was answered as a policy does not want it, is followed by no other.
// name, the word in logs, metrics and explain.
#define PILLION_NO_RETRY(X)                                                                                \
  X(kNone, "")                             /* it was not to be retried */                                  \
  X(kNoPolicy, "no_policy")                /* it may have run, and no policy says that it may run again */ \
  X(kNoCondition, "no_condition")          /* the policy names other failures */                           \
  X(kUsedUp, "used_up")                    /* as often as allowed already */                               \
  X(kCouldRunTwice, "could_run_twice")     /* the method is not idempotent */                              \
  X(kBody, "body")                         /* more than is kept of it has gone */                          \
  X(kNoOtherEndpoint, "no_other_endpoint") /* the only one cannot be reached */                            \
  X(kCannotBeSent, "cannot_be_sent")       /* the request itself */                                        \
  X(kRequestHeaders, "request_headers")    /* the policy is not for this request */                        \
  X(kToldToWait, "told_to_wait")           /* longer than the policy waits, or for ever */                 \
  X(kDeadline, "deadline")                 /* what is left of it is too short */                           \
  X(kBudget, "budget")                     /* the cluster's retries are a share of its requests */         \
  X(kCircuit, "circuit")                   /* as many are under way as the cluster's circuit allows */     \
  X(kToken, "token")                       /* what became of its token allows none */

enum class NoRetry : uint8_t {
#define PILLION_NO_RETRY_ENUM(name, word) name,
  PILLION_NO_RETRY(PILLION_NO_RETRY_ENUM)
#undef PILLION_NO_RETRY_ENUM
};
inline constexpr size_t kNoRetryReasons = static_cast<size_t>(NoRetry::kToken) + 1;

constexpr std::string_view ToString(NoRetry reason) {
  switch (reason) {
#define PILLION_NO_RETRY_WORD(name, word) \
  case NoRetry::name:                     \
    return word;
    PILLION_NO_RETRY(PILLION_NO_RETRY_WORD)
#undef PILLION_NO_RETRY_WORD
  }
  return "";
}

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_NO_RETRY_H_
