// What the keys of applications (idempotency/app_key.h) mean at the side of the service, beside the tokens of
// sidecars (specs/idempotency.md 2.13). A key counts whoever brings it: a sidecar that has stamped it, or
// nobody but the app itself, which sends its request again with the same key; that is what keys are for.
#ifndef PILLION_SIDECAR_FILTERS_IDEMPOTENCY_APP_KEYS_H_
#define PILLION_SIDECAR_FILTERS_IDEMPOTENCY_APP_KEYS_H_

#include <chrono>
#include <string>
#include <variant>

#include "sidecar/config/tokens.h"
#include "sidecar/http/head.h"
#include "sidecar/idempotency/problem.h"
#include "sidecar/telemetry/stats.h"

namespace pillion::filters {

// The one of `domains` by which a request that no sidecar has stamped is held to its key; null: none.
const config::TokenDomain* DomainForKeys(const config::TokenDomains& domains, const http::RequestHead& head);

// The key of such a request, or of one whose stamp says that its key is its token; or why it may not run.
// "": it has none, and need not.
std::variant<std::string, idempotency::TokenProblem> TakeKey(const config::KeyTerms& terms,
                                                             const http::HeaderList& headers, bool stamped);
// Whether a sidecar's own token counts in the domain. The key of the app is the better name where there is
// one: the app may use it again, which sidecars could not know.
bool TakesMinted(const config::KeyTerms& terms, const http::HeaderList& headers);

// The user that a request with a key proves to be, by its only `authorization` field; or why there is none
// (2.9). What the field says beside, a signature that is renewed, counts for nothing.
std::variant<std::string, idempotency::TokenAnswer> TakeUser(const config::KeyPrincipal& wanted,
                                                             const http::HeaderList& headers,
                                                             std::chrono::sys_seconds now);

// Of an answer that is told again for a key: says so, and leaves out what was meant for one client alone. Who
// knows the key need not be the user that it was answered to, where nobody had to prove that (2.12).
void FinishKeyedReplay(const config::KeyTerms& terms, http::HeaderList& headers,
                       telemetry::WorkerStats& stats);

}  // namespace pillion::filters

#endif  // PILLION_SIDECAR_FILTERS_IDEMPOTENCY_APP_KEYS_H_
