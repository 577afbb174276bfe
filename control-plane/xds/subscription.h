// Which names of one type a stream wants: the state-of-the-world rules of specs/xds.md 2.2, client rules 1,
// 3, 6.
#ifndef PILLION_CONTROL_PLANE_XDS_SUBSCRIPTION_H_
#define PILLION_CONTROL_PLANE_XDS_SUBSCRIPTION_H_

#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pillion::control {

// A value.
class Subscription {
 public:
  // `legacy_wildcard`: a list that was always empty means everything (listeners and clusters).
  explicit Subscription(bool legacy_wildcard) : legacy_wildcard_(legacy_wildcard) {}

  struct Change {
    bool wildcard_added = false;
    std::vector<std::string> added;  // names; each must be answered even if nothing changed (server rule 3)
    bool any_added() const { return wildcard_added || !added.empty(); }
  };
  // `names` is the full set of a request, as it came.
  Change Update(const std::vector<std::string>& names);

  bool Wants(std::string_view name) const { return wildcard_ || names_.contains(name); }
  bool wildcard() const { return wildcard_; }
  // Without `*`.
  const std::set<std::string, std::less<>>& names() const { return names_; }
  // A request of this type has come.
  bool started() const { return started_; }

 private:
  bool legacy_wildcard_;
  bool started_ = false;
  bool named_ = false;  // a name was sent on this stream; from then on an empty list means nothing
  bool wildcard_ = false;
  std::set<std::string, std::less<>> names_;
};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_XDS_SUBSCRIPTION_H_
