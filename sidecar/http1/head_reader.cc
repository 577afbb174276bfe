#include "sidecar/http1/head_reader.h"

#include <algorithm>
#include <cstring>

#include "sidecar/base/text.h"
#include "sidecar/http/scan.h"
#include "sidecar/http/target.h"

namespace pillion::http1 {
namespace {

using http::Known;
using http::Method;

// What the fields say about framing and routing, gathered while they are read.
struct Facts {
  enum class Coding : uint8_t { kNone, kChunked, kOther };
  std::string_view host;
  size_t hosts = 0;
  uint64_t length = 0;
  bool has_length = false;
  Coding coding = Coding::kNone;
  bool close = false;
  bool keep_alive = false;
  bool title_names = false;  // one of the names that are not kept was spelt Title-Case
};

// RFC 9110 section 8.6: 1*DIGIT. 19 digits always fit.
bool ParseLength(std::string_view text, uint64_t& out) {
  if (text.empty() || text.size() > 19) return false;
  out = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return false;
    out = out * 10 + static_cast<uint64_t>(c - '0');
  }
  return true;
}

bool TakeLength(std::string_view value, Facts& facts, ParseError& error) {
  // RFC 9110 section 8.6 lets a recipient reject repeated lengths even when they agree: who merges them and
  // who takes the first need not agree with us.
  if (facts.has_length) {
    Malformed(error, "several Content-Length (RFC 9110 section 8.6)");
    return false;
  }
  facts.has_length = true;
  if (ParseLength(value, facts.length)) return true;
  Malformed(error, "bad Content-Length (RFC 9110 section 8.6)");
  return false;
}

void TakeConnection(std::string_view value, Facts& facts) {
  ForEachListElement(value, [&](std::string_view option) {
    facts.close = facts.close || EqualsIgnoreCase(option, "close");
    facts.keep_alive = facts.keep_alive || EqualsIgnoreCase(option, "keep-alive");
  });
}

// Adds fields of one section to a list by their place in it; the section is copied when it is complete.
class SectionFields {
 public:
  SectionFields(const char* start, http::HeaderList& headers) : start_(start), headers_(headers) {}
  void Add(Known known, std::string_view name, std::string_view value) {
    headers_.AddSpan(known, static_cast<uint32_t>(name.data() - start_), static_cast<uint16_t>(name.size()),
                     static_cast<uint32_t>(value.data() - start_), static_cast<uint32_t>(value.size()));
  }
  // `end` is behind the section.
  void Finish(const char* end) {
    const std::string_view text(start_, static_cast<size_t>(end - start_));
    headers_.Reserve(0, text.size() + kUsuallyAdded);
    headers_.TakeText(text);
  }

