#include "sidecar/stream/holder.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace pillion::stream {

size_t GiveUpLargest(const std::vector<Holder*>& holders, Turn& turn) {
  std::vector<std::pair<size_t, Holder*>> by_size;
  size_t all = 0;
  for (Holder* const one : holders) {
    const size_t held = one->HeldBytes();
    if (held == 0) continue;
    by_size.emplace_back(held, one);
    all += held;
  }
  std::sort(by_size.begin(), by_size.end(), std::greater<>());
  size_t freed = 0;
  size_t count = 0;
  for (const auto& [held, holder] : by_size) {
    if (freed * 2 >= all) break;
    holder->GiveUp({ErrorKind::kPressure, Side::kLocal, Outcome::kAmbiguous, "memory is short"});
    turn.WakeFirst(*holder);
    freed += held;
    ++count;
  }
  return count;
}

}  // namespace pillion::stream
