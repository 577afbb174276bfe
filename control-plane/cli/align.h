// Tables for people.
#ifndef PILLION_CONTROL_PLANE_CLI_ALIGN_H_
#define PILLION_CONTROL_PLANE_CLI_ALIGN_H_

#include <string>
#include <vector>

namespace pillion::control {

using Row = std::vector<std::string>;

// One line for each row, its columns as wide as what is in them and two spaces apart.
std::string Align(const std::vector<Row>& rows);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_CLI_ALIGN_H_
