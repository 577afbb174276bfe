// A head as nghttp2 wants it: an array of name/value views with HPACK hints. Private to this folder.
// nghttp2 copies it when it is submitted and lower-cases the names of the copy (RFC 9113 section 8.2.1), so
// nothing here outlives the call; the array's memory is kept for the next head.
#ifndef PILLION_SIDECAR_HTTP2_FIELD_BLOCK_H_
#define PILLION_SIDECAR_HTTP2_FIELD_BLOCK_H_

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "sidecar/http/head.h"

namespace pillion::http2 {

class FieldBlock {
 public:
  void SetRequest(const http::RequestHead& head);
  void SetResponse(const http::ResponseHead& head);
  void SetTrailers(const http::HeaderList& trailers);

  const nghttp2_nv* fields() const { return fields_.data(); }
  size_t size() const { return fields_.size(); }
  // As a peer counts it against SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 section 6.5.2).
  size_t weight() const { return weight_; }

 private:
  void Clear();
  void Add(std::string_view name, std::string_view value, uint8_t flags = NGHTTP2_NV_FLAG_NONE);
  void AddLength(uint64_t bytes);
  void AddHeaders(const http::HeaderList& headers);
  uint8_t TokenFlag();

  std::vector<nghttp2_nv> fields_;
  size_t weight_ = 0;
  uint32_t tokens_ = 0;
  char status_[3];
  char length_[20];
};

}  // namespace pillion::http2

#endif  // PILLION_SIDECAR_HTTP2_FIELD_BLOCK_H_
