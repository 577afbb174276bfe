#include "sidecar/config/parse_sticky_session.h"

#include <algorithm>
#include <string_view>

#include "envoy/extensions/filters/http/stateful_session/v3/stateful_session.pb.h"
#include "envoy/extensions/http/stateful_session/cookie/v3/cookie.pb.h"
#include "envoy/extensions/http/stateful_session/header/v3/header.pb.h"
#include "sidecar/base/text.h"
#include "sidecar/config/editable_field.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/http/target.h"

namespace pillion::config {
namespace {

using envoy::extensions::filters::http::stateful_session::v3::StatefulSession;
using envoy::extensions::filters::http::stateful_session::v3::StatefulSessionPerRoute;
using envoy::extensions::http::stateful_session::cookie::v3::CookieBasedSessionState;
using envoy::extensions::http::stateful_session::header::v3::HeaderBasedSessionState;
namespace type = envoy::type::http::v3;

// RFC 6265 section 4.1.1: extension-av.
bool IsAttributeValue(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7e && c != ';'; });
}

StickySession ReadCookie(const type::Cookie& proto, const std::string& path, ConfigErrors& errors) {
  StickySession result{.kind = StickySession::Kind::kCookie, .name = proto.name()};
  if (!IsFieldName(proto.name())) Add(errors, FieldPath(path, "name"), "expected a cookie's name");
  if (proto.has_ttl()) {
    const std::string ttl_path = FieldPath(path, "ttl");
    const nanoseconds ttl = ReadDuration(proto.ttl(), ttl_path, errors);
    result.ttl = std::chrono::duration_cast<std::chrono::seconds>(ttl);
    if (result.ttl.count() == 0 && ttl.count() > 0) Add(errors, ttl_path, "expected 0, or at least 1s");
  }
  if (result.ttl.count() > 0) result.attributes += "; Max-Age=" + std::to_string(result.ttl.count());
  if (!proto.path().empty()) {
    result.attributes += "; Path=" + proto.path();
    if (!http::IsOriginForm(proto.path()) || !IsAttributeValue(proto.path()))
      Add(errors, FieldPath(path, "path"), "expected a path without ;");
  }
  // Scripts have no use for it.
  result.attributes += "; HttpOnly";
  for (int i = 0; i < proto.attributes_size(); ++i) {
    const type::CookieAttribute& one = proto.attributes(i);
    const std::string one_path = ElementPath(FieldPath(path, "attributes"), static_cast<size_t>(i));
    if (!IsFieldName(one.name())) Add(errors, FieldPath(one_path, "name"), "expected an attribute's name");
    if (!IsAttributeValue(one.value()))
      Add(errors, FieldPath(one_path, "value"), "expected printable ASCII characters without ;");
    result.attributes += "; " + one.name();
    if (!one.value().empty()) result.attributes += "=" + one.value();
  }
  return result;
}

StickySession ReadHeader(const HeaderBasedSessionState& proto, const std::string& path,
                         ConfigErrors& errors) {
  StickySession result{.kind = StickySession::Kind::kHeader, .name = proto.name()};
  std::ranges::transform(result.name, result.name.begin(), AsciiLower);
  if (!IsFieldName(result.name)) {
    Add(errors, FieldPath(path, "name"), "expected a field's name");
  } else if (const std::string_view expected = WhyNotEditable(result.name); !expected.empty()) {
    Add(errors, FieldPath(path, "name"), std::string(expected));
  }
  return result;
}

FilterOptions Read(const StatefulSession& proto, const std::string& path, ConfigErrors& errors) {
  if (!proto.has_session_state()) return Present{};
  StickySession result;
  const google::protobuf::Any& any = proto.session_state().typed_config();
  const std::string any_path = FieldPath(FieldPath(path, "session_state"), "typed_config");
  if (TypeName(any) == HeaderBasedSessionState::descriptor()->full_name()) {
    if (const auto header = Unpack<HeaderBasedSessionState>(any, any_path, errors))
      result = ReadHeader(*header, any_path, errors);
  } else if (TypeName(any) == CookieBasedSessionState::descriptor()->full_name()) {
    if (const auto cookie = Unpack<CookieBasedSessionState>(any, any_path, errors))
      result = ReadCookie(cookie->cookie(), FieldPath(any_path, "cookie"), errors);
  } else {
    Add(errors, any_path, "expected a CookieBasedSessionState or a HeaderBasedSessionState");
  }
  result.strict = proto.strict();
  return result;
}

}  // namespace

FilterOptions ReadStickySession(const google::protobuf::Any& any, const std::string& path,
                                ConfigErrors& errors) {
  const auto proto = Unpack<StatefulSession>(any, path, errors);
  return proto == nullptr ? Present{} : Read(*proto, path, errors);
}

FilterOptions ReadStickySessionPerRoute(const google::protobuf::Any& any, const std::string& path,
                                        bool& disabled, ConfigErrors& errors) {
  const auto proto = Unpack<StatefulSessionPerRoute>(any, path, errors);
  if (proto == nullptr) return Present{};
  if (proto->has_stateful_session())
    return Read(proto->stateful_session(), FieldPath(path, "stateful_session"), errors);
  if (!proto->has_disabled()) {
    Add(errors, path, "expected disabled or stateful_session");
  } else if (!proto->disabled()) {
    Add(errors, FieldPath(path, "disabled"), "expected true; it says nothing otherwise");
  }
  disabled = true;
  return Present{};
}

}  // namespace pillion::config
