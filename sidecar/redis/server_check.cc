#include "sidecar/redis/server_check.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace pillion::redis {
namespace {

constexpr uint32_t kOldestVersion = 7;

std::optional<uint32_t> ReadNumber(std::string_view text) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

void ReadLine(std::string_view name, std::string_view value, ServerFacts& facts) {
  if (name == "run_id") facts.run_id = value;
  if (name == "role") facts.role = value;
  if (name == "redis_version") facts.version = value;
  if (name == "maxmemory_policy") facts.maxmemory_policy = value;
  if (name == "aof_enabled") facts.appendonly = value == "1" ? "yes" : "no";
  // slave0:ip=10.0.0.2,port=6379,state=online,offset=42,lag=0
  if (name.starts_with("slave") && name.size() > 5 && ReadNumber(name.substr(5)) &&
      value.find(",state=online,") != std::string_view::npos)
    ++facts.replicas;
}

class Faults {
 public:
  void Add(std::string_view name, std::string_view found, std::string_view expected) {
    if (!text_.empty()) text_ += "; ";
    text_.append(name).append(": found ").append(found).append(", expected ").append(expected);
  }
  void Unseen(std::string_view name, const Requirements& requirements, std::string_view expected) {
    if (requirements.unseen == Requirements::Unseen::kRefuse)
      Add(name, "nothing, as the server shows it neither by CONFIG GET nor by INFO", expected);
  }
  std::string Take() { return std::move(text_); }

 private:
  std::string text_;
};

void CheckText(std::string_view name, const std::optional<std::string>& found, std::string_view expected,
               const Requirements& requirements, Faults& faults) {
  if (!found) {
    faults.Unseen(name, requirements, expected);
  } else if (*found != expected) {
    faults.Add(name, *found, expected);
  }
}

void CheckReplicas(const ServerFacts& facts, const Requirements& requirements, Faults& faults) {
  const std::string least = "at least " + std::to_string(requirements.replicas);
  if (facts.replicas < requirements.replicas)
    faults.Add("replicas that are connected and up to date", std::to_string(facts.replicas), least);
  // Else two halves of the servers could each confirm what the other does not know.
  if (facts.replicas > 2 * requirements.replicas)
    faults.Add("replicas that are connected and up to date", std::to_string(facts.replicas),
               "at most " + std::to_string(2 * requirements.replicas) + ", of which " +
                   std::to_string(requirements.replicas) + " and the primary are more than half");
  if (!facts.min_replicas_to_write) {
    faults.Unseen("min-replicas-to-write", requirements, least);
  } else if (*facts.min_replicas_to_write < requirements.replicas) {
    faults.Add("min-replicas-to-write", std::to_string(*facts.min_replicas_to_write), least);
  }
  const std::string lag = "1 to " + std::to_string(requirements.max_lag.count());
  if (!facts.min_replicas_max_lag) {
    faults.Unseen("min-replicas-max-lag", requirements, lag);
  } else if (*facts.min_replicas_max_lag < 1 || *facts.min_replicas_max_lag > requirements.max_lag.count()) {
    // 0 switches min-replicas-to-write off.
    faults.Add("min-replicas-max-lag", std::to_string(*facts.min_replicas_max_lag), lag);
  }
}

}  // namespace

void ReadInfo(std::string_view info, ServerFacts& facts) {
  while (!info.empty()) {
    const size_t end = std::min(info.find('\n'), info.size());
    std::string_view line = info.substr(0, end);
    info.remove_prefix(std::min(end + 1, info.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (const size_t colon = line.find(':'); colon != std::string_view::npos)
      ReadLine(line.substr(0, colon), line.substr(colon + 1), facts);
  }
}

void ReadSetting(std::string_view setting, const Reply& reply, ServerFacts& facts) {
  if (!reply.is(Reply::Kind::kArray) || reply.parts.size() != 2) return;
  const std::string& value = reply.parts[1].text;
  if (setting == "maxmemory-policy") facts.maxmemory_policy = value;
  if (setting == "appendonly") facts.appendonly = value;
  if (setting == "min-replicas-to-write") facts.min_replicas_to_write = ReadNumber(value);
  if (setting == "min-replicas-max-lag") facts.min_replicas_max_lag = ReadNumber(value);
}

std::string FindFaults(const ServerFacts& facts, const Requirements& requirements) {
  Faults faults;
  const std::optional<uint32_t> version =
      ReadNumber(std::string_view(facts.version).substr(0, facts.version.find('.')));
  if (!version || *version < kOldestVersion)
    faults.Add("redis_version", facts.version.empty() ? "nothing" : facts.version, "7 or later");
  if (facts.run_id.empty()) faults.Add("run_id", "nothing", "one, in what INFO answers");
  CheckText("maxmemory-policy", facts.maxmemory_policy, "noeviction", requirements, faults);
  CheckText("appendonly", facts.appendonly, "yes", requirements, faults);
  if (requirements.replicas > 0) CheckReplicas(facts, requirements, faults);
  return faults.Take();
}

}  // namespace pillion::redis
