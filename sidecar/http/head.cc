#include "sidecar/http/head.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "sidecar/base/text.h"

namespace pillion::http {
namespace {

struct Reason {
  uint16_t status;
  std::string_view phrase;
};

// By status, for the binary search.
constexpr std::array kReasons = {
    Reason{100, "Continue"},
    Reason{101, "Switching Protocols"},
    Reason{103, "Early Hints"},
    Reason{200, "OK"},
    Reason{201, "Created"},
    Reason{202, "Accepted"},
    Reason{203, "Non-Authoritative Information"},
    Reason{204, "No Content"},
    Reason{205, "Reset Content"},
    Reason{206, "Partial Content"},
    Reason{300, "Multiple Choices"},
    Reason{301, "Moved Permanently"},
    Reason{302, "Found"},
    Reason{303, "See Other"},
    Reason{304, "Not Modified"},
    Reason{307, "Temporary Redirect"},
    Reason{308, "Permanent Redirect"},
    Reason{400, "Bad Request"},
    Reason{401, "Unauthorized"},
    Reason{403, "Forbidden"},
    Reason{404, "Not Found"},
    Reason{405, "Method Not Allowed"},
    Reason{406, "Not Acceptable"},
    Reason{408, "Request Timeout"},
    Reason{409, "Conflict"},
    Reason{410, "Gone"},
    Reason{411, "Length Required"},
    Reason{412, "Precondition Failed"},
    Reason{413, "Content Too Large"},
    Reason{414, "URI Too Long"},
    Reason{415, "Unsupported Media Type"},
    Reason{416, "Range Not Satisfiable"},
    Reason{417, "Expectation Failed"},
    Reason{421, "Misdirected Request"},
    Reason{422, "Unprocessable Content"},
    Reason{425, "Too Early"},
    Reason{426, "Upgrade Required"},
    Reason{428, "Precondition Required"},
    Reason{429, "Too Many Requests"},
    Reason{431, "Request Header Fields Too Large"},
    Reason{500, "Internal Server Error"},
    Reason{501, "Not Implemented"},
    Reason{502, "Bad Gateway"},
    Reason{503, "Service Unavailable"},
    Reason{504, "Gateway Timeout"},
    Reason{505, "HTTP Version Not Supported"},
    Reason{508, "Loop Detected"},
};

}  // namespace

std::string_view ToString(Version version) {
  switch (version) {
    case Version::kHttp10:
      return "HTTP/1.0";
    case Version::kHttp11:
      return "HTTP/1.1";
    case Version::kHttp2:
      return "HTTP/2";
  }
  return "";
}

Method ParseMethod(std::string_view token) {
  switch (token.size()) {
    case 3:
      return token == "GET" ? Method::kGet : token == "PUT" ? Method::kPut : Method::kOther;
    case 4:
      return token == "POST" ? Method::kPost : token == "HEAD" ? Method::kHead : Method::kOther;
    case 5:
      return token == "PATCH" ? Method::kPatch : token == "TRACE" ? Method::kTrace : Method::kOther;
    case 6:
      return token == "DELETE" ? Method::kDelete : Method::kOther;
    case 7:
      return token == "OPTIONS" ? Method::kOptions : token == "CONNECT" ? Method::kConnect : Method::kOther;
    default:
      return Method::kOther;
  }
}

bool IsSafe(Method method) {
  return method == Method::kGet || method == Method::kHead || method == Method::kOptions ||
         method == Method::kTrace;
}

bool IsIdempotent(Method method) {
  switch (method) {
    case Method::kGet:
    case Method::kHead:
    case Method::kPut:
    case Method::kDelete:
    case Method::kOptions:
    case Method::kTrace:
      return true;
    case Method::kPost:
    case Method::kConnect:
    case Method::kPatch:
    case Method::kOther:
      return false;
  }
  return false;
}

void swap(RequestHead& a, RequestHead& b) noexcept {
  std::swap(a.method, b.method);
  a.method_text.swap(b.method_text);
  std::swap(a.form, b.form);
  a.path.swap(b.path);
  a.authority.swap(b.authority);
  a.scheme.swap(b.scheme);
  std::swap(a.version, b.version);
  std::swap(a.has_authority, b.has_authority);
  std::swap(a.keep_alive, b.keep_alive);
  std::swap(a.content, b.content);
  swap(a.headers, b.headers);
  std::swap(a.title_names, b.title_names);
  if (!a.upgrade.empty() || !b.upgrade.empty()) a.upgrade.swap(b.upgrade);
}

void swap(ResponseHead& a, ResponseHead& b) noexcept {
  std::swap(a.status, b.status);
  std::swap(a.version, b.version);
  std::swap(a.keep_alive, b.keep_alive);
  std::swap(a.content, b.content);
  std::swap(a.declared_length, b.declared_length);
  swap(a.headers, b.headers);
  std::swap(a.title_names, b.title_names);
  std::swap(a.has_own_reason, b.has_own_reason);
  a.own_reason.swap(b.own_reason);
  if (!a.upgrade.empty() || !b.upgrade.empty()) a.upgrade.swap(b.upgrade);
}

void RequestHead::Clear() {
  method = Method::kGet;
  method_text.clear();
  form = TargetForm::kOrigin;
  path.clear();
  authority.clear();
  scheme.clear();
  version = Version::kHttp11;
  has_authority = false;
  keep_alive = true;
  content = {};
  headers.Clear();
  title_names = false;
  upgrade.clear();
}

void ResponseHead::Clear() {
  status = 200;
  version = Version::kHttp11;
  keep_alive = true;
  content = {};
  declared_length.reset();
  headers.Clear();
  title_names = false;
  has_own_reason = false;
  own_reason.clear();
  upgrade.clear();
}

// By a swap: a short string that is moved into a long one leaves the long one its memory.
void RequestHead::Recycle() {
  if (headers.text_bytes() + path.size() > kMaxKeptHeadBytes) {
    RequestHead fresh;
    std::swap(*this, fresh);
  }
  Clear();
}

void ResponseHead::Recycle() {
  if (headers.text_bytes() + own_reason.size() > kMaxKeptHeadBytes) {
    ResponseHead fresh;
    std::swap(*this, fresh);
  }
  Clear();
}

bool IsGrpcContentType(std::string_view type) {
  constexpr std::string_view kGrpc = "application/grpc";
  if (type.size() < kGrpc.size() || !EqualsIgnoreCase(type.substr(0, kGrpc.size()), kGrpc)) return false;
  return type.size() == kGrpc.size() || type[kGrpc.size()] == '+' || type[kGrpc.size()] == ';';
}

bool IsGrpc(const HeaderList& headers) {
  const auto type = headers.Find(Known::kContentType);
  return type && IsGrpcContentType(*type);
}

std::string_view ReasonPhrase(uint16_t status) {
  const auto* const found =
      std::lower_bound(kReasons.begin(), kReasons.end(), status,
                       [](const Reason& reason, uint16_t wanted) { return reason.status < wanted; });
  return found != kReasons.end() && found->status == status ? found->phrase : std::string_view();
}

bool ForbiddenInTrailers(Known known) {
  switch (known) {
    case Known::kConnection:
    case Known::kContentLength:
    case Known::kExpect:
    case Known::kHost:
    case Known::kHttp2Settings:
    case Known::kKeepAlive:
    case Known::kProxyConnection:
    case Known::kTe:
    case Known::kTrailer:
    case Known::kTransferEncoding:
    case Known::kUpgrade:
      return true;
    default:
      return false;
  }
}

bool LeftOutOfTrailers(Known known) {
  switch (known) {
    case Known::kForwardedClientCert:
    case Known::kPillionAttempt:
    case Known::kPillionDedup:
    case Known::kPillionDomain:
    case Known::kPillionExplain:
    case Known::kPillionFirst:
    case Known::kPillionOrigin:
    case Known::kPillionOutcome:
    case Known::kPillionOther:
    case Known::kPillionToken:
      return true;
    default:
      return false;
  }
}

namespace {

// The fields that Connection names, and Connection itself.
bool RemoveNamed(HeaderList& headers) {
  // Views of the list's text, which stays while fields are removed.
  absl::InlinedVector<std::string_view, 4> named;
  size_t count = 0;
  for (size_t i = 0; i < headers.size(); ++i) {
    const HeaderList::Field field = headers[i];
    if (field.known != Known::kConnection) continue;
    ForEachListElement(field.value, [&](std::string_view option) {
      if (++count <= kMaxConnectionOptions) named.push_back(option);
    });
  }
  if (count > kMaxConnectionOptions) return false;
  for (const std::string_view name : named) {
    switch (Lookup(name)) {
      case Known::kTe:
      case Known::kTraceparent:
      case Known::kTracestate:
      case Known::kPillionOrigin:
        break;  // ours to judge; naming them must not remove them
      default:
        headers.Remove(name);
    }
  }
  headers.Remove(Known::kConnection);
  return true;
}

}  // namespace

bool RemoveHopByHop(HeaderList& headers) {
  if (headers.Has(Known::kConnection) && !RemoveNamed(headers)) return false;
  headers.RemoveAny({Known::kKeepAlive, Known::kProxyConnection, Known::kUpgrade, Known::kHttp2Settings});
  if (!headers.Has(Known::kTe)) return true;
  bool trailers = false;
  for (size_t i = 0; i < headers.size(); ++i) {
    if (headers[i].known != Known::kTe) continue;
    ForEachListElement(headers[i].value, [&](std::string_view e) {
      trailers = trailers || EqualsIgnoreCase(e.substr(0, e.find(';')), "trailers");
    });
  }
  headers.Remove(Known::kTe);
  if (trailers) headers.Add(Known::kTe, "trailers");
  return true;
}

}  // namespace pillion::http
