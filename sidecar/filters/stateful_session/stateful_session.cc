#include "sidecar/filters/stateful_session/stateful_session.h"

#include <optional>
#include <string_view>
#include <variant>

#include "sidecar/config/filters.h"
#include "sidecar/filter/sticky_session.h"
#include "sidecar/http/cookie.h"

namespace pillion::filters {

filter::Decision StatefulSession::OnRequestHead(const filter::RequestView& request) const {
  const config::FilterOptions* const options =
      config::OptionsOf(config::FilterKind::kStatefulSession, request.options, request.route);
  if (options == nullptr) return filter::Decision::kContinue;
  const auto* const terms = std::get_if<config::StickySession>(options);
  if (terms == nullptr) return filter::Decision::kContinue;
  const http::HeaderList& fields = request.head.headers;
  const std::optional<std::string_view> value = terms->kind == config::StickySession::Kind::kCookie
                                                    ? http::FindCookie(fields, terms->name)
                                                    : fields.Find(terms->name);
  request.caller->session.emplace(filter::StickySession{
      terms, value ? filter::ReadStickyValue(*value, request.caller->wall) : std::nullopt});
  return filter::Decision::kContinue;
}

}  // namespace pillion::filters
