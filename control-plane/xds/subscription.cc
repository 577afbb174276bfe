#include "control-plane/xds/subscription.h"

#include <utility>

namespace pillion::control {

Subscription::Change Subscription::Update(const std::vector<std::string>& names) {
  if (!names.empty()) named_ = true;
  bool wildcard = legacy_wildcard_ && !named_;
  std::set<std::string, std::less<>> wanted;
  Change change;
  for (const std::string& name : names) {
    if (name == "*") {
      wildcard = true;
    } else if (wanted.insert(name).second && !names_.contains(name)) {
      change.added.push_back(name);
    }
  }
  change.wildcard_added = wildcard && !wildcard_;
  started_ = true;
  wildcard_ = wildcard;
  names_ = std::move(wanted);
  return change;
}

}  // namespace pillion::control
