// What of an app's answer is saved for the duplicates of its request, and how they are told it again
// (specs/idempotency.md 2.12). What they are told instead is idempotency/problem.h.
#ifndef PILLION_SIDECAR_FILTERS_IDEMPOTENCY_TOKEN_ANSWERS_H_
#define PILLION_SIDECAR_FILTERS_IDEMPOTENCY_TOKEN_ANSWERS_H_

#include <cstdint>

#include "sidecar/base/slice.h"
#include "sidecar/http/head.h"
#include "sidecar/idempotency/problem.h"
#include "sidecar/idempotency/saved_answer.h"
#include "sidecar/idempotency/verdict.h"

namespace pillion::filters {

using idempotency::FillAnswer;
using idempotency::GrpcTypeOf;
using idempotency::TokenAnswer;
using idempotency::TokenProblem;

// The answer again, but for its trailers.
void FillReplay(const idempotency::SavedAnswer& saved, idempotency::Verdict verdict,
                idempotency::DomainTime now, uint64_t execution, http::ResponseHead& head, SliceQueue& body);
// Of an answer of the app's: not what is another message's, or a hop's.
bool IsSaved(const http::HeaderList::Field& field);

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_IDEMPOTENCY_TOKEN_ANSWERS_H_
