// Where the credentials of one listener or cluster are found: filled and changed by the main loop when
// certificates come or change, read by workers at each new connection. Connections that run keep what they
// began with.
#ifndef PILLION_SIDECAR_TLS_HOLDER_H_
#define PILLION_SIDECAR_TLS_HOLDER_H_

#include <memory>
#include <mutex>
#include <utility>

namespace pillion::tls {

class ServerCredentials;
class ClientCredentials;

template <typename Credentials>
class Holder {
 public:
  // Null: they have not come yet, or cannot be used; then there is no connection.
  std::shared_ptr<const Credentials> Get() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return credentials_;
  }
  void Set(std::shared_ptr<const Credentials> credentials) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::swap(credentials_, credentials);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Credentials> credentials_;
};

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_HOLDER_H_
