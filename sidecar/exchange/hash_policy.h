// What of a request decides which endpoint it goes to, where its cluster's balancer hashes. Pure.
#ifndef PILLION_SIDECAR_EXCHANGE_HASH_POLICY_H_
#define PILLION_SIDECAR_EXCHANGE_HASH_POLICY_H_

#include <cstdint>
#include <optional>
#include <span>

#include "sidecar/config/route_table.h"
#include "sidecar/http/head.h"
#include "sidecar/stream/stream.h"

namespace pillion::exchange {

// Nullopt: nothing of it is there, and any endpoint is as good. A client without a cookie that is given one
// is hashed by what it will be.
std::optional<uint64_t> HashOfRequest(std::span<const config::HashPolicy> policies,
                                      const http::RequestHead& request, const stream::ClientStream& client);

// The cookies that the client is to send from now on. One client connection is given the same ones, so that
// its requests that cross do not go to several endpoints.
void AddHashCookies(std::span<const config::HashPolicy> policies, const http::RequestHead& request,
                    const stream::ClientStream& client, http::HeaderList& response);

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_HASH_POLICY_H_
