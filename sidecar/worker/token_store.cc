#include "sidecar/worker/token_store.h"

#include <string>
#include <utility>

#include "sidecar/base/hex.h"
#include "sidecar/idempotency/hello.h"

namespace pillion::worker {
namespace {

using idempotency::ClaimAnswer;
using idempotency::Ended;
using idempotency::SharedStore;
using idempotency::Waiter;

redis::ClientSettings SettingsOf(const TokenStore::Terms& terms, const TokenStore::Target& target,
                                 const config::StoreSecrets& secrets) {
  redis::ClientSettings settings;
  settings.addresses = target.addresses;
  settings.user = terms.store->user;
  settings.password = secrets.password;
  settings.credentials = target.credentials;
  settings.requirements.replicas = terms.shared.replicas;
  if (terms.store->trusts_unseen) settings.requirements.unseen = redis::Requirements::Unseen::kTrust;
  return settings;
}

idempotency::SharedTerms WithKey(idempotency::SharedTerms terms, const config::StoreSecrets& secrets) {
  terms.key = secrets.key;
  return terms;
}

}  // namespace

bool TokenStore::Terms::operator==(const Terms& other) const {
  return shared == other.shared && source == other.source &&
         store->trusts_unseen == other.store->trusts_unseen;
}

struct TokenStore::Link {
  Link(const Parts& parts, const Terms& terms, const Target& target, const config::StoreSecrets& secrets,
       std::shared_ptr<idempotency::StoreCounts> counts)
      : commands({parts.turn, parts.loop, parts.tls, parts.random}, SettingsOf(terms, target, secrets),
                 redis::Client::Use::kCommander),
        subscriber({parts.turn, parts.loop, parts.tls, parts.random}, SettingsOf(terms, target, secrets),
                   redis::Client::Use::kSubscriber),
        store({parts.turn, parts.random, commands, subscriber, parts.times}, WithKey(terms.shared, secrets),
              std::move(counts)) {}
  redis::Client commands;
  redis::Client subscriber;
  SharedStore store;
};

TokenStore::TokenStore(const Parts& parts, Terms terms, std::shared_ptr<idempotency::SharedTally> tally)
    : parts_(parts), terms_(std::move(terms)), tally_(std::move(tally)), counts_(tally_->Begin()) {}
TokenStore::~TokenStore() = default;

void TokenStore::Take(std::shared_ptr<const config::TokenStore> store, Target target) {
  terms_.store = std::move(store);
  target_ = std::move(target);
  if (link_ == nullptr) {
    Prepare();
    return;
  }
  for (redis::Client* const client : {&link_->commands, &link_->subscriber}) {
    client->SetAddresses(target_.addresses);
    client->SetCredentials(target_.credentials);
    client->SetLogin(terms_.store->user, secrets_->password);
  }
  Prepare();
}

bool TokenStore::Prepare() {
  std::shared_ptr<const config::StoreSecrets> secrets = terms_.store->secrets->Get();
  const bool same =
      secrets == secrets_ || (secrets != nullptr && secrets_ != nullptr && *secrets == *secrets_);
  if (link_ != nullptr && (same || secrets == nullptr)) return true;
  if (secrets == nullptr || (link_ == nullptr && target_.addresses.empty())) return false;
  secrets_ = std::move(secrets);
  if (link_ == nullptr) {
    link_ = std::make_unique<Link>(parts_, terms_, target_, *secrets_, counts_);
    return true;
  }
  link_->store.SetKey(secrets_->key);
  for (redis::Client* const client : {&link_->commands, &link_->subscriber})
    client->SetLogin(terms_.store->user, secrets_->password);
  return true;
}

bool TokenStore::idle() const { return link_ == nullptr || link_->store.size() == 0; }

void TokenStore::TellPeople() {
  const bool ready = Prepare() && link_->commands.ready();
  counts_->ready = ready ? 1 : 0;
  counts_->held = link_ == nullptr ? 0 : link_->store.size();
  counts_->waiting = link_ == nullptr ? 0 : link_->store.waiting();
  std::string trouble;
  if (link_ == nullptr) {
    trouble = target_.addresses.empty() ? "its cluster has no address"
                                        : "its password or key is not here, or of no use";
  } else if (!ready) {
    trouble = link_->commands.trouble();
  } else if (!link_->store.refusal().empty()) {
    trouble = "it does not write: " + link_->store.refusal();
  }
  tally_->NoteTrouble(*counts_, std::move(trouble));
}

std::vector<idempotency::RecordView> TokenStore::Find(const std::array<uint8_t, 8>& hash) const {
  return link_ == nullptr ? std::vector<idempotency::RecordView>() : link_->store.Find(hash);
}

// Callers are told apart by 64 bits of who they have proven to be (digest.h), as in this process's tables.
idempotency::Digest TokenStore::LookupKeyOf(const idempotency::TokenKey& key) const {
  const std::string domain = idempotency::ToHex(terms_.shared.domain);
  const std::string caller = idempotency::ToHex(key.caller);
  return idempotency::LookupKey({.domain = domain, .caller = caller, .source = terms_.source},
                                {reinterpret_cast<const char*>(key.token.data()), key.token.size()});
}

ClaimAnswer TokenStore::Claim(Held& held, const idempotency::Claim& claim) {
  using Kind = ClaimAnswer::Kind;
  if (held.number == 0) {
    if (!Prepare()) return {.kind = Kind::kDown};
    if (!claim.waiter) return {.kind = Kind::kAsks};
    held.key = claim.key;
    const auto waits = claim.conflict ? SharedStore::Waits::kNever : SharedStore::Waits::kIfInFlight;
    held.number = link_->store.Claim(LookupKeyOf(claim.key), claim, waits);
  }
  const ClaimAnswer* const found = link_->store.Answer(held.number);
  if (found == nullptr) {
    if (claim.waiter) return {.kind = Kind::kWaits};
    return {.kind = link_->store.IsWaiting(held.number) ? Kind::kInFlight : Kind::kAsks};
  }
  ClaimAnswer answer = *found;
  if (answer.kind == Kind::kRefused && !link_->commands.ready()) answer.kind = Kind::kDown;
  held.runs = answer.kind == Kind::kClaimed;
  return answer;
}

std::optional<Ended> TokenStore::Complete(Held& held, std::string_view written, uint16_t status,
                                          const std::optional<Waiter>& waiter) {
  const Waiter rung = waiter.value_or(Waiter());
  if (written.empty()) {
    link_->store.Complete(held.number, nullptr, status, rung);
  } else {
    const idempotency::SavedAnswer answer(written);
    link_->store.Complete(held.number, &answer, status, rung);
  }
  return HowEnded(held);
}

std::optional<Ended> TokenStore::HowEnded(const Held& held) const {
  return link_->store.HowEnded(held.number);
}

void TokenStore::Release(Held& held) { link_->store.Release(held.number, {}); }

void TokenStore::Abandon(Held& held) { link_->store.Abandon(held.number, {}); }

// What was granted and never told has run nothing.
void TokenStore::Leave(Held& held) {
  if (held.number == 0) return;
  const ClaimAnswer* const answer = link_->store.Answer(held.number);
  if (!held.runs && answer != nullptr && answer->kind == ClaimAnswer::Kind::kClaimed)
    link_->store.Release(held.number, {});
  link_->store.Drop(std::exchange(held.number, 0));
  held.runs = false;
}

}  // namespace pillion::worker
