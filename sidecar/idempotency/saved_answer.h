// What an app answered a request that had a token, as its duplicates are told it again. Made once and never
// changed: any thread may read it. All of it stands in one text, for a table holds hundreds of thousands:
//
//   fields of the head | fields of the trailers | content
//
// each field as its two lengths, its name and its value.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SAVED_ANSWER_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SAVED_ANSWER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "sidecar/base/slice.h"
#include "sidecar/http/header_list.h"
#include "sidecar/idempotency/terms.h"

namespace pillion::idempotency {

// That was answered.
struct Execution {
  DomainTime at{};  // when it began
  // Its span, where it was traced.
  std::array<uint8_t, 16> trace{};
  std::array<uint8_t, 8> span{};
};

class SavedAnswer {
 public:
  // True: the field is told again.
  using Keeps = bool (*)(const http::HeaderList::Field& field);
  // `trailers` null: there are none, not even empty ones.
  static std::shared_ptr<const SavedAnswer> Of(uint16_t status, const http::HeaderList& head, Keeps keeps,
                                               const SliceQueue& content, const http::HeaderList* trailers,
                                               const Execution& execution);

  uint16_t status() const { return status_; }
  const Execution& execution() const { return execution_; }
  void AddHeadTo(http::HeaderList& out) const { AddTo(out, 0, trailers_at_); }
  bool has_trailers() const { return has_trailers_; }
  void AddTrailersTo(http::HeaderList& out) const { AddTo(out, trailers_at_, content_at_); }
  std::string_view content() const { return std::string_view(text_).substr(content_at_); }
  // Held.
  size_t Bytes() const { return sizeof(SavedAnswer) + text_.size(); }

 private:
  void AddTo(http::HeaderList& out, size_t from, size_t to) const;

  Execution execution_;
  std::string text_;
  uint32_t trailers_at_ = 0;
  uint32_t content_at_ = 0;
  uint16_t status_ = 200;
  bool has_trailers_ = false;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SAVED_ANSWER_H_
