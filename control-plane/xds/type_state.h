// What one stream was sent and has accepted of one type.
//
//   subscribe -> owed -> Send -> in flight -> Acked:    held = sent
//                                          -> Rejected: held stays; the same versions are not sent again
#ifndef PILLION_CONTROL_PLANE_XDS_TYPE_STATE_H_
#define PILLION_CONTROL_PLANE_XDS_TYPE_STATE_H_

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "control-plane/snapshot/resource_set.h"
#include "control-plane/xds/subscription.h"

namespace pillion::control {

// One reading of both clocks: the steady one for waiting, the other to show.
struct Moment {
  std::chrono::steady_clock::time_point steady;
  std::chrono::system_clock::time_point wall;
};

// For people; nothing is decided by it.
struct TypeHistory {
  std::string sent_version;
  std::chrono::system_clock::time_point sent_at;
  size_t sent_resources = 0;
  std::string acked_version;
  std::chrono::system_clock::time_point acked_at;
  std::string rejected_version;
  std::chrono::system_clock::time_point rejected_at;
  std::string rejection;
};

// Owned by its Stream; that one's thread.
class TypeState {
 public:
  explicit TypeState(ResourceType type) : type_(type), subscription_(IsFullState(type)) {}

  // The full set of names of a request.
  void Subscribe(const std::vector<std::string>& names);
  // Send this name again even if it did not change (server rule 4). Ignored when the name is not wanted.
  void Owe(const std::string& name);
  // Names that the node's snapshot lost: should they come back they are sent, changed or not.
  void Forget(const Resources& target);

  // What must be sent now out of `desired` (all of it is wanted); nullopt: nothing. Full-state types get all
  // of `desired` or nothing.
  std::optional<Resources> Plan(const Resources& desired) const;

  // Before the response is written: waiters see the state, never the other way round.
  void Sent(Resources resources, std::string version, std::string nonce, const Moment& now);
  // The answer to what is in flight. Precondition: in_flight().
  void Acked(const Moment& now);
  void Rejected(std::string why, const Moment& now);

  bool in_flight() const { return in_flight_.has_value(); }
  // Of the last response; "" before the first.
  const std::string& nonce() const { return nonce_; }
  const Subscription& subscription() const { return subscription_; }
  // Last sent under each wanted name, accepted or not.
  const Resources& sent() const { return sent_; }
  // Accepted. A rejected resource is never in here.
  const Resources& held() const { return held_; }
  // Rejected (alone or with others in one response) and not accepted since.
  bool doubtful(const std::string& name) const { return doubtful_.contains(name); }
  const TypeHistory& history() const { return history_; }

 private:
  Resources TakeInFlight();

  ResourceType type_;
  Subscription subscription_;
  bool owed_all_ = false;       // full-state types: a response, whatever is in it
  std::set<std::string> owed_;  // the others: these names
  std::set<std::string> doubtful_;
  Resources sent_;
  Resources held_;
  std::optional<Resources> in_flight_;
  std::string nonce_;
  TypeHistory history_;
};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_XDS_TYPE_STATE_H_
