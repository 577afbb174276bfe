// PINGs on HTTP/2 connections.
#ifndef PILLION_SIDECAR_CONFIG_KEEP_ALIVE_H_
#define PILLION_SIDECAR_CONFIG_KEEP_ALIVE_H_

#include <chrono>

namespace pillion::config {

struct KeepAlive {
  std::chrono::nanoseconds interval{0};  // PING .. next PING
  std::chrono::nanoseconds timeout{0};   // PING .. its answer
  friend bool operator==(const KeepAlive&, const KeepAlive&) = default;
};

}  // namespace pillion::config

#endif  // PILLION_SIDECAR_CONFIG_KEEP_ALIVE_H_
