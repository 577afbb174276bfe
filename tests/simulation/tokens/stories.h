// What schedules cannot come to, or cannot see, told as it happens.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_STORIES_H_
#define PILLION_TESTS_SIMULATION_TOKENS_STORIES_H_

#include <string>

namespace pillion::simulation::tokens {

// False: one of them has not ended as it must; `how` says which.
bool TellStories(std::string& how);

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_STORIES_H_
