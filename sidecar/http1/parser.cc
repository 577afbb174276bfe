// The message as a sequence of states; how a head is read is in head_reader.cc.
//
//   kHead -+-> kSized ------------------------------+
//          +-> kChunkSize -> kChunkContent -> kChunkEnd (-> kChunkSize)
//          |        +-> kTrailers ------------------+-> kEnd -> kHead
//          +-> kUntilClose (until Finish)           |
//          +------------- no content ---------------+            kDead from anywhere
#include "sidecar/http1/parser.h"

#include <algorithm>
#include <cstring>

#include "sidecar/http1/head_reader.h"
#include "sidecar/http1/wire.h"

namespace pillion::http1 {
namespace {

// RFC 9112 section 7.1: 1*HEXDIG; more than 16 would not fit.
constexpr size_t kMaxSizeDigits = 16;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

Parser::Parser(Role role, const Limits& limits) : role_(role), limits_(&limits) {}

void Parser::Restart(Role role, const Limits& limits) {
  role_ = role;
  state_ = State::kHead;
  response_to_ = http::Method::kGet;
  limits_ = &limits;
  remaining_ = scanned_ = line_at_ = empty_lines_ = extension_bytes_ = 0;
  error_ = {};
}

bool Parser::idle() const { return state_ == State::kHead && scanned_ == 0; }

Parser::Step Parser::Next(std::string_view input) {
  switch (state_) {
    case State::kHead:
      return NextHead(input);
    case State::kSized:
    case State::kChunkContent:
    case State::kUntilClose:
      return NextContent(input);
    case State::kChunkSize:
      return NextChunkSize(input);
    case State::kChunkEnd:
      return NextChunkEnd(input);
    case State::kTrailers:
      return NextTrailers(input);
    case State::kEnd:
      state_ = State::kHead;
      return {Event::kEnd, 0, {}};
    case State::kDead:
      break;
  }
  return {Event::kError, 0, {}};
}

Parser::Step Parser::Finish() {
  switch (state_) {
    case State::kHead:
      if (scanned_ == 0) return {Event::kNeedMore, 0, {}};
      break;
    case State::kUntilClose:
    case State::kEnd:
      state_ = State::kHead;
      return {Event::kEnd, 0, {}};
    case State::kDead:
      return {Event::kError, 0, {}};
    default:
      break;
  }
  // RFC 9112 section 8: an incomplete message.
  return Fail(ErrorKind::kMalformed, "connection closed inside a message (RFC 9112 section 8)");
}

Parser::Step Parser::Fail(ErrorKind kind, std::string_view detail) {
  error_ = {kind, detail};
  state_ = State::kDead;
  return {Event::kError, 0, {}};
}

// The section was read and found incomplete, or only scanned: its lines so far are good.
Parser::Step Parser::Wait(std::string_view section) {
  if (scanned_ == 0) line_at_ = section.rfind('\n') + 1;  // npos + 1 is 0
  scanned_ = section.size();
  return {Event::kNeedMore, 0, {}};
}

// Is it worth reading the section (a head or trailers) from its start? The first bytes are read at once: most
// heads are whole. After that only its line ends are looked for, each byte once, until the section is
// complete, or is known to be bad. A bad one is read too, so that the verdict does not depend on how the
// bytes were cut.
bool Parser::ReadyToRead(std::string_view section, size_t max_first_line) {
  if (scanned_ == 0) return true;
  while (true) {
    const size_t lf = section.find('\n', std::max(scanned_, line_at_));
    if (lf == std::string_view::npos) break;
    if (lf == line_at_ || section[lf - 1] != '\r') return true;  // bare LF
    if (lf == line_at_ + 1) return true;                         // the empty line
    line_at_ = lf + 1;
  }
  return line_at_ == 0 && section.size() > max_first_line;
}

// RFC 9112 section 2.2: a server skips empty lines before a request line. False: not a line yet.
bool Parser::SkipEmptyLines(std::string_view& input, Step& step) {
  while (input.starts_with("\r\n")) {
    if (++empty_lines_ > limits_->max_leading_empty_lines) {
      step = Fail(ErrorKind::kMalformed, "too many empty lines before a request");
      return false;
    }
    input.remove_prefix(2);
    step.consumed += 2;
    scanned_ = 0;
  }
  if (input.empty() || input == "\r") {
    scanned_ = input.size();
    return false;
  }
  if (scanned_ == 1 && input[0] == '\r') scanned_ = 0;  // "\r" and then no "\n": let the reader say so
  return true;
}

Parser::Step Parser::NextHead(std::string_view input) {
  Step step;
  if (role_ == Role::kRequests) {
    if (!SkipEmptyLines(input, step)) return step;
  } else if (input.empty()) {
    return step;
  }
  const std::string_view section = input.substr(0, limits_->max_head_bytes);
  const bool full = section.size() == limits_->max_head_bytes;
  if (!ReadyToRead(section, limits_->max_line_bytes) && !full) {
    Wait(section);
    return step;
  }
  Cursor cursor{section.data(), section.data() + section.size()};
  ParseError error;
  const Parsed parsed = role_ == Role::kRequests
                            ? ReadRequestHead(cursor, *limits_, request_, error)
                            : ReadResponseHead(cursor, *limits_, response_to_, response_, error);
  switch (parsed) {
    case Parsed::kFailed:
      return Fail(error.kind, error.detail);
    case Parsed::kIncomplete:
      if (full) return Fail(ErrorKind::kHeadTooLarge, "head too large");
      Wait(section);
      return step;
    case Parsed::kDone:
      break;
  }
  return TakeHead(step.consumed + static_cast<size_t>(cursor.at - section.data()));
}

Parser::Step Parser::TakeHead(size_t consumed) {
  scanned_ = 0;
  empty_lines_ = 0;
  extension_bytes_ = 0;
  trailers_.Clear();
  const http::ContentLength content = role_ == Role::kRequests ? request_.content : response_.content;
  remaining_ = content.bytes;
  switch (content.kind) {
    case http::ContentLength::Kind::kNone:
      state_ = State::kEnd;
      break;
    case http::ContentLength::Kind::kSized:
      state_ = remaining_ == 0 ? State::kEnd : State::kSized;
      break;
    case http::ContentLength::Kind::kUnsized:
      state_ = State::kChunkSize;
      break;
    case http::ContentLength::Kind::kUntilClose:
      state_ = State::kUntilClose;
      break;
  }
  return {Event::kHead, consumed, {}};
}

Parser::Step Parser::NextContent(std::string_view input) {
  if (input.empty()) return {};
  if (state_ == State::kUntilClose) return {Event::kContent, input.size(), input};
  const auto size = static_cast<size_t>(std::min<uint64_t>(input.size(), remaining_));
  remaining_ -= size;
  if (remaining_ == 0) state_ = state_ == State::kSized ? State::kEnd : State::kChunkEnd;
  return {Event::kContent, size, input.substr(0, size)};
}

// RFC 9112 section 7.1: chunk-size [ chunk-ext ] CRLF. Whitespace that is not inside an extension is refused:
// "5 ;x" and "5 \r\n" are read as different sizes by different parsers.
Parser::Step Parser::NextChunkSize(std::string_view input) {
  const std::string_view section = input.substr(0, limits_->max_chunk_line_bytes);
  const size_t lf = section.find('\n', scanned_);
  if (lf == std::string_view::npos) {
    if (section.size() < limits_->max_chunk_line_bytes) return Wait(section);
    return Fail(ErrorKind::kMalformed, "chunk line too long");
  }
  uint64_t size = 0;
  size_t digits = 0;
  for (; digits < lf; ++digits) {
    const int value = HexValue(section[digits]);
    if (value < 0) break;
    if (digits == kMaxSizeDigits)
      return Fail(ErrorKind::kMalformed, "chunk size overflow (RFC 9112 section 7.1)");
    size = size << 4 | static_cast<uint64_t>(value);
  }
  if (digits == 0) return Fail(ErrorKind::kMalformed, "bad chunk size (RFC 9112 section 7.1)");
  const char* const begin = section.data() + digits;
  const char* const end = section.data() + lf + 1;
  if (*begin != ';' && *begin != '\r') {
    return Fail(ErrorKind::kMalformed, "bad chunk size (RFC 9112 section 7.1)");
  }
  Cursor cursor{http::SkipText(begin, end), end};
  if (TakeLineEnd(cursor, error_) != Parsed::kDone || cursor.at != end) {
    return Fail(ErrorKind::kMalformed, "bad chunk line (RFC 9112 section 7.1)");
  }
  extension_bytes_ += lf - 1 - digits;
  if (extension_bytes_ > limits_->max_head_bytes) {
    return Fail(ErrorKind::kMalformed, "chunk extensions too long (RFC 9112 section 7.1.1)");
  }
  scanned_ = 0;
  remaining_ = size;
  const size_t consumed = lf + 1;
  state_ = size == 0 ? State::kTrailers : State::kChunkContent;
  // A chunk line is no event of its own: go on to what is one.
  Step next = Next(input.substr(consumed));
  next.consumed += consumed;
  return next;
}

Parser::Step Parser::NextChunkEnd(std::string_view input) {
  if (input.empty() || input == "\r") return {};
  if (!input.starts_with("\r\n")) {
    return Fail(ErrorKind::kMalformed, "chunk does not end where its size says (RFC 9112 section 7.1)");
  }
  state_ = State::kChunkSize;
  Step next = NextChunkSize(input.substr(2));
  next.consumed += 2;
  return next;
}

Parser::Step Parser::NextTrailers(std::string_view input) {
  const std::string_view section = input.substr(0, limits_->max_head_bytes);
  if (section.empty()) return {};
  if (section == "\r") return {};
  const bool full = section.size() == limits_->max_head_bytes;
  const bool ends_at_once = section.starts_with("\r\n");
  if (!ends_at_once && !ReadyToRead(section, section.size()) && !full) return Wait(section);
  Cursor cursor{section.data(), section.data() + section.size()};
  switch (ReadTrailers(cursor, *limits_, trailers_, error_)) {
    case Parsed::kFailed:
      return Fail(error_.kind, error_.detail);
    case Parsed::kIncomplete:
      if (full) return Fail(ErrorKind::kHeadTooLarge, "trailers too large");
      return Wait(section);
    case Parsed::kDone:
      break;
  }
  scanned_ = 0;
  state_ = State::kHead;
  return {Event::kEnd, static_cast<size_t>(cursor.at - section.data()), {}};
}

}  // namespace pillion::http1
