// Where the limits of this process's control group stand.
#ifndef PILLION_SIDECAR_MAIN_CGROUP_H_
#define PILLION_SIDECAR_MAIN_CGROUP_H_

#include <fstream>
#include <sstream>
#include <string>

namespace pillion {

// The process's group in the hierarchy that `controllers` names ("" for v2), from /proc/self/cgroup.
inline std::string CgroupOf(const std::string& root, const std::string& controller) {
  std::ifstream file(root + "proc/self/cgroup");
  std::string line;
  while (std::getline(file, line)) {
    const size_t first = line.find(':');
    const size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    std::istringstream names(line.substr(first + 1, second - first - 1));
    std::string name;
    if (controller.empty() && second == first + 1) return line.substr(second + 1);
    while (std::getline(names, name, ',')) {
      if (!controller.empty() && name == controller) return line.substr(second + 1);
    }
  }
  return "";
}

// The tightest limit of the group and all its parents up to the mount. Inside a container the mount already
// is the group.
template <typename Read>
double TightestInCgroup(const std::string& mount, std::string group, Read read) {
  double tightest = 0;
  while (true) {
    const double here = read(mount + group);
    if (here > 0 && (tightest == 0 || here < tightest)) tightest = here;
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return tightest;
    group.resize(slash);
  }
}

}  // namespace pillion

#endif  // PILLION_SIDECAR_MAIN_CGROUP_H_
