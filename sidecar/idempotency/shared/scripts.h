// The scripts that change records in Redis, each of which does one transition of specs/idempotency.md 4.1 in
// one step, and the names of the keys that they work on.
//
//   p:{service:shard}:<lookup key>   a record: hash of
//       s   I in flight, C completed, T tombstone, U unknown
//       x   the execution, 32 hexadecimal digits, drawn by who claimed
//       l   when its lease lapses, in milliseconds since 1970 by the store's clock
//       fp  the request's fingerprint
//       st  C, T: the answer's status
//       a   C: the answer, encrypted (record_cipher.h)
//       e   when it ends, by the same clock
//   p:{service:shard}:epoch          hash of
//       run    the server that the records have been on since: its run id, and which history of data it has
//              (master_replid): a primary that is one again may lack what another had meanwhile
//       start  when that began: an absent token that is not younger may have had a record (3.4)
//       high   the latest time that was seen, to the second: the clock is taken for no earlier (2.11)
//   p:{service:shard}:ends           list of "<end> <lookup key>" of records of tokens, in that order; and
//   p:{service:shard}:ends-of-keys   of those of keys of apps, which live longer
//   n:{service:shard}:<lookup key>   channel: its execution has ended
//
// No record ends before the clock's mark has come to its end: whatever the clock does, a token whose record
// is gone is refused for its age. A clock that goes ahead by more than a week loses records all the same.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_SCRIPTS_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_SCRIPTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "sidecar/idempotency/digest.h"

namespace pillion::idempotency {

enum class ScriptName : uint8_t { kClaim, kEnd, kRenew, kRelease, kReassert, kOpen };
inline constexpr size_t kScripts = 6;

// keys: record, epoch, ends. arguments: execution, lease in ms, record's life in ms, time of minting in ms or
// -1, run id, doubt in ms, skew in ms, validity in ms, fingerprint, 1 where policy runs again what is
// unknown. Answers [CLAIMED], [REPLAY, status, x, a], [TOMBSTONE, status, x], [INFLIGHT, ms left, x],
// [UNKNOWN, x], [MISMATCH], [EXPIRED], [BAD_CLOCK] or [DOUBT]; an error where it would write and the server
// must not.
//
// keys: record. arguments: execution, C, T or U, status, a, channel. Of kEnd: OK, GONE,
// FENCED (another execution's) or ALREADY. Also of what is unknown: it was the only execution, and tells the
// truth late. Works while the server is out of memory.
//
// keys: record, epoch. arguments: execution, lease in ms. Of kRenew: 1, or 0 when the record is not in flight
// any more or another execution's.
//
// keys: record. arguments: execution, channel. Of kRelease: 1 or 0. Only with proof that no byte of the
// request reached the app.
//
// keys: record, epoch, ends. arguments: execution, I, C, T or U, lease in ms, record's life that is left in
// ms, run id, fingerprint, status, a, channel. Of kReassert, by an execution's owner, to a server that may
// lack what another had: OK, FENCED or ALREADY. Never changes another execution's record.
//
// keys: epoch, both lists of ends. arguments: run id. Of kOpen: when the epoch began. Begins one where the
// server is another; ends some hundred records whose time is over.
struct Script {
  std::string text;
  std::string sha;  // SHA-1, in hexadecimal: how EVALSHA names it
};

class Scripts {
 public:
  Scripts();
  const Script& operator[](ScriptName name) const { return all_[static_cast<size_t>(name)]; }
  const std::array<Script, kScripts>& all() const { return all_; }

 private:
  std::array<Script, kScripts> all_;
};

// The arguments of a command that runs a script. Views: what it is made of must outlive it.
class ScriptCall {
 public:
  enum class By : bool { kSha, kText };  // kText: the server does not know it, and learns it
  ScriptCall(const Script& script, By by, size_t keys);
  ScriptCall& Add(std::string_view text) {
    views_[count_++] = text;
    return *this;
  }
  ScriptCall& AddNumber(int64_t number);
  std::span<const std::string_view> arguments() const { return {views_.data(), count_}; }

 private:
  std::array<std::string_view, 20> views_;
  size_t count_ = 0;
  std::array<char, 160> digits_;
  size_t used_ = 0;
};

// Keys of one service.
class KeyNames {
 public:
  // In one slot of a cluster each; one shard would put a whole service into one.
  static constexpr size_t kShards = 64;
  // Bytes that would end a key's hash tag, or its part, are written as %XX.
  explicit KeyNames(std::string_view service);
  static size_t ShardOf(const Digest& key) { return key.bytes[0] % kShards; }
  const std::string& Epoch(size_t shard) const { return epochs_[shard]; }
  // `minted`: of records of tokens, not of keys of apps.
  const std::string& Ends(size_t shard, bool minted) const { return ends_[minted ? 0 : 1][shard]; }
  std::string Record(const Digest& key) const { return "p" + tags_[ShardOf(key)] + key.ToHex(); }
  std::string Channel(const Digest& key) const { return "n" + tags_[ShardOf(key)] + key.ToHex(); }
  // Of a channel's name; nullopt: it is none.
  static std::optional<Digest> KeyOf(std::string_view channel);

 private:
  std::array<std::string, kShards> tags_;    // ":{service:shard}:"
  std::array<std::string, kShards> epochs_;  // whole names
  std::array<std::array<std::string, kShards>, 2> ends_;
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_SCRIPTS_H_
