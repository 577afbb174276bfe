// Message heads as the sidecar holds them, whatever wire version they came in.
#ifndef PILLION_SIDECAR_HTTP_HEAD_H_
#define PILLION_SIDECAR_HTTP_HEAD_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "sidecar/http/header_list.h"

namespace pillion::http {

enum class Version : uint8_t { kHttp10, kHttp11, kHttp2 };
std::string_view ToString(Version version);  // "HTTP/1.0", "HTTP/1.1", "HTTP/2"

// Methods that change how a message is handled; all others travel as text.
enum class Method : uint8_t { kGet, kHead, kPost, kPut, kDelete, kConnect, kOptions, kTrace, kPatch, kOther };
Method ParseMethod(std::string_view token);
// RFC 9110 section 9.2.2: running it twice has the effect of running it once.
bool IsIdempotent(Method method);
// RFC 9110 section 9.2.1: asks for nothing to be done.
bool IsSafe(Method method);

// How the request target was written (RFC 9112 section 3.2).
enum class TargetForm : uint8_t { kOrigin, kAbsolute, kAuthority, kAsterisk };

// How long the content is, as its sender declared it.
struct ContentLength {
  enum class Kind : uint8_t {
    kNone,        // no content follows
    kSized,       // exactly `bytes`
    kUnsized,     // ends with the message (chunked, or an HTTP/2 stream without content-length)
    kUntilClose,  // HTTP/1 response that ends with its connection
  };
  Kind kind = Kind::kNone;
  uint64_t bytes = 0;
};

// What a head may hold and still be kept for the next message of its connection. Attack: idle connections,
// each after one large head.
inline constexpr size_t kMaxKeptHeadBytes = 4096;

struct RequestHead {
  Method method = Method::kGet;
  std::string method_text = "GET";  // always filled
  TargetForm form = TargetForm::kOrigin;
  std::string path;       // origin-form path and query, "*" for asterisk-form, empty for authority-form
  std::string authority;  // Host or :authority, or the target's authority; "" only when HTTP/1.0 sent none
  std::string scheme;     // "http" unless the peer said otherwise
  Version version = Version::kHttp11;
  bool has_authority = false;  // an HTTP/1.0 request may have no Host; a Host may be empty
  bool keep_alive = true;      // HTTP/1: the connection may carry another request after this one
  ContentLength content;
  HeaderList headers;        // without Host, Content-Length, Transfer-Encoding: those are the fields above
  bool title_names = false;  // HTTP/1: those were spelt Title-Case, and are written so
  // The protocols that the client asks to switch to, most wanted first, or "": Upgrade (RFC 9110 section 7.8;
  // the exchange takes it out of `headers`), or :protocol of an Extended CONNECT (RFC 8441), which is then
  // held as the GET that it stands for. Written as the one or the other.
  std::string upgrade;
  void Clear();
  // Heads change hands by swapping, so that their memory stays in use: member by member, which is half the
  // work of three moves.
  friend void swap(RequestHead& a, RequestHead& b) noexcept;
  // Clears; the memory is kept when it is little.
  void Recycle();
};

struct ResponseHead {
  uint16_t status = 200;
  Version version = Version::kHttp11;
  bool keep_alive = true;
  ContentLength content;
  // Content-Length as sent, also where no content follows (HEAD, 304): RFC 9110 section 8.6.
  std::optional<uint64_t> declared_length;
  HeaderList headers;           // without Content-Length, Transfer-Encoding
  bool title_names = false;     // as above
  bool has_own_reason = false;  // HTTP/1: its reason phrase was not the standard one, but
  std::string own_reason;       // this, possibly ""
  std::string upgrade;          // of a 101: the protocol chosen
  void Clear();
  friend void swap(ResponseHead& a, ResponseHead& b) noexcept;
  void Recycle();  // as above
};

// Of gRPC: "application/grpc", alone or followed by "+subtype" or ";parameter".
bool IsGrpcContentType(std::string_view type);
// Their content-type says so.
bool IsGrpc(const HeaderList& headers);

// The standard reason phrase; "" for an unknown status (legal: RFC 9112 section 4).
std::string_view ReasonPhrase(uint16_t status);

// RFC 9110 sections 6.4.1 and 15: may a response with this status to this method have content?
inline bool ResponseHasNoContent(Method method, uint16_t status) {
  return method == Method::kHead || status / 100 == 1 || status == 204 || status == 304;
}

// The connection, or stream, carries bytes of another protocol after this answer.
inline bool OpensTunnel(const RequestHead& request, uint16_t status) {
  return request.method == Method::kConnect ? status / 100 == 2 : status == 101 && !request.upgrade.empty();
}

// Fields that frame, route or steer a message and so must not come after it (RFC 9110 section 6.5.1).
bool ForbiddenInTrailers(Known known);
// Fields that sidecars write, and that are believed: nobody may say them behind the head, where no policy
// looks.
bool LeftOutOfTrailers(Known known);

// What Connection may name. Attack: thousands of names, each of which is looked for among all fields.
inline constexpr size_t kMaxConnectionOptions = 100;

// Removes what belongs to one hop only: Connection and every field it names, Keep-Alive, Proxy-Connection,
// Upgrade, HTTP2-Settings, TE except "trailers" (RFC 9110 section 7.6.1). Content-Length, Host and the like
// named in Connection are kept: naming them is an attack, not a wish. False: Connection names more than
// kMaxConnectionOptions; nothing was removed, and the message is to be refused.
[[nodiscard]] bool RemoveHopByHop(HeaderList& headers);

}  // namespace pillion::http

#endif  // PILLION_SIDECAR_HTTP_HEAD_H_
