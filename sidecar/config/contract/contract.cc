#include "sidecar/config/contract/contract.h"

#include <algorithm>
#include <iterator>
#include <ranges>

namespace pillion::config::contract {
namespace {

struct Row {
  std::string_view message;
  std::string_view field;
  int number;
};

// Sorted by message, in byte order.
constexpr Row kRows[] = {
#include "sidecar/config/contract/rows.inc"
};

static_assert(std::ranges::is_sorted(kRows, {}, &Row::message), "look-up is a binary search");

auto RowsOf(std::string_view message) { return std::ranges::equal_range(kRows, message, {}, &Row::message); }

}  // namespace

std::optional<std::string_view> FieldName(std::string_view message, int number) {
  const auto rows = RowsOf(message);
  const auto it = std::ranges::find(rows, number, &Row::number);
  if (it == rows.end()) return std::nullopt;
  return it->field;
}

std::optional<int> FieldNumber(std::string_view message, std::string_view field) {
  const auto rows = RowsOf(message);
  const auto it = std::ranges::find(rows, field, &Row::field);
  if (it == rows.end()) return std::nullopt;
  return it->number;
}

bool HasMessage(std::string_view message) { return !RowsOf(message).empty(); }

}  // namespace pillion::config::contract
