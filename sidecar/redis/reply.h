// Commands and replies of Redis as bytes (RESP2). Without I/O; the only place that knows hiredis, which does
// nothing else here.
#ifndef PILLION_SIDECAR_REDIS_REPLY_H_
#define PILLION_SIDECAR_REDIS_REPLY_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/redis/limits.h"

namespace pillion::redis {

struct Reply {
  enum class Kind : uint8_t { kNil, kStatus, kError, kInteger, kText, kArray };
  Kind kind = Kind::kNil;
  int64_t integer = 0;
  std::string text;  // of a status, an error or a text
  std::vector<Reply> parts;

  bool is(Kind other) const { return kind == other; }
  // An error whose first word is this, such as NOSCRIPT.
  bool IsError(std::string_view word) const;
  friend bool operator==(const Reply&, const Reply&) = default;
};
// For people, in one line.
std::string ToString(const Reply& reply);

// Appends one command, whose arguments may be any bytes, to `out`. There is at least one.
void AppendCommand(std::span<const std::string_view> arguments, std::string& out);

// Makes replies of bytes, wherever these are cut. One thread.
//
//   Feed -> Next: kReply ... kReply, kMore -> Feed ...      kBroken: for ever; close the connection
class ReplyReader {
 public:
  explicit ReplyReader(const Limits& limits = {});
  ~ReplyReader();
  ReplyReader(const ReplyReader&) = delete;
  ReplyReader& operator=(const ReplyReader&) = delete;

  void Feed(std::string_view bytes);
  enum class State : uint8_t {
    kReply,   // `reply` is the next one
    kMore,    // its end is not here yet
    kBroken,  // that is no RESP2, or beyond a limit: error()
  };
  State Next(Reply& reply);
  // kBroken; lives as long as the reader.
  std::string_view error() const { return error_; }

 private:
  struct Native;
  std::unique_ptr<Native> native_;
  std::string error_;
};

}  // namespace pillion::redis

#endif  // PILLION_SIDECAR_REDIS_REPLY_H_
