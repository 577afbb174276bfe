#include "sidecar/idempotency/saved_answer.h"

#include <algorithm>
#include <cstring>

namespace pillion::idempotency {
namespace {

struct Lengths {
  uint32_t name = 0;
  uint32_t value = 0;
};

// Of a head that is no longer than most; a longer one is put together on the heap.
constexpr size_t kUsualHead = 2048;

size_t MostBytes(const http::HeaderList& fields) {
  return fields.text_bytes() + fields.size() * sizeof(Lengths);
}

// What stands behind it.
char* Write(const http::HeaderList::Field& field, char* out) {
  const Lengths lengths{static_cast<uint32_t>(field.name.size()), static_cast<uint32_t>(field.value.size())};
  std::memcpy(out, &lengths, sizeof(lengths));
  out = std::ranges::copy(field.name, out + sizeof(lengths)).out;
  return std::ranges::copy(field.value, out).out;
}

}  // namespace

std::shared_ptr<const SavedAnswer> SavedAnswer::Of(uint16_t status, const http::HeaderList& head, Keeps keeps,
                                                   const SliceQueue& content,
                                                   const http::HeaderList* trailers,
                                                   const Execution& execution) {
  std::array<char, kUsualHead> usual;
  std::string large;
  char* begin = usual.data();
  if (const size_t most = MostBytes(head) + (trailers == nullptr ? 0 : MostBytes(*trailers));
      most > usual.size()) {
    large.resize(most);
    begin = large.data();
  }
  auto answer = std::make_shared<SavedAnswer>();
  answer->status_ = status;
  answer->execution_ = execution;
  answer->has_trailers_ = trailers != nullptr;
  char* out = begin;
  for (size_t i = 0; i < head.size(); ++i) {
    if (const auto field = head[i]; keeps(field)) out = Write(field, out);
  }
  answer->trailers_at_ = static_cast<uint32_t>(out - begin);
  for (size_t i = 0; trailers != nullptr && i < trailers->size(); ++i) out = Write((*trailers)[i], out);
  const auto fields = static_cast<size_t>(out - begin);
  answer->content_at_ = static_cast<uint32_t>(fields);
  // No more than it needs.
  answer->text_.reserve(fields + content.bytes());
  answer->text_.append(begin, fields);
  content.ForEach([&](std::string_view piece) { answer->text_.append(piece); });
  return answer;
}

void SavedAnswer::AddTo(http::HeaderList& out, size_t from, size_t to) const {
  const std::string_view text(text_);
  while (from < to) {
    Lengths lengths;
    std::memcpy(&lengths, text.data() + from, sizeof(lengths));
    from += sizeof(lengths);
    out.Add(text.substr(from, lengths.name), text.substr(from + lengths.name, lengths.value));
    from += size_t{lengths.name} + lengths.value;
  }
}

}  // namespace pillion::idempotency
