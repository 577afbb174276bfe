#include "sidecar/main/cpu_quota.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace pillion {
namespace {

class CpuQuotaTest : public ::testing::Test {
 protected:
  CpuQuotaTest() : root_(std::string(std::getenv("TEST_TMPDIR")) + "/cpu_quota/") {
    std::filesystem::remove_all(root_);
  }
  void Write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  std::string root_;
};

TEST_F(CpuQuotaTest, TheTightestGroupOfVersion2Counts) {
  Write("proc/self/cgroup", "0::/pod/app\n");
  Write("sys/fs/cgroup/pod/app/cpu.max", "max 100000\n");
  Write("sys/fs/cgroup/pod/cpu.max", "50000 100000\n");
  EXPECT_EQ(CpuQuota(root_), 1u);
}

TEST_F(CpuQuotaTest, InsideAContainerTheMountIsTheGroup) {
  Write("proc/self/cgroup", "0::/\n");
  Write("sys/fs/cgroup/cpu.max", "100000 100000\n");
  EXPECT_EQ(CpuQuota(root_), 1u);
}

TEST_F(CpuQuotaTest, Version1IsReadToo) {
  Write("proc/self/cgroup", "4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n");
  Write("sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us", "60000\n");
  Write("sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(CpuQuota(root_), 1u);
}

TEST_F(CpuQuotaTest, WithoutALimitTheAffinityMaskCounts) {
  const unsigned unlimited = CpuQuota(root_);
  EXPECT_GE(unlimited, 1u);
  Write("proc/self/cgroup", "0::/\n");
  Write("sys/fs/cgroup/cpu.max", "100000000 100000\n");  // far more than there are
  EXPECT_EQ(CpuQuota(root_), unlimited);
}

}  // namespace
}  // namespace pillion
