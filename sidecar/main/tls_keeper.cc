#include "sidecar/main/tls_keeper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <compare>
#include <cstring>
#include <unordered_map>
#include <utility>

#include "absl/status/statusor.h"
#include "sidecar/config/tokens.h"
#include "sidecar/idempotency/hello.h"
#include "sidecar/idempotency/shared/record_key.h"
#include "sidecar/jwt/key_set.h"
#include "sidecar/worker/find_tables.h"

namespace pillion {
namespace {

using config::DataSource;

// The words of an error without its code.
std::string Words(const absl::Status& status) { return {status.message().data(), status.message().size()}; }

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a pipe must not hold the main loop
  if (fd < 0) return absl::NotFoundError(path + ": " + std::strerror(errno));
  std::string text;
  std::string block(65536, '\0');
  ssize_t n = 0;
  while ((n = read(fd, block.data(), block.size())) > 0 && text.size() <= tls::kMaxPemBytes)
    text.append(block, 0, static_cast<size_t>(n));
  const int error = n < 0 ? errno : 0;
  close(fd);
  if (error != 0) return absl::NotFoundError(path + ": " + std::strerror(error));
  return text;
}

// Takes what a source says; remembers the files it looked at.
class Reader {
 public:
  explicit Reader(const config::Snapshot& snapshot) : snapshot_(snapshot) {}
  std::string Take(const DataSource& source) {
    if (source.file.empty()) return source.text;
    files_.push_back(source.file);
    absl::StatusOr<std::string> text = ReadFile(source.file);
    if (text.ok()) return *std::move(text);
    Fail(Words(text.status()));
    return {};
  }
  // Null, with an error: it is not here, or is something else.
  const config::Secret* Find(const config::SecretName& name) {
    const auto found = snapshot_.secrets.find({name.pushed, name.name});
    if (found != snapshot_.secrets.end()) return found->second.get();
    Fail("secret " + name.name + ": it has not come yet");
    return nullptr;
  }
  void Fail(const std::string& why) {
    if (failure_.empty()) failure_ = why;
  }
  const std::string& failure() const { return failure_; }
  std::vector<std::string>& files() { return files_; }

