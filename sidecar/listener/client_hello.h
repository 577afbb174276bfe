// The first bytes of a TLS connection (RFC 8446 sections 4.1.2 and 5.1): whom the client wants to speak to,
// and by which protocols. Looks, consumes nothing. Pure.
#ifndef PILLION_SIDECAR_LISTENER_CLIENT_HELLO_H_
#define PILLION_SIDECAR_LISTENER_CLIENT_HELLO_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pillion::listener {

// A ClientHello with its record heads. Attack: one without end. (Envoy's tls_inspector: 16 KiB.)
inline constexpr size_t kMaxClientHelloBytes = size_t{16} * 1024;

struct ClientHello {
  enum class Kind : uint8_t {
    kMore,    // may become a ClientHello: call again with more bytes
    kNotTls,  // these bytes begin no ClientHello, or one that breaks its own lengths, or is too long
    kFound,
  };
  Kind kind = Kind::kMore;
  std::string server_name;  // lower case; "" when none was sent
  std::vector<std::string> protocols;
};

ClientHello ReadClientHello(std::string_view bytes);

}  // namespace pillion::listener

#endif  // PILLION_SIDECAR_LISTENER_CLIENT_HELLO_H_
