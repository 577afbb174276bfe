// Writes HTTP/1.1 and HTTP/1.0 messages (RFC 9112). Appends to a string; no I/O.
// What is written is always unambiguous: exactly one framing, Host first, values as held (the parser and the
// HTTP/2 codec let no CR, LF or NUL in).
#ifndef PILLION_SIDECAR_HTTP1_SERIALIZER_H_
#define PILLION_SIDECAR_HTTP1_SERIALIZER_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "sidecar/http/head.h"

namespace pillion::http1 {

// How names are spelled on the wire.
enum class Spelling : uint8_t { kAsHeld, kTitleCase };

struct WriteOptions {
  http::Version version = http::Version::kHttp11;  // kHttp10 or kHttp11
  bool close = false;                              // add "connection: close"
  bool keep_alive = false;  // add "connection: keep-alive" (an HTTP/1.0 peer that asked for it)
  bool say_empty = false;   // a request without content says content-length: 0
  Spelling spelling = Spelling::kAsHeld;
};

// Names that are not held (Host, Content-Length, Connection ...) are spelled as the head's title_names says.

// Request line and head. Framing comes from head.content: kSized writes content-length, kUnsized writes
// transfer-encoding: chunked, kNone writes neither unless `say_empty` (a sender that had declared length 0 is
// kSized with 0 bytes). With head.upgrade the connection option is "Upgrade" and no other.
void AppendRequestHead(const http::RequestHead& head, const WriteOptions& options, std::string& out);
// Status line and head; framing from head.content and head.declared_length. kUntilClose writes no framing
// field. kUnsized to an HTTP/1.0 peer is the caller's to turn into kUntilClose first.
void AppendResponseHead(const http::ResponseHead& head, const WriteOptions& options, std::string& out);
// The line before a chunk of `bytes` (> 0) bytes; the caller writes the bytes, then "\r\n".
void AppendChunkSize(uint64_t bytes, std::string& out);
// "0", the trailer fields, the empty line.
void AppendLastChunk(const http::HeaderList& trailers, Spelling spelling, std::string& out);

}  // namespace pillion::http1

#endif  // PILLION_SIDECAR_HTTP1_SERIALIZER_H_