 private:
  const config::Snapshot& snapshot_;
  std::string failure_;
  std::vector<std::string> files_;
};

// What editors put behind a password is not part of it.
std::string Line(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  return text;
}

tls::Certificate Take(const config::TlsCertificate& from, Reader& reader) {
  return {
      .chain = reader.Take(from.chain), .key = reader.Take(from.key), .password = reader.Take(from.password)};
}

template <typename T>
void Append(std::vector<T>& to, const std::vector<T>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

// xds.md 2: repeated fields are joined, the CA and list of the later one win.
void Add(const config::TlsValidation& from, Reader& reader, tls::Validation& to) {
  if (!from.trusted_ca.empty()) to.trusted_ca = reader.Take(from.trusted_ca);
  if (!from.crl.empty()) to.crl = reader.Take(from.crl);
  Append(to.names, from.settings.names);
  Append(to.certificate_sha256, from.settings.certificate_sha256);
  Append(to.spki_sha256, from.settings.spki_sha256);
  to.allow_expired = to.allow_expired || from.settings.allow_expired;
  to.only_leaf_crl = to.only_leaf_crl || from.settings.only_leaf_crl;
  if (from.settings.max_depth) to.max_depth = from.settings.max_depth;
}

tls::CommonSettings Resolve(const config::CommonTls& tls, Reader& reader) {
  tls::CommonSettings settings = tls.settings;
  for (const config::TlsCertificate& one : tls.certificates)
    settings.certificates.push_back(Take(one, reader));
  for (const config::SecretName& name : tls.certificate_secrets) {
    const config::Secret* secret = reader.Find(name);
    if (secret == nullptr) continue;
    if (secret->certificate) {
      settings.certificates.push_back(Take(*secret->certificate, reader));
    } else {
      reader.Fail("secret " + name.name + ": expected a tls_certificate");
    }
  }
  Add(tls.validation, reader, settings.validation);
  if (!tls.validation_secret) return settings;
  const config::Secret* secret = reader.Find(*tls.validation_secret);
  if (secret == nullptr) return settings;
  if (secret->validation) {
    Add(*secret->validation, reader, settings.validation);
  } else {
    reader.Fail("secret " + secret->name + ": expected a validation_context");
  }
  // A peer was to be checked by it. That it says nothing must not mean that anybody may come.
  if (settings.validation.empty())
    reader.Fail("secret " + secret->name + ": expected a trusted_ca or hashes");
  return settings;
}

tls::ServerSettings Resolve(const config::ServerTls& tls, Reader& reader) {
  tls::ServerSettings settings = tls.settings;
  settings.common = Resolve(tls.common, reader);
  for (const DataSource& key : tls.ticket_keys) settings.ticket_keys.push_back(reader.Take(key));
  if (!tls.ticket_keys_secret) return settings;
  const config::Secret* secret = reader.Find(*tls.ticket_keys_secret);
  if (secret == nullptr) return settings;
  if (secret->ticket_keys.empty()) reader.Fail("secret " + secret->name + ": expected session_ticket_keys");
  for (const DataSource& key : secret->ticket_keys) settings.ticket_keys.push_back(reader.Take(key));
  return settings;
}

tls::ClientSettings Resolve(const config::ClientTls& tls, Reader& reader) {
  tls::ClientSettings settings = tls.settings;
  settings.common = Resolve(tls.common, reader);
  return settings;
}

absl::StatusOr<std::shared_ptr<const tls::ServerCredentials>> Make(
    const tls::ServerSettings& settings, const std::shared_ptr<tls::TicketKeys>& keys) {
  return tls::ServerCredentials::Make(settings, keys);
}
absl::StatusOr<std::shared_ptr<const tls::ClientCredentials>> Make(const tls::ClientSettings& settings,
                                                                   const std::shared_ptr<tls::TicketKeys>&) {
  return tls::ClientCredentials::Make(settings);
}

// Credentials in use, found by the settings that they were made of.
template <typename Settings, typename Credentials>
class InUse {
 public:
  absl::StatusOr<std::shared_ptr<const Credentials>> FindOrMake(
      const Settings& settings, const std::shared_ptr<tls::TicketKeys>& keys) {
    std::vector<Entry>& alike = entries_[HashOf(settings.common)];
    std::erase_if(alike, [](const Entry& entry) { return entry.credentials.expired(); });
    for (const Entry& entry : alike) {
      if (entry.settings == settings) {
        if (auto found = entry.credentials.lock()) return found;
      }
    }
    absl::StatusOr<std::shared_ptr<const Credentials>> made = Make(settings, keys);
    if (made.ok()) alike.push_back({settings, *made});
    return made;
  }
  void Forget() {
    for (auto& [hash, alike] : entries_)
      std::erase_if(alike, [](const Entry& entry) { return entry.credentials.expired(); });
    std::erase_if(entries_, [](const auto& alike) { return alike.second.empty(); });
  }
  size_t size() const {
    size_t all = 0;
    for (const auto& [hash, alike] : entries_) all += alike.size();
    return all;
  }

 private:
  struct Entry {
    Settings settings;
    std::weak_ptr<const Credentials> credentials;
  };
  static size_t HashOf(const tls::CommonSettings& common) {
    std::string text = common.validation.trusted_ca;
    for (const tls::Certificate& one : common.certificates) text += one.chain;
    return std::hash<std::string>()(text);
  }
  std::unordered_map<size_t, std::vector<Entry>> entries_;
};

}  // namespace

struct TlsKeeper::Shared {
  absl::StatusOr<std::shared_ptr<const tls::ServerCredentials>> FindOrMake(
      const tls::ServerSettings& settings, const std::shared_ptr<tls::TicketKeys>& keys) {
    return servers.FindOrMake(settings, keys);
  }
  absl::StatusOr<std::shared_ptr<const tls::ClientCredentials>> FindOrMake(
      const tls::ClientSettings& settings, const std::shared_ptr<tls::TicketKeys>& keys) {
    return clients.FindOrMake(settings, keys);
  }
  InUse<tls::ServerSettings, tls::ServerCredentials> servers;
  InUse<tls::ClientSettings, tls::ClientCredentials> clients;
};

// What tells that a file is not the one that was read: a link that now leads elsewhere, another file of that
// name, or a write into it.
struct TlsKeeper::FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size = -1;
  int64_t changed_ns = 0;
  auto operator<=>(const FileStamp&) const = default;
  static FileStamp Of(const std::string& path) {
    struct stat facts = {};
    if (stat(path.c_str(), &facts) != 0) return {};
    return {facts.st_dev, facts.st_ino, facts.st_size,
            facts.st_mtim.tv_sec * 1'000'000'000 + facts.st_mtim.tv_nsec};
  }
};

struct TlsKeeper::Kept {
  // Reads all there is; when something else came of it than last time, makes credentials.
  struct Outcome {
    bool tried = false;
    std::string failure;
    std::vector<tls::CertificateFacts> certificates;
  };
  std::string owner;
  const void* config = nullptr;
  std::function<Outcome(const config::Snapshot&, std::vector<std::string>& files)> read;
  std::function<bool()> in_use;
  std::map<std::string, FileStamp> stamps;
  std::string failure;
  uint64_t rotations = 0;
  std::vector<tls::CertificateFacts> certificates;
};

TlsKeeper::TlsKeeper(time::MonotonicTime now, std::function<void(const std::string&)> tell)
    : tell_(std::move(tell)),
      ticket_keys_(std::make_shared<tls::TicketKeys>(now)),
      shared_(std::make_shared<Shared>()),
      next_poll_(now + kPollInterval) {}
TlsKeeper::~TlsKeeper() = default;

bool TlsKeeper::KeepOn(const std::string& owner, const void* config,
                       std::map<const void*, std::unique_ptr<Kept>>& before) {
  auto known = before.extract(config);
  if (!known) return false;
  known.mapped()->owner = owner;  // a chain's number changes when another one is put in front of it
  kept_[owner] = std::move(known.mapped());
  return true;
}

template <typename Tls>
void TlsKeeper::Keep(const std::string& owner, const std::shared_ptr<const Tls>& tls,
                     std::map<const void*, std::unique_ptr<Kept>>& before) {
  if (tls == nullptr || KeepOn(owner, tls.get(), before)) return;
  auto kept = std::make_unique<Kept>();
  kept->owner = owner;
  kept->config = tls.get();
  using Settings = decltype(Resolve(*tls, std::declval<Reader&>()));
  auto last = std::make_shared<std::unique_ptr<Settings>>();
  kept->read = [tls, last, keys = ticket_keys_, shared = shared_](const config::Snapshot& snapshot,
                                                                  std::vector<std::string>& files) {
    Kept::Outcome outcome;
    Reader reader(snapshot);
    auto settings = std::make_unique<Settings>(Resolve(*tls, reader));
    files = std::move(reader.files());
    if (!reader.failure().empty()) {
      outcome.tried = true;
      outcome.failure = reader.failure();
      return outcome;
    }
    if (*last != nullptr && **last == *settings) return outcome;
    outcome.tried = true;
    auto made = shared->FindOrMake(*settings, keys);
    if (!made.ok()) {
      outcome.failure = Words(made.status());
      return outcome;
    }
    outcome.certificates = (*made)->certificates();
    tls->credentials->Set(*std::move(made));
    *last = std::move(settings);
    return outcome;
  };
  kept->in_use = [tls] { return tls->credentials->Get() != nullptr; };
  kept_[owner] = std::move(kept);
}

void TlsKeeper::KeepStore(const std::string& owner, const std::shared_ptr<const config::TokenStore>& store,
                          std::map<const void*, std::unique_ptr<Kept>>& before) {
  if (KeepOn(owner, store.get(), before)) return;
  auto kept = std::make_unique<Kept>();
  kept->owner = owner;
  kept->config = store.get();
  kept->read = [store](const config::Snapshot& snapshot, std::vector<std::string>& files) {
    Kept::Outcome outcome;
    Reader reader(snapshot);
    config::StoreSecrets secrets;
    secrets.password = Line(reader.Take(store->password));
    if (const auto key = idempotency::ParseRecordKey(reader.Take(store->key))) {
      secrets.key = *key;
    } else {
      reader.Fail(store->key.file + ": expected a key of 32 bytes, or 64 hexadecimal digits in lower case");
    }
    files = std::move(reader.files());
    outcome.failure = reader.failure();
    const auto before = store->secrets->Get();
    outcome.tried = !outcome.failure.empty() || before == nullptr || *before != secrets;
    if (outcome.tried && outcome.failure.empty())
      store->secrets->Set(std::make_shared<const config::StoreSecrets>(std::move(secrets)));
    return outcome;
  };
  kept->in_use = [store] { return store->secrets->Get() != nullptr; };
  kept_[owner] = std::move(kept);
}

// A file of keys, and all who verify with them: domains of several listeners, and those of configurations
// that are no more, for the connections that they serve still. What is taken back is taken back for them too,
// and who comes while the file cannot be read gets what there was.
struct TlsKeeper::UsersFile {
  config::DataSource jwks;
  std::string text;  // of what is in use
  std::shared_ptr<const jwt::KeySet> keys;
  std::vector<std::weak_ptr<const config::KeyPrincipal>> principals;

