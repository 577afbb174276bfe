#include <algorithm>
#include <tuple>

#include "control-plane/model/model.h"

namespace pillion::control {

std::vector<RankedMatch> InPrecedence(const std::vector<const MeshRoute*>& routes) {
  std::vector<RankedMatch> ranked;
  for (const MeshRoute* route : routes) {
    for (const MeshRule& rule : route->rules) {
      for (const HttpMatch& match : rule.matches) ranked.push_back({route, &rule, &match, ranked.size()});
    }
  }
  const auto rank = [](const RankedMatch& r) {
    const HttpMatch& match = *r.match;
    const bool exact = match.path.kind == PathMatch::Kind::kExact;
    return std::make_tuple(match.path.kind, exact ? 0 : -static_cast<int64_t>(match.path.path.size()),
                           match.method.empty(), -static_cast<int64_t>(match.headers.size()),
                           -static_cast<int64_t>(match.query.size()), r.route->created,
                           std::tie(r.route->name.ns, r.route->name.name), r.written);
  };
  std::sort(ranked.begin(), ranked.end(),
            [&](const RankedMatch& a, const RankedMatch& b) { return rank(a) < rank(b); });
  return ranked;
}

}  // namespace pillion::control
