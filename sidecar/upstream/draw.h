// Draws among candidates by their weights, for balancers. Pure.
#ifndef PILLION_SIDECAR_UPSTREAM_DRAW_H_
#define PILLION_SIDECAR_UPSTREAM_DRAW_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "sidecar/base/random.h"

namespace pillion::upstream {

// `sums`: of the weights up to and with each.
inline uint64_t WeightAt(std::span<const uint64_t> sums, size_t i) {
  return sums[i] - (i == 0 ? 0 : sums[i - 1]);
}

// One of those of whom may(i) is true, by its share of their weights; nullopt when there is none. O(log n)
// while most may.
template <typename May>
std::optional<size_t> Draw(std::span<const uint64_t> sums, May may, Random& random) {
  constexpr int kTries = 16;
  if (sums.empty() || sums.back() == 0) return std::nullopt;
  for (int tries = 0; tries < kTries; ++tries) {
    const auto found = std::ranges::upper_bound(sums, Below(random.Next(), sums.back()));
    const auto drawn = static_cast<size_t>(found - sums.begin());
    if (may(drawn)) return drawn;
  }
  uint64_t total = 0;
  for (size_t i = 0; i < sums.size(); ++i) total += may(i) ? WeightAt(sums, i) : 0;
  if (total == 0) return std::nullopt;
  uint64_t point = Below(random.Next(), total);
  for (size_t i = 0; i < sums.size(); ++i) {
    if (!may(i)) continue;
    if (point < WeightAt(sums, i)) return i;
    point -= WeightAt(sums, i);
  }
  return std::nullopt;
}

// Of so many draws the one with the least load for its weight, the first drawn of those with the same: an
// idle cluster is drawn from by weight, and a busy one does not gather at its fastest (Mitzenmacher 2001, the
// power of two choices).
template <typename May, typename LoadOf>
std::optional<size_t> DrawLeast(std::span<const uint64_t> sums, uint32_t choices, May may, LoadOf load,
                                Random& random) {
  std::optional<size_t> best = Draw(sums, may, random);
  if (!best) return best;
  for (uint32_t choice = 1; choice < choices; ++choice) {
    const auto other = Draw(sums, [&](size_t i) { return i != *best && may(i); }, random);
    if (!other) return best;
    const auto own = static_cast<unsigned __int128>(load(*best)) * WeightAt(sums, *other);
    if (static_cast<unsigned __int128>(load(*other)) * WeightAt(sums, *best) < own) best = other;
  }
  return best;
}

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_DRAW_H_
