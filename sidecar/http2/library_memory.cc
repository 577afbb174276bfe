#include "sidecar/http2/library_memory.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <new>

#include "sidecar/base/recycled.h"

namespace pillion::http2 {
namespace {

// Before each piece; as large as the strictest alignment.
struct alignas(std::max_align_t) Header {
  size_t capacity;
};

constexpr size_t kStep = 64;
constexpr size_t kClasses = 8;  // pieces of up to 512 bytes; larger ones are rare
constexpr size_t kMaxKept = 128;

struct Kept {
  // By capacity / kStep - 1.
  std::array<FreeMemory, kClasses> pieces = {FreeMemory(kMaxKept), FreeMemory(kMaxKept), FreeMemory(kMaxKept),
                                             FreeMemory(kMaxKept), FreeMemory(kMaxKept), FreeMemory(kMaxKept),
                                             FreeMemory(kMaxKept), FreeMemory(kMaxKept)};
};
thread_local Kept kept;

void* Allocate(size_t size, void*) {
  const size_t steps = std::max<size_t>(1, (size + kStep - 1) / kStep);
  void* memory = nullptr;
  size_t capacity = size;
  if (steps <= kClasses) {
    capacity = steps * kStep;
    memory = kept.pieces[steps - 1].Take();
  }
  if (memory == nullptr) memory = ::operator new(sizeof(Header) + capacity, std::nothrow);
  if (memory == nullptr) return nullptr;
  return new (memory) Header{capacity} + 1;
}

void Free(void* piece, void*) {
  if (piece == nullptr) return;
  Header* const header = static_cast<Header*>(piece) - 1;
  const size_t steps = header->capacity / kStep;
  if (header->capacity % kStep == 0 && steps >= 1 && steps <= kClasses && kept.pieces[steps - 1].Keep(header))
    return;
  ::operator delete(header);
}

void* AllocateZeroed(size_t count, size_t size, void* user) {
  if (size != 0 && count > SIZE_MAX / size) return nullptr;
  void* const piece = Allocate(count * size, user);
  if (piece != nullptr) std::memset(piece, 0, count * size);
  return piece;
}

void* Reallocate(void* piece, size_t size, void* user) {
  if (piece == nullptr) return Allocate(size, user);
  const size_t capacity = (static_cast<Header*>(piece) - 1)->capacity;
  if (size <= capacity) return piece;
  void* const larger = Allocate(size, user);
  if (larger == nullptr) return nullptr;
  std::memcpy(larger, piece, capacity);
  Free(piece, user);
  return larger;
}

}  // namespace

nghttp2_mem* LibraryMemory() {
  static nghttp2_mem functions = {nullptr, Allocate, Free, AllocateZeroed, Reallocate};
  return PILLION_RECYCLES != 0 ? &functions : nullptr;
}

}  // namespace pillion::http2
