// What happened in one schedule, for people.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_TELL_H_
#define PILLION_TESTS_SIMULATION_TOKENS_TELL_H_

#include "tests/simulation/tokens/world.h"

namespace pillion::simulation::tokens {

// On standard output.
void TellAll(const Schedule& schedule, const Ledger& ledger, World& world);

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_TELL_H_
