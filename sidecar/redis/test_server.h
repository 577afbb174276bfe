// Real redis-servers for tests, each a process of its own on a port and in a directory of its own, which end
// with the test. And a worker to run clients on.
#ifndef PILLION_SIDECAR_REDIS_TEST_SERVER_H_
#define PILLION_SIDECAR_REDIS_TEST_SERVER_H_

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/net/epoll_loop.h"
#include "sidecar/redis/client.h"
#include "sidecar/redis/reply.h"
#include "sidecar/stream/turn.h"
#include "sidecar/time/clock.h"

namespace pillion::redis {

// A blocking connection, for what a test itself asks a server.
class TestConnection {
 public:
  explicit TestConnection(uint16_t port);
  ~TestConnection();
  TestConnection(const TestConnection&) = delete;
  TestConnection& operator=(const TestConnection&) = delete;
  // An error reply "gone" when the server does not answer in ten seconds.
  Reply Ask(const std::vector<std::string>& arguments);
  // Several at once, without waiting between them.
  std::vector<Reply> AskAll(const std::vector<std::vector<std::string>>& commands);

 private:
  Reply Next();
  int fd_;
  ReplyReader reader_;
};

class TestServer {
 public:
  enum class Port : uint8_t { kPlain, kTls };
  // Takes connections when this returns. `arguments`: more of redis-server's; those of a server that needs
  // no replica are there already.
  explicit TestServer(const std::vector<std::string>& arguments = {}, Port kind = Port::kPlain);
  ~TestServer();
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  uint16_t port() const { return port_; }
  net::Address address() const;
  Reply Ask(const std::vector<std::string>& arguments) { return TestConnection(port_).Ask(arguments); }
  // Kills it; it does not come again.
  void Kill();
  // On the same port, with the same directory.
  void StartAgain();
  void Pause();
  void Resume();
  // Until so many replicas are connected, and have what it has, a key of its own among it.
  bool AwaitReplicas(int count);

 private:
  bool Start();
  std::vector<std::string> arguments_;
  const Port kind_;
  std::string folder_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

// Those of a primary that tokens may be entrusted to when it has a replica, and of a replica of it.
std::vector<std::string> PrimaryArguments();
std::vector<std::string> ReplicaArguments(const TestServer& primary);

// A folder that is the test's own.
std::string MakeTestFolder();
void WriteTestFile(const std::string& path, std::string_view text);

// One worker, on real sockets and real time.
class TestWorker {
 public:
  TestWorker() : loop(clock), turn(clock) {}
  // Turns until `done`, or so long that something is wrong.
  template <typename Done>
  bool RunUntil(Done done) {
    const time::MonotonicTime limit = clock.Now() + std::chrono::seconds(20);
    while (!done()) {
      if (clock.Now() > limit) return false;
      TurnOnce(clock.Now() + std::chrono::milliseconds(10));  // it may ask what no loop tells of
    }
    return true;
  }
  void RunFor(time::Duration duration) {
    const time::MonotonicTime end = clock.Now() + duration;
    while (clock.Now() < end) TurnOnce(end);
  }
  void TurnOnce(time::MonotonicTime limit) {
    const bool busy = turn.has_work() || tls.pacer.waiting();
    loop.Wait(busy ? turn.now() : std::min(limit, turn.NextDeadline()));
    turn.WakingFirst([this] { tls.pacer.BeginTurn(); });
    turn.Run();
  }
  ClientParts parts() { return {turn, loop, tls, random}; }

  time::SystemClock clock;
  net::EpollLoop loop;
  stream::Turn turn;
  tls::WorkerTools tls;
  Random random{1};
};

}  // namespace pillion::redis

#endif  // PILLION_SIDECAR_REDIS_TEST_SERVER_H_
