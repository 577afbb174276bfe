// What an app answered a request that had a token, as its duplicates are told it again.
//
//   Written | status ... | fields of the head | fields of the trailers | content |     one text
//
// each field as its two lengths, its name and its value.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SAVED_ANSWER_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SAVED_ANSWER_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "sidecar/base/slice.h"
#include "sidecar/http/header_list.h"
#include "sidecar/idempotency/terms.h"

namespace pillion::idempotency {

// That was answered.
struct ExecutionSpan {
  DomainTime at{};  // when it began
  // Its span, where it was traced.
  std::array<uint8_t, 16> trace{};
  std::array<uint8_t, 8> span{};
};

// True: the field is told again.
using KeepsField = bool (*)(const http::HeaderList::Field& field);
// What `out` held before is dropped, and its memory used again. `trailers` null: there are none, not even
// empty ones.
void WriteAnswer(uint16_t status, const http::HeaderList& head, KeepsField keeps, const SliceQueue& content,
                 const http::HeaderList* trailers, const ExecutionSpan& execution, std::string& out);

// One that is kept, or none. A value, whose copies share what they say; never changed: any thread may read
// it.
class SavedAnswer {
 public:
  SavedAnswer() = default;
  // In memory of its own. `written`: by WriteAnswer.
  explicit SavedAnswer(std::string_view written);
  SavedAnswer(const SavedAnswer& other) : page_(other.page_), at_(other.at_) { Retain(); }
  SavedAnswer(SavedAnswer&& other) noexcept
      : page_(std::exchange(other.page_, nullptr)), at_(std::exchange(other.at_, nullptr)) {}
  SavedAnswer& operator=(SavedAnswer other) noexcept {
    std::swap(page_, other.page_);
    std::swap(at_, other.at_);
    return *this;
  }
  ~SavedAnswer() {
    if (page_ != nullptr) page_->Release();
  }
  explicit operator bool() const { return page_ != nullptr; }

  uint16_t status() const { return start().status; }
  const ExecutionSpan& execution() const { return start().execution; }
  void AddHeadTo(http::HeaderList& out) const { AddTo(out, sizeof(Start), start().trailers_at); }
  bool has_trailers() const { return start().has_trailers; }
  void AddTrailersTo(http::HeaderList& out) const { AddTo(out, start().trailers_at, start().content_at); }
  std::string_view content() const { return written().substr(start().content_at); }
  // As WriteAnswer wrote it.
  std::string_view written() const { return {at_, start().bytes}; }
  // 0: there is none.
  size_t bytes() const { return page_ == nullptr ? 0 : start().bytes; }

 private:
  friend class AnswerPages;
  friend class SparePages;
  friend void WriteAnswer(uint16_t, const http::HeaderList&, KeepsField, const SliceQueue&,
                          const http::HeaderList*, const ExecutionSpan&, std::string&);
  // Counted by its answers, and by who still adds to it. What stands behind it begins where an answer may.
  struct alignas(8) Page {
    std::atomic<uint32_t> users{1};
    uint32_t capacity = 0;
    uint32_t used = 0;  // who adds to it alone
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
    static Page* New(size_t capacity);
    void Release() {
      if (users.fetch_sub(1, std::memory_order_acq_rel) == 1) ::operator delete(this);
    }
  };
  struct Start {
    ExecutionSpan execution;
    uint32_t trailers_at = 0;
    uint32_t content_at = 0;
    uint32_t bytes = 0;  // all of it
    uint16_t status = 200;
    bool has_trailers = false;
  };
  SavedAnswer(Page* page, const char* at) : page_(page), at_(at) {}
  const Start& start() const { return *reinterpret_cast<const Start*>(at_); }
  void Retain() const {
    if (page_ != nullptr) page_->users.fetch_add(1, std::memory_order_relaxed);
  }
  void AddTo(http::HeaderList& out, size_t from, size_t to) const;

  Page* page_ = nullptr;
  const char* at_ = nullptr;

 public:
  // Of each, beside its fields and content.
  static constexpr size_t kOwnBytes = sizeof(Start);
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SAVED_ANSWER_H_
