#include "sidecar/upstream/hash_table.h"

#include <xxhash.h>

#include <cmath>
#include <numeric>

namespace pillion::upstream {

uint64_t HashOf(std::string_view text, uint64_t seed) { return XXH64(text.begin(), text.size(), seed); }

namespace {

// Of a whole number of places each member gets its share, all together `scale` for all weights: what one
// loses by rounding the next one gets.
std::vector<uint32_t> CountPlaces(std::span<const HashTable::Member> members, double scale) {
  const auto add = [](double sum, const HashTable::Member& one) {
    return sum + static_cast<double>(one.weight);
  };
  const double total = std::accumulate(members.begin(), members.end(), 0.0, add);
  std::vector<uint32_t> counts(members.size());
  double wanted = 0;
  uint64_t given = 0;
  for (size_t i = 0; i < members.size(); ++i) {
    wanted += scale * static_cast<double>(members[i].weight) / total;
    const auto upto = static_cast<uint64_t>(std::ceil(wanted - 1e-9));
    counts[i] = static_cast<uint32_t>(upto - given);
    given = upto;
  }
  return counts;
}

}  // namespace

HashTable HashTable::Ring(std::span<const Member> members, uint32_t least, uint32_t most) {
  HashTable table;
  if (members.empty()) return table;
  uint64_t total = 0;
  uint64_t lightest = UINT64_MAX;
  for (const Member& member : members) {
    total += member.weight;
    lightest = std::min(lightest, member.weight);
  }
  // A whole number of places for the lightest, as long as that is not too many.
  const double share = static_cast<double>(lightest) / static_cast<double>(total);
  const double scale = std::min(std::ceil(share * least) / share, static_cast<double>(most));
  const std::vector<uint32_t> counts = CountPlaces(members, scale);
  std::vector<std::pair<uint64_t, uint32_t>> places;
  places.reserve(static_cast<size_t>(scale) + members.size());
  std::string key;
  for (size_t i = 0; i < members.size(); ++i) {
    key = members[i].key + "_";
    const size_t stem = key.size();
    for (uint32_t k = 0; k < counts[i]; ++k) {
      key.resize(stem);
      key += std::to_string(k);
      places.emplace_back(HashOf(key), static_cast<uint32_t>(i));
    }
  }
  std::ranges::sort(places);
  table.places_.reserve(places.size());
  table.owners_.reserve(places.size());
  for (const auto& [place, owner] : places) {
    table.places_.push_back(place);
    table.owners_.push_back(owner);
  }
  return table;
}

HashTable HashTable::Maglev(std::span<const Member> members, uint32_t size) {
  HashTable table;
  if (members.empty()) return table;
  struct Seat {
    uint64_t next;  // where in the table it wants to be
    uint64_t skip;
    double due = 0;  // turns that its weight has earned
  };
  std::vector<Seat> seats;
  seats.reserve(members.size());
  uint64_t heaviest = 0;
  for (const Member& member : members) {
    seats.push_back({HashOf(member.key) % size, HashOf(member.key, 1) % (size - 1) + 1});
    heaviest = std::max(heaviest, member.weight);
  }
  constexpr uint32_t kFree = UINT32_MAX;
  table.owners_.assign(size, kFree);
  uint32_t filled = 0;
  while (filled < size) {
    for (uint32_t i = 0; i < seats.size() && filled < size; ++i) {
      Seat& seat = seats[i];
      seat.due += static_cast<double>(members[i].weight) / static_cast<double>(heaviest);
      if (seat.due < 1 - 1e-9) continue;  // its turn comes in a later round
      seat.due -= 1;
      while (table.owners_[seat.next] != kFree) seat.next = (seat.next + seat.skip) % size;
      table.owners_[seat.next] = i;
      ++filled;
    }
  }
  return table;
}

}  // namespace pillion::upstream
