// Stands between a client and a real server, on the client's own loop, and cuts where a test says. Tests
// only.
#ifndef PILLION_SIDECAR_REDIS_TEST_PROXY_H_
#define PILLION_SIDECAR_REDIS_TEST_PROXY_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>

#include "sidecar/net/loop.h"
#include "sidecar/redis/test_server.h"

namespace pillion::redis {

class TestProxy final : public net::Observer, public stream::Runnable {
 public:
  TestProxy(TestWorker& worker, const net::Address& server);
  ~TestProxy() override;
  TestProxy(const TestProxy&) = delete;
  TestProxy& operator=(const TestProxy&) = delete;

  net::Address address() const { return listener_->local(); }
  // So many bytes that the server says from now on, on all connections together, still reach the client; then
  // these end. Connections that come later are not cut.
  void CutAfter(size_t bytes) { left_ = bytes; }
  // Likewise of the client's, to the server.
  void CutBefore(size_t bytes) { left_to_server_ = bytes; }
  bool cut() const { return cut_; }
  void Mend() { cut_ = false; }
  uint64_t said() const { return said_; }    // bytes, by servers
  uint64_t asked() const { return asked_; }  // by clients

  void OnReady(bool readable, bool writable) override;
  stream::Progress Run() override;

 private:
  struct Pair {
    std::unique_ptr<net::Socket> client;
    std::unique_ptr<net::Socket> server;
    std::string to_client;
    std::string to_server;
    bool over = false;
  };
  void Pump(Pair& pair);
  void Move(net::Socket& from, net::Socket& to, std::string& held, size_t& left, uint64_t& moved, Pair& pair);

  TestWorker& worker_;
  const net::Address server_;
  std::unique_ptr<net::ListenSocket> listener_;
  std::list<Pair> pairs_;
  size_t left_ = SIZE_MAX;
  size_t left_to_server_ = SIZE_MAX;
  uint64_t said_ = 0;
  uint64_t asked_ = 0;
  bool cut_ = false;
};

}  // namespace pillion::redis

#endif  // PILLION_SIDECAR_REDIS_TEST_PROXY_H_
