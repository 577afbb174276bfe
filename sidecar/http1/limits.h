// What an HTTP/1 peer can make us hold or do, by name (STYLE.md R11).
#ifndef PILLION_SIDECAR_HTTP1_LIMITS_H_
#define PILLION_SIDECAR_HTTP1_LIMITS_H_

#include <cstddef>

namespace pillion::http1 {

struct Limits {
  // Request line or status line. Attack: a target without end.
  size_t max_line_bytes = size_t{16} * 1024;
  // A whole head or trailer section, first line included (Envoy's max_request_headers_kb, 60 KiB).
  size_t max_head_bytes = size_t{60} * 1024;
  // Fields of a head or a trailer section. Attack: many empty fields cost more than their bytes.
  size_t max_fields = 100;
  // Chunk extensions of one chunk; they are dropped. Attack: bytes that count as no content.
  size_t max_chunk_line_bytes = size_t{4} * 1024;
  // Empty lines before a request line (RFC 9112 section 2.2 asks to skip at least one).
  size_t max_leading_empty_lines = 4;
};

}  // namespace pillion::http1

#endif  // PILLION_SIDECAR_HTTP1_LIMITS_H_
