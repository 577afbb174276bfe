// How many CPUs this process may use: what --concurrency defaults to.
#ifndef PILLION_SIDECAR_MAIN_CPU_QUOTA_H_
#define PILLION_SIDECAR_MAIN_CPU_QUOTA_H_

#include <string>

namespace pillion {

// The smaller of the CPUs in the affinity mask and the cgroup's quota (v2 cpu.max of the process's group and
// its parents, or v1 cpu.cfs_quota_us / cpu.cfs_period_us), rounded up, at least 1. `root` is "/" but for
// tests.
unsigned CpuQuota(const std::string& root = "/");

}  // namespace pillion

#endif  // PILLION_SIDECAR_MAIN_CPU_QUOTA_H_
