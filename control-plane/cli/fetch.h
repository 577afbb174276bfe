// One page of a sidecar's admin address.
#ifndef PILLION_CONTROL_PLANE_CLI_FETCH_H_
#define PILLION_CONTROL_PLANE_CLI_FETCH_H_

#include <string>

namespace pillion::control {

struct Fetched {
  std::string body;
  std::string error;  // "": there was none
};

// GET http://`address``path`, within 5 s; no proxy is asked, no redirect followed. An answer that is not 200
// is an error, with what it says.
Fetched Fetch(const std::string& address, const std::string& path);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_CLI_FETCH_H_
