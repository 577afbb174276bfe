// Smooth weighted round robin (as nginx does it): the credit of each who may take the turn grows by his
// weight, who has the most takes it and pays what all of them got. Who may not neither saves up nor pays.
// Pure.
#ifndef PILLION_SIDECAR_BASE_SMOOTH_TURN_H_
#define PILLION_SIDECAR_BASE_SMOOTH_TURN_H_

#include <cstddef>
#include <cstdint>
#include <optional>

namespace pillion {

// Whose turn it is among `count`, the first of those with the most; nullopt when `may(i)` is true of none.
// `credit(i)` is an int64_t& that begins as 0 and is kept between turns.
template <typename Weight, typename Credit, typename May>
std::optional<size_t> TakeSmoothTurn(size_t count, Weight weight, Credit credit, May may) {
  std::optional<size_t> chosen;
  int64_t total = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!may(i)) continue;
    credit(i) += weight(i);
    total += weight(i);
    if (!chosen || credit(i) > credit(*chosen)) chosen = i;
  }
  if (chosen) credit(*chosen) -= total;
  return chosen;
}

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_SMOOTH_TURN_H_
