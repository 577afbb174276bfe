// The internal header that describes an HTTP/1 message: any value is refused or applied without breaking the
// head; what we say of a head restores it.
//
//   byte 0: bit 0 response, bit 1 absolute, bits 2-3 authority, bit 4 chunked; then the value; then names
#include "sidecar/exchange/origin_header.h"

#include <string>

#include "sidecar/base/check.h"
#include "sidecar/http/scan.h"
#include "sidecar/http1/serializer.h"
#include "sidecar/http1/transcript.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return lower;
}

http::HeaderList Names(Input& input, bool keep_case) {
  http::HeaderList headers;
  while (!input.empty() && headers.size() < 10) {
    std::string name;
    for (const char c : input.Take(input.Byte() % 16)) {
      if (http::kTokenBytes.Has(c)) name += c;
    }
    if (name.empty()) name = "x";
    headers.Add(keep_case ? name : Lower(name), "v");
  }
  return headers;
}

std::string NamesOf(const http::HeaderList& headers) {
  std::string names;
  for (size_t i = 0; i < headers.size(); ++i) names += std::string(headers[i].name) + "\n";
  return names;
}

// As it travels: in lower case, by HTTP/2.
http::HeaderList Lowered(const http::HeaderList& headers) {
  http::HeaderList lowered;
  for (size_t i = 0; i < headers.size(); ++i) lowered.Add(Lower(headers[i].name), headers[i].value);
  return lowered;
}

http::RequestHead Request(uint8_t mode) {
  http::RequestHead head;
  head.version = http::Version::kHttp2;
  head.path = "/p";
  head.scheme = "http";
  head.authority = "a";
  head.has_authority = true;
  if ((mode & 16) != 0) head.content.kind = http::ContentLength::Kind::kUnsized;
  return head;
}

void CheckAnyRequest(uint8_t mode, std::string_view value, Input& input) {
  http::RequestHead head = Request(mode);
  head.headers = Names(input, false);
  const std::string names = NamesOf(head.headers);
  if (!exchange::RestoreOrigin(value, head)) {
    PILLION_CHECK(head.version == http::Version::kHttp2 && NamesOf(head.headers) == names);
    return;
  }
  PILLION_CHECK(head.version != http::Version::kHttp2);
  PILLION_CHECK(Lower(NamesOf(head.headers)) == names);
  // What goes to the app is one message.
  std::string written;
  http1::AppendRequestHead(head, {.version = head.version}, written);
  const http1::Limits limits;
  http1::Parser parser(http1::Role::kRequests, limits);
  PILLION_CHECK(parser.Next(written).event == http1::Parser::Event::kHead ||
                (head.version == http::Version::kHttp11 && !head.has_authority));
}

void CheckOwnRequest(uint8_t mode, Input& input) {
  http::RequestHead head = Request(mode);
  head.version = (mode & 32) != 0 && (mode & 16) == 0 ? http::Version::kHttp10 : http::Version::kHttp11;
  if ((mode & 2) != 0) head.form = http::TargetForm::kAbsolute;
  if (head.form == http::TargetForm::kOrigin && (mode & 12) != 0) {
    head.authority.clear();
    head.has_authority = (mode & 4) != 0;
  }
  head.title_names = (mode & 64) != 0;
  head.headers = Names(input, true);
  // One name in two spellings is kept in the last one only; no client is known to do that.
  for (size_t i = 0; i < head.headers.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (Lower(head.headers[i].name) == Lower(head.headers[j].name)) return;
    }
  }
  http::RequestHead far = Request(mode);
  far.headers = Lowered(head.headers);
  PILLION_CHECK(exchange::RestoreOrigin(exchange::DescribeOrigin(head), far));
  PILLION_CHECK(far.version == head.version && far.form == head.form && far.authority == head.authority &&
                far.has_authority == head.has_authority && far.title_names == head.title_names);
  PILLION_CHECK(NamesOf(far.headers) == NamesOf(head.headers));
}

void CheckResponse(std::string_view value, Input& input) {
  http::ResponseHead head;
  head.version = http::Version::kHttp2;
  head.headers = Names(input, false);
  const std::string names = NamesOf(head.headers);
  const bool restored = exchange::RestoreOrigin(value, head);
  PILLION_CHECK(Lower(NamesOf(head.headers)) == names);
  if (!restored) return;
  http::ResponseHead again;
  again.headers = Lowered(head.headers);
  PILLION_CHECK(exchange::RestoreOrigin(exchange::DescribeOrigin(head), again));
  PILLION_CHECK(again.has_own_reason == head.has_own_reason && again.own_reason == head.own_reason);
}

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pillion::fuzz;
  Input input(data, size);
  const uint8_t mode = input.Byte();
  std::string value;
  for (const char c : input.Text()) {  // a field value as the codec lets it in
    if (pillion::http::SkipText(&c, &c + 1) == &c + 1) value += c;
  }
  Input names = input;
  if ((mode & 1) != 0) {
    CheckResponse(value, input);
  } else {
    CheckAnyRequest(mode, value, input);
    CheckOwnRequest(mode, names);
  }
  return 0;
}