 private:
  static constexpr size_t kUsuallyAdded = 96;  // bytes of fields that come to it on its way
  const char* start_;
  http::HeaderList& headers_;
};

Parsed ReadHeadFields(Cursor& cursor, const Limits& limits, bool request, http::HeaderList& headers,
                      Facts& facts, ParseError& error) {
  constexpr size_t kUsualFields = 8;  // room for these is taken at once
  headers.Reserve(kUsualFields, 0);
  SectionFields section(cursor.at, headers);
  const auto take = [&](std::string_view name, std::string_view value) {
    const Known known = http::Lookup(name);
    switch (known) {
      case Known::kHost:
        if (!request) break;
        facts.title_names = facts.title_names || name[0] == 'H';
        facts.host = value;
        ++facts.hosts;
        return true;
      case Known::kContentLength:
        facts.title_names = facts.title_names || name[0] == 'C';
        return TakeLength(value, facts, error);
      case Known::kTransferEncoding:
        facts.title_names = facts.title_names || name[0] == 'T';
        facts.coding = facts.coding == Facts::Coding::kNone && EqualsIgnoreCase(value, "chunked")
                           ? Facts::Coding::kChunked
                           : Facts::Coding::kOther;
        return true;
      case Known::kConnection:
        TakeConnection(value, facts);
        break;
      default:
        break;
    }
    section.Add(known, name, value);
    return true;
  };
  const Parsed parsed = ReadFields(cursor, limits.max_fields, error, take);
  if (parsed == Parsed::kDone) section.Finish(cursor.at);
  if (parsed != Parsed::kDone) headers.Clear();
  return parsed;
}

// `text` holds eight bytes. RFC 9112 section 2.3: "HTTP/" DIGIT "." DIGIT, upper case.
Parsed ReadVersion(const char* text, http::Version& version, ParseError& error) {
  if (std::memcmp(text, "HTTP/1.1", 8) == 0) {
    version = http::Version::kHttp11;
    return Parsed::kDone;
  }
  if (std::memcmp(text, "HTTP/1.0", 8) == 0) {
    version = http::Version::kHttp10;
    return Parsed::kDone;
  }
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (std::memcmp(text, "HTTP/", 5) == 0 && digit(text[5]) && text[6] == '.' && digit(text[7])) {
    return Fail(error, ErrorKind::kUnsupportedVersion, "neither HTTP/1.0 nor HTTP/1.1");
  }
  return Malformed(error, "bad HTTP version (RFC 9112 section 2.3)");
}

Parsed SetAbsoluteTarget(std::string_view target, http::RequestHead& head, ParseError& error) {
  const size_t colon = target.find("://");
  const std::string_view scheme = target.substr(0, colon);
  if (EqualsIgnoreCase(scheme, "http")) {
    head.scheme = "http";
  } else if (EqualsIgnoreCase(scheme, "https")) {
    head.scheme = "https";
  } else {
    return Malformed(error, "target has a scheme that is not http or https (RFC 9112 section 3.2.2)");
  }
  target.remove_prefix(colon + 3);
  const size_t slash = std::min(target.find_first_of("/?"), target.size());
  const std::string_view authority = target.substr(0, slash);
  if (!http::IsAuthority(authority)) return Malformed(error, "bad authority (RFC 9110 section 4.2)");
  head.form = http::TargetForm::kAbsolute;
  head.has_authority = true;
  head.authority = authority;
  target.remove_prefix(slash);
  if (target.empty() && head.method == Method::kOptions) {
    // RFC 9112 section 3.2.4: an OPTIONS without path and query means the server as a whole.
    head.form = http::TargetForm::kAsterisk;
    head.path = "*";
    return Parsed::kDone;
  }
  if (target.empty() || target[0] == '?') head.path = "/";  // RFC 9110 section 4.2.3
  head.path += target;
  return Parsed::kDone;
}

// RFC 9112 section 3.2. `target` is not empty and of path bytes.
Parsed SetTarget(std::string_view target, http::RequestHead& head, ParseError& error) {
  head.scheme = "http";
  if (head.method == Method::kConnect) {
    // RFC 9112 section 3.2.3: CONNECT takes authority-form only; RFC 9110 section 9.3.6: the port must be
    // there.
    if (!http::IsAuthority(target) || !http::HasPort(target)) {
      return Malformed(error, "CONNECT without host:port (RFC 9112 section 3.2.3)");
    }
    head.form = http::TargetForm::kAuthority;
    head.authority = target;
    head.has_authority = true;
    return Parsed::kDone;
  }
  if (target[0] == '/') {
    head.form = http::TargetForm::kOrigin;
    head.path = target;
    return Parsed::kDone;
  }
  if (target == "*") {
    if (head.method != Method::kOptions) {
      return Malformed(error, "asterisk-form without OPTIONS (RFC 9112 section 3.2.4)");
    }
    head.form = http::TargetForm::kAsterisk;
    head.path = target;
    return Parsed::kDone;
  }
  if (target.find("://") != std::string_view::npos) return SetAbsoluteTarget(target, head, error);
  return Malformed(error, "bad request target (RFC 9112 section 3.2)");
}

// RFC 9112 section 3: method SP request-target SP HTTP-version CRLF.
Parsed ReadRequestLine(Cursor& cursor, http::RequestHead& head, ParseError& error) {
  const char* const method = cursor.at;
  const char* at = http::SkipToken(method, cursor.end);
  if (at == cursor.end) return Parsed::kIncomplete;
  if (*at != ' ' || at == method) return Malformed(error, "bad method (RFC 9112 section 3.1)");
  const std::string_view method_text(method, static_cast<size_t>(at - method));
  const char* const target = ++at;
  at = http::SkipPath(target, cursor.end);
  if (at == cursor.end) return Parsed::kIncomplete;
  if (*at != ' ' || at == target) return Malformed(error, "bad request target (RFC 9112 section 3.2)");
  const std::string_view target_text(target, static_cast<size_t>(at - target));
  cursor.at = at + 1;
  // A version of a wrong length is still judged, once its line or enough of it is here.
  if (cursor.left() < 8) {
    const bool ended = std::memchr(cursor.at, '\n', cursor.left()) != nullptr;
    return ended ? Malformed(error, "bad HTTP version (RFC 9112 section 2.3)") : Parsed::kIncomplete;
  }
  if (const Parsed v = ReadVersion(cursor.at, head.version, error); v != Parsed::kDone) return v;
  cursor.at += 8;
  if (const Parsed end = TakeLineEnd(cursor, error); end != Parsed::kDone) return end;
  head.method = http::ParseMethod(method_text);
  head.method_text = method_text;
  return SetTarget(target_text, head, error);
}

// RFC 9112 section 4: HTTP-version SP status-code SP [reason-phrase] CRLF. The last SP may be missing when
// there is no reason: many servers write it so, and no reader takes it for something else.
Parsed ReadStatusLine(Cursor& cursor, http::ResponseHead& head, ParseError& error) {
  if (cursor.left() < 12) {
    const bool ended = std::memchr(cursor.at, '\n', cursor.left()) != nullptr;
    return ended ? Malformed(error, "bad status line (RFC 9112 section 4)") : Parsed::kIncomplete;
  }
  if (const Parsed v = ReadVersion(cursor.at, head.version, error); v != Parsed::kDone) return v;
  const char* const at = cursor.at + 8;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (at[0] != ' ' || !digit(at[1]) || !digit(at[2]) || !digit(at[3]) || at[1] == '0') {
    return Malformed(error, "bad status code (RFC 9112 section 4)");
  }
  head.status = static_cast<uint16_t>((at[1] - '0') * 100 + (at[2] - '0') * 10 + (at[3] - '0'));
  cursor.at = at + 4;
  if (cursor.left() == 0) return Parsed::kIncomplete;
  std::string_view reason;
  if (*cursor.at == ' ') {
    cursor.at = http::SkipText(cursor.at, cursor.end);
    reason = {at + 5, static_cast<size_t>(cursor.at - at - 5)};
    while (!reason.empty() && (reason.back() == ' ' || reason.back() == '\t')) reason.remove_suffix(1);
  } else if (*cursor.at != '\r') {
    return Malformed(error, "bad status code (RFC 9112 section 4)");
  }
  head.has_own_reason = reason != http::ReasonPhrase(head.status);
  if (head.has_own_reason) head.own_reason = reason;
  return TakeLineEnd(cursor, error);
}

// Reads the first line with `read`, held to max_line_bytes whatever way the bytes came in.
template <typename Read>
Parsed ReadFirstLine(Cursor& cursor, const Limits& limits, ErrorKind too_long, ParseError& error, Read read) {
  Cursor line = cursor;
  const bool cut = line.left() > limits.max_line_bytes;
  if (cut) line.end = line.at + limits.max_line_bytes;
  const Parsed parsed = read(line);
  cursor.at = line.at;
  if (parsed == Parsed::kIncomplete && cut) return Fail(error, too_long, "first line too long");
  return parsed;
}

bool KeepsAlive(http::Version version, const Facts& facts) {
  // RFC 9112 section 9.3.
  if (facts.close) return false;
  return version == http::Version::kHttp11 || facts.keep_alive;
}

// RFC 9112 sections 6.1 and 6.3: what is an error whatever the message.
Parsed CheckFraming(http::Version version, const Facts& facts, ParseError& error) {
  if (facts.coding == Facts::Coding::kNone) return Parsed::kDone;
  if (facts.has_length) {
    return Malformed(error, "Transfer-Encoding and Content-Length (RFC 9112 section 6.1)");
  }
  if (version == http::Version::kHttp10) {
    return Malformed(error, "Transfer-Encoding in HTTP/1.0 (RFC 9112 section 6.1)");
  }
  if (facts.coding == Facts::Coding::kOther) {
    return Fail(error, ErrorKind::kNotImplemented, "transfer coding is not chunked (RFC 9112 section 6.1)");
  }
  return Parsed::kDone;
}

Parsed ApplyRequestFacts(const Facts& facts, http::RequestHead& head, ParseError& error) {
  if (facts.hosts > 1) return Malformed(error, "several Host (RFC 9112 section 3.2)");
  if (facts.hosts == 0 && head.version == http::Version::kHttp11) {
    return Malformed(error, "no Host (RFC 9112 section 3.2)");
  }
  // An empty Host is legal: the target has no authority (RFC 9110 section 7.2).
  if (facts.hosts == 1 && !facts.host.empty() && !http::IsAuthority(facts.host)) {
    return Malformed(error, "bad Host (RFC 9112 section 3.2)");
  }
  // RFC 9112 section 3.2.2: what an absolute target says replaces the Host field.
  if (!head.has_authority && facts.hosts == 1) {
    head.has_authority = true;
    head.authority = facts.host;
  }
  if (const Parsed framing = CheckFraming(head.version, facts, error); framing != Parsed::kDone) {
    return framing;
  }
  if (head.method == Method::kConnect) {
    // What follows is the tunnel's, whatever frames it: others would take it for content, or for a request.
    if (facts.coding != Facts::Coding::kNone) {
      return Fail(error, ErrorKind::kNotImplemented,
                  "CONNECT with a transfer coding (RFC 9110 section 9.3.6)");
    }
    if (facts.length > 0) return Malformed(error, "CONNECT with content (RFC 9110 section 9.3.6)");
  } else if (facts.coding == Facts::Coding::kChunked) {
    head.content.kind = http::ContentLength::Kind::kUnsized;
  } else if (facts.has_length) {
    head.content = {http::ContentLength::Kind::kSized, facts.length};
  }
  head.keep_alive = KeepsAlive(head.version, facts);
  head.title_names = facts.title_names;
  return Parsed::kDone;
}

Parsed ApplyResponseFacts(const Facts& facts, Method answers, http::ResponseHead& head, ParseError& error) {
  using Kind = http::ContentLength::Kind;
  head.keep_alive = KeepsAlive(head.version, facts);
  head.title_names = facts.title_names;
  // RFC 9112 section 6.3, rules 1 and 2, in its order. What follows a switch of protocols is not HTTP/1.
  const bool tunnel = answers == Method::kConnect && head.status / 100 == 2;
  if (head.status == 101 || tunnel) {
    head.content.kind = Kind::kUntilClose;
    head.keep_alive = false;
    return Parsed::kDone;
  }
  if (const Parsed framing = CheckFraming(head.version, facts, error); framing != Parsed::kDone) {
    return framing;
  }
  if (facts.has_length) head.declared_length = facts.length;
  if (http::ResponseHasNoContent(answers, head.status)) {
    head.content.kind = Kind::kNone;
    // RFC 9110 section 8.6, RFC 9112 section 6.1: 1xx and 204 must not announce content. One that does may
    // send it, so nothing after it on this connection can be trusted.
    const bool announces = facts.coding != Facts::Coding::kNone || facts.length > 0;
    if (announces && head.status / 100 == 1) {
      return Malformed(error, "1xx that announces content (RFC 9112 section 6.1)");
    }
    if (announces && head.status == 204) head.keep_alive = false;
    return Parsed::kDone;
  }
  if (facts.coding == Facts::Coding::kChunked) {
    head.content.kind = Kind::kUnsized;
  } else if (facts.has_length) {
    head.content = {Kind::kSized, facts.length};
  } else {
    head.content.kind = Kind::kUntilClose;
    head.keep_alive = false;
  }
  return Parsed::kDone;
}

}  // namespace

