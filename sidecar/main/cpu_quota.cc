#include "sidecar/main/cpu_quota.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <sstream>

namespace pillion {
namespace {

// CPUs that "max 100000" or "150000 100000" allow; 0: no limit.
double FromCpuMax(const std::string& path) {
  std::ifstream file(path);
  std::string quota;
  double period = 0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0) return 0;
  return std::stod(quota) / period;
}

double FromCfs(const std::string& directory) {
  std::ifstream quota_file(directory + "/cpu.cfs_quota_us");
  std::ifstream period_file(directory + "/cpu.cfs_period_us");
  double quota = 0;
  double period = 0;
  if (!(quota_file >> quota) || !(period_file >> period) || quota <= 0 || period <= 0) return 0;
  return quota / period;
}

// The process's group in the hierarchy that `controllers` names ("" for v2), from /proc/self/cgroup.
std::string Group(const std::string& root, const std::string& controller) {
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
double Tightest(const std::string& mount, std::string group, Read read) {
  double tightest = 0;
  while (true) {
    const double here = read(mount + group);
    if (here > 0 && (tightest == 0 || here < tightest)) tightest = here;
    const size_t slash = group.rfind('/');
    if (slash == std::string::npos) return tightest;
    group.resize(slash);
  }
}

}  // namespace

unsigned CpuQuota(const std::string& root) {
  double cpus = 1;
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) cpus = CPU_COUNT(&mask);
  const double v2 = Tightest(root + "sys/fs/cgroup", Group(root, ""),
                             [](const std::string& d) { return FromCpuMax(d + "/cpu.max"); });
  const double v1 = Tightest(root + "sys/fs/cgroup/cpu", Group(root, "cpu"), FromCfs);
  for (const double limit : {v2, v1}) {
    if (limit > 0) cpus = std::min(cpus, std::ceil(limit));
  }
  return std::max(1u, static_cast<unsigned>(cpus));
}

}  // namespace pillion
