// Memory of objects that live as long as one request: kept per thread and type, so that a turn that ends a
// hundred of them and begins a hundred new ones does not go through the general allocator.
//
//   class Exchange : public ..., public Recycled<Exchange> { ... };      // new and delete as ever
//
// A subclass of another size uses the general allocator.
#ifndef PILLION_SIDECAR_BASE_RECYCLED_H_
#define PILLION_SIDECAR_BASE_RECYCLED_H_

#include <cstddef>
#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PILLION_RECYCLES 0  // it must see each end of life
#endif
#endif
#ifndef PILLION_RECYCLES
#define PILLION_RECYCLES 1
#endif

namespace pillion {

// A stack of free memory of one size. The memory itself holds the links.
class FreeMemory {
 public:
  // A burst must not be paid for in memory for ever: more than `max_kept` pieces are not kept.
  explicit FreeMemory(size_t max_kept) : max_kept_(max_kept) {}
  ~FreeMemory() {
    while (top_ != nullptr) ::operator delete(Take());
  }
  FreeMemory(const FreeMemory&) = delete;
  FreeMemory& operator=(const FreeMemory&) = delete;
  // Null when there is none.
  void* Take() {
    if (top_ == nullptr) return nullptr;
    Link* const link = top_;
    top_ = link->next;
    --count_;
    return link;
  }
  // False: it is full, free the memory.
  bool Keep(void* memory) {
    if (count_ == max_kept_) return false;
    top_ = new (memory) Link{top_};
    ++count_;
    return true;
  }

 private:
  struct Link {
    Link* next;
  };
  const size_t max_kept_;
  Link* top_ = nullptr;
  size_t count_ = 0;
};

template <typename T>
class Recycled {
 public:
  static void* operator new(size_t size) {
    if (PILLION_RECYCLES != 0 && size == sizeof(T)) {
      if (void* const memory = free_.Take()) return memory;
    }
    return ::operator new(size);
  }
  static void operator delete(void* memory, size_t size) {
    if (PILLION_RECYCLES != 0 && size == sizeof(T) && free_.Keep(memory)) return;
    ::operator delete(memory);
  }

 private:
  friend T;
  Recycled() = default;
  static constexpr size_t kMaxKept = 256;
  static thread_local FreeMemory free_;
};

template <typename T>
thread_local FreeMemory Recycled<T>::free_{kMaxKept};

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_RECYCLED_H_
