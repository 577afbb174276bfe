#include "sidecar/main/cpu_quota.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "sidecar/main/cgroup.h"

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

}  // namespace

unsigned CpuQuota(const std::string& root) {
  double cpus = 1;
  cpu_set_t mask;
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) cpus = CPU_COUNT(&mask);
  const double v2 = TightestInCgroup(root + "sys/fs/cgroup", CgroupOf(root, ""),
                                     [](const std::string& d) { return FromCpuMax(d + "/cpu.max"); });
  const double v1 = TightestInCgroup(root + "sys/fs/cgroup/cpu", CgroupOf(root, "cpu"), FromCfs);
  for (const double limit : {v2, v1}) {
    if (limit > 0) cpus = std::min(cpus, std::ceil(limit));
  }
  return std::max(1u, static_cast<unsigned>(cpus));
}

}  // namespace pillion
