// Starts exchanges without a client: each goes straight to a named cluster, without time-outs, retries or
// filters of its own.
#ifndef PILLION_SIDECAR_EXCHANGE_SIDE_CALLS_H_
#define PILLION_SIDECAR_EXCHANGE_SIDE_CALLS_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "sidecar/exchange/environment.h"
#include "sidecar/stream/stream.h"

namespace pillion::exchange {

class SideCalls {
 public:
  // `env` outlives it.
  explicit SideCalls(Environment& env) : env_(env) {}
  // `client` comes from SideCall::Open. An unknown cluster answers 503 like any other local error.
  void Begin(std::string_view cluster, std::unique_ptr<stream::ClientStream> client);

 private:
  Environment& env_;
  std::map<std::string, LocalRef<ListenerScope>, std::less<>> scopes_;  // by cluster
};

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_SIDE_CALLS_H_
