// Reads one whole head or trailer section into the heads of sidecar/http. Private to this folder. Pure: what
// is not complete is read again from its start by the next call.
#ifndef PILLION_SIDECAR_HTTP1_HEAD_READER_H_
#define PILLION_SIDECAR_HTTP1_HEAD_READER_H_

#include "sidecar/http/head.h"
#include "sidecar/http1/limits.h"
#include "sidecar/http1/parser.h"
#include "sidecar/http1/wire.h"

namespace pillion::http1 {

// Request line, fields, empty line; framing per RFC 9112 section 6.3.
Parsed ReadRequestHead(Cursor& cursor, const Limits& limits, http::RequestHead& head, ParseError& error);
// `answers`: the method of the request that this response answers.
Parsed ReadResponseHead(Cursor& cursor, const Limits& limits, http::Method answers, http::ResponseHead& head,
                        ParseError& error);
Parsed ReadTrailers(Cursor& cursor, const Limits& limits, http::HeaderList& trailers, ParseError& error);

}  // namespace pillion::http1

#endif  // PILLION_SIDECAR_HTTP1_HEAD_READER_H_
