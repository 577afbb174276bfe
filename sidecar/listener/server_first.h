// Ports on which the server speaks first, as seen on earlier connections: there an upstream connection is
// made at once, so that nobody waits for a client that will say nothing. A wrong guess costs one connection
// that is dropped, never a wrong protocol: whoever speaks first decides. One worker.
#ifndef PILLION_SIDECAR_LISTENER_SERVER_FIRST_H_
#define PILLION_SIDECAR_LISTENER_SERVER_FIRST_H_

#include <cstdint>
#include <map>

namespace pillion::listener {

class ServerFirst {
 public:
  // Connections in a row on which the server spoke first before it is expected to.
  static constexpr uint8_t kEnough = 2;
  // Ports remembered. Attack: a catch-all listener and connections to all ports there are.
  static constexpr size_t kMaxPorts = 1024;

  bool Expected(uint16_t port) const {
    const auto found = ports_.find(port);
    return found != ports_.end() && found->second >= kEnough;
  }
  void ServerSpoke(uint16_t port) {
    if (ports_.size() >= kMaxPorts && ports_.count(port) == 0) return;
    uint8_t& count = ports_[port];
    if (count < kEnough) ++count;
  }
  void ClientSpoke(uint16_t port) { ports_.erase(port); }

 private:
  std::map<uint16_t, uint8_t> ports_;
};

}  // namespace pillion::listener

#endif  // PILLION_SIDECAR_LISTENER_SERVER_FIRST_H_
