// The model of a Redis server beside a real one: the same random sequences of the six scripts, and what
// happens between them, at both. The real one's scripts are the sidecar's own, once as they are, at epochs
// whose mark is far ahead of every clock, and once with their clock read from two more arguments: so time is
// the test's, and everything must be equal.
#include "tests/simulation/tokens/redis/redis_model.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/redis/server_check.h"
#include "sidecar/redis/test_server.h"

namespace pillion::simulation::tokens {
namespace {

using idempotency::ScriptName;
using redis::Reply;

constexpr int kSequences = 3000;  // of each of the two kinds
constexpr int kSteps = 40;
constexpr int64_t kStart = 1'600'000'000'000;
constexpr int64_t kFarAhead = 4'000'000'000'000;  // of the clock of the machine that runs this
constexpr int64_t kLife = 100'000;                // of a record, at most

enum class Clock : uint8_t { kArguments, kMark };
using Command = std::vector<std::string>;

const std::vector<std::string>& Keys() {
  static const std::vector<std::string> keys = {"p:{s:0}:r1", "p:{s:0}:r2", "p:{s:0}:epoch", "p:{s:0}:ends",
                                                "p:{s:0}:ends-of-keys"};
  return keys;
}
bool IsList(const std::string& key) { return key.find(":ends") != std::string::npos; }
constexpr std::string_view kChannel = "n:{s:0}:r1";

// The sequence is made, and done at the model, first; then it is sent to the real server at once, with what
// was expected behind each step.
class Sequence {
 public:
  Sequence(uint64_t seed, Clock clock, const std::array<std::string, idempotency::kScripts>& shas,
           const std::string& replid)
      : random_(seed), clock_(clock), shas_(shas) {
    // The real server has run long before.
    model_.standing.run_id = "real";
    model_.standing.replid = replid;
    for (const idempotency::Script& script : scripts_.all()) {
      std::vector<Effect> none;
      model_.Execute(Command{"SCRIPT", "LOAD", std::string(script.text)}, ServerTime(now_), none);
    }
    commands_ = {{"FLUSHALL"}};
    if (clock_ == Clock::kMark) RaiseMark();
  }
  void Make() {
    for (int i = 0; i < kSteps; ++i) Step();
    if (model_.standing.out_of_memory) SetMemory(false);
    if (model_.standing.min_replicas > 0) SetMinReplicas(0);
  }
  void Compare(redis::TestConnection& line, redis::TestConnection& listener);
  // How often the model's answers began with which word.
  void CountInto(std::map<std::string, int>& words) const {
    for (const Check& check : checks_) ++words[FirstWord(check.reply)];
  }

