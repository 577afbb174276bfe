// What a claim was answered, read from the script's reply.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_CLAIM_REPLY_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_CLAIM_REPLY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/saved_answer.h"
#include "sidecar/idempotency/shared/record_cipher.h"
#include "sidecar/redis/reply.h"

namespace pillion::idempotency {

struct SharedAnswer {
  enum class Kind : uint8_t {
    kClaimed,    // run it, then end it
    kReplay,     // `answer`
    kTombstone,  // it ran; `status` was the answer's, 0 where even that cannot be known
    kInFlight,   // another execution is under way, and it was not waited for
    kUnknown,
    kMismatch,
    kExpired,
    kBadClock,  // minted in the future
    kDoubt,     // this attempt did not run, and an earlier one may have: records may have been lost
    kFull,      // the store has no room
    kRefused,   // it cannot be reached, or not enough replicas confirmed
  };
  Kind kind = Kind::kRefused;
  uint64_t execution = 0;  // the beginning of its id; for people, and to be told apart
  uint16_t status = 0;
  bool waited = false;  // for the end of another execution
  SavedAnswer answer = {};
};

// Of an execution's id as it stands in records; 0: it is none.
uint64_t ExecutionNumber(std::string_view id);

struct ClaimReply {
  SharedAnswer answer;
  bool undecryptable = false;  // there was an answer, and it cannot be opened: it counts as a tombstone
};
// nullopt: that is none, and what the script did is not known. An error that the server refused to write for
// is kFull or kRefused: it did nothing.
std::optional<ClaimReply> ReadClaimReply(const redis::Reply& reply, const Digest& key, RecordCipher& cipher);

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_CLAIM_REPLY_H_
