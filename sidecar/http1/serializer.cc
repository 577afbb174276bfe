#include "sidecar/http1/serializer.h"

#include <charconv>
#include <utility>

#include "sidecar/base/text.h"

namespace pillion::http1 {
namespace {

using http::ContentLength;
using http::Known;

// Our own field names, by spelling.
struct Names {
  std::string_view host;
  std::string_view content_length;
  std::string_view chunked;
  std::string_view connection;
  std::string_view upgrade;
};
constexpr Names kLower = {"host: ", "content-length: ", "transfer-encoding: chunked\r\n",
                          "connection: ", "upgrade: "};
constexpr Names kTitle = {"Host: ", "Content-Length: ", "Transfer-Encoding: chunked\r\n",
                          "Connection: ", "Upgrade: "};

const Names& NamesFor(Spelling spelling, bool title_names) {
  return spelling == Spelling::kTitleCase || title_names ? kTitle : kLower;
}

void AppendNumber(uint64_t value, int base, std::string& out) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, base).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

void AppendTitleCase(std::string_view name, std::string& out) {
  bool first = true;
  for (const char c : name) {
    const bool letter = c >= 'a' && c <= 'z';
    out.push_back(first && letter ? static_cast<char>(c & ~0x20) : c);
    first = c == '-';
  }
}

void AppendFields(const http::HeaderList& headers, Spelling spelling, std::string& out) {
  for (size_t i = 0; i < headers.size(); ++i) {
    const http::HeaderList::Field field = headers[i];
    // Framing and Host are written from the head, once: a field of that name that a filter added must not
    // make a second one (RFC 9112 sections 3.2 and 6.3).
    if (field.known == Known::kContentLength || field.known == Known::kTransferEncoding ||
        field.known == Known::kHost) {
      continue;
    }
    if (spelling == Spelling::kTitleCase) {
      AppendTitleCase(field.name, out);
    } else {
      out.append(field.name);
    }
    out.append(": ").append(field.value).append("\r\n");
  }
}

void AppendLength(uint64_t bytes, const Names& names, std::string& out) {
  out.append(names.content_length);
  AppendNumber(bytes, 10, out);
  out.append("\r\n");
}

// `te`: a TE field follows, which is for the next hop alone (RFC 9110 section 10.1.4).
void AppendConnection(const WriteOptions& options, const std::string& upgrade, bool te, const Names& names,
                      std::string& out) {
  bool first = true;
  const auto add = [&](std::string_view option) {
    out.append(std::exchange(first, false) ? names.connection : ", ").append(option);
  };
  if (!upgrade.empty()) {
    add("Upgrade");
  } else if (options.close) {
    add("close");
  } else if (options.keep_alive) {
    add("keep-alive");
  }
  if (te) add("TE");
  if (!first) out.append("\r\n");
  if (!upgrade.empty()) out.append(names.upgrade).append(upgrade).append("\r\n");
}

std::string_view VersionText(http::Version version) {
  return version == http::Version::kHttp10 ? "HTTP/1.0" : "HTTP/1.1";
}

void AppendTarget(const http::RequestHead& head, std::string& out) {
  // RFC 9112 section 3.2.
  switch (head.form) {
    case http::TargetForm::kOrigin:
    case http::TargetForm::kAsterisk:
      out.append(head.path);
      return;
    case http::TargetForm::kAbsolute:
      out.append(head.scheme).append("://").append(head.authority).append(head.path);
      return;
    case http::TargetForm::kAuthority:
      out.append(head.authority);
      return;
  }
}

}  // namespace

void AppendRequestHead(const http::RequestHead& head, const WriteOptions& options, std::string& out) {
  const Names& names = NamesFor(options.spelling, head.title_names);
  out.reserve(out.size() + head.headers.text_bytes() + 4 * head.headers.size() + head.path.size() +
              2 * head.authority.size() + 160);
  out.append(head.method_text).append(" ");
  AppendTarget(head, out);
  out.append(" ").append(VersionText(options.version)).append("\r\n");
  if (head.has_authority) out.append(names.host).append(head.authority).append("\r\n");
  switch (head.content.kind) {
    case ContentLength::Kind::kNone:
      if (options.say_empty) AppendLength(0, names, out);
      break;
    case ContentLength::Kind::kUntilClose:  // no such request (RFC 9112 section 6.3, rule 8)
      break;
    case ContentLength::Kind::kSized:
      AppendLength(head.content.bytes, names, out);
      break;
    case ContentLength::Kind::kUnsized:
      out.append(names.chunked);
      break;
  }
  AppendConnection(options, head.upgrade, head.headers.Has(Known::kTe), names, out);
  AppendFields(head.headers, options.spelling, out);
  out.append("\r\n");
}

void AppendResponseHead(const http::ResponseHead& head, const WriteOptions& options, std::string& out) {
  const Names& names = NamesFor(options.spelling, head.title_names);
  out.reserve(out.size() + head.headers.text_bytes() + 4 * head.headers.size() + head.own_reason.size() +
              160);
  out.append(VersionText(options.version)).append(" ");
  AppendNumber(head.status, 10, out);
  out.append(" ");
  out.append(head.has_own_reason ? std::string_view(head.own_reason) : http::ReasonPhrase(head.status));
  out.append("\r\n");
  switch (head.content.kind) {
    case ContentLength::Kind::kNone:
      // RFC 9110 section 8.6: never with 1xx or 204; with HEAD and 304 what GET would have had.
      if (head.declared_length && head.status / 100 != 1 && head.status != 204) {
        AppendLength(*head.declared_length, names, out);
      }
      break;
    case ContentLength::Kind::kSized:
      AppendLength(head.content.bytes, names, out);
      break;
    case ContentLength::Kind::kUnsized:
      // RFC 9112 section 6.1: an HTTP/1.0 peer does not know chunked; the connection's end is its framing.
      if (options.version != http::Version::kHttp10) out.append(names.chunked);
      break;
    case ContentLength::Kind::kUntilClose:
      break;
  }
  AppendConnection(options, head.upgrade, false, names, out);
  AppendFields(head.headers, options.spelling, out);
  out.append("\r\n");
}

void AppendChunkSize(uint64_t bytes, std::string& out) {
  AppendNumber(bytes, 16, out);
  out.append("\r\n");
}

void AppendLastChunk(const http::HeaderList& trailers, Spelling spelling, std::string& out) {
  out.append("0\r\n");
  AppendFields(trailers, spelling, out);
  out.append("\r\n");
}

}  // namespace pillion::http1
