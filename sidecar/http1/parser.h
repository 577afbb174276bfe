// A strict HTTP/1.x parser (RFC 9112). Pull style, no I/O, no clock, no log.
//
//   while (true) {
//     Step step = parser.Next(input);          // input: all bytes not yet consumed, contiguous
//     input.remove_prefix(step.consumed);
//     kNeedMore  -> keep the rest of input, call again with it and more bytes appended
//     kHead      -> take request()/response(); stays valid until the next message starts
//     kContent   -> step.content views into input
//     kEnd       -> message complete; trailers() holds what followed; the next call starts the next message
//     kError     -> error(); the parser is dead, close the connection
//   }
//
// After the head of a 101, or of a 2xx to CONNECT, all that follows is kContent until the connection ends:
// the content kind is kUntilClose. Limits must outlive the parser.
//
// A head must be contiguous: while it is incomplete nothing of it is consumed, and what has been scanned is
// remembered, so that feeding a head byte by byte costs linear time. Nothing ambiguous is accepted: what two
// parsers could read differently (both Content-Length and Transfer-Encoding, bare LF, obs-fold ...) is an
// error. Owner: a session; one thread.
#ifndef PILLION_SIDECAR_HTTP1_PARSER_H_
#define PILLION_SIDECAR_HTTP1_PARSER_H_

#include <cstdint>
#include <string_view>

#include "sidecar/base/request_error.h"
#include "sidecar/http/head.h"
#include "sidecar/http1/limits.h"

namespace pillion::http1 {

enum class Role : uint8_t { kRequests, kResponses };

struct ParseError {
  ErrorKind kind = ErrorKind::kMalformed;
  std::string_view detail;  // static text naming the rule, e.g. "bare LF (RFC 9112 section 2.2)"
};

class Parser {
 public:
  enum class Event : uint8_t { kNeedMore, kHead, kContent, kEnd, kError };
  struct Step {
    Event event = Event::kNeedMore;
    size_t consumed = 0;
    std::string_view content;
  };

  Parser(Role role, const Limits& limits);
  // As if it were new, but for the memory it holds.
  void Restart(Role role, const Limits& limits);

  // Advances by at most one event. See the file header.
  Step Next(std::string_view input);
  // The peer will send no more. kEnd: a close-delimited response is complete. kNeedMore: between messages,
  // fine. kError: in the middle of a message.
  Step Finish();
  // kResponses: the method of the request that the next response answers (HEAD and CONNECT change its
  // framing, RFC 9112 section 6.3). Call before the head arrives. A 1xx head (but 101) is a kHead followed by
  // kEnd, and the method stays in force for the final response.
  void ExpectResponseTo(http::Method method) { response_to_ = method; }

  // Between messages: all that comes is content, until the connection ends.
  void ReadRaw() { state_ = State::kUntilClose; }

  http::RequestHead& request() { return request_; }
  http::ResponseHead& response() { return response_; }
  http::HeaderList& trailers() { return trailers_; }
  const ParseError& error() const { return error_; }
  // Empty lines before a request, skipped so far; for whoever puts the parser away between two of them.
  size_t empty_lines() const { return empty_lines_; }
  void GoOnAfter(size_t empty_lines) { empty_lines_ = empty_lines; }
  // True before the first byte of a message was consumed or scanned.
  bool idle() const;

 private:
  enum class State : uint8_t {
    kHead,
    kSized,
    kChunkSize,
    kChunkContent,
    kChunkEnd,
    kTrailers,
    kUntilClose,
    kEnd,
    kDead
  };
  Step NextHead(std::string_view input);
  Step NextTrailers(std::string_view input);
  Step NextChunkSize(std::string_view input);
  Step NextChunkEnd(std::string_view input);
  Step NextContent(std::string_view input);
  bool ReadyToRead(std::string_view section, size_t max_first_line);
  bool SkipEmptyLines(std::string_view& input, Step& step);
  Step TakeHead(size_t consumed);
  Step Wait(std::string_view section);
  Step Fail(ErrorKind kind, std::string_view detail);

  Role role_;
  State state_ = State::kHead;
  http::Method response_to_ = http::Method::kGet;
  const Limits* limits_;
  uint64_t remaining_ = 0;  // content bytes of the message or chunk still to come
  // Of the incomplete head, trailer section or chunk line: bytes already looked at, and where its last line
  // starts.
  size_t scanned_ = 0;
  size_t line_at_ = 0;
  size_t empty_lines_ = 0;
  size_t extension_bytes_ = 0;  // of all chunks of the message
  http::RequestHead request_;
  http::ResponseHead response_;
  http::HeaderList trailers_;
  ParseError error_;
};

}  // namespace pillion::http1

#endif  // PILLION_SIDECAR_HTTP1_PARSER_H_
