#include "sidecar/main/listen_sockets.h"

#include <cstring>
#include <optional>

namespace pillion {

std::map<std::string, std::string> ListenSockets::Bind(const config::Snapshot& snapshot) {
  std::map<std::string, std::string> failures;
  std::set<std::pair<std::string, net::Address>> bound;
  for (const auto& [name, entry] : snapshot.listeners) {
    const net::Address& address = entry.listener->address;
    const std::string problem = bound_.count({name, address}) != 0 ? "" : BindOne(*entry.listener);
    if (problem.empty()) {
      bound.insert({name, address});
      continue;
    }
    std::string& told = failures[name];
    told.append("listener ").append(name).append(": cannot listen on ").append(address.ToString());
    told.append(": ").append(problem);
  }
  bound_ = std::move(bound);
  return failures;
}

// All workers get one, or none does. Returns what went wrong; "": nothing.
std::string ListenSockets::BindOne(const config::Listener& listener) {
  std::vector<net::BoundSocket> made;
  for (size_t i = 0; i < fresh_.size(); ++i) {
    int error = 0;
    std::optional<net::BoundSocket> socket = net::BoundSocket::Bind(listener.address, &error);
    if (!socket) return std::strerror(error);
    made.push_back(std::move(*socket));
  }
  for (size_t i = 0; i < fresh_.size(); ++i) fresh_[i].push_back(std::move(made[i]));
  return "";
}

}  // namespace pillion
