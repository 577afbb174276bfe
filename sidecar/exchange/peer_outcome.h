// The internal header `pillion-outcome`: of an answer that a sidecar makes because its own attempt at the app
// has failed, how that ended, so that the sidecar that asked can judge as if the attempt had been its own
// (DESIGN.md section 6).
//
//   pillion-outcome: not_sent;connect_failed
//
// Said to sidecars only, taken from sidecars only, and taken off whoever it came from.
#ifndef PILLION_SIDECAR_EXCHANGE_PEER_OUTCOME_H_
#define PILLION_SIDECAR_EXCHANGE_PEER_OUTCOME_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "sidecar/base/request_error.h"
#include "sidecar/http/head.h"

namespace pillion::exchange {

// "": nothing is said. What another endpoint would not do better either is the answer, whoever gave it.
std::string DescribeOutcome(const RequestError& error);
// kNone: it is none.
RequestError ReadOutcome(std::string_view description);

// Who answered.
enum class Answerer : uint8_t { kSidecar, kOwnApp, kOther };

// What an answer says of itself; the fields that say it are taken off. A sidecar may say how an attempt of
// its own ended, and our own app that it has not run the request: `pillion-not-executed: 1`. An app may pass
// on as its own word what it got from others, so no app is shown these fields, and nobody else is believed.
// Of errors only. kNone: it answered.
RequestError TakeOutcome(http::ResponseHead& head, Answerer from);
void DropOutcome(http::HeaderList& headers);
// Most answers do not.
inline bool TellsOutcome(const http::HeaderList& headers) {
  return headers.Has(http::Known::kPillionOutcome) || headers.Has(http::Known::kPillionNotExecuted);
}

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_PEER_OUTCOME_H_
