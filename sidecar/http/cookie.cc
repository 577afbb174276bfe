#include "sidecar/http/cookie.h"

#include "sidecar/base/text.h"

namespace pillion::http {

std::optional<std::string_view> FindCookie(const HeaderList& fields, std::string_view name) {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (fields[i].known != Known::kCookie) continue;
    std::string_view rest = fields[i].value;
    while (!rest.empty()) {
      const size_t end = rest.find(';');
      const std::string_view pair = TrimOws(rest.substr(0, end));
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
      if (!pair.starts_with(name) || pair.size() <= name.size() || pair[name.size()] != '=') continue;
      std::string_view value = pair.substr(name.size() + 1);
      if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
        value = value.substr(1, value.size() - 2);
      return value;
    }
  }
  return std::nullopt;
}

}  // namespace pillion::http
