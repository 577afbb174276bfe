#include "sidecar/idempotency/saved_answer.h"

#include <cstring>
#include <new>

namespace pillion::idempotency {
namespace {

struct Lengths {
  uint32_t name = 0;
  uint32_t value = 0;
};

char* Put(std::string_view text, char* out) {
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

char* Put(const http::HeaderList::Field& field, char* out) {
  const Lengths lengths{static_cast<uint32_t>(field.name.size()), static_cast<uint32_t>(field.value.size())};
  std::memcpy(out, &lengths, sizeof(lengths));
  return Put(field.value, Put(field.name, out + sizeof(lengths)));
}

// At most.
size_t BytesOf(const http::HeaderList* fields) {
  return fields == nullptr ? 0 : fields->text_bytes() + fields->size() * sizeof(Lengths);
}

}  // namespace

void WriteAnswer(uint16_t status, const http::HeaderList& head, KeepsField keeps, const SliceQueue& content,
                 const http::HeaderList* trailers, const ExecutionSpan& execution, std::string& out) {
  using Start = SavedAnswer::Start;
  const size_t most = sizeof(Start) + BytesOf(&head) + BytesOf(trailers) + content.bytes();
  if (out.size() < most) out.resize(most);
  char* const begin = out.data();
  char* end = begin + sizeof(Start);
  const auto here = [&] { return static_cast<uint32_t>(end - begin); };
  for (size_t i = 0; i < head.size(); ++i) {
    if (const auto field = head[i]; keeps(field)) end = Put(field, end);
  }
  Start start{.execution = execution, .status = status, .has_trailers = trailers != nullptr};
  start.trailers_at = here();
  for (size_t i = 0; trailers != nullptr && i < trailers->size(); ++i) end = Put((*trailers)[i], end);
  start.content_at = here();
  content.ForEach([&](std::string_view piece) { end = Put(piece, end); });
  start.bytes = here();
  std::memcpy(begin, &start, sizeof(start));
  out.resize(start.bytes);
}

SavedAnswer::Page* SavedAnswer::Page::New(size_t capacity) {
  auto* const page = new (::operator new(sizeof(Page) + capacity)) Page;
  page->capacity = static_cast<uint32_t>(capacity);
  return page;
}

SavedAnswer::SavedAnswer(std::string_view written) : page_(Page::New(written.size())), at_(page_->bytes()) {
  Put(written, page_->bytes());
}

void SavedAnswer::AddTo(http::HeaderList& out, size_t from, size_t to) const {
  const std::string_view text = written();
  while (from < to) {
    Lengths lengths;
    std::memcpy(&lengths, text.data() + from, sizeof(lengths));
    from += sizeof(lengths);
    out.Add(text.substr(from, lengths.name), text.substr(from + lengths.name, lengths.value));
    from += size_t{lengths.name} + lengths.value;
  }
}

}  // namespace pillion::idempotency
