#include <algorithm>
#include <tuple>

#include "control-plane/model/model.h"

namespace pillion::control {
namespace {

auto MoreFirst(const MethodLengths& of) {
  const auto less = [](size_t length) { return -static_cast<int64_t>(length); };
  return std::make_tuple(less(of.service), less(of.method), less(of.service_regex), less(of.method_regex));
}

}  // namespace

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
    // What names methods alike has paths alike: of a GRPCRoute nothing is left to the two after it.
    return std::make_tuple(MoreFirst(match.grpc), match.path.kind,
                           exact ? 0 : -static_cast<int64_t>(match.path.path.size()), match.method.empty(),
                           -static_cast<int64_t>(match.headers.size()),
                           -static_cast<int64_t>(match.query.size()), r.route->created,
                           std::tie(r.route->name.ns, r.route->name.name), r.written);
  };
  std::sort(ranked.begin(), ranked.end(),
            [&](const RankedMatch& a, const RankedMatch& b) { return rank(a) < rank(b); });
  return ranked;
}

}  // namespace pillion::control
