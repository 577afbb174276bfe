// Objects of C libraries with owners: `std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>`.
#ifndef PILLION_SIDECAR_BASE_FREED_H_
#define PILLION_SIDECAR_BASE_FREED_H_

namespace pillion {

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* object) const {
    Free(object);
  }
};

}  // namespace pillion

#endif  // PILLION_SIDECAR_BASE_FREED_H_
