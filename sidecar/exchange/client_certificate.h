// x-forwarded-client-cert: what a listener tells the app of the certificate that the client showed. Clients
// must not tell it themselves: what they write is taken off, but where the policy trusts them.
#ifndef PILLION_SIDECAR_EXCHANGE_CLIENT_CERTIFICATE_H_
#define PILLION_SIDECAR_EXCHANGE_CLIENT_CERTIFICATE_H_

#include "sidecar/config/listener.h"
#include "sidecar/http/header_list.h"
#include "sidecar/net/security.h"

namespace pillion::exchange {

// `security`: of the client's connection; null: plain text. Pure.
void ForwardClientCertificate(const config::ClientCertificatePolicy& policy, const net::Security* security,
                              http::HeaderList& headers);

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_CLIENT_CERTIFICATE_H_
