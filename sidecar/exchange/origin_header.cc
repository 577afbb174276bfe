#include "sidecar/exchange/origin_header.h"

#include <charconv>
#include <optional>

#include "sidecar/base/text.h"

namespace pillion::exchange {
namespace {

using http::HeaderList;
using Kind = http::ContentLength::Kind;

// 'l', 't', or 0 when the name is neither all lower case nor Title-Case. Digits-only parts are both: 'l' is
// answered.
char SpellingOf(std::string_view name) {
  bool lower = true;
  bool title = true;
  bool start = true;
  for (const char c : name) {
    const bool upper_letter = c >= 'A' && c <= 'Z';
    const bool lower_letter = c >= 'a' && c <= 'z';
    if (upper_letter) lower = false;
    if (start ? lower_letter : upper_letter) title = false;
    start = c == '-';
  }
  return lower ? 'l' : title ? 't' : '\0';
}

// A sidecar's own, which it takes off before it restores the others'.
bool IsOurs(const HeaderList::Field& field) { return field.known == http::Known::kPillionDedup; }

void AppendSpelling(const HeaderList& headers, bool title_names, std::string& out) {
  size_t titles = 0;
  size_t lowers = 0;
  size_t others = 0;
  for (size_t i = 0; i < headers.size(); ++i) {
    const HeaderList::Field field = headers[i];
    if (IsOurs(field)) continue;
    const char spelling = SpellingOf(field.name);
    titles += spelling == 't';
    lowers += spelling == 'l';
    others += spelling == '\0';
  }
  const char common = titles + title_names > lowers ? 't' : 'l';
  out += ';';
  out += common;
  if (title_names != (common == 't')) out += ";f";
  if (others + (common == 't' ? lowers : titles) == 0) return;
  char separator = '=';
  for (size_t i = 0; i < headers.size(); ++i) {
    const HeaderList::Field field = headers[i];
    if (IsOurs(field) || SpellingOf(field.name) == common) continue;
    if (separator == '=') out += ";x";
    out += separator;
    out += field.name;
    separator = ',';
  }
}

void SpellTitle(HeaderList& headers) {
  std::string name;
  for (size_t i = 0; i < headers.size(); ++i) {
    name.assign(headers[i].name);
    bool start = true;
    for (char& c : name) {
      if (start && c >= 'a' && c <= 'z') c = static_cast<char>(c - 0x20);
      start = c == '-';
    }
    headers.RenameCase(i, name);
  }
}

struct Description {
  http::Version version = http::Version::kHttp11;
  bool title = false;
  bool framing_otherwise = false;
  bool absolute = false;
  bool no_host = false;
  bool empty_host = false;
  uint16_t status = 0;  // 0: as it came
  std::string_view exceptions;
  std::optional<std::string_view> reason;
};

bool Parse(std::string_view text, Description& out) {
  if (text.starts_with("1.1")) {
    out.version = http::Version::kHttp11;
  } else if (text.starts_with("1.0")) {
    out.version = http::Version::kHttp10;
  } else {
    return false;
  }
  text.remove_prefix(3);
  while (!text.empty()) {
    if (text.front() != ';') return false;
    text.remove_prefix(1);
    if (text.starts_with("r=")) {
      out.reason = text.substr(2);
      break;
    }
    const std::string_view token = text.substr(0, text.find(';'));
    text.remove_prefix(token.size());
    if (token == "t") {
      out.title = true;
    } else if (token == "f") {
      out.framing_otherwise = true;
    } else if (token == "abs") {
      out.absolute = true;
    } else if (token == "nohost") {
      out.no_host = true;
    } else if (token == "emptyhost") {
      out.empty_host = true;
    } else if (token.size() == 5 && token.starts_with("s=2")) {
      if (std::from_chars(token.data() + 2, token.data() + 5, out.status).ptr != token.data() + 5)
        return false;
    } else if (token.starts_with("x=")) {
      out.exceptions = token.substr(2);
    } else if (token != "l") {
      return false;
    }
  }
  return true;
}

void RestoreSpelling(const Description& description, HeaderList& headers) {
  if (description.title) SpellTitle(headers);
  ForEachListElement(description.exceptions, [&](std::string_view name) {
    for (size_t i = 0; i < headers.size(); ++i) {
      if (EqualsIgnoreCase(headers[i].name, name)) headers.RenameCase(i, name);
    }
  });
}

}  // namespace

std::string DescribeOrigin(const http::RequestHead& head) {
  std::string text = head.version == http::Version::kHttp10 ? "1.0" : "1.1";
  AppendSpelling(head.headers, head.title_names, text);
  if (head.form == http::TargetForm::kAbsolute) text += ";abs";
  if (head.authority.empty()) text += head.has_authority ? ";emptyhost" : ";nohost";
  return text;
}

std::string DescribeOrigin(const http::ResponseHead& head, bool to_upgrade) {
  std::string text = head.version == http::Version::kHttp10 ? "1.0" : "1.1";
  AppendSpelling(head.headers, head.title_names, text);
  if (to_upgrade && head.status / 100 == 2) text += ";s=" + std::to_string(head.status);
  if (head.has_own_reason) text.append(";r=").append(head.own_reason);
  return text;
}

bool RestoreOrigin(std::string_view text, http::RequestHead& head) {
  Description description;
  if (!Parse(text, description)) return false;
  // What no sidecar says of a message that it has parsed. HTTP/1.0 has no chunked coding (RFC 9112 section
  // 6.1): its app would take the chunks for the next requests. An absolute target has an authority,
  // and a scheme that HTTP/1 parsers take.
  const bool nameless = description.no_host || description.empty_host;
  if (description.version == http::Version::kHttp10 && head.content.kind == Kind::kUnsized) return false;
  if (description.absolute && (nameless || (head.scheme != "http" && head.scheme != "https"))) return false;
  head.version = description.version;
  if (description.absolute && head.form == http::TargetForm::kOrigin) head.form = http::TargetForm::kAbsolute;
  if (nameless) {
    head.has_authority = description.empty_host;
    head.authority.clear();
  }
  head.title_names = description.title != description.framing_otherwise;
  RestoreSpelling(description, head.headers);
  return true;
}

bool RestoreOrigin(std::string_view text, http::ResponseHead& head) {
  Description description;
  if (!Parse(text, description)) return false;
  head.version = description.version;
  head.title_names = description.title != description.framing_otherwise;
  RestoreSpelling(description, head.headers);
  head.has_own_reason = description.reason.has_value();
  if (description.reason) head.own_reason = *description.reason;
  return true;
}

void RestoreStatus(http::ResponseHead& head) {
  const auto description = head.headers.Find(http::Known::kPillionOrigin);
  Description read;
  if (head.status == kNotSwitched && description && Parse(*description, read) && read.status != 0)
    head.status = read.status;
}

}  // namespace pillion::exchange