 private:
  static std::string FirstWord(const Reply& reply);
  // After one command at the real server.
  struct Check {
    size_t at = 0;  // the first of commands_ that belongs to it: TIME, the script, TIME, then each key
    Reply reply;
    std::vector<Effect> effects;
    std::map<std::string, Hash> holds;
    int64_t now = 0;
    std::string what;
  };
  uint64_t Draw(uint64_t bound) { return Below(random_.Next(), bound); }
  std::string Of(std::initializer_list<const char*> words) { return *(words.begin() + Draw(words.size())); }
  std::string Of(std::initializer_list<int64_t> numbers) {
    return std::to_string(*(numbers.begin() + Draw(numbers.size())));
  }
  std::string Life() {
    if (Draw(20) == 0) return Of({-1, 0});
    return std::to_string(Draw(kLife));
  }
  // What scripts take for the present.
  int64_t Present() const {
    const Hash* epoch = model_.data.Find(Keys()[2]);
    const auto high = epoch == nullptr ? std::string("0") : epoch->fields.at("high");
    return std::max<int64_t>(now_, std::stoll(high));
  }
  std::string Mint() {
    if (Draw(6) == 0) return "-1";
    constexpr std::array<int64_t, 11> kAround = {-126'000, -125'001, -125'000, -120'000, -6000, -5000,
                                                 -1,       0,        5000,     5001,     6000};
    return std::to_string(Present() + kAround[Draw(kAround.size())]);
  }
  // Also where the server would refuse it.
  void Do(const Effect& effect, Command command) {
    model_.data.Apply(effect);
    Insist(std::move(command));
  }
  void Insist(Command command) {
    commands_.push_back(SettingsCommand(false, 0));
    commands_.push_back(std::move(command));
    commands_.push_back(SettingsCommand(model_.standing.out_of_memory, model_.standing.min_replicas));
  }
  static Command SettingsCommand(bool out_of_memory, uint32_t min_replicas) {
    return {"CONFIG",
            "SET",
            "maxmemory",
            out_of_memory ? "1" : "0",
            "min-replicas-to-write",
            std::to_string(min_replicas)};
  }
  void RaiseMark() {
    mark_ += static_cast<int64_t>(Draw(20'000));
    const std::string mark = std::to_string(mark_);
    Do({.kind = Effect::Kind::kSet, .key = Keys()[2], .fields = {{"high", mark}}},
       {"HSET", Keys()[2], "high", mark});
  }
  void SetMemory(bool out) {
    model_.standing.out_of_memory = out;
    commands_.push_back(SettingsCommand(out, model_.standing.min_replicas));
  }
  void SetMinReplicas(uint32_t count) {
    model_.standing.min_replicas = count;
    commands_.push_back(SettingsCommand(model_.standing.out_of_memory, count));
  }
  void PassTime();
  void Step();
  Command ArgumentsOf(ScriptName name);
  void RunScriptAtBoth(ScriptName name);
  void CompareOne(const Check& check, const std::vector<Reply>& replies);
  void CompareKey(const Check& check, const std::string& key, const Reply& fields, const Reply& expires);

  Random random_;
  const Clock clock_;
  const std::array<std::string, idempotency::kScripts>& shas_;
  const idempotency::Scripts scripts_;
  RedisModel model_;
  int64_t now_ = kStart;
  int64_t mark_ = kFarAhead;
  std::vector<Command> commands_;
  std::vector<Check> checks_;
  std::map<std::string, int64_t> expires_;  // at the real server, as it said last
  int64_t before_ = 0;                      // its clock around the step that is compared
  int64_t after_ = 0;
};

void Sequence::PassTime() {
  if (clock_ == Clock::kMark) return RaiseMark();
  constexpr std::array<int64_t, 10> kBy = {1, 499, 500, 501, 1000, 10'000, 125'000, -700, -60'000, 3'700'000};
  now_ += kBy[Draw(kBy.size())];
  std::vector<Effect> deleted;
  model_.DeleteExpired(ServerTime(now_), deleted);
  for (const Effect& one : deleted) Insist({"DEL", one.key});
}

void Sequence::Step() {
  const uint64_t kind = Draw(100);
  if (kind < 12) return PassTime();
  if (kind < 14) return SetMemory(!model_.standing.out_of_memory);
  if (kind < 16) return SetMinReplicas(model_.standing.min_replicas == 0 ? 1 : 0);
  if (kind < 17) {
    Do({.kind = Effect::Kind::kFlush}, {"FLUSHALL"});
    if (clock_ == Clock::kMark) RaiseMark();
    return;
  }
  if (kind < 20) {
    const std::string& key = Keys()[Draw(2)];
    return Do({.kind = Effect::Kind::kDelete, .key = key}, {"DEL", key});
  }
  constexpr std::array<ScriptName, 10> kNames = {
      ScriptName::kClaim, ScriptName::kClaim, ScriptName::kClaim,   ScriptName::kClaim,    ScriptName::kEnd,
      ScriptName::kEnd,   ScriptName::kRenew, ScriptName::kRelease, ScriptName::kReassert, ScriptName::kOpen};
  RunScriptAtBoth(kNames[Draw(kNames.size())]);
}

Command Sequence::ArgumentsOf(ScriptName name) {
  const std::string execution = Of({"x1", "x1", "x2", "x3"});
  const std::string run = Draw(12) == 0 ? "run2" : "run1";
  const std::string lease = Of({-1, 0, 500, 1000, 10'000});
  switch (name) {
    case ScriptName::kClaim:
      return {execution,
              lease,
              Life(),
              Mint(),
              run,
              Of({0, 5000, -100'000'000}),
              Of({0, 5000}),
              "120000",
              Of({"f1", "f1", "f1", "f2"}),
              Of({"0", "0", "1"})};
    case ScriptName::kEnd:
      return {execution, Of({"C", "T", "U"}), Of({"200", "0"}), Of({"sealed", ""}), std::string(kChannel)};
    case ScriptName::kRenew:
      return {execution, lease};
    case ScriptName::kRelease:
      return {execution, std::string(kChannel)};
    case ScriptName::kReassert:
      return {execution,         Of({"I", "C", "T", "U"}), lease, Life(), run, "f1", "201",
              Of({"again", ""}), std::string(kChannel)};
    case ScriptName::kOpen:
      return {run};
  }
  return {};
}

void Sequence::RunScriptAtBoth(ScriptName name) {
  Command keys = {Keys()[Draw(2)]};
  if (name == ScriptName::kOpen) keys = {Keys()[2], Keys()[3], Keys()[4]};
  if (name == ScriptName::kClaim || name == ScriptName::kRenew || name == ScriptName::kReassert)
    keys.push_back(Keys()[2]);
  if (name == ScriptName::kClaim || name == ScriptName::kReassert) keys.push_back(Keys()[3 + Draw(2)]);
  Command command = {"EVALSHA", scripts_[name].sha, std::to_string(keys.size())};
  command.insert(command.end(), keys.begin(), keys.end());
  const Command arguments = ArgumentsOf(name);
  command.insert(command.end(), arguments.begin(), arguments.end());
  Check check;
  check.at = commands_.size();
  check.now = now_;
  check.reply = model_.Execute(command, ServerTime(now_), check.effects);
  check.holds = model_.data.all();
  for (const std::string& word : command) check.what += " " + word;
  if (clock_ == Clock::kArguments) {
    command[1] = shas_[static_cast<size_t>(name)];
    command.push_back(std::to_string(now_ / 1000));
    command.push_back(std::to_string(now_ % 1000 * 1000 + 999));
  }
  commands_.insert(commands_.end(), {{"TIME"}, command, {"TIME"}});
  for (const std::string& key : Keys())
    commands_.insert(commands_.end(),
                     {IsList(key) ? Command{"LRANGE", key, "0", "-1"} : Command{"HGETALL", key},
                      Command{"PEXPIRETIME", key}});
  checks_.push_back(std::move(check));
}

int64_t Milliseconds(const Reply& time) {
  return std::stoll(time.parts.at(0).text) * 1000 + std::stoll(time.parts.at(1).text) / 1000;
}

// Errors may say more than the word that counts.
std::string Comparable(const Reply& reply) {
  return reply.is(Reply::Kind::kError) ? reply.text.substr(0, reply.text.find(' ')) : ToString(reply);
}

std::string Sequence::FirstWord(const Reply& reply) {
  if (reply.is(Reply::Kind::kInteger)) return reply.integer > 1 ? "a time" : std::to_string(reply.integer);
  return Comparable(reply.parts.empty() ? reply : reply.parts[0]);
}

void Sequence::CompareKey(const Check& check, const std::string& key, const Reply& fields,
                          const Reply& expires) {
  const auto found = check.holds.find(key);
  const Hash none;
  const Hash& modelled = found == check.holds.end() ? none : found->second;
  Hash real;
  for (size_t i = 0; i < fields.parts.size(); ++i) {
    if (IsList(key)) {
      real.list.push_back(fields.parts[i].text);
    } else if (i % 2 == 1) {
      real.fields[fields.parts[i - 1].text] = fields.parts[i].text;
    }
  }
  EXPECT_EQ(real.fields, modelled.fields) << key << check.what;
  EXPECT_EQ(real.list, modelled.list) << key << check.what;
  std::optional<int64_t> life;
  for (const Effect& effect : check.effects) {
    if (effect.key != key) continue;
    if (effect.kind == Effect::Kind::kExpireAt) life = effect.at.count() - check.now;
    if (effect.kind == Effect::Kind::kDelete) life.reset();
  }
  if (found == check.holds.end()) {
    EXPECT_EQ(expires.integer, -2) << key << check.what;
  } else if (!found->second.expires) {
    EXPECT_EQ(expires.integer, -1) << key << check.what;
  } else if (life) {
    EXPECT_GE(expires.integer, before_ + *life) << key << check.what;
    EXPECT_LE(expires.integer, after_ + *life) << key << check.what;
  } else {
    EXPECT_EQ(expires.integer, expires_[key]) << key << check.what;
  }
  expires_[key] = expires.integer;
}

void Sequence::CompareOne(const Check& check, const std::vector<Reply>& replies) {
  before_ = Milliseconds(replies[check.at]);
  after_ = Milliseconds(replies[check.at + 2]);
  EXPECT_EQ(Comparable(replies[check.at + 1]), Comparable(check.reply)) << check.what;
  for (size_t i = 0; i < Keys().size(); ++i)
    CompareKey(check, Keys()[i], replies[check.at + 3 + 2 * i], replies[check.at + 4 + 2 * i]);
}

void Sequence::Compare(redis::TestConnection& line, redis::TestConnection& listener) {
  const std::vector<Reply> replies = line.AskAll(commands_);
  std::vector<std::string> said;
  for (const Check& check : checks_) {
    CompareOne(check, replies);
    for (const Effect& effect : check.effects) {
      if (effect.kind == Effect::Kind::kPublish)
        said.push_back("[message, " + effect.key + ", " + effect.text + "]");
    }
  }
  // Behind all messages comes the answer to the first of these.
  const std::vector<Reply> heard = listener.AskAll(std::vector<Command>(said.size() + 1, {"PING"}));
  for (size_t i = 0; i < said.size(); ++i) EXPECT_EQ(ToString(heard[i]), said[i]);
  EXPECT_EQ(heard.back().parts.at(0).text, "pong");
}

class RedisModelTest : public ::testing::Test {
 protected:
  RedisModelTest() : line(server.port()) {
    const std::string clock = "redis.call('TIME')";
    size_t read = 0;
    for (size_t i = 0; i < idempotency::kScripts; ++i) {
      std::string text(scripts.all()[i].text);
      line.Ask({"SCRIPT", "LOAD", text});
      if (const size_t at = text.find(clock); at != std::string::npos) {
        text.replace(at, clock.size(), "{ARGV[#ARGV-1],ARGV[#ARGV]}");
        ++read;
      }
      EXPECT_EQ(text.find(clock), std::string::npos);
      shas[i] = line.Ask({"SCRIPT", "LOAD", text}).text;
      EXPECT_EQ(shas[i].size(), 40u);
    }
    EXPECT_EQ(read, 4u) << "these read the clock";
    const std::string info = line.Ask({"INFO", "replication"}).text;
    replid = info.substr(info.find("master_replid:") + 14, 40);
  }
  void RunAll(Clock clock) {
    for (uint64_t seed = 1; seed <= kSequences && !HasFailure(); ++seed) {
      SCOPED_TRACE(seed);
      redis::TestConnection listener(server.port());
      ASSERT_EQ(listener.Ask({"SUBSCRIBE", std::string(kChannel)}).parts.size(), 3u);
      Sequence sequence(seed, clock, shas, replid);
      sequence.Make();
      sequence.Compare(line, listener);
      sequence.CountInto(words);
    }
    for (const char* word :
         {"CLAIMED", "REPLAY", "TOMBSTONE", "INFLIGHT", "UNKNOWN", "MISMATCH", "EXPIRED", "BAD_CLOCK",
          "DOUBT", "OOM", "NOREPLICAS", "OK", "GONE", "FENCED", "ALREADY", "0", "1", "a time"})
      EXPECT_GT(words[word], kSequences / 10) << word;
    EXPECT_EQ(words.size(), 18u);
  }
  redis::TestServer server;
  redis::TestConnection line;
  idempotency::Scripts scripts;
  std::array<std::string, idempotency::kScripts> shas;
  std::string replid;
  std::map<std::string, int> words;
};

TEST_F(RedisModelTest, DoesWhatARealServerDoesWhoseClockIsTheTests) { RunAll(Clock::kArguments); }

TEST_F(RedisModelTest, DoesWhatARealServerDoesWhoseClockIsBehindTheMark) { RunAll(Clock::kMark); }

// At replicas scripts without flags may read.
TEST_F(RedisModelTest, RefusesAsAReplicaDoes) {
  const std::vector<Command> commands = {
      {"EVALSHA", scripts[ScriptName::kOpen].sha, "3", "p:e:epoch", "l", "m", "run1"},
      {"EVALSHA", scripts[ScriptName::kEnd].sha, "1", "p:e:r", "x1", "C", "200", "a", "n"},
      {"EVALSHA", scripts[ScriptName::kClaim].sha, "3", "p:e:r", "p:e:epoch", "l", "x1", "1000", "60000",
       "-1", "run1", "-100000000", "5000", "120000", "f1", "0"},
      {"EVALSHA", scripts[ScriptName::kClaim].sha, "3", "p:e:r", "p:e:epoch", "l", "x1", "1000", "60000",
       "-1", "run2", "5000", "5000", "120000", "f1", "0"},
      {"EVALSHA", scripts[ScriptName::kRelease].sha, "1", "r", "x1", "n"}};
  RedisModel model;
  model.standing.master = false;
  std::vector<Effect> effects;
  for (const idempotency::Script& script : scripts.all())
    model.Execute(Command{"SCRIPT", "LOAD", std::string(script.text)}, ServerTime(kStart), effects);
  line.Ask({"REPLICAOF", "127.0.0.1", "1"});
  for (const Command& command : commands)
    EXPECT_EQ(Comparable(line.Ask(command)), Comparable(model.Execute(command, ServerTime(kStart), effects)));
  EXPECT_TRUE(effects.empty());
}

TEST_F(RedisModelTest, SaysOfItselfWhatTheClientAsks) {
  for (const uint32_t min_replicas : {0u, 1u}) {
    RedisModel model;
    model.standing.run_id = "r1";
    model.standing.replicas = 1;
    model.standing.min_replicas = min_replicas;
    redis::ServerFacts facts;
    std::vector<Effect> effects;
    redis::ReadInfo(model.Execute(Command{"INFO"}, ServerTime(kStart), effects).text, facts);
    for (const std::string_view setting : redis::kCheckedSettings)
      redis::ReadSetting(
          setting, model.Execute(Command{"CONFIG", "GET", std::string(setting)}, ServerTime(kStart), effects),
          facts);
    EXPECT_TRUE(facts.master());
    EXPECT_EQ(facts.run_id, "r1");
    EXPECT_EQ(redis::FindFaults(facts, {}).empty(), min_replicas == 1);
  }
}

TEST_F(RedisModelTest, KnowsNoScriptBeforeItWasTaughtAndNoOtherCommands) {
  const Command open = {"EVALSHA", scripts[ScriptName::kOpen].sha, "3", "p:e:epoch", "l", "m", "run1"};
  RedisModel model;
  std::vector<Effect> effects;
  EXPECT_TRUE(model.Execute(open, ServerTime(kStart), effects).IsError("NOSCRIPT"));
  Command by_text = open;
  by_text[0] = "EVAL";
  by_text[1] = scripts[ScriptName::kOpen].text;
  EXPECT_EQ(model.Execute(by_text, ServerTime(kStart), effects).integer, kStart);
  EXPECT_EQ(model.Execute(open, ServerTime(kStart + 1), effects).integer, kStart);
  model.Restart("another", {});
  EXPECT_TRUE(model.Execute(open, ServerTime(kStart), effects).IsError("NOSCRIPT"));
  EXPECT_TRUE(model.Execute(Command{"GET", "x"}, ServerTime(kStart), effects).IsError("ERR"));
}

}  // namespace
}  // namespace pillion::simulation::tokens
