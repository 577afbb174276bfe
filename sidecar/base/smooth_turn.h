// Smooth weighted round robin (as nginx does it): each candidate's credit grows by its weight, who has the
// most takes the turn and pays the total. Pure.
#ifndef PILLION_SIDECAR_BASE_SMOOTH_TURN_H_
#define PILLION_SIDECAR_BASE_SMOOTH_TURN_H_

#include <cstddef>
#include <cstdint>
#include <optional>

namespace pillion {

// Whose turn it is among `count`, the first of those with the most; nullopt when `may(i)` is true of none.
// `weight(i)` adds up to `total`; `credit(i)` is an int64_t& that begins as 0 and is kept between turns.
template <typename Weight, typename Credit, typename May>
std::optional<size_t> TakeSmoothTurn(size_t count, int64_t total, Weight weight, Credit credit, May may) {
  std::optional<size_t> chosen;
  for (size_t i = 0; i < count; ++i) {
    credit(i) += weight(i);
    if (may(i) && (!chosen || credit(i) > credit(*chosen))) chosen = i;
  }
  if (chosen) credit(*chosen) -= total;
  return chosen;
}

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_SMOOTH_TURN_H_
