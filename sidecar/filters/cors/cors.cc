#include "sidecar/filters/cors/cors.h"

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "sidecar/base/text.h"
#include "sidecar/config/filters.h"
#include "sidecar/config/string_match.h"
#include "sidecar/filter/chain.h"

namespace pillion::filters {
namespace {

using filter::Decision;

constexpr std::string_view kAllowOrigin = "access-control-allow-origin";
constexpr std::string_view kAllowCredentials = "access-control-allow-credentials";

void Set(http::HeaderList& headers, std::string_view name, std::string_view value) {
  headers.Remove(name);
  if (!value.empty()) headers.Add(name, value);
}

// A cache must not give one origin's answer to another (Fetch section 3.2.3).
void AddVary(http::HeaderList& headers) {
  bool named = false;
  for (size_t i = 0; i < headers.size(); ++i) {
    if (!EqualsIgnoreCase(headers[i].name, "vary")) continue;
    ForEachListElement(headers[i].value, [&](std::string_view e) {
      named = named || e == "*" || EqualsIgnoreCase(e, "origin");
    });
  }
  if (!named) headers.Add("vary", "origin");
}

void GiveLeave(const config::CorsPolicy& policy, std::string_view origin, http::HeaderList& headers) {
  Set(headers, kAllowOrigin, origin);
  Set(headers, kAllowCredentials, policy.allow_credentials ? "true" : "");
  AddVary(headers);
}

// The answer to a request of an origin that is allowed. The policy is its route's, which the exchange holds.
class Leave final : public filter::Transform {
 public:
  Leave(const config::CorsPolicy* policy, std::string origin) : policy_(policy), origin_(std::move(origin)) {}
  Decision OnResponseHead(const filter::ResponseHeadView& response) override {
    GiveLeave(*policy_, origin_, response.head.headers);
    Set(response.head.headers, "access-control-expose-headers", policy_->expose_headers);
    return Decision::kContinue;
  }
  bool only_response_head() const override { return true; }
  size_t HeldBytes() const override { return origin_.size(); }

 private:
  const config::CorsPolicy* const policy_;
  const std::string origin_;
};

bool Allows(const config::CorsPolicy& policy, std::string_view origin) {
  return std::ranges::any_of(policy.allow_origins, [&](const config::StringMatch& match) {
    const bool all = match.kind == config::StringMatch::Kind::kExact && match.text == "*";
    return all || config::Matches(match, origin);
  });
}

// With credentials a `*` is a name to browsers: the field tells what was asked for (Fetch section 3.2.5).
std::string_view Allowed(const config::CorsPolicy& policy, std::string_view list, std::string_view asked) {
  return list == "*" && policy.allow_credentials ? asked : list;
}

}  // namespace

Decision Cors::OnRequestHead(const filter::RequestView& request) const {
  const config::FilterOptions* const options =
      config::OptionsOf(config::FilterKind::kCors, request.options, request.route);
  if (options == nullptr) return Decision::kContinue;
  const auto* const policy = std::get_if<config::CorsPolicy>(options);
  const auto origin = request.head.headers.Find("origin");
  if (policy == nullptr || !origin || origin->empty()) return Decision::kContinue;
  const auto wanted = request.head.headers.Find("access-control-request-method");
  const bool preflight = request.head.method == http::Method::kOptions && wanted && !wanted->empty();
  const bool allowed = Allows(*policy, *origin);
  if (!preflight) {
    if (allowed) filter::AddTransform(request.state, std::make_unique<Leave>(policy, std::string(*origin)));
    return Decision::kContinue;
  }
  if (!allowed && policy->forward_not_matching_preflights) return Decision::kContinue;
  request.response.status = 200;
  request.response.content = {http::ContentLength::Kind::kSized, 0};
  if (allowed) {
    http::HeaderList& headers = request.response.headers;
    GiveLeave(*policy, *origin, headers);
    const auto asked = request.head.headers.Find("access-control-request-headers");
    Set(headers, "access-control-allow-methods", Allowed(*policy, policy->allow_methods, *wanted));
    Set(headers, "access-control-allow-headers", Allowed(*policy, policy->allow_headers, asked.value_or("")));
    Set(headers, "access-control-expose-headers", policy->expose_headers);
    Set(headers, "access-control-max-age", policy->max_age);
  }
  return Decision::kRespond;
}

}  // namespace pillion::filters
