// What one stream was sent, acked and rejected, as the message that operators see.
#ifndef PILLION_CONTROL_PLANE_ADMIN_VIEWS_H_
#define PILLION_CONTROL_PLANE_ADMIN_VIEWS_H_

#include <chrono>

#include "control-plane/xds/stream.h"
#include "google/protobuf/timestamp.pb.h"
#include "pillion/control/v1/control.pb.h"

namespace pillion::control {

void SetTimestamp(google::protobuf::Timestamp* to, std::chrono::system_clock::time_point from);

// Node and types; the caller adds what it knows of the connection.
v1::NodeStatus ViewOf(const Stream& stream);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_ADMIN_VIEWS_H_
