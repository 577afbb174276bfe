#include "tests/simulation/tokens/redis/data_set.h"

namespace pillion::simulation::tokens {

void DataSet::Apply(const Effect& effect) {
  switch (effect.kind) {
    case Effect::Kind::kSet:
      for (const auto& [name, value] : effect.fields) all_[effect.key].fields[name] = value;
      return;
    case Effect::Kind::kPush:
      all_[effect.key].list.push_back(effect.text);
      return;
    case Effect::Kind::kPop: {
      const auto found = all_.find(effect.key);
      if (found == all_.end()) return;
      found->second.list.pop_front();
      if (found->second.list.empty()) all_.erase(found);
      return;
    }
    case Effect::Kind::kExpireAt:
      if (const auto found = all_.find(effect.key); found != all_.end()) found->second.expires = effect.at;
      return;
    case Effect::Kind::kDelete:
      all_.erase(effect.key);
      return;
    case Effect::Kind::kFlush:
      all_.clear();
      return;
    case Effect::Kind::kPublish:
      return;
  }
}

const Hash* DataSet::Find(const std::string& key) const {
  const auto found = all_.find(key);
  return found == all_.end() ? nullptr : &found->second;
}

}  // namespace pillion::simulation::tokens
