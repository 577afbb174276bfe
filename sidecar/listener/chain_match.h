// Which filter chain serves a connection. The order is Envoy's (specs/xds.md section 1.1): destination port,
// destination address (longest prefix), server name (exact, then the longest "*.suffix", then none),
// transport, application protocol, direct source, kind of source, source address, source port. At each level
// the most specific match wins and the rest is out for good. Nothing left: the default chain.
//
// Facts that only the client's bytes tell are asked for when a chain that is still possible depends on them,
// and not before: a connection whose port decides is not looked into (and a server that speaks first not held
// up).
#ifndef PILLION_SIDECAR_LISTENER_CHAIN_MATCH_H_
#define PILLION_SIDECAR_LISTENER_CHAIN_MATCH_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/config/listener.h"

namespace pillion::listener {

struct ConnectionFacts {
  net::Address destination;
  net::Address direct_source;
  net::Address source;
  std::optional<bool> tls;  // not known yet: nullopt
  std::string server_name;
  // Not known yet: nullopt. Of TLS its ALPN list, else what the first line tells.
  std::optional<std::vector<std::string>> protocols;
};

struct ChainChoice {
  enum class Kind : uint8_t {
    kChain,    // `chain`, by its number in the listener
    kNone,     // no chain is for it: close
    kAskTls,   // tls, server_name and protocols (when it is TLS) must be known first
    kAskHttp,  // protocols must be known first
  };
  Kind kind = Kind::kNone;
  size_t chain = 0;
};

// Never asks for what the listener does not inspect: that is then taken for plain and unnamed.
ChainChoice ChooseChain(const config::Listener& listener, const ConnectionFacts& facts);

}  // namespace pillion::listener

#endif  // PILLION_SIDECAR_LISTENER_CHAIN_MATCH_H_
