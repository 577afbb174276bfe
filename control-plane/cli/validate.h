// `pillionctl validate`: what the control plane would say of these files, without one.
#ifndef PILLION_CONTROL_PLANE_CLI_VALIDATE_H_
#define PILLION_CONTROL_PLANE_CLI_VALIDATE_H_

#include <string>
#include <vector>

#include "control-plane/model/origin.h"

namespace pillion::control {

// Of all files together: references may cross files. A directory stands for its *.yaml, *.yml and *.json.
// The control plane is taken to have a --token-key-file.
std::vector<Problem> ValidateFiles(const std::vector<std::string>& paths);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_CLI_VALIDATE_H_
