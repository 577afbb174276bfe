// What a Redis server, or a crowd of requests before it, can make one worker hold (STYLE.md R11).
#ifndef PILLION_SIDECAR_REDIS_LIMITS_H_
#define PILLION_SIDECAR_REDIS_LIMITS_H_

#include <cstddef>

namespace pillion::redis {

struct Limits {
  // Commands without a reply, on one connection. Attack: a server that answers nothing, while requests come.
  size_t max_pending_commands = size_t{32} * 1024;
  // Their bytes that have not left. Attack: a server that reads nothing.
  size_t max_output_bytes = size_t{16} * 1024 * 1024;
  // Texts of one reply together, and likewise what has come of its next part. Attack: a text without end.
  size_t max_reply_bytes = size_t{4} * 1024 * 1024;
  // Parts of one reply, in all its depths together. Attack: `*1000000000` is a dozen bytes, and room for a
  // billion parts at who takes its word for it.
  size_t max_reply_parts = 256;
  // Channels that are listened to. Attack: duplicates of as many tokens, each of which waits for the first.
  size_t max_channels = size_t{16} * 1024;
};

}  // namespace pillion::redis

#endif  // PILLION_SIDECAR_REDIS_LIMITS_H_
