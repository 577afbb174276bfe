#include "sidecar/idempotency/saved_answer.h"

#include <cstring>

namespace pillion::idempotency {
namespace {

struct Lengths {
  uint32_t name = 0;
  uint32_t value = 0;
};

size_t BytesOf(const http::HeaderList::Field& field) {
  return sizeof(Lengths) + field.name.size() + field.value.size();
}

}  // namespace

std::shared_ptr<const SavedAnswer> SavedAnswer::Of(uint16_t status, const http::HeaderList& head, Keeps keeps,
                                                   const SliceQueue& content,
                                                   const http::HeaderList* trailers,
                                                   const Execution& execution) {
  auto answer = std::make_shared<SavedAnswer>();
  answer->status_ = status;
  answer->execution_ = execution;
  answer->has_trailers_ = trailers != nullptr;
  size_t bytes = content.bytes();
  for (size_t i = 0; i < head.size(); ++i) bytes += keeps(head[i]) ? BytesOf(head[i]) : 0;
  for (size_t i = 0; trailers != nullptr && i < trailers->size(); ++i) bytes += BytesOf((*trailers)[i]);
  std::string& text = answer->text_;
  text.reserve(bytes);
  for (size_t i = 0; i < head.size(); ++i) {
    if (keeps(head[i])) answer->Append(head[i]);
  }
  answer->trailers_at_ = static_cast<uint32_t>(text.size());
  for (size_t i = 0; trailers != nullptr && i < trailers->size(); ++i) answer->Append((*trailers)[i]);
  answer->content_at_ = static_cast<uint32_t>(text.size());
  content.ForEach([&](std::string_view piece) { text.append(piece); });
  return answer;
}

void SavedAnswer::Append(const http::HeaderList::Field& field) {
  const Lengths lengths{static_cast<uint32_t>(field.name.size()), static_cast<uint32_t>(field.value.size())};
  text_.append(reinterpret_cast<const char*>(&lengths), sizeof(lengths));
  text_.append(field.name);
  text_.append(field.value);
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
