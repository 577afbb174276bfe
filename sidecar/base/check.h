// PILLION_CHECK: our own bug that could corrupt memory; always on, prints where and aborts (STYLE.md R9).
// Never for what a peer or an operator did.
#ifndef PILLION_SIDECAR_BASE_CHECK_H_
#define PILLION_SIDECAR_BASE_CHECK_H_

#include <cstdio>
#include <cstdlib>

namespace pillion {
[[noreturn]] inline void CheckFailed(const char* what, const char* file, int line) {
  std::fprintf(stderr, "pillion: check failed: %s at %s:%d\n", what, file, line);
  std::abort();
}
}  // namespace pillion

#define PILLION_CHECK(condition)                              \
  do {                                                        \
    if (!(condition)) [[unlikely]]                            \
      ::pillion::CheckFailed(#condition, __FILE__, __LINE__); \
  } while (false)

#endif  // PILLION_SIDECAR_BASE_CHECK_H_
