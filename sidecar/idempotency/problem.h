// What a client is told of a token or key instead of an answer of the app's (specs/idempotency.md 2.15): the
// only table from such a problem to a status. Over HTTP it is told as problem details (RFC 9457), over gRPC
// as google.rpc.Status with an ErrorInfo of the domain "pillion": an app that sees 409 or ABORTED would else
// take it for its server's own.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_PROBLEM_H_
#define PILLION_SIDECAR_IDEMPOTENCY_PROBLEM_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "sidecar/base/slice.h"
#include "sidecar/http/head.h"
#include "sidecar/idempotency/verdict.h"

namespace pillion::idempotency {

// Why there is none.
enum class TokenProblem : uint8_t {
  kNoToken,        // what stands there is no token
  kFromTheFuture,  // its time is later than our clock
  kExpired,
  kOtherRequest,  // another request had that token
  kInFlight,
  kNotKept,  // it ran, and the answer was not kept
  kUnknown,
  kOtherDomain,  // of a domain that is not enforced here
  kNoRoom,
  kQuota,          // no room for more of this caller's
  kTooLarge,       // for what is held of it
  kTooLate,        // its deadline is over
  kNoKey,          // policy wants an application's key, and there is none
  kBadKey,         // what stands for a key is none
  kKeysElsewhere,  // this is not the one process that knows the service's keys
  kStoreDown,      // the records cannot be asked
  kDoubt,          // they may have been lost: not run now, and whether it was before is not known
  kNoUser,         // policy wants a JWT that says whose the key is, and there is none
  kBadUser,        // it is not believed
  kUsersUnknown,   // nothing is there that JWT could be verified with
};
inline constexpr size_t kTokenProblems = static_cast<size_t>(TokenProblem::kUsersUnknown) + 1;

// `ran`: the status of the answer that was not kept; else 0. `unknown_status`: of kUnknown, by policy. `why`:
// of kBadUser, for people; it lives for ever.
struct TokenAnswer {
  TokenProblem problem;
  uint16_t ran = 0;
  uint16_t unknown_status = 500;
  std::string_view why = {};
};

// The content type of a gRPC request; "": it is none.
inline std::string_view GrpcTypeOf(const http::HeaderList& headers) {
  return http::IsGrpc(headers) ? headers.Find(http::Known::kContentType).value_or("") : "";
}

// Of problem details, or of gRPC where `grpc` is the content type of its request, with the verdict in
// pillion-dedup. What was in `head` and `body` is dropped. Returns the verdict that it says.
Verdict FillAnswer(const TokenAnswer& answer, std::string_view grpc, http::ResponseHead& head,
                   SliceQueue& body);

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_PROBLEM_H_
