#include "sidecar/config/document/suggest.h"

#include <algorithm>
#include <numeric>

#include "sidecar/base/text.h"

namespace pillion::config {
namespace {

// Names longer than this are not compared: the comparison is quadratic, and what it is for is a typing error.
constexpr size_t kMaxCompared = 64;

std::string Bare(std::string_view name) {
  std::string bare;
  for (const char c : name) {
    if (c != '_') bare.push_back(AsciiLower(c));
  }
  return bare;
}

// Insertions, deletions, replacements and swaps of neighbours that turn one into the other.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), row(b.size() + 1), next(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    next[0] = i;
    for (size_t k = 1; k <= b.size(); ++k) {
      const size_t replaced = row[k - 1] + (a[i - 1] == b[k - 1] ? 0 : 1);
      next[k] = std::min({row[k] + 1, next[k - 1] + 1, replaced});
      const bool swapped = i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1];
      if (swapped) next[k] = std::min(next[k], before[k - 2] + 1);
    }
    before.swap(row);
    row.swap(next);
  }
  return row[b.size()];
}

}  // namespace

std::optional<std::string> ClosestName(std::string_view name, const std::vector<std::string>& known) {
  if (name.size() > kMaxCompared) return std::nullopt;
  const std::string bare = Bare(name);
  std::optional<std::string> closest;
  size_t best = std::max<size_t>(1, bare.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const size_t distance = Distance(bare, Bare(candidate));
    if (distance < best) {
      best = distance;
      closest = candidate;
    }
  }
  return closest;
}

std::string DidYouMean(std::string_view name, const std::vector<std::string>& known) {
  const auto closest = ClosestName(name, known);
  return closest ? " (did you mean " + *closest + "?)" : "";
}

std::string SnakeCase(std::string_view name) {
  std::string snake;
  for (const char c : name) {
    if (c >= 'A' && c <= 'Z') snake.push_back('_');
    snake.push_back(AsciiLower(c));
  }
  return snake;
}

}  // namespace pillion::config
