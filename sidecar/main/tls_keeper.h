// Keeps the credentials of every listener and cluster in use current, and with them what opens stores of
// tokens, and the keys that JWT are verified with: reads their files and secrets, makes credentials of them,
// and puts those into the holders that workers look into.
//
//   snapshot --Update--> sources read --changed--> credentials made --good--> holder
//   files    --Poll----> (every second) ^                             --bad--> the old ones stay, told once
//
// A set of files is looked at as a whole: half of it replaced does not fit together, and is tried again when
// more of it has changed. Equal settings share one set of credentials. Main loop only.
#ifndef PILLION_SIDECAR_MAIN_TLS_KEEPER_H_
#define PILLION_SIDECAR_MAIN_TLS_KEEPER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/config/bootstrap.h"
#include "sidecar/config/snapshot.h"
#include "sidecar/config/tokens.h"
#include "sidecar/time/clock.h"
#include "sidecar/tls/credentials.h"

namespace pillion {

class TlsKeeper {
 public:
  static constexpr auto kPollInterval = std::chrono::seconds(1);

  // `tell` is given each new failure, in words.
  TlsKeeper(time::MonotonicTime now, std::function<void(const std::string&)> tell);
  ~TlsKeeper();
  TlsKeeper(const TlsKeeper&) = delete;
  TlsKeeper& operator=(const TlsKeeper&) = delete;

  // Before workers get the snapshot.
  void Update(const std::shared_ptr<const config::Snapshot>& snapshot);
  // Looks at files and turns ticket keys over; cheap when called too early.
  void Poll(time::MonotonicTime now);
  time::MonotonicTime next_poll() const { return next_poll_; }

  struct Entry {
    std::string
        owner;  // "listener a, filter chain 0", "cluster b", "token store of domain 1", "keys of users in /f"
    bool in_use = false;
    std::string failure;  // of the last try; "": it was good
    uint64_t rotations = 0;
    std::vector<tls::CertificateFacts> certificates;
  };
  // By the name of the owner, for admin and /ready.
  std::vector<Entry> entries() const;
  uint64_t rotations() const { return rotations_; }
  uint64_t failures() const { return failures_; }
  // Credentials whose settings, private keys among them, are in memory.
  size_t remembered() const;

 private:
  struct FileStamp;
  struct Kept;
  struct Shared;
  struct UsersFile;
  // `before`: what is kept, by its configuration.
  template <typename Tls>
  void Keep(const std::string& owner, const std::shared_ptr<const Tls>& tls,
            std::map<const void*, std::unique_ptr<Kept>>& before);
  // What opens a store of tokens, or says who users are, comes and changes as certificates do.
  void KeepStore(const std::string& owner, const std::shared_ptr<const config::TokenStore>& store,
                 std::map<const void*, std::unique_ptr<Kept>>& before);
  void KeepUsers(const std::shared_ptr<UsersFile>& file,
                 std::map<const void*, std::unique_ptr<Kept>>& before);
  // Of what was kept before under that configuration, under its owner's new name. False: nothing.
  bool KeepOn(const std::string& owner, const void* config,
              std::map<const void*, std::unique_ptr<Kept>>& before);
  void Refresh(Kept& kept, bool also_unchanged);
  void Forget();

  std::function<void(const std::string&)> tell_;
  std::shared_ptr<tls::TicketKeys> ticket_keys_;
  std::shared_ptr<Shared> shared_;  // what there is, by its settings
  std::shared_ptr<const config::Snapshot> snapshot_;
  std::map<std::string, std::unique_ptr<Kept>> kept_;
  std::map<std::string, std::shared_ptr<UsersFile>> users_;  // by file, while anybody verifies with it
  time::MonotonicTime next_poll_;
  uint64_t rotations_ = 0;
  uint64_t failures_ = 0;
};

// Failures of static listeners and clusters whose secrets are all here: told at start, not found out by their
// users.
std::vector<std::string> TlsFailures(const config::Bootstrap& bootstrap, time::MonotonicTime now);

// What is wrong with the PEM that stands in `tls` itself; "": nothing. Files and secrets are not looked at.
std::string TlsProblem(const config::CommonTls& tls);

}  // namespace pillion

#endif  // PILLION_SIDECAR_MAIN_TLS_KEEPER_H_
