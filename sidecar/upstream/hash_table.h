// Which endpoint serves a hash, so that it stays the same one while others come and go: a ring of places
// (Karger et al. 1997; each endpoint has as many as its weight asks for), or Maglev's table (Eisenbud et al.,
// NSDI 2016, section 3.4; each has its share within one entry, and most keys stay when one goes). Pure.
#ifndef PILLION_SIDECAR_UPSTREAM_HASH_TABLE_H_
#define PILLION_SIDECAR_UPSTREAM_HASH_TABLE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pillion::upstream {

// xxHash64 (Collet), of which Envoy and gRPC make their tables too: the same endpoints are at the same
// places.
uint64_t HashOf(std::string_view text, uint64_t seed = 0);

// Two keys of one request; the order of a route's hash policies counts.
inline uint64_t MixHashes(uint64_t before, uint64_t more) { return ((before << 1) | (before >> 63)) ^ more; }

class HashTable {
 public:
  struct Member {
    std::string key;  // each once
    uint64_t weight;  // at least 1
  };

  static HashTable Ring(std::span<const Member> members, uint32_t least, uint32_t most);
  // `size`: a prime, larger than the number of members.
  static HashTable Maglev(std::span<const Member> members, uint32_t size);

  bool empty() const { return owners_.empty(); }
  size_t size() const { return owners_.size(); }
  uint32_t owner(size_t place) const { return owners_[place]; }

  // The number of the member at the hash's place, or at the next ones, of whom may(i) is true; nullopt: of
  // none.
  template <typename May>
  std::optional<size_t> Find(uint64_t hash, May may) const {
    if (owners_.empty()) return std::nullopt;
    size_t place = 0;
    if (places_.empty()) {
      place = hash % owners_.size();
    } else {
      const auto found = std::ranges::lower_bound(places_, hash);
      place = found == places_.end() ? 0 : static_cast<size_t>(found - places_.begin());
    }
    std::optional<uint32_t> refused;  // the last: neighbours are often the same
    for (size_t i = 0; i < owners_.size(); ++i) {
      const uint32_t one = owners_[place];
      if (one != refused) {
        if (may(size_t{one})) return one;
        refused = one;
      }
      if (++place == owners_.size()) place = 0;
    }
    return std::nullopt;
  }

 private:
  std::vector<uint64_t> places_;  // of a ring: ascending, where each begins
  std::vector<uint32_t> owners_;  // by place
};

}  // namespace pillion::upstream

#endif  // PILLION_SIDECAR_UPSTREAM_HASH_TABLE_H_
