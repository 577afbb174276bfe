#include "sidecar/filters/local_ratelimit/local_ratelimit.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "sidecar/config/filters.h"
#include "sidecar/filter/chain.h"
#include "sidecar/filter/client_address.h"
#include "sidecar/filter/peer_identity.h"
#include "sidecar/ledger/limiter.h"

namespace pillion::filters {
namespace {

using filter::Decision;
using Action = config::RateLimit::Action;
using Entry = config::RateLimit::Entry;

// What is told of the limit that the request comes nearest to.
struct Standing {
  ledger::Taken taken{.granted = true, .left = UINT32_MAX, .until_next = {}, .until_full = {}};
  uint32_t limit = 0;

  void Note(const config::Limit& by, const ledger::Taken& one) {
    if (!taken.granted || (one.granted && limit != 0 && one.left >= taken.left)) return;
    taken = one;
    limit = by.max_tokens;
  }
};

// Up: whoever comes back then finds a token.
int64_t Seconds(time::Duration wait) { return (wait.count() + 999'999'999) / 1'000'000'000; }

void TellLeft(const Standing& standing, http::HeaderList& fields) {
  const std::pair<const char*, int64_t> told[] = {{"limit", standing.limit},
                                                  {"remaining", standing.taken.left},
                                                  {"reset", Seconds(standing.taken.until_full)}};
  for (const char* prefix : {"ratelimit-", "x-ratelimit-"}) {
    for (const auto& [name, value] : told) fields.Add(prefix + std::string(name), std::to_string(value));
  }
}

// The answer to a request that passed.
class Left final : public filter::Transform {
 public:
  explicit Left(const Standing& standing) : standing_(standing) {}
  Decision OnResponseHead(const filter::ResponseHeadView& response) override {
    TellLeft(standing_, response.head.headers);
    return Decision::kContinue;
  }
  bool only_response_head() const override { return true; }

 private:
  const Standing standing_;
};

// nullopt: it finds nothing.
std::optional<std::string> ValueOf(const Action& action, const filter::RequestView& request) {
  switch (action.kind) {
    case Action::Kind::kWord:
      return action.text;
    case Action::Kind::kClientAddress:
      return filter::ClientHost(request.options.policy, request.caller->peer, request.head.headers);
    case Action::Kind::kPeerIdentity: {
      std::string identity(filter::PeerIdentity(request.caller->security));
      if (identity.empty()) return std::nullopt;
      return identity;
    }
    case Action::Kind::kField: {
      if (action.text == "host" && request.head.has_authority) return request.head.authority;
      const auto value = request.head.headers.Find(action.text);
      if (!value || value->empty()) return std::nullopt;
      return std::string(*value);
    }
  }
  return std::nullopt;
}

// Empty: it makes no descriptor of this request.
std::vector<Entry> Describe(const std::vector<Action>& rule, const filter::RequestView& request) {
  std::vector<Entry> entries;
  for (const Action& action : rule) {
    auto value = ValueOf(action, request);
    if (!value) {
      if (action.skip_if_absent) continue;
      return {};
    }
    entries.push_back({action.key, *std::move(value)});
  }
  return entries;
}

// The name of a client among those of a descriptor: the values that it does not name. nullopt: it is not for
// these entries.
std::optional<std::string> ClientOf(const config::RateLimit::Descriptor& descriptor,
                                    const std::vector<Entry>& entries) {
  if (entries.size() != descriptor.entries.size()) return std::nullopt;
  std::string client;
  for (size_t i = 0; i < entries.size(); ++i) {
    const Entry& wanted = descriptor.entries[i];
    if (wanted.key != entries[i].key) return std::nullopt;
    if (wanted.value.empty()) {
      // Its length in front: no two lists of values have one name.
      client += std::to_string(entries[i].value.size());
      client += ':';
      client += entries[i].value;
    } else if (wanted.value != entries[i].value) {
      return std::nullopt;
    }
  }
  return client;
}

Standing Count(const config::RateLimit& policy, const filter::RequestView& request) {
  Standing standing;
  bool described = false;
  const time::MonotonicTime now = request.caller->now;
  for (const auto& rule : policy.rules) {
    const std::vector<Entry> entries = Describe(rule, request);
    if (entries.empty()) continue;
    for (const auto& descriptor : policy.descriptors) {
      const auto client = ClientOf(descriptor, entries);
      if (!client) continue;
      described = true;
      ledger::Limiter& limiter = *descriptor.limit.holder->limiter;
      bool forgotten = false;
      standing.Note(descriptor.limit,
                    client->empty() ? limiter.Take(now) : limiter.TakeOf(*client, now, forgotten));
      if (forgotten) request.caller->stats.rate_limit_forgotten.Add();
      if (!standing.taken.granted) return standing;  // it takes nothing from the others
    }
  }
  if (policy.limit && (policy.always_common || !described))
    standing.Note(*policy.limit, policy.limit->holder->limiter->Take(now));
  return standing;
}

}  // namespace

Decision LocalRateLimit::OnRequestHead(const filter::RequestView& request) const {
  const config::FilterOptions* const options =
      config::OptionsOf(config::FilterKind::kLocalRateLimit, request.options, request.route);
  if (options == nullptr) return Decision::kContinue;
  const auto* const policy = std::get_if<config::RateLimit>(options);
  if (policy == nullptr || !policy->limit || !policy->counted.Hits(request.random))
    return Decision::kContinue;
  const Standing standing = Count(*policy, request);
  telemetry::WorkerStats& stats = request.caller->stats;
  if (!standing.taken.granted && !policy->enforced.Hits(request.random)) {
    stats.rate_limit_overrun.Add();
    return Decision::kContinue;
  }
  if (standing.taken.granted) {
    if (policy->tell_left) filter::AddTransform(request.state, std::make_unique<Left>(standing));
    return Decision::kContinue;
  }
  stats.rate_limited.Add();
  filter::Refusal& refusal = request.caller->refusal;
  // As an answer of what it protects: another sidecar is not told that it may try again at once.
  refusal.error = {ErrorKind::kRateLimited, Side::kLocal, Outcome::kAnswered,
                   "more requests than policy allows"};
  refusal.status = policy->status;
  refusal.grpc_status = policy->grpc_status;
  refusal.fields.Add("x-envoy-ratelimited", "true");
  if (policy->tell_left) TellLeft(standing, refusal.fields);
  if (policy->tell_retry_after)
    refusal.fields.Add("retry-after", std::to_string(Seconds(standing.taken.until_next)));
  return Decision::kRefuse;
}

}  // namespace pillion::filters
