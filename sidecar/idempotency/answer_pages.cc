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

SparePages::~SparePages() {
  for (SavedAnswer::Page* const page : pages_) page->Release();
}

SavedAnswer::Page* SparePages::Take() {
  if (pages_.empty()) return SavedAnswer::Page::New(kPageBytes);
  SavedAnswer::Page* const page = pages_.back();
  pages_.pop_back();
  return page;
}

void SparePages::Keep(SavedAnswer::Page* page) {
  if (pages_.size() == kMost) return page->Release();
  page->used = 0;
  pages_.push_back(page);
}

void AnswerPages::Clear() {
  for (const Own& own : pages_) {
    if (own.page == nullptr) continue;
    const bool alone = own.page->users.load(std::memory_order_acquire) == 1;
    if (alone && own.page->capacity == kPageBytes) {
      spare_.Keep(own.page);
    } else {
      own.page->Release();
    }
  }
  pages_.clear();
  open_ = {};
}

uint32_t AnswerPages::AddPage(size_t capacity) {
  pages_.push_back({capacity == kPageBytes ? spare_.Take() : SavedAnswer::Page::New(capacity), 0});
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
      // What no answer takes of it is counted nowhere, and is no more than what they take.
      open.capacity = std::clamp(2 * open.capacity, std::min(2 * bytes, kPageBytes), kPageBytes);
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
