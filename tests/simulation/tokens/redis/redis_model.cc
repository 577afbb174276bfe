#include "tests/simulation/tokens/redis/redis_model.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

namespace pillion::simulation::tokens {
namespace {

using idempotency::ScriptName;
using redis::Reply;

Reply Error(std::string_view text) { return {Reply::Kind::kError, 0, std::string(text), {}}; }
Reply Text(std::string_view text) { return {Reply::Kind::kText, 0, std::string(text), {}}; }
Reply Status(std::string_view text) { return {Reply::Kind::kStatus, 0, std::string(text), {}}; }

}  // namespace

// Names are computed once: each schedule has several servers.
const idempotency::Scripts& RedisModel::Known() {
  static const idempotency::Scripts scripts;
  return scripts;
}

Circumstances RedisModel::CircumstancesAt(ServerTime now) const {
  Circumstances circumstances{.now = now, .out_of_memory = standing.out_of_memory};
  if (!standing.master) {
    circumstances.writes = Circumstances::Writes::kReadOnly;
  } else if (standing.min_replicas > 0 && standing.max_lag_s > 0 &&
             standing.good_replicas < standing.min_replicas) {
    circumstances.writes = Circumstances::Writes::kTooFewReplicas;
  }
  circumstances.replid = standing.replid;
  return circumstances;
}

std::string RedisModel::Info() const {
  std::string info = "# Server\r\nredis_version:7.0.15\r\nrun_id:" + standing.run_id +
                     "\r\n\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n\r\n# Persistence\r\naof_enabled:1" +
                     "\r\n\r\n# Replication\r\nrole:" + (standing.master ? "master" : "slave") + "\r\n";
  info += "master_replid:" + standing.replid + "\r\n";
  if (!standing.master) return info;
  info += "connected_slaves:" + std::to_string(standing.replicas) + "\r\n";
  for (size_t i = 0; i < standing.replicas; ++i)
    info += "slave" + std::to_string(i) + ":ip=127.0.0.1,port=6379,state=online,offset=1,lag=0\r\n";
  return info;
}

Reply RedisModel::Setting(std::string_view name) const {
  Reply reply{Reply::Kind::kArray, 0, {}, {}};
  const auto add = [&](std::string_view value) { reply.parts = {Text(name), Text(value)}; };
  if (name == "maxmemory-policy") add("noeviction");
  if (name == "appendonly") add("yes");
  if (name == "min-replicas-to-write") add(std::to_string(standing.min_replicas));
  if (name == "min-replicas-max-lag") add(std::to_string(standing.max_lag_s));
  return reply;
}

Reply RedisModel::Execute(std::span<const std::string> command, ServerTime now,
                          std::vector<Effect>& effects) {
  if (command.empty()) return Error("ERR no command");
  const std::string& name = command[0];
  if (name == "PING") return Status("PONG");
  if (name == "AUTH") return Status("OK");
  if (name == "INFO") return Text(Info());
  if (name == "CONFIG" && command.size() == 3 && command[1] == "GET") return Setting(command[2]);
  if (name == "EVAL") return Eval(command, false, now, effects);
  if (name == "EVALSHA") return Eval(command, true, now, effects);
  if (name == "SCRIPT" && command.size() == 3 && command[1] == "LOAD") {
    for (size_t i = 0; i < idempotency::kScripts; ++i) {
      if (Known().all()[i].text != command[2]) continue;
      loaded_.insert(i);
      return Text(Known().all()[i].sha);
    }
    return Error("ERR the model runs no other scripts");
  }
  return Error("ERR unknown command '" + name + "'");
}

Reply RedisModel::Eval(std::span<const std::string> command, bool by_sha, ServerTime now,
                       std::vector<Effect>& effects) {
  if (command.size() < 3) return Error("ERR wrong number of arguments");
  const size_t keys = std::strtoull(command[2].c_str(), nullptr, 10);
  if (command.size() < 3 + keys) return Error("ERR Number of keys can't be greater than number of args");
  for (size_t i = 0; i < idempotency::kScripts; ++i) {
    const idempotency::Script& script = Known().all()[i];
    if (command[1] != (by_sha ? script.sha : script.text)) continue;
    if (by_sha && !loaded_.contains(i)) break;
    loaded_.insert(i);
    const auto name = static_cast<ScriptName>(i);
    const auto key_list = command.subspan(3, keys);
    const auto arguments = command.subspan(3 + keys);
    const Reply reply = RunScript(name, key_list, arguments, CircumstancesAt(now), data, effects);
    if (ran_) ran_({name, key_list, arguments, reply});
    return reply;
  }
  return by_sha ? Error("NOSCRIPT No matching script. Please use EVAL.")
                : Error("ERR the model runs no other scripts");
}

void RedisModel::DeleteExpired(ServerTime now, std::vector<Effect>& effects) {
  const size_t before = effects.size();
  for (const auto& [key, hash] : data.all()) {
    if (hash.ExpiredBy(now)) effects.push_back({.kind = Effect::Kind::kDelete, .key = key});
  }
  for (size_t i = before; i < effects.size(); ++i) data.Apply(effects[i]);
}

void RedisModel::Restart(std::string run_id, DataSet holds) {
  standing.run_id = std::move(run_id);
  data = std::move(holds);
  loaded_.clear();
}

void AppendReply(const Reply& reply, std::string& out) {
  switch (reply.kind) {
    case Reply::Kind::kNil:
      out += "$-1\r\n";
      return;
    case Reply::Kind::kStatus:
      out += "+" + reply.text + "\r\n";
      return;
    case Reply::Kind::kError:
      out += "-" + reply.text + "\r\n";
      return;
    case Reply::Kind::kInteger:
      out += ":" + std::to_string(reply.integer) + "\r\n";
      return;
    case Reply::Kind::kText:
      out += "$" + std::to_string(reply.text.size()) + "\r\n" + reply.text + "\r\n";
      return;
    case Reply::Kind::kArray:
      out += "*" + std::to_string(reply.parts.size()) + "\r\n";
      for (const Reply& part : reply.parts) AppendReply(part, out);
      return;
  }
}

}  // namespace pillion::simulation::tokens
