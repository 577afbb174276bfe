// Steps of the memory guard with a use that the test says, and limits read from a made-up file system.
#include "sidecar/main/memory_guard.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace pillion {
namespace {

class Guard : public ::testing::Test {
 protected:
  // The use in percent; (level, whether streams are shed).
  std::pair<Pressure, bool> At(uint64_t percent) {
    use_ = percent << 20;
    now_ = std::max(now_ + std::chrono::milliseconds(1), guard_.next());
    const bool shed = guard_.Check(now_);
    return {gauge_.level(), shed};
  }
  PressureGauge gauge_;
  uint64_t use_ = 0;
  uint64_t freed_ = 0;  // and not given back to the kernel yet
  time::MonotonicTime now_{std::chrono::hours(1)};
  MemoryGuard guard_{100 << 20, [this] { return use_ + freed_; }, [this] { freed_ = 0; }, gauge_};
};

TEST_F(Guard, StepsComeOneAfterTheOtherAndAreLeftFurtherDown) {
  using P = Pressure;
  EXPECT_EQ(At(84), std::pair(P::kNone, false));
  EXPECT_EQ(At(85), std::pair(P::kShedRequests, false));
  EXPECT_EQ(At(81), std::pair(P::kShedRequests, false));
  EXPECT_EQ(At(79), std::pair(P::kNone, false));
  EXPECT_EQ(At(92), std::pair(P::kShedStreams, true));
  EXPECT_EQ(At(97), std::pair(P::kRefuseConnections, true));
  EXPECT_EQ(At(93), std::pair(P::kRefuseConnections, true));
  EXPECT_EQ(At(91), std::pair(P::kShedStreams, true));
  EXPECT_EQ(At(86), std::pair(P::kShedRequests, false));
  EXPECT_EQ(At(10), std::pair(P::kNone, false));
  EXPECT_EQ(At(120), std::pair(P::kRefuseConnections, true));
}

TEST_F(Guard, LooksAgainBeforeTheNextStepCanHaveBeenReached) {
  At(45);  // 40 MiB are left, at a GiB a second
  EXPECT_GT(guard_.next() - now_, std::chrono::milliseconds(39));
  EXPECT_LT(guard_.next() - now_, std::chrono::milliseconds(40));
  At(84);
  EXPECT_EQ(guard_.next() - now_, std::chrono::milliseconds(10)) << "and not without a rest";
  At(90);
  EXPECT_EQ(guard_.next() - now_, std::chrono::milliseconds(10)) << "2 MiB are left to the next";
}

TEST_F(Guard, AWorkerThatReadsLooksBeforeTheMainLoopDoes) {
  using std::chrono::milliseconds;
  At(84);
  const time::MonotonicTime main = guard_.next();
  use_ = 93 << 20;
  EXPECT_FALSE(guard_.Look(now_)) << "at once: it cannot have grown";
  EXPECT_TRUE(guard_.Look(now_ += milliseconds(2)));
  EXPECT_EQ(gauge_.level(), Pressure::kShedStreams);
  // What was given up is still in the use: not again before the allocator has been asked to give it back.
  EXPECT_TRUE(guard_.Look(now_ += milliseconds(5))) << "it was asked";
  EXPECT_FALSE(guard_.Look(now_ += milliseconds(5)));
  EXPECT_EQ(gauge_.level(), Pressure::kShedStreams);
  EXPECT_EQ(guard_.next(), main) << "the other workers are told by the main loop";
  EXPECT_TRUE(guard_.Look(now_ += milliseconds(5)));
  now_ = std::max(now_, main);
  EXPECT_TRUE(guard_.Look(now_ += milliseconds(10)));
  EXPECT_TRUE(guard_.Check(now_)) << "whatever a worker has just done";
  use_ = 10 << 20;
  EXPECT_FALSE(guard_.Look(now_ += milliseconds(10)));
  EXPECT_EQ(gauge_.level(), Pressure::kNone);
  use_ = 99 << 20;
  EXPECT_FALSE(guard_.Look(now_ += milliseconds(10))) << "75 MiB were left, at a GiB a second";
}

TEST_F(Guard, WhatAWorkerHasGivenUpIsNotSoughtOnceMoreFromAll) {
  using std::chrono::milliseconds;
  At(93);
  EXPECT_TRUE(guard_.Look(now_ += milliseconds(10)));
  use_ -= 20 << 20;
  freed_ = 20 << 20;
  EXPECT_FALSE(guard_.Look(now_ += milliseconds(3))) << "it is not known whether that was enough";
  EXPECT_EQ(gauge_.level(), Pressure::kShedStreams);
  EXPECT_FALSE(guard_.Check(now_ += milliseconds(2)));
  EXPECT_EQ(gauge_.level(), Pressure::kNone);
}

TEST_F(Guard, AWorkerThatFindsTheLastStepReachedDoesNotWait) {
  using std::chrono::milliseconds;
  At(93);
  At(93);
  use_ = 98 << 20;
  EXPECT_TRUE(guard_.Look(now_ += milliseconds(5))) << "though less was given up than has come since";
  EXPECT_FALSE(guard_.Look(now_ += milliseconds(3)));
}

TEST_F(Guard, AShortageThatLastsIsEndedByGivingUpWhatHoldsMost) {
  using std::chrono::milliseconds;
  constexpr auto second = std::chrono::seconds(1);
  const std::pair waits(Pressure::kShedRequests, false);
  const std::pair gives_up(Pressure::kShedRequests, true);
  EXPECT_EQ(At(90), waits);
  const time::MonotonicTime began = now_;
  while (now_ + milliseconds(50) < began + second) ASSERT_EQ(At(81), waits) << (now_ - began).count();
  now_ = began + second;
  EXPECT_FALSE(guard_.Look(now_)) << "the main loop tells all workers";
  EXPECT_EQ(At(81), gives_up);
  EXPECT_EQ(At(81), waits) << "for what that has freed";
  now_ += second;
  EXPECT_EQ(At(81), gives_up) << "it was not enough";
  now_ += second;
  EXPECT_EQ(At(79).second, false);
  now_ += second;
  EXPECT_EQ(At(90), waits) << "another begins";
  EXPECT_EQ(At(93), std::pair(Pressure::kShedStreams, true));
  now_ += second - milliseconds(10);
  EXPECT_EQ(At(86), waits) << "much was given up, and less than a second ago";
}

TEST(MemoryGuard, LooksRarelyWhereThereIsPlenty) {
  PressureGauge gauge;
  uint64_t use = 1 << 20;
  MemoryGuard guard(uint64_t{16} << 30, [&use] { return use; }, [] {}, gauge);
  const time::MonotonicTime now(std::chrono::hours(1));
  EXPECT_FALSE(guard.Check(now));
  EXPECT_EQ(guard.next() - now, std::chrono::seconds(1));
  use = uint64_t{14} << 30;
  EXPECT_FALSE(guard.Check(guard.next()));
  EXPECT_EQ(guard.next() - now, std::chrono::milliseconds(1050)) << "while memory is given back";
}

TEST(MemoryGuard, WithoutALimitNothingIsRead) {
  PressureGauge gauge;
  MemoryGuard guard(0, []() -> uint64_t { std::abort(); }, [] {}, gauge);
  EXPECT_FALSE(guard.Look(time::MonotonicTime(std::chrono::hours(1))));
  EXPECT_FALSE(guard.Check(time::MonotonicTime(std::chrono::hours(1))));
  EXPECT_EQ(guard.next(), time::MonotonicTime::max());
}

TEST(HeapTrimmer, TrimsWhatABurstHasLeftAlsoWhenItLastsLonger) {
  constexpr uint64_t kMiB = 1 << 20;
  uint64_t used = 20 * kMiB;
  uint64_t resident = used + 10 * kMiB;  // the program itself
  uint64_t stuck = 0;                    // pages that are used in part
  int trims = 0;
  HeapTrimmer trimmer([&] { return resident; }, [&] { return used; },
                      [&] {
                        ++trims;
                        resident = used + 10 * kMiB + stuck;
                      });
  time::MonotonicTime now(std::chrono::hours(1));
  const auto look = [&] {
    now = std::max(now, trimmer.next());
    trimmer.Check(now);
  };
  look();
  EXPECT_EQ(trims, 0);
  resident += 100 * kMiB;
  used += 100 * kMiB;
  look();
  EXPECT_EQ(trims, 0) << "it is in use";
  used -= 95 * kMiB;  // and now no more
  trimmer.Check(now + std::chrono::seconds(1));
  EXPECT_EQ(trims, 0) << "not yet";
  stuck = 20 * kMiB;
  look();
  EXPECT_EQ(trims, 1);
  look();
  look();
  EXPECT_EQ(trims, 1) << "what is stuck cannot be given back";
  stuck = 0;
  look();
  EXPECT_EQ(trims, 1);
  resident += 9 * kMiB;
  look();
  EXPECT_EQ(trims, 2);
  EXPECT_EQ(resident, used + 10 * kMiB);
}

TEST(HeapTrimmer, TrimsSoonerTheLessIsInUse) {
  uint64_t used = 0;
  uint64_t left_over = 0;
  int trims = 0;
  HeapTrimmer trimmer([&] { return (14 << 20) + used + left_over; }, [&] { return used; },
                      [&] {
                        ++trims;
                        left_over = 0;
                      });
  const auto trimmed_at_kib = [&](uint64_t in_use) -> uint64_t {
    used = in_use;
    const int before = trims;
    for (uint64_t kib = 0; kib < 16 << 10; ++kib) {
      left_over = kib << 10;
      trimmer.Check(trimmer.next());
      if (trims > before) return kib;
    }
    return 0;
  };
  trimmer.Check(trimmer.next());
  EXPECT_EQ(trimmed_at_kib(1 << 20), 128u);
  EXPECT_EQ(trimmed_at_kib(8 << 20), 256u);
  EXPECT_EQ(trimmed_at_kib(uint64_t{4} << 30), 8u << 10);
}

class Files {
 public:
  Files() {
    const char* const tmp = std::getenv("TEST_TMPDIR");
    root_ = std::string(tmp != nullptr ? tmp : "/tmp") + "/memory_guard_test/";
    std::filesystem::remove_all(root_);
  }
  void Write(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  const std::string& root() const { return root_; }

 private:
  std::string root_;
};

TEST(MemoryLimit, IsTheTightestOfTheGroupAndItsParents) {
  const Files files;
  EXPECT_EQ(MemoryLimit(files.root()), 0u);
  files.Write("proc/self/cgroup", "0::/pod/sidecar\n");
  files.Write("sys/fs/cgroup/pod/sidecar/memory.max", "max\n");
  EXPECT_EQ(MemoryLimit(files.root()), 0u);
  files.Write("sys/fs/cgroup/pod/memory.max", "1000000\n");
  EXPECT_EQ(MemoryLimit(files.root()), 1000000u);
  files.Write("sys/fs/cgroup/pod/sidecar/memory.max", "500000\n");
  EXPECT_EQ(MemoryLimit(files.root()), 500000u);
}

TEST(MemoryLimit, IsFoundInTheFirstVersionToo) {
  const Files files;
  files.Write("proc/self/cgroup", "5:cpu,cpuacct:/x\n4:memory:/pod\n");
  files.Write("sys/fs/cgroup/memory/pod/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(MemoryLimit(files.root()), 0u);
  files.Write("sys/fs/cgroup/memory/pod/memory.limit_in_bytes", "300000\n");
  EXPECT_EQ(MemoryLimit(files.root()), 300000u);
}

TEST(ResidentBytes, AreOurs) { EXPECT_GT(ResidentBytes(), 100'000u); }

TEST(KernelBytes, AreWhatCannotBeGivenBack) {
  const Files files;
  EXPECT_EQ(KernelBytes(files.root()), 0u);
  files.Write("proc/self/cgroup", "0::/pod/sidecar\n");
  files.Write("sys/fs/cgroup/pod/sidecar/memory.stat",
              "anon 5000000\nfile 7000000\nkernel_stack 1000\npagetables 200\npercpu 30\nsock 4\n"
              "inactive_file 6000000\nslab_reclaimable 900000\nslab_unreclaimable 50000\nslab 950000\n");
  EXPECT_EQ(KernelBytes(files.root()), 0u) << "the root of all groups has no memory.max";
  files.Write("sys/fs/cgroup/pod/sidecar/memory.max", "max\n");
  EXPECT_EQ(KernelBytes(files.root()), 51234u);
}

TEST(KernelBytes, AreNotToldByTheFirstVersion) {
  const Files files;
  files.Write("proc/self/cgroup", "4:memory:/pod\n0::/\n");
  files.Write("sys/fs/cgroup/memory/pod/memory.stat", "sock 4\n");
  EXPECT_EQ(KernelBytes(files.root()), 0u);
}

}  // namespace
}  // namespace pillion
