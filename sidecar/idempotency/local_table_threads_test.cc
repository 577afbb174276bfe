#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/local_table.h"
#include "sidecar/idempotency/test_answer.h"

namespace pillion::idempotency {
namespace {

using Kind = ClaimAnswer::Kind;

constexpr size_t kThreads = 4;
constexpr uint64_t kTokens = 2000;
constexpr int kAttempts = 12'000;  // of each thread

TokenKey Named(uint64_t number) {
  Random random(number);
  TokenKey key;
  for (uint8_t& byte : key.token) byte = static_cast<uint8_t>(random.Next());
  key.caller = number % 3;
  return key;
}

// All threads claim the same tokens; what each execution answers is its own number, and all who are told an
// answer of a token are told the same.
TEST(LocalTableThreads, EachTokenRunsOnceAndAllAreToldTheSame) {
  TableTerms terms;
  terms.room.caller_percent = 100;
  terms.room.bytes = 300'000;  // some answers are shed
  LocalTable table(terms);
  std::vector<std::atomic<int>> ran(kTokens);
  std::vector<std::atomic<uint64_t>> told(kTokens);
  std::atomic<int> waits{0};
  std::atomic<int> woken{0};
  std::atomic<int> replays{0};
  const auto work = [&](uint64_t seed) {
    Random random(seed);
    const auto bell = std::make_shared<Bell>([] {});
    for (int i = 0; i < kAttempts; ++i) {
      // A few tokens at a time, so that threads meet.
      const uint64_t token =
          (static_cast<uint64_t>(i) * kTokens / kAttempts + Below(random.Next(), 8)) % kTokens;
      Claim claim;
      claim.key = Named(token);
      claim.minted = claim.now = DomainTime(1'000'000);
      claim.waiter = Waiter{bell, static_cast<uint64_t>(i)};
      const ClaimAnswer answer = table.Claim(claim);
      if (answer.kind == Kind::kWaits) {
        ++waits;
        if (random.Percent(50)) {
          while (bell->Take().empty()) std::this_thread::yield();
          ++woken;
        } else {
          table.StopWaiting(claim.key, *claim.waiter);
          bell->Take();
        }
      } else if (answer.kind == Kind::kReplay) {
        ++replays;
        uint64_t none = 0;
        const uint64_t says = std::stoull(std::string(answer.answer.content()));
        if (!told[token].compare_exchange_strong(none, says)) EXPECT_EQ(none, says);
      } else if (answer.kind == Kind::kClaimed) {
        if (random.Percent(30)) {
          EXPECT_EQ(table.Release(claim.key, answer.execution), LocalTable::Ended::kDone);
          continue;
        }
        ++ran[token];
        if (random.Percent(50)) std::this_thread::yield();
        const auto saved = AnswerOf(std::to_string(answer.execution));
        EXPECT_EQ(table.Complete(claim.key, answer.execution, saved, 200), LocalTable::Ended::kDone);
      } else {
        EXPECT_EQ(answer.kind, Kind::kTombstone);
      }
    }
  };
  std::array<std::thread, kThreads> threads;
  for (size_t i = 0; i < kThreads; ++i) threads[i] = std::thread(work, i);
  for (std::thread& thread : threads) thread.join();
  for (uint64_t token = 0; token < kTokens; ++token) EXPECT_LE(ran[token], 1) << token;
  EXPECT_GT(replays, 0);
  EXPECT_EQ(table.Count().in_flight, 0u);
  EXPECT_EQ(table.Count().room.waiters, 0u);
  EXPECT_GT(table.Count().tombstones, 0u) << "some were shed";
  table.Sweep(DomainTime(100'000'000));
  EXPECT_EQ(table.Count().room.bytes, 0u);
  RecordProperty("waits", waits.load());
  RecordProperty("woken", woken.load());
}

}  // namespace
}  // namespace pillion::idempotency
