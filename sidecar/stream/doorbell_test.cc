#include "sidecar/stream/doorbell.h"

#include <gtest/gtest.h>

#include <thread>

#include "sidecar/testing/sim_network.h"

namespace pillion::stream {
namespace {

class Counting final : public Runnable {
 public:
  Progress Run() override {
    ++runs;
    return Progress::kIdle;
  }
  int runs = 0;
};

// Rings for another one in its own turn.
class Ringer final : public Runnable {
 public:
  explicit Ringer(idempotency::Waiter whom) : whom_(std::move(whom)) {}
  Progress Run() override {
    whom_.bell->RingHere(whom_.number);
    return Progress::kIdle;
  }

 private:
  const idempotency::Waiter whom_;
};

struct Waits {
  testing::VirtualClock clock;
  Turn turn{clock};
  int calls = 0;
  Doorbell doorbell{turn, [this] { ++calls; }};
  Counting work;
  idempotency::Waiter waiter = doorbell.Enter(work);
};

TEST(Doorbell, WhoIsRungForOnItsOwnThreadRunsInThatTurnAndNobodyIsCalled) {
  Waits waits;
  Ringer ringer(waits.waiter);
  waits.turn.Wake(ringer);
  EXPECT_FALSE(waits.turn.Run());
  EXPECT_EQ(waits.work.runs, 1);
  EXPECT_EQ(waits.calls, 0);
}

TEST(Doorbell, WhoIsRungForElsewhereRunsWhenTheDoorIsAnswered) {
  Waits waits;
  std::thread([&] { waits.waiter.bell->Ring(waits.waiter.number); }).join();
  EXPECT_EQ(waits.calls, 1);
  EXPECT_FALSE(waits.turn.has_work());
  waits.doorbell.Answer();
  waits.turn.Run();
  EXPECT_EQ(waits.work.runs, 1);
}

TEST(Doorbell, WhoIsRungForBehindAnotherIsNotForgotten) {
  Waits waits;
  Counting other;
  const idempotency::Waiter second = waits.doorbell.Enter(other);
  second.bell->RingHere(second.number);
  waits.waiter.bell->Ring(waits.waiter.number);
  EXPECT_EQ(waits.calls, 0) << "the door is answered in any case";
  waits.turn.Run();
  EXPECT_EQ(other.runs, 1);
  EXPECT_EQ(waits.work.runs, 1);
}

TEST(Doorbell, WhoHasLeftIsNotWoken) {
  Waits waits;
  waits.doorbell.Leave(waits.waiter.number);
  waits.waiter.bell->RingHere(waits.waiter.number);
  waits.turn.Run();
  EXPECT_EQ(waits.work.runs, 0);
}

TEST(Doorbell, TheBellOutlivesIt) {
  idempotency::Waiter waiter;
  int calls = 0;
  {
    testing::VirtualClock clock;
    Turn turn(clock);
    Counting work;
    Doorbell doorbell(turn, [&] { ++calls; });
    waiter = doorbell.Enter(work);
  }
  waiter.bell->Ring(waiter.number);
  waiter.bell->RingHere(waiter.number);
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace pillion::stream
