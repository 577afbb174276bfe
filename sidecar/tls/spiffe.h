// The rules that an X509-SVID has to keep (SPIFFE X509-SVID, sections 2 to 5). For the files of this folder
// only.
#ifndef PILLION_SIDECAR_TLS_SPIFFE_H_
#define PILLION_SIDECAR_TLS_SPIFFE_H_

#include <string_view>

#include "sidecar/tls/openssl.h"

namespace pillion::tls {

// "spiffe://trust.domain/path": at most 2048 bytes, trust domain of lower-case letters, digits, '.', '-',
// '_'. `path_wanted`: a leaf has one, a signing certificate has none. "": it is as it should be, else what is
// wrong.
std::string_view SpiffeIdProblem(std::string_view uri, bool path_wanted);
bool LooksLikeSpiffe(std::string_view uri);

// What is wrong with a certificate that claims a SPIFFE identity; "": nothing, or it claims none. Texts live
// for ever.
std::string_view SvidLeafProblem(X509* leaf);
std::string_view SvidSignerProblem(const X509* signer);

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_SPIFFE_H_
