#include "sidecar/idempotency/answer_pages.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace pillion::idempotency {
namespace {

// The next answer of a page begins where its numbers can be read.
constexpr size_t RoundUp(size_t bytes) { return (bytes + 7) / 8 * 8; }
constexpr size_t kLine = 64;  // of memory

}  // namespace

AnswerPages::~AnswerPages() {
  Clear();
  for (SavedAnswer::Page* const page : spare_) page->Release();
}

void AnswerPages::Clear() {
  constexpr size_t kMostSpare = 8;
  for (const Own& own : pages_) {
    if (own.page == nullptr) continue;
    // Nobody else has it, or can come to have it.
    const bool alone = own.page->users.load(std::memory_order_acquire) == 1;
    if (alone && own.page->capacity == kPageBytes && spare_.size() < kMostSpare) {
      own.page->used = 0;
      spare_.push_back(own.page);
    } else {
      own.page->Release();
    }
  }
  pages_.clear();
  open_ = {};
}

uint32_t AnswerPages::AddPage(size_t capacity) {
  SavedAnswer::Page* page = nullptr;
  if (capacity == kPageBytes && !spare_.empty()) {
    page = spare_.back();
    spare_.pop_back();
  } else {
    page = SavedAnswer::Page::New(capacity);
  }
  pages_.push_back({page, 0});
  return static_cast<uint32_t>(pages_.size() - 1);
}

AnswerPages::Kept AnswerPages::Keep(std::string_view written) {
  const size_t bytes = RoundUp(written.size());
  const auto number = static_cast<size_t>(std::bit_width((written.size() - 1) / kSmallest));
  uint32_t at = kNone;
  if (number >= kClasses) {
    at = AddPage(bytes);
  } else {
    Open& open = open_[number];
    if (open.page == kNone || pages_[open.page].page->capacity - pages_[open.page].page->used < bytes) {
      const size_t least = begins_ == Begins::kLarge ? kPageBytes : std::min(2 * bytes, kPageBytes);
      open.capacity = std::clamp(2 * open.capacity, least, kPageBytes);
      open.page = AddPage(open.capacity);
    }
    at = open.page;
  }
  Own& own = pages_[at];
  char* const begin = own.page->bytes() + own.page->used;
  std::memcpy(begin, written.data(), written.size());
  own.page->used += static_cast<uint32_t>(bytes);
  ++own.kept;
  // Where the next one of this size will stand, some time from now.
  const size_t ahead = std::min<size_t>(own.page->capacity - own.page->used, bytes + kLine);
  for (size_t i = 0; i < ahead; i += kLine) __builtin_prefetch(begin + bytes + i, 1);
  return {begin, static_cast<uint32_t>(written.size()), at};
}

void AnswerPages::Drop(const Kept& kept) {
  Own& own = pages_[kept.page];
  if (--own.kept > 0) return;
  // Also one that others could follow in: of each batch there are a few.
  const auto open = std::ranges::find(open_, kept.page, &Open::page);
  if (open != open_.end()) open->page = kNone;
  std::exchange(own.page, nullptr)->Release();
}

SavedAnswer AnswerPages::Share(const Kept& kept) const {
  SavedAnswer::Page* const page = pages_[kept.page].page;
  page->users.fetch_add(1, std::memory_order_relaxed);
  return SavedAnswer(page, kept.at);
}

}  // namespace pillion::idempotency
