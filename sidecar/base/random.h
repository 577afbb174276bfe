// A fast generator (xoshiro256**, Blackman and Vigna 2018) for sampling, jitter and ids: not for secrets.
// Seeded by its owner, so that simulations repeat. One thread.
#ifndef PILLION_SIDECAR_BASE_RANDOM_H_
#define PILLION_SIDECAR_BASE_RANDOM_H_

#include <array>
#include <bit>
#include <cstdint>

namespace pillion {

// Of a draw that is uniform over all 64-bit values, one that is so over [0, bound), without a division
// (Lemire 2019; the bias is less than bound / 2^64).
inline uint64_t Below(uint64_t draw, uint64_t bound) {
  return static_cast<uint64_t>((static_cast<unsigned __int128>(draw) * bound) >> 64);
}

class Random {
 public:
  explicit Random(uint64_t seed) {
    for (uint64_t& word : state_) {  // splitmix64 spreads any seed
      seed += 0x9E3779B97F4A7C15u;
      uint64_t z = seed;
      z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
      z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
      word = z ^ (z >> 31);
    }
  }
  // Uniform over all 64-bit values.
  uint64_t Next() {
    const uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }
  // True with probability `percent` / 100.
  bool Percent(double percent) { return static_cast<double>(Next() >> 11) * 0x1.0p-53 * 100.0 < percent; }

 private:
  std::array<uint64_t, 4> state_;
};

// A duration from 0 to `most`, which is not negative.
template <typename Duration>
Duration DrawUpTo(Duration most, Random& random) {
  const auto bound = static_cast<uint64_t>(most.count()) + 1;
  return Duration(static_cast<typename Duration::rep>(Below(random.Next(), bound)));
}

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_RANDOM_H_
