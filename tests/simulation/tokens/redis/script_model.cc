#include "tests/simulation/tokens/redis/script_model.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

namespace pillion::simulation::tokens {
namespace {

using idempotency::ScriptName;
using redis::Reply;
using Writes = Circumstances::Writes;
using Field = std::optional<std::string>;

Reply Text(std::string_view text) { return {Reply::Kind::kText, 0, std::string(text), {}}; }
Reply TextOrNil(const Field& text) { return text ? Text(*text) : Reply(); }
Reply Integer(int64_t number) { return {Reply::Kind::kInteger, number, {}, {}}; }
Reply Error(std::string_view text) { return {Reply::Kind::kError, 0, std::string(text), {}}; }
Reply List(std::vector<Reply> parts) { return {Reply::Kind::kArray, 0, {}, std::move(parts)}; }

int64_t Number(const std::string& text) { return std::strtoll(text.c_str(), nullptr, 10); }
int64_t Number(const Field& text) { return text ? Number(*text) : 0; }

// How long the server waits until it forgets by itself.
constexpr int64_t kWeek = 604'800'000;

// One script while it runs. Keys and arguments are counted from 1, as the scripts do.
class Running {
 public:
  Running(std::span<const std::string> keys, std::span<const std::string> arguments,
          const Circumstances& circumstances, DataSet& data, std::vector<Effect>& effects)
      : keys_(keys), arguments_(arguments), circumstances_(circumstances), data_(data), effects_(effects) {}
  Reply Claim();
  Reply End();
  Reply Renew();
  Reply Release();
  Reply Reassert();
  Reply Open();

 private:
  const std::string& Key(size_t number) const { return keys_[number - 1]; }
  const std::string& Argument(size_t number) const { return arguments_[number - 1]; }
  // Who the server is, to an epoch.
  std::string Identity(size_t run) const { return Argument(run) + ":" + circumstances_.replid; }
  int64_t NumberAt(size_t number) const { return Number(Argument(number)); }

  void Do(Effect effect) {
    has_written_ = true;
    data_.Apply(effect);
    effects_.push_back(std::move(effect));
  }
  // A primary deletes what has expired when somebody looks at it; a replica waits to be told.
  const Hash* Look(const std::string& key) {
    const Hash* hash = data_.Find(key);
    if (hash == nullptr || !hash->ExpiredBy(circumstances_.now)) return hash;
    if (circumstances_.writes == Writes::kReadOnly) return nullptr;
    const bool before = has_written_;
    Do({.kind = Effect::Kind::kDelete, .key = key});
    has_written_ = before;
    return nullptr;
  }
  Field Get(const std::string& key, const std::string& field) {
    const Hash* hash = Look(key);
    if (hash == nullptr) return std::nullopt;
    const auto found = hash->fields.find(field);
    return found == hash->fields.end() ? std::nullopt : Field(found->second);
  }
  // nil, or the error that a script without flags meets, at its first write, and so at each: one that has
  // changed something is not stopped half-way.
  Reply Refusal() const { return has_written_ ? Reply() : RefusalToWrite(circumstances_); }
  Reply Set(const std::string& key, Fields fields) {
    if (Reply refusal = Refusal(); !refusal.is(Reply::Kind::kNil)) return refusal;
    if (circumstances_.out_of_memory && !allow_oom_ && !has_written_)
      return Error("OOM command not allowed when used memory > 'maxmemory'.");
    Do({.kind = Effect::Kind::kSet, .key = key, .fields = std::move(fields)});
    return {};
  }
  void ExpireAfter(const std::string& key, int64_t life) {
    if (Look(key) == nullptr) return;
    if (life <= 0) return Do({.kind = Effect::Kind::kDelete, .key = key});
    Do({.kind = Effect::Kind::kExpireAt, .key = key, .at = circumstances_.now + ServerTime(life)});
  }
  void Publish(const std::string& channel, const std::string& text) {
    Do({.kind = Effect::Kind::kPublish, .key = channel, .text = text});
  }
  // The later of the clock and the mark.
  int64_t NowBy(const Field& high) const { return std::max(circumstances_.now.count(), Number(high)); }
  void BeginEpoch(const std::string& epoch, const std::string& run, int64_t now) {
    Set(epoch, {{"run", run}, {"start", std::to_string(now)}, {"high", std::to_string(now)}});
  }
  Reply ClaimRecord(int64_t now, int64_t mint, int64_t start);
  void Drop(const std::string& ends, const std::string& epoch, int64_t now, int64_t high, int most);
  void Keep(int64_t end, int64_t life);