Parsed ReadRequestHead(Cursor& cursor, const Limits& limits, http::RequestHead& head, ParseError& error) {
  head.Clear();
  const Parsed line = ReadFirstLine(cursor, limits, ErrorKind::kTargetTooLong, error,
                                    [&](Cursor& c) { return ReadRequestLine(c, head, error); });
  if (line != Parsed::kDone) return line;
  Facts facts;
  const Parsed fields = ReadHeadFields(cursor, limits, true, head.headers, facts, error);
  if (fields != Parsed::kDone) return fields;
  return ApplyRequestFacts(facts, head, error);
}

Parsed ReadResponseHead(Cursor& cursor, const Limits& limits, Method answers, http::ResponseHead& head,
                        ParseError& error) {
  head.Clear();
  const Parsed line = ReadFirstLine(cursor, limits, ErrorKind::kHeadTooLarge, error,
                                    [&](Cursor& c) { return ReadStatusLine(c, head, error); });
  if (line != Parsed::kDone) return line;
  Facts facts;
  const Parsed fields = ReadHeadFields(cursor, limits, false, head.headers, facts, error);
  if (fields != Parsed::kDone) return fields;
  return ApplyResponseFacts(facts, answers, head, error);
}

Parsed ReadTrailers(Cursor& cursor, const Limits& limits, http::HeaderList& trailers, ParseError& error) {
  trailers.Clear();
  SectionFields section(cursor.at, trailers);
  const auto take = [&](std::string_view name, std::string_view value) {
    const Known known = http::Lookup(name);
    if (http::ForbiddenInTrailers(known)) {
      Malformed(error, "field that may not be a trailer (RFC 9110 section 6.5.1)");
      return false;
    }
    if (!http::LeftOutOfTrailers(known)) section.Add(known, name, value);
    return true;
  };
  const Parsed parsed = ReadFields(cursor, limits.max_fields, error, take);
  if (parsed == Parsed::kDone) section.Finish(cursor.at);
  if (parsed != Parsed::kDone) trailers.Clear();
  return parsed;
}

}  // namespace pillion::http1
