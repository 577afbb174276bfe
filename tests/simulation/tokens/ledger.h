// What the requests of one schedule are for their apps, and what became of them there: who counts executions.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_LEDGER_H_
#define PILLION_TESTS_SIMULATION_TOKENS_LEDGER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sidecar/time/clock.h"

namespace pillion::simulation::tokens {

// What an app does with a request that it has run.
enum class Manner : uint8_t {
  kAnswers,
  kFirstNot,  // the first time it says that it has not run it: 429, or 503 with pillion-not-executed
  kNever,     // it hangs
  kResets,
  kCloses,
  kHalf,  // breaks off in the middle of its answer
};

struct Work {
  Manner manner = Manner::kAnswers;
  time::Duration takes{};
  uint16_t status = 201;  // of its answer
  size_t answer_bytes = 0;
  bool closes_after = false;  // the connection, without a word before
  bool grpc = false;
};

struct Execution {
  uint32_t number = 0;  // of all in the schedule
  bool other = false;   // the request had the other content (Send::other)
  size_t replica = 0;   // whose app ran it
  // Mode shared: as many servers had its claim when it began as must have. False: it had none, or too few.
  bool confirmed = false;
};

// One logical request, of a client app or of the peer that sends again: its number is its place in the
// ledger.
struct Item {
  Work work;
  std::vector<Execution> runs;
  uint32_t refusals = 0;  // kFirstNot
};

struct Ledger {
  std::vector<Item> items;
  uint32_t runs = 0;
  // Mode shared: of a request that is about to be run, and whether it has the other content.
  std::function<bool(uint64_t id, bool other)> confirmed = nullptr;
};

// Of that run: no two are alike.
inline std::string AnswerBody(uint64_t id, uint32_t run, size_t bytes) {
  std::string body = "run " + std::to_string(run) + " of " + std::to_string(id) + ':';
  if (body.size() < bytes) body.resize(bytes, static_cast<char>('a' + run % 26));
  return body;
}
inline std::string RequestBody(uint64_t id, bool other, size_t bytes) {
  std::string body = (other ? "other " : "order ") + std::to_string(id) + ';';
  if (body.size() < bytes) body.resize(bytes, '.');
  return body;
}

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_LEDGER_H_