  std::span<const std::string> keys_;
  std::span<const std::string> arguments_;
  const Circumstances& circumstances_;
  DataSet& data_;
  std::vector<Effect>& effects_;
  bool allow_oom_ = true;
  bool has_written_ = false;
};

Reply Running::Claim() {
  allow_oom_ = false;
  const std::string& epoch = Key(2);
  const Field run = Get(epoch, "run");
  const Field high = Get(epoch, "high");
  int64_t start = Number(Get(epoch, "start"));
  const int64_t now = NowBy(high);
  if (run != Identity(5)) {
    start = now;
    BeginEpoch(epoch, Identity(5), now);
  } else if (now >= Number(high) + 1000) {
    Set(epoch, {{"high", std::to_string(now)}});
  }
  const int64_t mint = NumberAt(4);
  const int64_t skew = NumberAt(7);
  if (mint >= 0 && mint > now + skew) return List({Text("BAD_CLOCK")});
  if (mint >= 0 && now > mint + NumberAt(8) + skew) return List({Text("EXPIRED")});
  return ClaimRecord(now, mint, start);
}

// Ends records whose time is over.
void Running::Drop(const std::string& ends, const std::string& epoch, int64_t now, int64_t high, int most) {
  for (int i = 0; i < most; ++i) {
    const Hash* list = Look(ends);
    if (list == nullptr) return;
    const std::string head = list->list.front();
    const std::string end = head.substr(0, head.find(' '));
    if (now < Number(end)) return;
    if (high < now && Set(epoch, {{"high", std::to_string(now)}}).is(Reply::Kind::kError)) return;
    high = std::max(high, now);
    if (Refusal().is(Reply::Kind::kError)) return;
    Do({.kind = Effect::Kind::kPop, .key = ends});
    const std::string key = epoch.substr(0, epoch.size() - 5) + head.substr(end.size() + 1);
    if (Get(key, "e") == end) Do({.kind = Effect::Kind::kDelete, .key = key});
  }
}

void Running::Keep(int64_t end, int64_t life) {
  const std::string& ends = Key(3);
  ExpireAfter(Key(1), life + kWeek);
  Do({.kind = Effect::Kind::kPush,
      .key = ends,
      .text = std::to_string(end) + ' ' + Key(1).substr(Key(2).size() - 5)});
  ExpireAfter(ends, life + kWeek);
}

Reply Running::ClaimRecord(int64_t now, int64_t mint, int64_t start) {
  const std::string& record = Key(1);
  Drop(Key(3), Key(2), now, Number(Get(Key(2), "high")), 2);
  const Field state = Get(record, "s");
  const std::string lease = std::to_string(now + NumberAt(2));
  if (!state || now >= Number(Get(record, "e"))) {
    if ((mint >= 0 ? mint : now) < start + NumberAt(6)) return List({Text("DOUBT")});
    if (state) {
      if (Reply error = Refusal(); error.is(Reply::Kind::kError)) return error;
      Do({.kind = Effect::Kind::kDelete, .key = record});
    }
    const int64_t end = now + NumberAt(3);
    Reply error =
        Set(record,
            {{"s", "I"}, {"x", Argument(1)}, {"l", lease}, {"fp", Argument(9)}, {"e", std::to_string(end)}});
    if (error.is(Reply::Kind::kError)) return error;
    Keep(end, NumberAt(3));
    return List({Text("CLAIMED")});
  }
  const Field execution = Get(record, "x");
  const Field status = Get(record, "st");
  if (Get(record, "fp") != Argument(9)) return List({Text("MISMATCH")});
  if (state == "C")
    return List({Text("REPLAY"), TextOrNil(status), TextOrNil(execution), TextOrNil(Get(record, "a"))});
  if (state == "T") return List({Text("TOMBSTONE"), TextOrNil(status), TextOrNil(execution)});
  if (state == "I") {
    const int64_t lapses = Number(Get(record, "l"));
    if (now <= lapses) return List({Text("INFLIGHT"), Integer(lapses - now), TextOrNil(execution)});
    Set(record, {{"s", "U"}});
  }
  if (Argument(10) != "1") return List({Text("UNKNOWN"), TextOrNil(execution)});
  Reply error = Set(record, {{"s", "I"}, {"x", Argument(1)}, {"l", lease}});
  return error.is(Reply::Kind::kError) ? error : List({Text("CLAIMED")});
}

Reply Running::End() {
  const std::string& record = Key(1);
  const Field state = Get(record, "s");
  if (!state) return Text("GONE");
  if (Get(record, "x") != Argument(1)) return Text("FENCED");
  if (state == "C" || state == "T") return Text("ALREADY");
  Set(record, {{"s", Argument(2)}, {"st", Argument(3)}, {"a", Argument(4)}});
  Publish(Argument(5), Argument(2));
  return Text("OK");
}

Reply Running::Renew() {
  const std::string& record = Key(1);
  if (Get(record, "s") != "I" || Get(record, "x") != Argument(1)) return Integer(0);
  const int64_t now = NowBy(Get(Key(2), "high"));
  Set(record, {{"l", std::to_string(now + NumberAt(2))}});
  return Integer(1);
}

Reply Running::Release() {
  const std::string& record = Key(1);
  const Field state = Get(record, "s");
  if (Get(record, "x") != Argument(1) || (state != "I" && state != "U")) return Integer(0);
  Do({.kind = Effect::Kind::kDelete, .key = record});
  Publish(Argument(2), "R");
  return Integer(1);
}

Reply Running::Reassert() {
  const std::string& record = Key(1);
  const std::string& state = Argument(2);
  const int64_t now = NowBy(Get(Key(2), "high"));
  if (Get(Key(2), "run") != Identity(5)) BeginEpoch(Key(2), Identity(5), now);
  const Field found = Get(record, "s");
  const std::string lease = std::to_string(now + NumberAt(3));
  if (!found) {
    Set(record, {{"s", state},
                 {"x", Argument(1)},
                 {"l", lease},
                 {"fp", Argument(6)},
                 {"st", Argument(7)},
                 {"a", Argument(8)},
                 {"e", std::to_string(now + NumberAt(4))}});
    Keep(now + NumberAt(4), NumberAt(4));
    if (state != "I") Publish(Argument(9), state);
    return Text("OK");
  }
  if (Get(record, "x") != Argument(1)) return Text("FENCED");
  if (found == "C" || found == "T") return Text("ALREADY");
  if (state == "I") {
    if (found == "I") Set(record, {{"l", lease}});
    return Text("OK");
  }
  Set(record, {{"s", state}, {"st", Argument(7)}, {"a", Argument(8)}});
  Publish(Argument(9), state);
  return Text("OK");
}

Reply Running::Open() {
  int64_t high = Number(Get(Key(1), "high"));
  const int64_t now = NowBy(Get(Key(1), "high"));
  int64_t start = Number(Get(Key(1), "start"));
  if (Get(Key(1), "run") != Identity(1)) {
    start = high = now;
    BeginEpoch(Key(1), Identity(1), now);
  } else if (now >= high + 1000) {
    high = now;
    Set(Key(1), {{"high", std::to_string(now)}});
  }
  Drop(Key(2), Key(1), now, high, 200);
  Drop(Key(3), Key(1), now, high, 200);
  return Integer(start);
}

}  // namespace

Reply RefusalToWrite(const Circumstances& circumstances) {
  switch (circumstances.writes) {
    case Writes::kTaken:
      return {};
    case Writes::kReadOnly:
      return Error("READONLY You can't write against a read only replica.");
    case Writes::kTooFewReplicas:
      return Error("NOREPLICAS Not enough good replicas to write.");
  }
  return {};
}

Reply RunScript(ScriptName name, std::span<const std::string> keys, std::span<const std::string> arguments,
                const Circumstances& circumstances, DataSet& data, std::vector<Effect>& effects) {
  Running running(keys, arguments, circumstances, data, effects);
  if (name == ScriptName::kClaim) return running.Claim();
  // The flags of the others say that they write: a server that would not does not even begin.
  if (Reply refusal = RefusalToWrite(circumstances); !refusal.is(Reply::Kind::kNil)) return refusal;
  switch (name) {
    case ScriptName::kClaim:
      break;
    case ScriptName::kEnd:
      return running.End();
    case ScriptName::kRenew:
      return running.Renew();
    case ScriptName::kRelease:
      return running.Release();
    case ScriptName::kReassert:
      return running.Reassert();
    case ScriptName::kOpen:
      return running.Open();
  }
  return {};
}

}  // namespace pillion::simulation::tokens
