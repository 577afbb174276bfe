// For which domains a listener makes sure that no token runs twice: immutable and validated, but for the
// tables that hold a domain's records. They stand in the holders, where the main loop puts them before any
// worker sees the configuration (worker::Prepare).
#ifndef PILLION_SIDECAR_CONFIG_TOKENS_H_
#define PILLION_SIDECAR_CONFIG_TOKENS_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sidecar/config/route_table.h"
#include "sidecar/config/tls.h"
#include "sidecar/http/head.h"
#include "sidecar/idempotency/shared/terms.h"
#include "sidecar/idempotency/terms.h"
#include "sidecar/jwt/terms.h"

namespace pillion::idempotency {
class LocalTable;
class SharedTally;
}  // namespace pillion::idempotency

namespace pillion::jwt {
class KeySet;
}  // namespace pillion::jwt

namespace pillion::config {

struct TableHolder {
  std::shared_ptr<idempotency::LocalTable> table;   // null where records are shared
  std::shared_ptr<idempotency::SharedTally> tally;  // where they are
  idempotency::Incarnation incarnation{};           // of the process that has it
  bool found() const { return table != nullptr || tally != nullptr; }
};

// What opens a store, and the answers in it.
struct StoreSecrets {
  std::string password;
  std::array<uint8_t, 32> key{};
  bool operator==(const StoreSecrets&) const = default;
};

// Where the records of a domain are that several processes share.
struct TokenStore {
  std::string cluster;
  std::string user;
  DataSource password;
  DataSource key;
  // But for their domain, and the table's, which are the domain's own.
  idempotency::SharedTerms terms;
  bool runs_when_down = false;
  bool trusts_unseen = false;
  // As TLS credentials: filled by the main loop, and changed when a file is.
  std::shared_ptr<tls::Holder<StoreSecrets>> secrets = std::make_shared<tls::Holder<StoreSecrets>>();
};

// Who names a request, so that all that is sent with that name is one.
enum class KeySource : uint8_t { kMint, kApp, kAppOrMint, kPassthrough };

struct TokenedMethods {
  std::vector<std::string> methods = {"POST", "PATCH"};  // of requests that are no gRPC
  std::set<std::string, std::less<>> grpc_methods;       // paths
  bool Takes(const http::RequestHead& head) const {
    return http::IsGrpc(head.headers) ? grpc_methods.contains(head.path)
                                      : std::ranges::find(methods, head.method_text) != methods.end();
  }
};

// The end user that a JWT must name for a key to count.
struct KeyPrincipal {
  jwt::Terms terms;
  DataSource jwks;
  // Of the set that stands there itself; of a file, filled by the main loop, and changed when it is.
  std::shared_ptr<tls::Holder<jwt::KeySet>> keys = std::make_shared<tls::Holder<jwt::KeySet>>();
};

// What a domain says of the keys of applications.
struct KeyTerms {
  KeySource source = KeySource::kMint;
  bool required = false;
  bool elsewhere = false;  // another process knows them
  TokenedMethods of;
  idempotency::DomainId records = 0;
  std::shared_ptr<TableHolder> holder = std::make_shared<TableHolder>();
  std::shared_ptr<const KeyPrincipal> principal;  // null: a key is its caller's, whoever the user is
  bool counts() const { return source != KeySource::kMint; }
};

struct TokenDomain {
  idempotency::DomainId id = 0;
  idempotency::TableTerms terms;
  bool conflict = false;  // who comes while it runs is not kept waiting
  bool keeps_answers = true;
  bool runs_unknown_again = false;    // at least once, no more at most once
  bool compares_key_contents = true;  // of requests with the same key
  std::vector<uint16_t> release_on;   // statuses of the app's that say that it has not run it
  uint16_t unknown_status = 500;
  size_t max_request_bytes = size_t{64} * 1024;
  size_t max_response_bytes = size_t{256} * 1024;
  uint32_t max_detached = 1000;
  std::shared_ptr<const TokenStore> store;  // null: in this process
  std::shared_ptr<TableHolder> holder = std::make_shared<TableHolder>();
  KeyTerms keys;
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
  // Another attempt may follow one that may have run, at any endpoint: the app there knows the key.
  bool passes_through() const { return source == KeySource::kPassthrough; }
  idempotency::DomainId domain = 0;
  bool paused = false;
  bool shared = false;  // tokens may go to any process that enforces the domain
  bool runs_unknown_again = false;
  KeySource source = KeySource::kMint;
  TokenedMethods of;
  size_t max_request_bytes = size_t{64} * 1024;
  RetryPolicy retry = TwoRetries();  // where the route has none
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_TOKENS_H_
