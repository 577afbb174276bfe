// The control plane's status as a table for people.
#ifndef PILLION_CONTROL_PLANE_CLI_STATUS_TEXT_H_
#define PILLION_CONTROL_PLANE_CLI_STATUS_TEXT_H_

#include <string>

#include "pillion/control/v1/control.pb.h"

namespace pillion::control {

// `now_seconds`: since 1970; ages are shown.
std::string StatusText(const v1::GetStatusResponse& status, int64_t now_seconds);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_CLI_STATUS_TEXT_H_
