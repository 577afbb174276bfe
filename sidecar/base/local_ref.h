// A reference count for objects of one thread: a plain integer, no atomic operation.
// Exchanges pin the route table and cluster they use this way, so a swap costs no shared write per request.
#ifndef PILLION_SIDECAR_BASE_LOCAL_REF_H_
#define PILLION_SIDECAR_BASE_LOCAL_REF_H_

#include <cstdint>
#include <utility>

namespace pillion {

class LocalCounted {
 public:
  LocalCounted() = default;
  LocalCounted(const LocalCounted&) = delete;
  LocalCounted& operator=(const LocalCounted&) = delete;

 private:
  template <typename T>
  friend class LocalRef;
  uint32_t local_refs_ = 0;
};

// T derives from LocalCounted and is made with `new`; the last reference deletes it.
template <typename T>
class LocalRef {
 public:
  LocalRef() = default;
  explicit LocalRef(T* object) : object_(object) { Retain(); }
  LocalRef(const LocalRef& other) : object_(other.object_) { Retain(); }
  LocalRef(LocalRef&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  LocalRef& operator=(LocalRef other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~LocalRef() { Release(); }
  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }
  void Reset() {
    Release();
    object_ = nullptr;
  }

 private:
  void Retain() {
    if (object_ != nullptr) ++object_->LocalCounted::local_refs_;
  }
  void Release() {
    if (object_ != nullptr && --object_->LocalCounted::local_refs_ == 0) delete object_;
  }
  T* object_ = nullptr;
};

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_LOCAL_REF_H_
