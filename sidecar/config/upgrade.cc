#include <algorithm>

#include "sidecar/base/text.h"
#include "sidecar/config/listener.h"

namespace pillion::config {
namespace {

const UpgradeRule* Find(const std::vector<UpgradeRule>& rules, std::string_view type) {
  const auto found =
      std::ranges::find_if(rules, [&](const UpgradeRule& rule) { return EqualsIgnoreCase(rule.type, type); });
  return found == rules.end() ? nullptr : &*found;
}

bool AllowsOne(const HttpOptions& http, const Route& route, std::string_view type) {
  if (const UpgradeRule* const rule = Find(route.upgrades, type)) return rule->enabled;
  if (const UpgradeRule* const rule = Find(http.upgrades, type)) return rule->enabled;
  return http.pass_upgrades && type != "CONNECT" && !EqualsIgnoreCase(type.substr(0, 3), "h2c");
}

}  // namespace

bool AllowsUpgrade(const HttpOptions& http, const Route& route, std::string_view type) {
  bool all = true;
  ForEachListElement(type, [&](std::string_view one) { all = all && AllowsOne(http, route, one); });
  return all;
}

}  // namespace pillion::config
