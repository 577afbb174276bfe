// Values by text, found by what another text begins or ends with. Immutable use from any thread.
#ifndef PILLION_SIDECAR_ROUTE_BY_LENGTH_H_
#define PILLION_SIDECAR_ROUTE_BY_LENGTH_H_

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"

namespace pillion::route {

// One look-up for each length that keys have, whatever their number; where no key of that length ends
// (begins, for suffixes) with the byte that stands there, none. Keys are views: the texts outlive it.
template <typename Value>
class ByLength {
 public:
  // Made when it is not there.
  Value& operator[](std::string_view key) {
    auto at = std::lower_bound(lengths_.begin(), lengths_.end(), key.size(),
                               [](const Length& one, size_t size) { return one.bytes > size; });
    if (at == lengths_.end() || at->bytes != key.size()) at = lengths_.insert(at, Length{key.size(), {}, {}});
    if (!key.empty()) {
      at->first.set(static_cast<unsigned char>(key.front()));
      at->last.set(static_cast<unsigned char>(key.back()));
    }
    return values_[key];
  }
  bool empty() const { return values_.empty(); }

  // Calls `take` with the value of each key that `text` begins with (itself included), and after which
  // `ends_there(length)` is true, longest first, until it answers true.
  template <typename EndsThere, typename Take>
  void VisitPrefixesOf(std::string_view text, EndsThere ends_there, Take take) const {
    for (const Length& length : lengths_) {
      if (length.bytes > text.size()) continue;
      const std::string_view key = text.substr(0, length.bytes);
      if (!key.empty() && !length.last.test(static_cast<unsigned char>(key.back()))) continue;
      if (ends_there(length.bytes) && TakeOne(key, take)) return;
    }
  }
  // Likewise with what it ends with.
  template <typename Take>
  void VisitSuffixesOf(std::string_view text, Take take) const {
    for (const Length& length : lengths_) {
      if (length.bytes > text.size()) continue;
      const std::string_view key = text.substr(text.size() - length.bytes);
      if (!key.empty() && !length.first.test(static_cast<unsigned char>(key.front()))) continue;
      if (TakeOne(key, take)) return;
    }
  }

 private:
  struct Length {
    size_t bytes;
    std::bitset<256> first;  // bytes that keys begin with
    std::bitset<256> last;
  };

  template <typename Take>
  bool TakeOne(std::string_view key, Take& take) const {
    const auto found = values_.find(key);
    return found != values_.end() && take(found->second);
  }

  absl::flat_hash_map<std::string_view, Value> values_;
  std::vector<Length> lengths_;  // longest first
};

}  // namespace pillion::route

#endif  // PILLION_SIDECAR_ROUTE_BY_LENGTH_H_
