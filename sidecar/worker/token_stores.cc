#include "sidecar/worker/token_stores.h"

#include <chrono>
#include <utility>

#include "sidecar/worker/find_tables.h"

namespace pillion::worker {
namespace {

// What people are told of a store is no older.
constexpr auto kBetweenLooks = std::chrono::seconds(1);

idempotency::SharedTerms TermsOf(const config::TokenDomain& domain, idempotency::DomainId id) {
  idempotency::SharedTerms terms = domain.store->terms;
  terms.domain = id;
  terms.table = domain.terms;
  return terms;
}

}  // namespace

TokenStores::~TokenStores() = default;

TokenStore::Target TokenStores::TargetOf(const config::TokenStore& store,
                                         const upstream::ClusterTable& clusters) {
  TokenStore::Target target;
  const upstream::ClusterState* const cluster = clusters.Find(store.cluster);
  if (cluster == nullptr) return target;
  for (const auto& endpoint : cluster->endpoints()) target.addresses.push_back(endpoint->address());
  if (const auto& tls = cluster->config().tls) target.credentials = tls->credentials;
  return target;
}

void TokenStores::Name(idempotency::DomainId id, const config::TableHolder& holder, TokenStore::Terms terms,
                       const upstream::ClusterTable& clusters) {
  // Two listeners may name one domain: the first has the say, or they would take it from each other.
  if (holder.tally == nullptr || stores_.contains(id)) return;
  std::unique_ptr<TokenStore>& store = named_[id];
  if (store != nullptr && !(store->terms() == terms)) leaving_.push_back(std::exchange(store, nullptr));
  const std::shared_ptr<const config::TokenStore> config = terms.store;
  if (store == nullptr) store = std::make_unique<TokenStore>(parts_, std::move(terms), holder.tally);
  store->Take(config, TargetOf(*config, clusters));
  stores_[id] = store.get();
}

void TokenStores::Apply(const config::Snapshot& snapshot, const upstream::ClusterTable& clusters) {
  stores_.clear();
  ForEachTokenDomain(snapshot, [&](const config::TokenDomain& domain) {
    if (domain.store == nullptr) return;
    Name(domain.id, *domain.holder,
         {domain.store, TermsOf(domain, domain.id), idempotency::KeySource::kMinted}, clusters);
    if (!domain.keys.counts()) return;
    Name(domain.keys.records, *domain.keys.holder,
         {domain.store, TermsOf(domain, domain.keys.records), idempotency::KeySource::kApp}, clusters);
  });
  for (auto it = named_.begin(); it != named_.end();) {
    if (stores_.contains(it->first)) {
      ++it;
      continue;
    }
    leaving_.push_back(std::move(it->second));
    it = named_.erase(it);
  }
  if (!named_.empty() || !leaving_.empty()) Run();
}

std::map<idempotency::DomainId, std::vector<idempotency::RecordView>> TokenStores::Find(
    const std::array<uint8_t, 8>& hash) const {
  std::map<idempotency::DomainId, std::vector<idempotency::RecordView>> found;
  for (const auto& [id, store] : named_) {
    if (std::vector<idempotency::RecordView> views = store->Find(hash); !views.empty())
      found[id] = std::move(views);
  }
  return found;
}

stream::Progress TokenStores::Run() {
  std::erase_if(leaving_, [](const auto& store) { return store->idle(); });
  for (const auto& [id, store] : named_) store->TellPeople();
  if (!named_.empty() || !leaving_.empty()) parts_.turn.Arm(timer_, parts_.turn.now() + kBetweenLooks);
  return stream::Progress::kIdle;
}

}  // namespace pillion::worker
