// Any head that the rest of the sidecar can hold (legal names and values, whatever they are) is written as
// one message, and only one, that is read back the same: no field of it can add a message or change the
// framing.
#include <string>

#include "sidecar/base/check.h"
#include "sidecar/http/scan.h"
#include "sidecar/http/target.h"
#include "sidecar/http1/serializer.h"
#include "sidecar/http1/transcript.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {
namespace {

using http::ContentLength;
using http::Known;

std::string Token(std::string_view text) {
  std::string token;
  for (const char c : text) {
    if (http::kTokenBytes.Has(c)) token += c;
  }
  return token.empty() ? "x" : token;
}

// A field value as parsers deliver it: text without white space around it.
std::string Value(std::string_view text) {
  std::string value;
  for (const char c : text) {
    const char* const end = &c + 1;
    if (http::SkipText(&c, end) == end) value += c;
  }
  while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.pop_back();
  const size_t first = std::min(value.find_first_not_of(" \t"), value.size());
  return value.substr(first);
}

http::HeaderList Fields(Input& input) {
  static constexpr std::string_view kNames[] = {
      "Content-Length", "transfer-encoding", "HOST", "connection", "upgrade", "te", "trailer"};
  http::HeaderList fields;
  for (size_t count = input.Byte() % 8; count > 0; --count) {
    const size_t which = input.Byte();
    const std::string name =
        which < std::size(kNames) ? std::string(kNames[which]) : Token(input.Take(which % 16));
    fields.Add(name, Value(input.Take(input.Byte() % 32)));
  }
  return fields;
}

// What of a list is written, in lower case: framing and Host come from the head, once.
std::string Held(const http::HeaderList& fields) {
  std::string text;
  for (size_t i = 0; i < fields.size(); ++i) {
    const Known known = fields[i].known;
    if (known == Known::kContentLength || known == Known::kTransferEncoding || known == Known::kHost ||
        known == Known::kConnection) {
      continue;
    }
    for (const char c : fields[i].name) text += static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    text += "=" + std::string(fields[i].value) + "\n";
  }
  return text;
}

http1::Limits Wide() {
  http1::Limits limits;
  limits.max_head_bytes = limits.max_line_bytes = 1 << 20;
  return limits;
}

ContentLength Content(Input& input) {
  switch (input.Byte() % 3) {
    case 0:
      return {};
    case 1:
      return {ContentLength::Kind::kSized, input.Byte()};
    default:
      return {ContentLength::Kind::kUnsized, 0};
  }
}

// Content that looks like a message of its own.
void AppendBody(const ContentLength& content, const http::HeaderList& trailers, std::string& out) {
  constexpr std::string_view kBait = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
  if (content.kind == ContentLength::Kind::kSized) {
    std::string body;
    while (body.size() < content.bytes) body += kBait;
    out.append(body, 0, content.bytes);
  } else if (content.kind == ContentLength::Kind::kUnsized) {
    http1::AppendChunkSize(kBait.size(), out);
    out.append(kBait).append("\r\n");
    http1::AppendLastChunk(trailers, http1::Spelling::kAsHeld, out);
  }
}

// Trailers are what a parser lets through as such.
http::HeaderList Trailers(const http::HeaderList& fields) {
  http::HeaderList trailers;
  for (size_t i = 0; i < fields.size(); ++i) {
    if (!http::ForbiddenInTrailers(fields[i].known)) trailers.Add(fields[i].name, fields[i].value);
  }
  return trailers;
}

// Reads exactly one message; returns how many content bytes it had.
size_t ReadOne(http1::Parser& parser, std::string_view bytes) {
  using Event = http1::Parser::Event;
  size_t content = 0;
  http1::Parser::Step step = parser.Next(bytes);
  PILLION_CHECK(step.event == Event::kHead);
  while (true) {
    bytes.remove_prefix(step.consumed);
    step = parser.Next(bytes);
    if (step.event == Event::kContent) content += step.content.size();
    if (step.event == Event::kEnd) break;
    PILLION_CHECK(step.event == Event::kContent);
  }
  PILLION_CHECK(bytes.size() == step.consumed);  // nothing is left for a second message
  return content;
}

void CheckRequest(Input& input, http1::Spelling spelling) {
  http::RequestHead head;
  head.method_text = Token(input.Take(input.Byte() % 12));
  head.method = http::ParseMethod(head.method_text);
  if (head.method == http::Method::kConnect) return;
  head.path = "/";
  for (const char c : input.Text()) {
    if (http::IsPathByte(c)) head.path += c;
  }
  const std::string authority(input.Text());
  head.authority = http::IsAuthority(authority) ? authority : "a.example";
  head.has_authority = true;
  head.scheme = "http";
  if ((input.Byte() & 1) != 0) head.form = http::TargetForm::kAbsolute;
  head.content = Content(input);
  head.headers = Fields(input);
  const http::HeaderList trailers = Trailers(Fields(input));
  std::string written;
  http1::AppendRequestHead(head, {.close = (input.Byte() & 1) != 0, .say_empty = true, .spelling = spelling},
                           written);
  AppendBody(head.content, trailers, written);
  const http1::Limits limits = Wide();
  http1::Parser parser(http1::Role::kRequests, limits);
  ReadOne(parser, written);
  PILLION_CHECK(parser.request().method_text == head.method_text);
  PILLION_CHECK(parser.request().path == head.path);
  PILLION_CHECK(parser.request().authority == head.authority);
  PILLION_CHECK(Held(parser.request().headers) == Held(head.headers));
  PILLION_CHECK(head.content.kind != ContentLength::Kind::kUnsized ||
                Held(parser.trailers()) == Held(trailers));
}

void CheckResponse(Input& input, http1::Spelling spelling) {
  http::ResponseHead head;
  head.status = static_cast<uint16_t>(200 + input.Byte() * 2);
  head.content = Content(input);
  const http::Method method = (input.Byte() & 1) != 0 ? http::Method::kHead : http::Method::kGet;
  if (http::ResponseHasNoContent(method, head.status)) {
    head.content = {};
    if ((input.Byte() & 1) != 0) head.declared_length = input.Byte();
  } else if (head.content.kind == ContentLength::Kind::kNone) {
    head.content = {ContentLength::Kind::kSized, 0};
  }
  head.has_own_reason = true;
  head.own_reason = Value(input.Text());
  head.headers = Fields(input);
  const http::HeaderList trailers = Trailers(Fields(input));
  std::string written;
  http1::AppendResponseHead(head, {.close = (input.Byte() & 1) != 0, .spelling = spelling}, written);
  AppendBody(head.content, trailers, written);
  const http1::Limits limits = Wide();
  http1::Parser parser(http1::Role::kResponses, limits);
  parser.ExpectResponseTo(method);
  const size_t content = ReadOne(parser, written);
  PILLION_CHECK(parser.response().status == head.status);
  PILLION_CHECK(head.content.kind != ContentLength::Kind::kSized || content == head.content.bytes);
  // A line is trimmed on both sides of its reason only.
  const http::ResponseHead& read = parser.response();
  PILLION_CHECK((read.has_own_reason ? read.own_reason : http::ReasonPhrase(read.status)) == head.own_reason);
  // Host is an ordinary field of a response for a reader; our writer leaves it out.
  PILLION_CHECK(Held(read.headers) == Held(head.headers));
}

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pillion;
  fuzz::Input input(data, size);
  const uint8_t mode = input.Byte();
  const auto spelling = (mode & 2) != 0 ? http1::Spelling::kTitleCase : http1::Spelling::kAsHeld;
  if ((mode & 1) != 0) {
    fuzz::CheckResponse(input, spelling);
  } else {
    fuzz::CheckRequest(input, spelling);
  }
  return 0;
}
