// The internal headers of idempotency tokens (specs/idempotency.md 2.13), which sidecars alone say to each
// other: taken off whoever they came from, and off every answer before its client sees it.
#ifndef PILLION_SIDECAR_EXCHANGE_TOKEN_FIELDS_H_
#define PILLION_SIDECAR_EXCHANGE_TOKEN_FIELDS_H_

#include <cstdint>
#include <memory>

#include "sidecar/filter/filter.h"
#include "sidecar/http/header_list.h"

namespace pillion::exchange {

// Null: there is no token.
std::unique_ptr<filter::TokenState> TakeTokenFields(http::HeaderList& headers);

// Of an attempt that is stamped, which counts from 1. `state`: of the request whose token it is. The first
// one of a token says no more than which it is, and for which domain: the process that it goes to is the one
// at the other end of its connection. Where the app's key stands for a token it says so.
void WriteTokenFields(const filter::TokenState& state, uint32_t attempt, http::HeaderList& headers);
void RemoveTokenFields(http::HeaderList& headers);

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_TOKEN_FIELDS_H_
