#include "sidecar/idempotency/shared/claim_reply.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <utility>

namespace pillion::idempotency {
namespace {

using Kind = ClaimAnswer::Kind;
using redis::Reply;

constexpr std::array<std::pair<std::string_view, Kind>, 9> kWords = {{
    {"CLAIMED", Kind::kClaimed},
    {"REPLAY", Kind::kReplay},
    {"TOMBSTONE", Kind::kTombstone},
    {"INFLIGHT", Kind::kInFlight},
    {"UNKNOWN", Kind::kUnknown},
    {"MISMATCH", Kind::kMismatch},
    {"EXPIRED", Kind::kExpired},
    {"BAD_CLOCK", Kind::kBadClock},
    {"DOUBT", Kind::kDoubt},
}};

std::string_view TextOf(const Reply& reply, size_t part) {
  return part < reply.parts.size() ? std::string_view(reply.parts[part].text) : std::string_view();
}

uint16_t StatusOf(std::string_view text) {
  uint16_t status = 0;
  std::from_chars(text.data(), text.data() + text.size(), status);
  return status;
}

}  // namespace

uint64_t ExecutionNumber(std::string_view id) {
  uint64_t number = 0;
  id = id.substr(0, 2 * sizeof(number));
  std::from_chars(id.data(), id.data() + id.size(), number, 16);
  return number;
}

std::optional<ClaimReply> ReadClaimReply(const Reply& reply, const Digest& key, RecordCipher& cipher) {
  ClaimReply read;
  ClaimAnswer& answer = read.answer;
  if (reply.is(Reply::Kind::kError)) {
    answer.kind = reply.IsError("OOM") ? Kind::kFull : Kind::kRefused;
    return read;
  }
  if (!reply.is(Reply::Kind::kArray)) return std::nullopt;
  const auto* const word =
      std::ranges::find(kWords, TextOf(reply, 0), &std::pair<std::string_view, Kind>::first);
  if (word == kWords.end()) return std::nullopt;
  answer.kind = word->second;
  switch (answer.kind) {
    case Kind::kReplay:
      answer.status = StatusOf(TextOf(reply, 1));
      answer.execution = ExecutionNumber(TextOf(reply, 2));
      answer.answer = cipher.Open(key, TextOf(reply, 3));
      if (!answer.answer) {
        answer.kind = Kind::kTombstone;
        read.undecryptable = true;
      }
      break;
    case Kind::kTombstone:
      answer.status = StatusOf(TextOf(reply, 1));
      answer.execution = ExecutionNumber(TextOf(reply, 2));
      break;
    case Kind::kInFlight:
      answer.execution = ExecutionNumber(TextOf(reply, 2));
      break;
    case Kind::kUnknown:
      answer.execution = ExecutionNumber(TextOf(reply, 1));
      break;
    default:
      break;
  }
  return read;
}

}  // namespace pillion::idempotency
