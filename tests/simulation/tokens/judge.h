// What must be true of a schedule when it is over: the invariants of specs/idempotency.md 4.2, as far as its
// mode has them, and what follows from them for those who ask.
//
//   I1  each logical request, and so each token, is run at most once
//   I2  what is told as the app's answer is that of the execution, byte for byte
//   I3  what was only ever refused was not run, and what was run is not told as refused
//   I4  a token that is accepted has its record: by I1, with attempts around the ends of both
//   I5  an execution ends its own record only: LocalTable counts others
//   I7  what an app answers with a status that verdicts use is that answer: by I1 and I2
//   I8  tables stay within their limits and keep what is alive: while it goes on, and at the end
//   I9  everybody is told in time, unless who would tell is not there
//
// Of mode shared:
//
//   I4  what was told as an answer is told again, by whom it is asked, unless the store has lost it
//   I5  a record is completed by what has run, and given back by what has not (store_side.h)
//   I6  what is told as executed began when as many servers had its claim as must; nothing is told before the
//       store has it, as far as that can be reached
//   I9  who waits for an execution is told when it is over, or its lease, if nobody is left who runs it; and
//       when all is over nothing is held by any process, and no record is left in the store
//
// Not of mode local: I6 (a table has no replicas to wait for). Of neither: I10 (no policy runs what is
// unknown again; that owners who come late are fenced is a story of its own), and I8 of a store, whose room
// is Redis's.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_JUDGE_H_
#define PILLION_TESTS_SIMULATION_TOKENS_JUDGE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/tokens/world.h"

namespace pillion::simulation::tokens {

struct Result {
  std::vector<std::string> wrong;  // empty: a good schedule
  // Of what everybody was told, what ran, and what the tables hold; of nothing that only time makes differ.
  uint64_t state = 0;
  // What it was about.
  uint64_t executions = 0;
  uint64_t attempts = 0;  // of clients' sidecars
  uint64_t retried = 0;   // requests with more than one
  uint64_t unknown = 0;   // told so
  uint64_t replies = 0;   // to what the peer that sends again has sent
  uint64_t replayed = 0;  // of them, those of an answer that was there, or waited for
  // Of all that, and when: equal for two runs of one schedule.
  uint64_t history = 0;
  // The numbers of `other`, and its history.
  void Add(const Result& other);
  std::string Tell() const;
};

void Judge(const Schedule& schedule, const Ledger& ledger, World& world, Result& outcome);

// Draws, plays and judges. `verbose`: also prints what happened.
Result RunSchedule(uint64_t seed, bool verbose = false, Mode mode = Mode::kLocal);

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_JUDGE_H_
