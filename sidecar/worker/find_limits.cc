#include "sidecar/worker/find_limits.h"

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "sidecar/config/filters.h"

namespace pillion::worker {
namespace {

using Entries = std::shared_ptr<const std::vector<config::FilterEntry>>;

void FindOne(const config::Limit& limit, const std::string& name, uint32_t max_clients,
             ledger::Limits* limits) {
  std::shared_ptr<ledger::Limiter>& limiter = limit.holder->limiter;
  if (limiter != nullptr) return;  // the configuration before had this very part
  const ledger::BucketShape shape{.max_tokens = limit.max_tokens, .token = limit.token};
  limiter = limits == nullptr ? std::make_shared<ledger::Limiter>(shape, max_clients)
                              : limits->Find(name, shape, max_clients);
}

void FindIn(const Entries& entries, const std::string& scope, ledger::Limits* limits) {
  if (entries == nullptr) return;
  for (const config::FilterEntry& entry : *entries) {
    const auto* const policy =
        entry.options == nullptr ? nullptr : std::get_if<config::RateLimit>(entry.options.get());
    if (policy == nullptr) continue;
    const std::string name = scope + '|' + entry.place + '|' + entry.name + '|';
    if (policy->limit) FindOne(*policy->limit, name, policy->max_clients, limits);
    for (const config::RateLimit::Descriptor& descriptor : policy->descriptors) {
      std::string own = name;
      for (const auto& [key, value] : descriptor.entries)
        own.append(key).append("=").append(value).append("|");
      FindOne(descriptor.limit, own, policy->max_clients, limits);
    }
  }
}

}  // namespace

void FindLimits(const config::Snapshot& snapshot, ledger::Limits* limits) {
  for (const auto& [name, entry] : snapshot.listeners) {
    for (size_t i = 0; i < entry.listener->chain_count(); ++i) {
      const auto& http = entry.listener->chain(i).http;
      if (http == nullptr) continue;
      const std::string& chain = entry.listener->chain(i).name;
      const std::string scope = name + '|' + (chain.empty() ? '#' + std::to_string(i) : chain);
      FindIn(http->http.filters, scope, limits);
      const auto& table = entry.routes[i];
      if (table == nullptr || http->http.filters == nullptr) continue;
      for (const config::VirtualHost& host : table->virtual_hosts) {
        // A table of its own name is the same under every listener that uses it.
        for (const config::Route& route : host.routes)
          FindIn(route.filters, http->http.inline_routes != nullptr ? scope : "", limits);
      }
    }
  }
}

}  // namespace pillion::worker
