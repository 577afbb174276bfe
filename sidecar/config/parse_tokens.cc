#include "sidecar/config/parse_tokens.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "pillion/sidecar/v1/idempotency.pb.h"
#include "sidecar/base/text.h"
#include "sidecar/config/field_path.h"
#include "sidecar/config/fields.h"
#include "sidecar/config/parse_tls.h"
#include "sidecar/http/head.h"
#include "sidecar/idempotency/hello.h"
#include "sidecar/idempotency/shared/record_key.h"
#include "sidecar/jwt/key_set.h"

namespace pillion::config {
namespace {

using idempotency::DomainTime;
using Proto = sidecar::v1::TokenDomain;

constexpr int kMaxReleases = 8;
constexpr size_t kMaxServiceBytes = 253;
constexpr uint32_t kMaxReplicas = 8;
constexpr uint64_t kLeastBytes = uint64_t{64} * 1024;
constexpr size_t kMaxClaimBytes = 256;
constexpr size_t kMaxIssuerBytes = 1024;
constexpr int kMaxAudiences = 32;

// Where it is said: within [least, most], in whole milliseconds.
void ReadTime(bool said, const google::protobuf::Duration& proto, const std::string& path, DomainTime least,
              DomainTime most, DomainTime& time, ConfigErrors& errors) {
  if (!said) return;
  const nanoseconds value = ReadDuration(proto, path, errors);
  if (value < least || value > most) {
    Add(errors, path,
        least.count() % 1000 == 0 ? "expected " + std::to_string(least.count() / 1000) + " to " +
                                        std::to_string(most.count() / 1000) + " seconds"
                                  : "expected " + std::to_string(least.count()) + " to " +
                                        std::to_string(most.count()) + " milliseconds");
    return;
  }
  time = std::chrono::ceil<DomainTime>(value);
}

uint16_t ReadStatus(uint32_t status, const std::string& path, ConfigErrors& errors) {
  if (status < 400 || status > 599) Add(errors, path, "expected a status from 400 to 599");
  return static_cast<uint16_t>(status);
}

void ReadTimes(const Proto& proto, const std::string& path, idempotency::TableTerms& terms,
               ConfigErrors& errors) {
  using std::chrono::hours;
  using std::chrono::seconds;
  ReadTime(proto.has_validity(), proto.validity(), FieldPath(path, "validity"), seconds(1), hours(1),
           terms.validity, errors);
  ReadTime(proto.has_skew(), proto.skew(), FieldPath(path, "skew"), seconds(0), seconds(60), terms.skew,
           errors);
  ReadTime(proto.has_max_execution(), proto.max_execution(), FieldPath(path, "max_execution"), seconds(1),
           seconds(60), terms.max_execution, errors);
}

KeySource ReadKeySource(int source, const std::string& path, ConfigErrors& errors) {
  switch (source) {
    case sidecar::v1::MINT:
      return KeySource::kMint;
    case sidecar::v1::APP:
      return KeySource::kApp;
    case sidecar::v1::APP_OR_MINT:
      return KeySource::kAppOrMint;
    case sidecar::v1::PASSTHROUGH:
      return KeySource::kPassthrough;
    default:
      Add(errors, FieldPath(path, "key_source"), "expected a value of KeySource");
      return KeySource::kMint;
  }
}

// Of TokenDomain and of TokenPolicy.
template <typename Message>
void ReadMethods(const Message& proto, const std::string& path, TokenedMethods& result,
                 ConfigErrors& errors) {
  if (proto.methods_size() > 0) result.methods = {proto.methods().begin(), proto.methods().end()};
  for (size_t i = 0; i < result.methods.size(); ++i) {
    const http::Method method = http::ParseMethod(result.methods[i]);
    if (!IsFieldName(result.methods[i]) || method == http::Method::kConnect || http::IsSafe(method))
      Add(errors, ElementPath(FieldPath(path, "methods"), i), "expected a method that may change something");
  }
  for (int i = 0; i < proto.grpc_methods_size(); ++i) {
    const std::string& method = proto.grpc_methods(i);
    if (method.size() < 4 || method.front() != '/' || method.find('/', 1) == std::string::npos) {
      Add(errors, ElementPath(FieldPath(path, "grpc_methods"), static_cast<size_t>(i)),
          "expected /package.Service/Method");
    }
    result.grpc_methods.insert(method);
  }
}

// Null: none is wanted.
std::shared_ptr<const KeyPrincipal> ReadPrincipal(const Proto& domain, const std::string& domain_path,
                                                  ConfigErrors& errors) {
  if (!domain.has_principal()) return nullptr;
  const sidecar::v1::Principal& proto = domain.principal();
  const std::string path = FieldPath(domain_path, "principal");
  const auto text = [&](const std::string& value, std::string_view field, size_t most) {
    if (value.empty() || value.size() > most)
      Add(errors, FieldPath(path, field), "expected 1 to " + std::to_string(most) + " bytes");
    return value;
  };
  auto result = std::make_shared<KeyPrincipal>();
  result->terms.claim = text(proto.claim(), "claim", kMaxClaimBytes);
  result->terms.issuer = text(proto.issuer(), "issuer", kMaxIssuerBytes);
  if (proto.audiences_size() > kMaxAudiences)
    Add(errors, FieldPath(path, "audiences"), "expected at most " + std::to_string(kMaxAudiences));
  for (int i = 0; i < proto.audiences_size(); ++i) {
    const std::string one = ElementPath(FieldPath(path, "audiences"), static_cast<size_t>(i));
    if (proto.audiences(i).empty()) Add(errors, one, "expected a name");
    result->terms.audiences.push_back(proto.audiences(i));
  }
  const std::string jwks_path = FieldPath(path, "jwks");
  result->jwks = ReadDataSource(proto.jwks(), jwks_path, errors, true);
  if (result->jwks.text.empty()) return result;
  auto keys = jwt::KeySet::Parse(result->jwks.text);
  if (keys.ok()) {
    result->keys->Set(std::make_shared<const jwt::KeySet>(*std::move(keys)));
  } else {
    Add(errors, jwks_path, std::string(FromAbsl(keys.status().message())));
  }
  return result;
}

void ReadKeys(const Proto& proto, const std::string& path, TokenDomain& domain, ConfigErrors& errors) {
  using std::chrono::hours;
  KeyTerms& keys = domain.keys;
  keys.source = ReadKeySource(proto.key_source(), path, errors);
  if (keys.source == KeySource::kPassthrough)
    Add(errors, FieldPath(path, "key_source"), "expected MINT, APP or APP_OR_MINT: this has no records");
  keys.required = proto.require();
  keys.elsewhere = proto.keys_elsewhere();
  keys.records = proto.keys();
  if (keys.required && !keys.counts())
    Add(errors, FieldPath(path, "require"), "expected false where key_source is MINT");
  if (keys.counts() && (keys.records == 0 || keys.records == domain.id))
    Add(errors, FieldPath(path, "keys"), "expected a number of its own, other than 0");
  ReadTime(proto.has_app_validity(), proto.app_validity(), FieldPath(path, "app_validity"),
           std::chrono::seconds(60), hours(168), domain.terms.app_validity, errors);
  ReadMethods(proto, path, keys.of, errors);
  keys.principal = ReadPrincipal(proto, path, errors);
  if (keys.principal != nullptr && !keys.counts())
    Add(errors, FieldPath(path, "principal"), "expected none where key_source is MINT: it has no keys");
}

void ReadLimits(const Proto& proto, const std::string& path, TokenDomain& result, ConfigErrors& errors) {
  const auto read = [&](bool said, const google::protobuf::UInt32Value& value, std::string_view field,
                        uint32_t min, uint32_t max, auto& into) {
    if (said) into = ReadNumber(value, FieldPath(path, field), errors, min, max);
  };
  constexpr uint32_t kMiB = 1024 * 1024;
  idempotency::TableTerms& terms = result.terms;
  read(proto.has_max_request_bytes(), proto.max_request_bytes(), "max_request_bytes", 1, kMiB,
       result.max_request_bytes);
  read(proto.has_max_response_bytes(), proto.max_response_bytes(), "max_response_bytes", 0, 16 * kMiB,
       result.max_response_bytes);
  read(proto.has_max_waiters(), proto.max_waiters(), "max_waiters", 0, 1000, terms.waiters);
  read(proto.has_max_records(), proto.max_records(), "max_records", 1, 100'000'000, terms.room.records);
  read(proto.has_caller_percent(), proto.caller_percent(), "caller_percent", 1, 100,
       terms.room.caller_percent);
  read(proto.has_max_detached(), proto.max_detached(), "max_detached", 1, 100'000, result.max_detached);
  if (!proto.has_max_bytes()) return;
  terms.room.bytes = proto.max_bytes().value();
  if (terms.room.bytes < kLeastBytes)
    Add(errors, FieldPath(path, "max_bytes"), "expected at least " + std::to_string(kLeastBytes));
}

void ReadStoreTimes(const sidecar::v1::TokenStore& proto, const std::string& path,
                    idempotency::SharedTerms& terms, ConfigErrors& errors) {
  using std::chrono::seconds;
  ReadTime(proto.has_lease(), proto.lease(), FieldPath(path, "lease"), seconds(1), seconds(60), terms.lease,
           errors);
  ReadTime(proto.has_replica_wait(), proto.replica_wait(), FieldPath(path, "replica_wait"), DomainTime(1),
           seconds(1), terms.replica_wait, errors);
  ReadTime(proto.has_unconfirmed_doubt(), proto.unconfirmed_doubt(), FieldPath(path, "unconfirmed_doubt"),
           seconds(0), seconds(60), terms.unconfirmed_doubt, errors);
  if (proto.has_replicas())
    terms.replicas = ReadNumber(proto.replicas(), FieldPath(path, "replicas"), errors, 0, kMaxReplicas);
}

// Null: there is none.
std::shared_ptr<const config::TokenStore> ReadStore(const Proto& domain, const std::string& domain_path,
                                                    ConfigErrors& errors) {
  if (!domain.has_store()) return nullptr;
  const sidecar::v1::TokenStore& proto = domain.store();
  const std::string path = FieldPath(domain_path, "store");
  auto result = std::make_shared<config::TokenStore>();
  if (domain.keys_elsewhere())
    Add(errors, FieldPath(domain_path, "keys_elsewhere"), "expected false where records are shared");
  RequireText(proto.cluster(), FieldPath(path, "cluster"), errors);
  result->cluster = proto.cluster();
  if (proto.service().empty() || proto.service().size() > kMaxServiceBytes)
    Add(errors, FieldPath(path, "service"), "expected 1 to " + std::to_string(kMaxServiceBytes) + " bytes");
  result->terms.service = proto.service();
  result->user = proto.user();
  result->password = ReadDataSource(proto.password(), FieldPath(path, "password"), errors, false);
  if (!result->user.empty() && result->password.empty())
    Add(errors, FieldPath(path, "password"), "expected one where there is a user");
  const std::string key_path = FieldPath(path, "key");
  result->key = ReadDataSource(proto.key(), key_path, errors, true);
  if (!result->key.text.empty() && !idempotency::ParseRecordKey(result->key.text))
    Add(errors, key_path, "expected 32 bytes, or 64 hexadecimal digits in lower case");
  ReadStoreTimes(proto, path, result->terms, errors);
  using sidecar::v1::TokenStore;
  if (!TokenStore::OnDown_IsValid(proto.on_down()))
    Add(errors, FieldPath(path, "on_down"), "expected a value of OnDown");
  result->runs_when_down = proto.on_down() == TokenStore::BYPASS;
  result->trusts_unseen = proto.trust_unseen_settings();
  return result;
}

TokenDomain ReadDomain(const Proto& proto, const std::string& path, ConfigErrors& errors) {
  TokenDomain result;
  result.id = proto.id();
  if (proto.id() == 0) Add(errors, FieldPath(path, "id"), "expected a number other than 0");
  ReadTimes(proto, path, result.terms, errors);
  ReadLimits(proto, path, result, errors);
  ReadKeys(proto, path, result, errors);
  result.store = ReadStore(proto, path, errors);
  if (result.store != nullptr && result.max_response_bytes > result.store->terms.max_stored_bytes)
    Add(errors, FieldPath(path, "max_response_bytes"),
        "expected at most " + std::to_string(result.store->terms.max_stored_bytes) + " with a store");
  if (!Proto::Concurrent_IsValid(proto.on_concurrent()))
    Add(errors, FieldPath(path, "on_concurrent"), "expected a value of Concurrent");
  result.conflict = proto.on_concurrent() == Proto::CONFLICT;
  if (!Proto::Retain_IsValid(proto.retain()))
    Add(errors, FieldPath(path, "retain"), "expected a value of Retain");
  result.keeps_answers = proto.retain() == Proto::RESPONSE;
  if (!Proto::Unknown_IsValid(proto.on_unknown()))
    Add(errors, FieldPath(path, "on_unknown"), "expected a value of Unknown");
  result.runs_unknown_again = proto.on_unknown() == Proto::RUN_AGAIN;
  if (!Proto::Fingerprint_IsValid(proto.fingerprint()))
    Add(errors, FieldPath(path, "fingerprint"), "expected a value of Fingerprint");
  result.compares_key_contents = proto.fingerprint() == Proto::REQUEST;
  if (!result.compares_key_contents && !result.keys.counts())
    Add(errors, FieldPath(path, "fingerprint"), "expected REQUEST where keys do not count");
  const std::string releases_path = FieldPath(path, "release_on");
  if (proto.release_on_size() > kMaxReleases)
    Add(errors, releases_path, "expected at most " + std::to_string(kMaxReleases) + " elements");
  for (int i = 0; i < proto.release_on_size(); ++i) {
    result.release_on.push_back(
        ReadStatus(proto.release_on(i), ElementPath(releases_path, static_cast<size_t>(i)), errors));
  }
  if (proto.has_unknown_status())
    result.unknown_status =
        ReadStatus(proto.unknown_status().value(), FieldPath(path, "unknown_status"), errors);
  return result;
}

}  // namespace

TokenDomains ReadTokenDomains(const google::protobuf::Any& any, const std::string& path,
                              ConfigErrors& errors) {
  TokenDomains result;
  const auto proto = Unpack<sidecar::v1::Idempotency>(any, path, errors);
  if (proto == nullptr) return result;
  const std::string domains_path = FieldPath(path, "domains");
  if (static_cast<size_t>(proto->domains_size()) > idempotency::kMaxDomains)
    Add(errors, domains_path, "expected at most " + std::to_string(idempotency::kMaxDomains) + " elements");
  std::set<idempotency::DomainId> seen;
  for (int i = 0; i < proto->domains_size(); ++i) {
    const std::string domain_path = ElementPath(domains_path, static_cast<size_t>(i));
    result.all.push_back(ReadDomain(proto->domains(i), domain_path, errors));
    const TokenDomain& domain = result.all.back();
    if (!seen.insert(domain.id).second)
      Add(errors, FieldPath(domain_path, "id"), "expected one that no other domain has");
    if (domain.keys.counts() && !seen.insert(domain.keys.records).second)
      Add(errors, FieldPath(domain_path, "keys"), "expected one that no other domain has");
  }
  return result;
}

TokenPolicy ReadTokenPolicy(const google::protobuf::Any& any, const std::string& path, ConfigErrors& errors) {
  TokenPolicy result;
  const auto proto = Unpack<sidecar::v1::TokenPolicy>(any, path, errors);
  if (proto == nullptr) return result;
  result.domain = proto->domain();
  result.paused = proto->paused();
  result.shared = proto->shared();
  result.runs_unknown_again = proto->runs_unknown_again();
  result.source = ReadKeySource(proto->key_source(), path, errors);
  if (result.passes_through()) {
    result.retry.on = kRetryReset | kRetryConnectFailure | kRetryRefusedStream;
    if (proto->domain() != 0 || proto->paused() || proto->shared() || proto->runs_unknown_again())
      Add(errors, FieldPath(path, "key_source"),
          "expected no domain, and neither paused, shared nor runs_unknown_again, with PASSTHROUGH");
  } else if (proto->domain() == 0) {
    Add(errors, FieldPath(path, "domain"), "expected a number other than 0");
  }
  ReadMethods(*proto, path, result.of, errors);
  if (proto->has_max_request_bytes()) {
    result.max_request_bytes =
        ReadNumber(proto->max_request_bytes(), FieldPath(path, "max_request_bytes"), errors, 1, 1024 * 1024);
  }
  if (proto->has_max_retries())
    result.retry.max_retries =
        ReadNumber(proto->max_retries(), FieldPath(path, "max_retries"), errors, 0, 10);
  return result;
}

}  // namespace pillion::config
