// What a client is told of a token instead of an answer of the app's (specs/idempotency.md 2.15): the only
// table from verdict to status.
#ifndef PILLION_SIDECAR_FILTERS_IDEMPOTENCY_TOKEN_ANSWERS_H_
#define PILLION_SIDECAR_FILTERS_IDEMPOTENCY_TOKEN_ANSWERS_H_

#include <cstdint>
#include <string_view>

#include "sidecar/base/slice.h"
#include "sidecar/http/head.h"
#include "sidecar/idempotency/saved_answer.h"
#include "sidecar/idempotency/verdict.h"

namespace pillion::filters {

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
  kQuota,     // no room for more of this caller's
  kTooLarge,  // for what is held of it
  kTooLate,   // its deadline is over
};

// `ran`: the status of the answer that was not kept; else 0. `unknown_status`: of kUnknown, by policy.
struct TokenAnswer {
  TokenProblem problem;
  uint16_t ran = 0;
  uint16_t unknown_status = 500;
};

// The content type of a gRPC request; "": it is none.
inline std::string_view GrpcTypeOf(const http::HeaderList& headers) {
  return http::IsGrpc(headers) ? headers.Find(http::Known::kContentType).value_or("") : "";
}
// Of problem details (RFC 9457), or of gRPC where `grpc` is the content type of its request, with the
// verdict. What was in `body` is dropped.
// Returns the verdict that it says.
idempotency::Verdict FillAnswer(const TokenAnswer& answer, std::string_view grpc, http::ResponseHead& head,
                                SliceQueue& body);
// The answer again, but for its trailers.
void FillReplay(const idempotency::SavedAnswer& saved, idempotency::Verdict verdict,
                idempotency::DomainTime now, uint64_t execution, http::ResponseHead& head, SliceQueue& body);
// Of an answer of the app's: not what is another message's, or a hop's.
bool IsSaved(const http::HeaderList::Field& field);

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_IDEMPOTENCY_TOKEN_ANSWERS_H_