  void Forget() {
    std::erase_if(principals, [](const auto& one) { return one.expired(); });
  }
  void Add(const std::shared_ptr<const config::KeyPrincipal>& principal) {
    const auto is_it = [&](const auto& one) { return one.lock() == principal; };
    if (std::ranges::any_of(principals, is_it)) return;
    principals.push_back(principal);
    if (keys != nullptr) principal->keys->Set(keys);
  }
  Kept::Outcome Read(const config::Snapshot& snapshot, std::vector<std::string>& files) {
    Kept::Outcome outcome;
    Reader reader(snapshot);
    std::string read = reader.Take(jwks);
    files = std::move(reader.files());
    outcome.failure = reader.failure();
    outcome.tried = !outcome.failure.empty() || keys == nullptr || read != text;
    if (!outcome.tried || !outcome.failure.empty()) return outcome;
    auto parsed = jwt::KeySet::Parse(read);
    if (!parsed.ok()) {
      outcome.failure = Words(parsed.status());
      return outcome;
    }
    keys = std::make_shared<const jwt::KeySet>(*std::move(parsed));
    text = std::move(read);
    for (const auto& one : principals) {
      if (const auto principal = one.lock()) principal->keys->Set(keys);
    }
    return outcome;
  }
};

void TlsKeeper::KeepUsers(const std::shared_ptr<UsersFile>& file,
                          std::map<const void*, std::unique_ptr<Kept>>& before) {
  const std::string owner = "keys of users in " + file->jwks.file;
  if (KeepOn(owner, file.get(), before)) return;
  auto kept = std::make_unique<Kept>();
  kept->owner = owner;
  kept->config = file.get();
  kept->read = [file](const config::Snapshot& snapshot, std::vector<std::string>& files) {
    return file->Read(snapshot, files);
  };
  kept->in_use = [file] { return file->keys != nullptr; };
  kept_[owner] = std::move(kept);
}

void TlsKeeper::Update(const std::shared_ptr<const config::Snapshot>& snapshot) {
  const bool secrets_changed = snapshot_ == nullptr || snapshot_->secrets != snapshot->secrets;
  snapshot_ = snapshot;
  std::map<const void*, std::unique_ptr<Kept>> before;
  for (auto& [owner, kept] : std::exchange(kept_, {})) {
    const void* const config = kept->config;
    before[config] = std::move(kept);
  }
  for (const auto& [name, entry] : snapshot->listeners) {
    for (size_t i = 0; i < entry.listener->chain_count(); ++i)
      Keep("listener " + name + ", filter chain " + std::to_string(i), entry.listener->chain(i).tls, before);
  }
  for (const auto& [name, entry] : snapshot->clusters) Keep("cluster " + name, entry.cluster->tls, before);
  worker::ForEachTokenDomain(*snapshot, [&](const config::TokenDomain& domain) {
    if (domain.store != nullptr) {
      // Several listeners may enforce a domain, each by a configuration of its own.
      const std::string name = "token store of domain " + idempotency::ToHex(domain.id);
      std::string owner = name;
      for (size_t n = 2; kept_.contains(owner); ++n) owner = name + " (" + std::to_string(n) + ")";
      KeepStore(owner, domain.store, before);
    }
    const auto& principal = domain.keys.principal;
    if (principal == nullptr || principal->jwks.file.empty()) return;
    std::shared_ptr<UsersFile>& file = users_[principal->jwks.file];
    if (file == nullptr) file = std::make_shared<UsersFile>();
    file->jwks = principal->jwks;
    file->Add(principal);
  });
  for (const auto& [name, file] : users_) file->Forget();
  std::erase_if(users_, [](const auto& one) { return one.second->principals.empty(); });
  for (const auto& [name, file] : users_) KeepUsers(file, before);
  for (const auto& [owner, kept] : kept_) {
    const bool fresh = kept->stamps.empty() && kept->rotations == 0;
    if (fresh || secrets_changed) Refresh(*kept, true);
  }
  Forget();
}

// Old private keys are not to stay in memory.
void TlsKeeper::Forget() {
  shared_->servers.Forget();
  shared_->clients.Forget();
}

void TlsKeeper::Refresh(Kept& kept, bool also_unchanged) {
  const bool changed = std::ranges::any_of(
      kept.stamps, [](const auto& file) { return FileStamp::Of(file.first) != file.second; });
  if (!changed && !also_unchanged) return;
  std::map<std::string, FileStamp> before = kept.stamps;
  for (auto& [file, stamp] : before) stamp = FileStamp::Of(file);  // as they were before they were read
  std::vector<std::string> files;
  Kept::Outcome outcome = kept.read(*snapshot_, files);
  kept.stamps.clear();
  for (const std::string& file : files) {
    const auto known = before.find(file);
    kept.stamps[file] = known != before.end() ? known->second : FileStamp::Of(file);
  }
  if (!outcome.tried) {
    kept.failure.clear();  // what is in use is what is there
    return;
  }
  if (!outcome.failure.empty()) {
    if (outcome.failure == kept.failure) return;
    kept.failure = outcome.failure;
    ++failures_;
    tell_(kept.owner + ": " + kept.failure + (kept.in_use() ? "; what was there before stays in use" : ""));
    return;
  }
  kept.failure.clear();
  kept.certificates = std::move(outcome.certificates);
  ++kept.rotations;
  ++rotations_;
}

void TlsKeeper::Poll(time::MonotonicTime now) {
  if (now < next_poll_) return;
  next_poll_ = now + kPollInterval;
  ticket_keys_->RotateIfDue(now);
  for (const auto& [owner, kept] : kept_) Refresh(*kept, false);
  Forget();  // also what connections held on to when it was replaced
}

size_t TlsKeeper::remembered() const { return shared_->servers.size() + shared_->clients.size(); }

std::vector<TlsKeeper::Entry> TlsKeeper::entries() const {
  std::vector<Entry> entries;
  entries.reserve(kept_.size());
  for (const auto& [owner, kept] : kept_) {
    entries.push_back({.owner = owner,
                       .in_use = kept->in_use(),
                       .failure = kept->failure,
                       .rotations = kept->rotations,
                       .certificates = kept->certificates});
  }
  return entries;
}

std::vector<std::string> TlsFailures(const config::Bootstrap& bootstrap, time::MonotonicTime now) {
  auto snapshot = std::make_shared<config::Snapshot>();
  const auto here = [](const auto& tls) {
    bool all = true;
    if (tls != nullptr)
      config::ForEachSecret(*tls, [&](const config::SecretName& name) { all = all && !name.pushed; });
    return all;
  };
  for (const auto& secret : bootstrap.secrets) snapshot->secrets[{false, secret->name}] = secret;
  for (const auto& cluster : bootstrap.clusters) {
    if (here(cluster->tls)) snapshot->clusters[cluster->name] = {cluster, nullptr};
  }
  for (const auto& listener : bootstrap.listeners) {
    bool all = true;
    for (size_t i = 0; i < listener->chain_count(); ++i) all = all && here(listener->chain(i).tls);
    if (all) snapshot->listeners[listener->name] = {listener, {}};
  }
  std::vector<std::string> failures;
  TlsKeeper keeper(now, [&failures](const std::string& why) { failures.push_back(why); });
  keeper.Update(snapshot);
  return failures;
}

std::string TlsProblem(const config::CommonTls& tls) {
  tls::CommonSettings settings = tls.settings;
  const config::Snapshot nothing;
  Reader reader(nothing);
  for (size_t i = 0; i < tls.certificates.size(); ++i) {
    const config::TlsCertificate& one = tls.certificates[i];
    const bool whole = one.chain.file.empty() && one.key.file.empty() && one.password.file.empty();
    if (!whole) continue;
    settings.certificates.push_back(Take(one, reader));
  }
  if (tls.validation.trusted_ca.file.empty() && tls.validation.crl.file.empty() && !tls.validation_secret)
    Add(tls.validation, reader, settings.validation);
  return Words(tls::CheckSettings(settings));
}

}  // namespace pillion
