// Executions that this process has begun, until the store knows how they ended, and for a while after: their
// leases, their ends, and what another server is told of them. For the files of this folder only.
//
//   Begin --> kRuns --End--> kEnds --the store says what became of it, or the lease is over--> kOver
//
// A lease is renewed at a third of it. An end that could not be told is tried again at each such time, and
// when the server is back, until the lease that was granted last, and a whole one after the end, are over. At
// a new connection all executions that are under way or untold are said again; at another server recent ends
// too (specs/idempotency.md 3.4). That never changes another execution's record.
//
// While records may be there that were made here, the latest time that their shards have seen is told to the
// store at least once between the refusal of a token and the end of its record, so that a clock that is set
// back later opens no token again (2.11).
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_EXECUTIONS_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_EXECUTIONS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "sidecar/base/intrusive_list.h"
#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/shared/store_parts.h"
#include "sidecar/idempotency/store.h"

namespace pillion::idempotency {

struct AgeTag;

struct Execution : ListNode<AgeTag> {
  enum class State : uint8_t { kRuns, kEnds, kOver };
  enum class End : char { kRuns = 'I', kCompleted = 'C', kTombstone = 'T', kUnknown = 'U', kReleased = 'R' };
  Ticket ticket = 0;
  Digest key;
  Digest fingerprint;
  std::string id;  // 32 hexadecimal digits
  std::array<uint8_t, 16> token{};
  bool minted = true;         // it has a token, not an app's key
  DomainTime life{};          // of its record
  time::MonotonicTime asked;  // when the claim, and later the renewal, was sent that grants its lease
  // The rest is for Executions.
  State state = State::kRuns;
  End end = End::kRuns;
  bool held = true;         // by who began it
  bool under_way = false;   // its end
  bool maybe_told = false;  // a trial to tell its end may have got there
  uint16_t status = 0;
  std::string record;  // key
  std::string sealed;
  Waiter waiter;
  std::optional<Ended> ended;
  time::MonotonicTime ended_at;
  time::MonotonicTime lease_ends;
  time::MonotonicTime record_ends;  // about
  time::MonotonicTime due;          // next renewal or trial; kOver: when it is forgotten
};

class Executions final : public stream::Runnable {
 public:
  explicit Executions(const StoreShare& share);
  ~Executions() override;
  Executions(const Executions&) = delete;
  Executions& operator=(const Executions&) = delete;

  // First at a new connection: teaches the server the scripts and says what is known. Before every use of
  // the connection; does nothing when it was done.
  void CatchUp();

  void Begin(std::unique_ptr<Execution> execution);
  struct Ending {
    Execution::End how = Execution::End::kUnknown;
    uint16_t status = 0;
    std::string sealed = {};
    Waiter waiter = {};
  };
  // Once, of one that runs; nothing else happens to others.
  void End(Ticket ticket, Ending ending);
  std::optional<Ended> HowEnded(Ticket ticket) const;
  // One that runs ends unknown.
  void Drop(Ticket ticket);
  size_t size() const { return all_.size(); }
  // What the server has said last when it would not begin epochs; "": it would.
  const std::string& refusal() const { return refusal_; }
  // Of those that are under way or ended lately, whose token has this hash (ShortHash). Hashes all of them.
  std::vector<RecordView> Find(const std::array<uint8_t, 8>& hash) const;

  stream::Progress Run() override;

 private:
  // kReassert: of one that runs; kSayEnd: with its end. What has ended meanwhile is not answered by the
  // former.
  enum class Op : uint8_t { kLoad, kOpen, kRenew, kEnd, kReassert, kSayEnd };
  Execution* Find(Ticket ticket) const;
  void Greet();
  void Open(size_t shard, ScriptCall::By by);
  time::Duration BetweenTimes() const;
  void OpenAgain();
  void KeepTime(const Execution& execution);
  void TellTime();
  void Reassert(const IntrusiveList<Execution, AgeTag>& list);
  void PumpReasserts();
  void PutDue(Execution& execution);
  void ArmBy(time::MonotonicTime due);
  void Renew(Execution& execution, ScriptCall::By by);
  void TellEnd(Execution& execution, ScriptCall::By by);
  bool Say(Execution& execution, ScriptCall::By by);
  void Take(const redis::Ended& ended);
  void OnRenewed(Execution& execution, const redis::Reply& reply);
  void OnEnd(Execution& execution, const redis::Reply& reply);
  void OnSaid(Execution& execution, const redis::Reply& reply);
  void NotTold(Execution& execution, bool maybe);
  void Report(Execution& execution, Ended ended);
  void Finish(Execution& execution, Ended ended);
  void WorkOffDue();
  void Forget(Execution& execution);
  bool Call(Op op, Ticket ticket, const ScriptCall& call);

  const StoreShare& share_;
  redis::Inbox inbox_;
  absl::flat_hash_map<Ticket, std::unique_ptr<Execution>> all_;
  IntrusiveList<Execution, AgeTag> alive_;   // kRuns, kEnds, by `due`
  IntrusiveList<Execution, AgeTag> recent_;  // kOver, by `due`
  size_t recent_bytes_ = 0;
  std::deque<Ticket> to_say_;  // to a new connection, as there is room
  stream::Timer timer_;
  std::array<time::MonotonicTime, KeyNames::kShards> records_until_{};  // of each shard, that were made here
  time::MonotonicTime tells_time_ = time::MonotonicTime::max();
  std::string refusal_;
  std::vector<size_t> unopened_;  // shards whose epoch could not be begun when the connection was new
  time::MonotonicTime opens_again_;
  uint64_t generation_ = 0;
  std::string run_id_;  // of the server that knew all that was said
};

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_EXECUTIONS_H_
