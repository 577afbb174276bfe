#include "sidecar/redis/reply.h"

#include <hiredis/hiredis.h>
#include <hiredis/read.h>

#include <array>
#include <cstdlib>
#include <utility>

#include "sidecar/base/check.h"

namespace pillion::redis {
namespace {

// What the reply that is being read takes already.
struct Measure {
  const Limits limits;
  size_t bytes = 0;
  size_t parts = 0;
};

Reply::Kind KindOf(int type) {
  switch (type) {
    case REDIS_REPLY_STATUS:
      return Reply::Kind::kStatus;
    case REDIS_REPLY_ERROR:
      return Reply::Kind::kError;
    case REDIS_REPLY_INTEGER:
      return Reply::Kind::kInteger;
    case REDIS_REPLY_STRING:
      return Reply::Kind::kText;
    case REDIS_REPLY_ARRAY:
      return Reply::Kind::kArray;
    default:
      return Reply::Kind::kNil;
  }
}

// The reply itself, or its place in the one that it is a part of. Null, which hiredis takes for a lack of
// memory: it is beyond a limit.
Reply* Place(const redisReadTask* task, size_t bytes, size_t parts) {
  Measure& measure = *static_cast<Measure*>(task->privdata);
  measure.bytes += bytes;
  measure.parts += parts;
  if (measure.bytes > measure.limits.max_reply_bytes || measure.parts > measure.limits.max_reply_parts)
    return nullptr;
  Reply* reply = task->parent == nullptr
                     ? new Reply
                     : &static_cast<Reply*>(task->parent->obj)->parts[static_cast<size_t>(task->idx)];
  reply->kind = KindOf(task->type);
  return reply;
}

void* MakeText(const redisReadTask* task, char* bytes, size_t size) {
  Reply* reply = Place(task, size, 0);
  if (reply != nullptr) reply->text.assign(bytes, size);
  return reply;
}

void* MakeArray(const redisReadTask* task, int parts) {
  Reply* reply = Place(task, 0, static_cast<size_t>(parts));
  if (reply != nullptr) reply->parts.resize(static_cast<size_t>(parts));
  return reply;
}

// `long long` is what hiredis has for it.
void* MakeInteger(const redisReadTask* task, long long value) {
  Reply* reply = Place(task, 0, 0);
  if (reply != nullptr) reply->integer = value;
  return reply;
}

void* MakeNil(const redisReadTask* task) {
  Reply* reply = Place(task, 0, 0);
  if (reply != nullptr) reply->kind = Reply::Kind::kNil;  // its type is that of what is not there
  return reply;
}

void Free(void* reply) { delete static_cast<Reply*>(reply); }

redisReplyObjectFunctions* Functions() {
  static redisReplyObjectFunctions functions = {MakeText, MakeArray, MakeInteger, MakeNil, Free};
  return &functions;
}

}  // namespace

bool Reply::IsError(std::string_view word) const {
  return kind == Kind::kError && text.starts_with(word) &&
         (text.size() == word.size() || text[word.size()] == ' ');
}

std::string ToString(const Reply& reply) {
  switch (reply.kind) {
    case Reply::Kind::kNil:
      return "nil";
    case Reply::Kind::kInteger:
      return std::to_string(reply.integer);
    case Reply::Kind::kError:
      return "-" + reply.text;
    case Reply::Kind::kStatus:
    case Reply::Kind::kText:
      return reply.text;
    case Reply::Kind::kArray:
      break;
  }
  std::string text = "[";
  for (const Reply& part : reply.parts) {
    if (text.size() > 1) text += ", ";
    text += ToString(part);
  }
  return text + "]";
}

void AppendCommand(std::span<const std::string_view> arguments, std::string& out) {
  constexpr size_t kMostArguments = 32;
  PILLION_CHECK(!arguments.empty() && arguments.size() <= kMostArguments);
  std::array<const char*, kMostArguments> texts;
  std::array<size_t, kMostArguments> sizes;
  for (size_t i = 0; i < arguments.size(); ++i) {
    texts[i] = arguments[i].data() == nullptr ? "" : arguments[i].data();
    sizes[i] = arguments[i].size();
  }
  char* made = nullptr;
  const int size =
      redisFormatCommandArgv(&made, static_cast<int>(arguments.size()), texts.data(), sizes.data());
  PILLION_CHECK(size > 0);
  out.append(made, static_cast<size_t>(size));
  redisFreeCommand(made);
}

struct ReplyReader::Native {
  explicit Native(const Limits& limits) : measure{limits} {
    reader = redisReaderCreateWithFunctions(Functions());
    PILLION_CHECK(reader != nullptr);
    reader->privdata = &measure;
  }
  ~Native() { redisReaderFree(reader); }
  Native(const Native&) = delete;
  Native& operator=(const Native&) = delete;
  Measure measure;
  redisReader* reader;
};

ReplyReader::ReplyReader(const Limits& limits) : native_(std::make_unique<Native>(limits)) {}
ReplyReader::~ReplyReader() = default;

void ReplyReader::Feed(std::string_view bytes) {
  if (error_.empty() && !bytes.empty()) redisReaderFeed(native_->reader, bytes.data(), bytes.size());
}

ReplyReader::State ReplyReader::Next(Reply& reply) {
  if (!error_.empty()) return State::kBroken;
  redisReader& reader = *native_->reader;
  void* made = nullptr;
  if (redisReaderGetReply(&reader, &made) != REDIS_OK) {
    error_ = reader.err == REDIS_ERR_OOM ? "a reply is larger than may be" : reader.errstr;
    return State::kBroken;
  }
  if (made == nullptr) {
    if (reader.len - reader.pos <= native_->measure.limits.max_reply_bytes) return State::kMore;
    error_ = "a reply is larger than may be";
    return State::kBroken;
  }
  reply = std::move(*static_cast<Reply*>(made));
  Free(made);
  native_->measure.bytes = 0;
  native_->measure.parts = 0;
  return State::kReply;
}

}  // namespace pillion::redis
