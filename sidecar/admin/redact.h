// Takes keys and passwords out of what people are shown.
#ifndef PILLION_SIDECAR_ADMIN_REDACT_H_
#define PILLION_SIDECAR_ADMIN_REDACT_H_

#include <google/protobuf/message.h>

namespace pillion::admin {

// Replaces what stands in private keys, passwords and ticket keys, also inside Any fields of known types. An
// Any that cannot be read is left as it is: nothing prints it either.
void RedactKeys(google::protobuf::Message& message);

}  // namespace pillion::admin

#endif  // PILLION_SIDECAR_ADMIN_REDACT_H_
