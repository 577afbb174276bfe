// What clients can make the process hold, by name (STYLE.md R11).
#ifndef PILLION_CONTROL_PLANE_SERVER_LIMITS_H_
#define PILLION_CONTROL_PLANE_SERVER_LIMITS_H_

#include <chrono>
#include <cstddef>

namespace pillion::control {

// Streams open at once. Attack: one client opening streams until memory is gone. A mesh that is larger needs
// more than one control plane for other reasons.
inline constexpr size_t kMaxStreams = 10'000;
// Streams on one connection; a sidecar has one.
inline constexpr int kMaxStreamsPerConnection = 100;
// Nodes that went away and are still shown. Attack: node ids made up one after the other.
inline constexpr size_t kMaxDepartedNodes = 1000;
// One request: names and a node.
inline constexpr int kMaxRequestBytes = 4 * 1024 * 1024;

// A dead peer is found within this plus the time-out; a sidecar may ping as often as the last says
// (specs/xds.md 2.4: the library's default answers pings every 30 s with GOAWAY).
inline constexpr std::chrono::milliseconds kKeepaliveTime{30'000};
inline constexpr std::chrono::milliseconds kKeepaliveTimeout{5'000};
inline constexpr std::chrono::milliseconds kMinClientPingInterval{5'000};

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SERVER_LIMITS_H_
