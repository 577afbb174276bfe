// What a configuration file can make us hold or do, by name (STYLE.md R11). Files come from operators, and a
// control plane's files from tenants.
#ifndef PILLION_SIDECAR_CONFIG_DOCUMENT_LIMITS_H_
#define PILLION_SIDECAR_CONFIG_DOCUMENT_LIMITS_H_

#include <cstddef>

namespace pillion::config {

// Bytes of one file. Attack: a file that takes minutes (the YAML parser does 5 MB/s).
inline constexpr size_t kMaxDocumentBytes = 16u << 20;
// Levels of lists and maps. Attack: recursion until the stack ends; an alias that contains itself.
inline constexpr int kMaxDocumentDepth = 100;
// Scalars, lists and maps visited in one document. Attack: aliases of aliases (a few lines, 10^9 values).
inline constexpr size_t kMaxDocumentValues = 500'000;
// Errors listed for one document; more help nobody.
inline constexpr size_t kMaxDocumentErrors = 100;

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_DOCUMENT_LIMITS_H_
