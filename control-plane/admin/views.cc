#include "control-plane/admin/views.h"

#include <string>

namespace pillion::control {
namespace {

void FillType(const TypeState& state, const ResourceSet* target, ResourceType type, v1::TypeStatus& to) {
  const TypeHistory& history = state.history();
  to.set_type_url(std::string(TypeUrl(type)));
  if (state.subscription().wildcard()) to.add_subscribed("*");
  for (const std::string& name : state.subscription().names()) to.add_subscribed(name);
  if (target != nullptr) to.set_current_version(target->version(type));
  to.set_in_flight(state.in_flight());
  if (!history.sent_version.empty()) {
    to.set_sent_version(history.sent_version);
    SetTimestamp(to.mutable_sent_at(), history.sent_at);
    to.set_sent_resources(static_cast<uint32_t>(history.sent_resources));
  }
  if (!history.acked_version.empty()) {
    to.set_acked_version(history.acked_version);
    SetTimestamp(to.mutable_acked_at(), history.acked_at);
  }
  if (!history.rejected_version.empty()) {
    to.set_nacked_version(history.rejected_version);
    SetTimestamp(to.mutable_nacked_at(), history.rejected_at);
    to.set_error_detail(history.rejection);
  }
}

}  // namespace

void SetTimestamp(google::protobuf::Timestamp* to, std::chrono::system_clock::time_point from) {
  const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(from.time_since_epoch());
  to->set_seconds(since.count() / 1'000'000'000);
  to->set_nanos(static_cast<int32_t>(since.count() % 1'000'000'000));
}

v1::NodeStatus ViewOf(const Stream& stream) {
  v1::NodeStatus view;
  if (stream.node() == nullptr) return view;
  view.set_node_id(stream.node()->id());
  view.set_cluster(stream.node()->cluster());
  for (const ResourceType type : kResourceTypes) {
    if (!stream.state(type).subscription().started()) continue;
    FillType(stream.state(type), stream.target(), type, *view.add_types());
  }
  return view;
}

}  // namespace pillion::control
