#include "sidecar/stream/turn.h"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "sidecar/testing/sim_network.h"

namespace pillion::stream {
namespace {

class Counting : public Runnable {
 public:
  Progress Run() override {
    ++runs;
    return Progress::kIdle;
  }
  int runs = 0;
};

// Does the first half of its work, wakes another, and leaves the rest to the next turn.
class Halves final : public Counting {
 public:
  Halves(Turn& turn, Runnable& other) : turn_(turn), other_(other) {}
  Progress Run() override {
    Counting::Run();
    if (runs == 1) turn_.WakeNextTurn(*this);
    turn_.Wake(other_);
    return Progress::kIdle;
  }

 private:
  Turn& turn_;
  Runnable& other_;
};

TEST(Turn, WhatIsLeftToTheNextTurnDoesNotRunInThisOne) {
  testing::VirtualClock clock;
  Turn turn(clock);
  Counting other;
  Halves halves(turn, other);
  turn.Wake(halves);
  EXPECT_TRUE(turn.Run()) << "and it must not wait for anything";
  EXPECT_EQ(halves.runs, 1);
  EXPECT_EQ(other.runs, 1);
  turn.Wake(halves);
  EXPECT_FALSE(turn.Run());
  EXPECT_EQ(halves.runs, 2);
  EXPECT_EQ(other.runs, 2);
}

// Takes its time, and has always more to do.
class Busy final : public Counting {
 public:
  Busy(Turn& turn, testing::VirtualClock& clock) : turn_(turn), clock_(clock) {}
  Progress Run() override {
    clock_.AdvanceTo(clock_.Now() + std::chrono::milliseconds(1));
    turn_.WakeNextTurn(*this);
    return Counting::Run();
  }

 private:
  Turn& turn_;
  testing::VirtualClock& clock_;
};

TEST(Turn, ALongOneEndsAndAllGetTheirShare) {
  testing::VirtualClock clock;
  Turn turn(clock);
  std::vector<std::unique_ptr<Busy>> all;
  for (int i = 0; i < 20; ++i) turn.Wake(*all.emplace_back(std::make_unique<Busy>(turn, clock)));
  const auto runs = [&all] {
    int sum = 0;
    for (const auto& one : all) sum += one->runs;
    return sum;
  };
  EXPECT_TRUE(turn.Run());
  EXPECT_EQ(runs(), 4);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(turn.Run());
  for (const auto& one : all) EXPECT_EQ(one->runs, 1);
  EXPECT_TRUE(turn.Run());
  EXPECT_EQ(runs(), 24);
}

TEST(Turn, WhoIsWokenFirstGoesBeforeTheQueue) {
  testing::VirtualClock clock;
  Turn turn(clock);
  std::vector<std::unique_ptr<Busy>> all;
  for (int i = 0; i < 20; ++i) turn.Wake(*all.emplace_back(std::make_unique<Busy>(turn, clock)));
  Counting late;
  turn.WakeFirst(*all[10]);
  turn.WakingFirst([&] { turn.Wake(late); });
  turn.Wake(late);
  EXPECT_TRUE(turn.Run());
  EXPECT_EQ(late.runs, 1);
  EXPECT_EQ(all[10]->runs, 1);
  EXPECT_EQ(all[1]->runs, 1);
  EXPECT_EQ(all[2]->runs, 0);
}

TEST(Turn, WhoDiesInBetweenIsForgotten) {
  testing::VirtualClock clock;
  Turn turn(clock);
  auto work = std::make_unique<Counting>();
  turn.WakeNextTurn(*work);
  EXPECT_TRUE(turn.has_work());
  work.reset();
  EXPECT_FALSE(turn.has_work());
  EXPECT_FALSE(turn.Run());
}

}  // namespace
}  // namespace pillion::stream
