// Starts exchanges without a client: each goes straight to a named cluster, without filters, and
// without time-outs and retries where its kind has none.
#ifndef PILLION_SIDECAR_EXCHANGE_SIDE_CALLS_H_
#define PILLION_SIDECAR_EXCHANGE_SIDE_CALLS_H_

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "sidecar/exchange/environment.h"
#include "sidecar/stream/stream.h"

namespace pillion::exchange {

// What holds for the calls of one kind.
struct SideCallRules {
  std::string name = "side-calls";  // of their listener, in metrics
  config::Direction direction = config::Direction::kUnspecified;
  time::Duration timeout{0};  // of an answer, and of silence; 0: none
  bool tried_once = false;    // also where it would be safe to try again
};

class SideCalls {
 public:
  // `env` outlives it.
  explicit SideCalls(Environment& env, SideCallRules rules = {}) : env_(env), rules_(std::move(rules)) {}
  // `client` comes from SideCall::Open. An unknown cluster answers 503 like any other local error.
  void Begin(std::string_view cluster, std::unique_ptr<stream::ClientStream> client);

 private:
  Environment& env_;
  const SideCallRules rules_;
  std::map<std::string, LocalRef<ListenerScope>, std::less<>> scopes_;  // by cluster
};

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_SIDE_CALLS_H_
