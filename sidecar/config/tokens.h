// For which domains a listener makes sure that no token runs twice: immutable and validated, but for the
// table that holds a domain's records. That stands in the holder, where the main loop puts it before any
// worker sees the configuration (worker::Prepare).
#ifndef PILLION_SIDECAR_CONFIG_TOKENS_H_
#define PILLION_SIDECAR_CONFIG_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sidecar/config/route_table.h"
#include "sidecar/idempotency/terms.h"

namespace pillion::idempotency {
class LocalTable;
}

namespace pillion::config {

struct TableHolder {
  std::shared_ptr<idempotency::LocalTable> table;
  idempotency::Incarnation incarnation{};  // of the process that has it
};

struct TokenDomain {
  idempotency::DomainId id = 0;
  idempotency::TableTerms terms;
  bool conflict = false;  // who comes while it runs is not kept waiting
  bool keeps_answers = true;
  std::vector<uint16_t> release_on;  // statuses of the app's that say that it has not run it
  uint16_t unknown_status = 500;
  size_t max_request_bytes = size_t{64} * 1024;
  size_t max_response_bytes = size_t{256} * 1024;
  uint32_t max_detached = 1000;
  std::shared_ptr<TableHolder> holder = std::make_shared<TableHolder>();
};

struct TokenDomains {
  std::vector<TokenDomain> all;
};

// Which requests of a route get a token.
struct TokenPolicy {
  static RetryPolicy TwoRetries() {
    RetryPolicy policy;
    policy.max_retries = 2;
    return policy;
  }
  idempotency::DomainId domain = 0;
  bool paused = false;
  std::vector<std::string> methods = {"POST", "PATCH"};
  std::set<std::string, std::less<>> grpc_methods;  // paths
  size_t max_request_bytes = size_t{64} * 1024;
  RetryPolicy retry = TwoRetries();  // where the route has none
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_TOKENS_H_
