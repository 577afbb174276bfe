// What a sidecar says about itself in Node.metadata: the only source of facts about one pod, so that the
// control plane needs no configuration per pod.
//
//   key                what                                                    default
//   namespace          whose short names it can use, whose policies it obeys   default
//   service            the Service whose app it stands beside                  node.cluster
//   outbound_listener  ip:port for the app's requests; "none"                  127.0.0.1:15001
//   interception       redirect: what reaches the outbound listener was   none
//                      redirected to it by the kernel; or "none"
//   inbound_listener   ip:port for other sidecars; needs `app`                 none
//   inbound_address    ip:port under which EndpointSlices name the inbound   inbound_listener;
//                      listener, where they know it by another one           of all addresses: where
//                                                                            the node calls from
//   app                ip:port of the local app; needs `inbound_listener`      none
//   access_log         path, or /dev/stdout                                    none
//   explain            true: answer x-pillion-explain on the outbound listener false
#ifndef PILLION_CONTROL_PLANE_SNAPSHOT_NODE_FACTS_H_
#define PILLION_CONTROL_PLANE_SNAPSHOT_NODE_FACTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "control-plane/model/objects.h"
#include "envoy/config/core/v3/core.pb.h"

namespace pillion::control {

struct SocketAddress {
  std::string ip;  // an IPv4 or IPv6 literal, in its canonical spelling (RFC 5952)
  uint16_t port = 0;
};

// The app that the sidecar stands before, and where it takes requests for it.
struct LocalApp {
  SocketAddress inbound;
  std::optional<SocketAddress> inbound_known_as;
  SocketAddress app;
};

// The name of the listener that other sidecars come in by.
inline constexpr char kInboundListener[] = "inbound";

enum class Interception : uint8_t { kNone, kRedirect };

struct NodeFacts {
  std::string id;
  std::string cluster;
  std::string zone;    // "": not known
  ObjectName service;  // name "": beside no Service
  std::optional<SocketAddress> outbound;
  Interception interception = Interception::kNone;
  std::optional<LocalApp> local;
  std::string access_log;
  bool explain = false;

  // For `status`: what is wrong with the metadata. The part concerned is left out.
  std::vector<std::string> problems;
};

NodeFacts ReadNode(const envoy::config::core::v3::Node& node);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SNAPSHOT_NODE_FACTS_H_
