// Where the answers of a batch of records stand: behind each other in pages, those of about one size
// together, so that memory comes back when the largest are let go of; and all of it with the batch.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_ANSWER_PAGES_H_
#define PILLION_SIDECAR_IDEMPOTENCY_ANSWER_PAGES_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sidecar/idempotency/saved_answer.h"

namespace pillion::idempotency {

// Pages that nobody uses, for those of one slab. Not locked.
class SparePages {
 public:
  SparePages() = default;
  ~SparePages();
  SparePages(const SparePages&) = delete;
  SparePages& operator=(const SparePages&) = delete;
  // Of kPageBytes.
  SavedAnswer::Page* Take();
  // One that nobody else has, or can come to have.
  void Keep(SavedAnswer::Page* page);

  static constexpr size_t kPageBytes = size_t{16} * 1024;

 private:
  // What stays here is counted nowhere.
  static constexpr size_t kMost = 8;
  std::vector<SavedAnswer::Page*> pages_;
};

// Not locked. What was shared (Share) lives on.
class AnswerPages {
 public:
  explicit AnswerPages(SparePages& spare) : spare_(spare) {}
  ~AnswerPages() { Clear(); }
  AnswerPages(const AnswerPages&) = delete;
  AnswerPages& operator=(const AnswerPages&) = delete;

  // One that is kept, or none.
  struct Kept {
    const char* at = nullptr;
    uint32_t bytes = 0;
    uint32_t page = 0;
    explicit operator bool() const { return at != nullptr; }
  };
  Kept Keep(std::string_view written);
  // Nobody asks for it any more.
  void Drop(const Kept& kept);
  SavedAnswer Share(const Kept& kept) const;
  // All are dropped.
  void Clear();

 private:
  static constexpr size_t kPageBytes = SparePages::kPageBytes;
  // Sizes up to 256, 512 ... 4096 bytes; what is larger has a page of its own.
  static constexpr size_t kClasses = 5;
  static constexpr size_t kSmallest = 256;
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Own {
    SavedAnswer::Page* page;  // null: it is given up
    uint32_t kept;            // answers in it
  };
  struct Open {
    uint32_t page = kNone;
    size_t capacity = 0;  // of the last one
  };
  uint32_t AddPage(size_t capacity);

  SparePages& spare_;
  std::vector<Own> pages_;
  std::array<Open, kClasses> open_;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_ANSWER_PAGES_H_
