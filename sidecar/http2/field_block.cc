#include "sidecar/http2/field_block.h"

#include <charconv>

namespace pillion::http2 {
namespace {

using http::Known;
using Kind = http::ContentLength::Kind;

// A value longer than this is taken to differ on each request (cookies, tokens, entity tags): indexing it
// costs 250 ns and pushes the fields that do repeat out of the 4 KiB table.
constexpr size_t kLongValueBytes = 64;
// RFC 9113 section 6.5.2.
constexpr size_t kFieldOverhead = 32;

// Not indexed: what is new on each request. `date` is indexed, it repeats within its second; so are the long
// values that every request of one client repeats.
uint8_t IndexFlag(Known known, std::string_view value) {
  switch (known) {
    case Known::kContentLength:
    case Known::kGrpcTimeout:
    case Known::kRequestId:
    case Known::kTraceparent:
    case Known::kTracestate:
      return NGHTTP2_NV_FLAG_NO_INDEX;
    case Known::kAccept:
    case Known::kServer:
    case Known::kUserAgent:
    case Known::kVia:
      return NGHTTP2_NV_FLAG_NONE;
    default:
      return value.size() > kLongValueBytes ? NGHTTP2_NV_FLAG_NO_INDEX : NGHTTP2_NV_FLAG_NONE;
  }
}

// RFC 9113 section 8.2.2: connection-specific fields are not sent; the exchange has removed them already,
// this holds whatever a filter adds. Host and Content-Length are written from the head.
bool IsSent(const http::HeaderList::Field& field) {
  switch (field.known) {
    case Known::kConnection:
    case Known::kContentLength:
    case Known::kHost:
    case Known::kHttp2Settings:
    case Known::kKeepAlive:
    case Known::kProxyConnection:
    case Known::kTransferEncoding:
    case Known::kUpgrade:
      return false;
    case Known::kTe:
      return field.value == "trailers";
    default:
      return true;
  }
}

uint8_t* Bytes(std::string_view text) {
  return reinterpret_cast<uint8_t*>(const_cast<char*>(text.data()));  // nghttp2 does not write to it
}

}  // namespace

void FieldBlock::Clear() {
  fields_.clear();
  weight_ = 0;
}

void FieldBlock::Add(std::string_view name, std::string_view value, uint8_t flags) {
  fields_.push_back({Bytes(name), Bytes(value), name.size(), value.size(), flags});
  weight_ += name.size() + value.size() + kFieldOverhead;
}

void FieldBlock::AddLength(uint64_t bytes) {
  const auto end = std::to_chars(length_, length_ + sizeof length_, bytes).ptr;
  Add("content-length", {length_, static_cast<size_t>(end - length_)}, NGHTTP2_NV_FLAG_NO_INDEX);
}

void FieldBlock::AddHeaders(const http::HeaderList& headers) {
  for (size_t i = 0; i < headers.size(); ++i) {
    const http::HeaderList::Field field = headers[i];
    if (!IsSent(field)) continue;
    const bool token = field.known == Known::kPillionToken;
    Add(field.name, field.value, token ? TokenFlag() : IndexFlag(field.known, field.value));
  }
}

// A token is new on each request, as long as its name is the same: one of so many is indexed, so that the
// others find their name in the table, which forgets what came first.
uint8_t FieldBlock::TokenFlag() {
  constexpr uint32_t kIndexEvery = 256;
  return tokens_++ % kIndexEvery == 0 ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX;
}

void FieldBlock::SetRequest(const http::RequestHead& head) {
  Clear();
  // RFC 8441 section 4: what HTTP/1.1 asks for with Upgrade is an Extended CONNECT here.
  const bool extended = !head.upgrade.empty();
  Add(":method", extended ? std::string_view("CONNECT") : head.method_text);
  if (extended) Add(":protocol", head.upgrade);
  // RFC 9113 section 8.5: CONNECT has neither scheme nor path.
  if (head.form != http::TargetForm::kAuthority) {
    Add(":scheme", head.scheme.empty() ? std::string_view("http") : head.scheme);
    const std::string_view path = head.path.empty() ? std::string_view("/") : head.path;
    // A query makes a path new; so does an id in it, which tends to make it long.
    const bool repeats = path.size() <= kLongValueBytes && path.find('?') == std::string_view::npos;
    Add(":path", path, repeats ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX);
  }
  if (head.has_authority) Add(":authority", head.authority);
  if (head.content.kind == Kind::kSized) AddLength(head.content.bytes);
  AddHeaders(head.headers);
}

void FieldBlock::SetResponse(const http::ResponseHead& head) {
  Clear();
  // RFC 9113 section 8.6: there is no 101; an Extended CONNECT that is granted gets 200 (RFC 8441 section 5).
  const unsigned status = head.status == 101 ? 200 : head.status;
  status_[0] = static_cast<char>('0' + status / 100 % 10);
  status_[1] = static_cast<char>('0' + status / 10 % 10);
  status_[2] = static_cast<char>('0' + status % 10);
  Add(":status", {status_, 3});
  // RFC 9110 section 8.6: never with 1xx or 204. A length of 0 that nobody declared is said by END_STREAM.
  if (head.status / 100 != 1 && head.status != 204) {
    if (head.content.kind == Kind::kSized && (head.content.bytes > 0 || head.declared_length)) {
      AddLength(head.content.bytes);
    } else if (head.content.kind == Kind::kNone && head.declared_length) {
      AddLength(*head.declared_length);
    }
  }
  AddHeaders(head.headers);
}

void FieldBlock::SetTrailers(const http::HeaderList& trailers) {
  Clear();
  AddHeaders(trailers);
}

}  // namespace pillion::http2
