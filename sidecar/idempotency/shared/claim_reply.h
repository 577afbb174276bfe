// What a claim was answered, read from the script's reply.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_SHARED_CLAIM_REPLY_H_
#define PILLION_SIDECAR_IDEMPOTENCY_SHARED_CLAIM_REPLY_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/shared/record_cipher.h"
#include "sidecar/idempotency/store.h"
#include "sidecar/redis/reply.h"

namespace pillion::idempotency {

// Of an execution's id as it stands in records; 0: it is none.
uint64_t ExecutionNumber(std::string_view id);

struct ClaimReply {
  ClaimAnswer answer;
  bool undecryptable = false;  // there was an answer, and it cannot be opened: it counts as a tombstone
};
// nullopt: that is none, and what the script did is not known. An error that the server refused to write for
// is kFull or kRefused: it did nothing.
std::optional<ClaimReply> ReadClaimReply(const redis::Reply& reply, const Digest& key, RecordCipher& cipher);

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_SHARED_CLAIM_REPLY_H_
