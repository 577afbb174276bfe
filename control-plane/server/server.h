// The gRPC server with its keepalive and limits.
#ifndef PILLION_CONTROL_PLANE_SERVER_SERVER_H_
#define PILLION_CONTROL_PLANE_SERVER_SERVER_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <vector>

namespace pillion::control {

// `listen`: host:port, port 0 lets the kernel choose. `port` gets the one in use. nullptr: it cannot be
// bound. The services outlive the server.
std::unique_ptr<grpc::Server> StartServer(const std::string& listen,
                                          const std::vector<grpc::Service*>& services, int& port);

}  // namespace pillion::control

#endif  // PILLION_CONTROL_PLANE_SERVER_SERVER_H_
