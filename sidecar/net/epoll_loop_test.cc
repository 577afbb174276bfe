#include "sidecar/net/epoll_loop.h"

#include <errno.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <iterator>
#include <thread>
#include <vector>

namespace pillion::net {
namespace {

class Nobody : public Observer {
 public:
  void OnReady(bool, bool) override {}
};

// Takes descriptors until `leave` are left below the limit.
class Crowd {
 public:
  explicit Crowd(size_t leave) {
    getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit low = {64, before_.rlim_max};
    setrlimit(RLIMIT_NOFILE, &low);
    for (int fd = Open(); fd >= 0; fd = Open()) taken_.push_back(fd);
    for (; leave > 0; --leave) FreeOne();
  }
  ~Crowd() {
    while (!taken_.empty()) FreeOne();
    setrlimit(RLIMIT_NOFILE, &before_);
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;
  void FreeOne() {
    close(taken_.back());
    taken_.pop_back();
  }

 private:
  static int Open() { return open("/dev/null", O_RDONLY | O_CLOEXEC); }
  rlimit before_ = {};
  std::vector<int> taken_;
};

bool Ended(int fd) {
  pollfd one = {fd, POLLIN, 0};
  char byte = 0;
  return poll(&one, 1, 10'000) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

TEST(AddressTest, IsReadWithItsPort) {
  const auto read = [](std::string_view text) {
    const auto address = Address::ParseWithPort(text);
    return address ? address->ToString() : "none";
  };
  EXPECT_EQ(read("10.0.0.1:80"), "10.0.0.1:80");
  EXPECT_EQ(read("[::1]:65535"), "[::1]:65535");
  EXPECT_EQ(read("[::ffff:10.0.0.1]:80"), "10.0.0.1:80") << "one address, one form";
  for (const char* wrong : {"", ":", "10.0.0.1", "10.0.0.1:", "10.0.0.1:65536", "10.0.0.1:-1", "10.0.0.1:8 ",
                            "::1:80", "[10.0.0.1]:80", "[]:80", "[::1]", "name:80", "10.0.0.1:0x1"}) {
    EXPECT_EQ(read(wrong), "none") << wrong;
  }
}

TEST(AddressTest, NamesOneOrMany) {
  const auto names_one = [](std::string_view text) {
    return Address::ParseWithPort(text).value_or(Address()).names_one();
  };
  EXPECT_TRUE(names_one("10.0.0.1:80"));
  EXPECT_TRUE(names_one("[::1]:80"));
  for (const char* many : {"10.0.0.1:0", "0.0.0.0:80", "[::]:80", "[::ffff:0.0.0.0]:80", "none"})
    EXPECT_FALSE(names_one(many)) << many;
}

// tests/netns has the case with a redirect.
TEST(EpollSocket, WithoutARedirectTheOriginalDestinationIsItsOwnAddress) {
  time::SystemClock clock;
  for (const char* ip : {"127.0.0.1", "::1"}) {
    EpollLoop loop(clock);
    Nobody nobody;
    int error = 0;
    const auto listening = loop.Listen(Address::Parse(ip, 0).value_or(Address()), nobody, &error);
    if (listening == nullptr) continue;  // a machine without IPv6
    const auto client = loop.Connect(listening->local(), nobody, &error);
    std::unique_ptr<Socket> accepted;
    while (accepted == nullptr) accepted = listening->Accept();
    EXPECT_EQ(accepted->OriginalDestination(), listening->local());
  }
}

TEST(EpollSocket, TheDirectPeerIsTheKernelsWhateverAProxySays) {
  time::SystemClock clock;
  EpollLoop loop(clock);
  Nobody nobody;
  int error = 0;
  const auto listening = loop.Listen(*Address::Parse("127.0.0.1", 0), nobody, &error);
  auto client = loop.Connect(listening->local(), nobody, &error);
  std::unique_ptr<Socket> accepted;
  while (accepted == nullptr) accepted = listening->Accept();
  const Address before = accepted->peer();
  EXPECT_EQ(before, client->own());
  EXPECT_EQ(accepted->direct_peer(), before);
  accepted->SetEnds(*Address::Parse("192.0.2.1", 1), *Address::Parse("192.0.2.2", 2));
  EXPECT_EQ(accepted->peer(), *Address::Parse("192.0.2.1", 1));
  EXPECT_EQ(accepted->direct_peer(), before);
  // And known when the kernel knows nobody any more.
  client->ResetOnClose();
  client.reset();
  std::array<char, 8> room;
  while (accepted->Read(room).kind != IoResult::Kind::kReset) {
  }
  EXPECT_EQ(accepted->direct_peer(), before);
}

TEST(EpollListenSocket, WithoutDescriptorsClientsAreClosedAlsoWhenTheReserveWasLost) {
  time::SystemClock clock;
  EpollLoop loop(clock);
  {
    // UBSan looks at an object's type through a pipe the first time, and for that there is no descriptor
    // below.
    Nobody nobody;
    int error = 0;
    EXPECT_EQ(loop.Listen(*Address::Parse("127.0.0.1", 0), nobody, &error)->Accept(), nullptr);
  }
  std::array<int, 3> clients;
  for (int& client : clients) client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  {
    Crowd crowd(1);  // for the socket itself: there is no reserve
    Nobody nobody;
    int error = 0;
    const auto listening = loop.Listen(*Address::Parse("127.0.0.1", 0), nobody, &error);
    ASSERT_NE(listening, nullptr);
    for (const int client : clients)
      ASSERT_EQ(connect(client, listening->local().get(), listening->local().size()), 0);
    EXPECT_EQ(listening->Accept(), nullptr);
    EXPECT_EQ(listening->shed(), 0u) << "there is nothing to do it with";
    crowd.FreeOne();
    EXPECT_EQ(listening->Accept(), nullptr) << "the one that is free is the reserve";
    EXPECT_EQ(listening->shed(), 3u);
    for (const int client : clients) EXPECT_TRUE(Ended(client));
  }
  for (const int client : clients) close(client);
}

int OptionOf(int fd, int level, int option) {
  int value = -1;
  socklen_t size = sizeof(value);
  return getsockopt(fd, level, option, &value, &size) == 0 ? value : -1;
}

// The one of our TCP sockets that listens, or that was accepted from it; -1: there is none.
int FindSocket(const Address& at, bool listens) {
  for (int fd = 3; fd < 64; ++fd) {
    sockaddr_storage local = {};
    socklen_t size = sizeof(local);
    if (getsockname(fd, reinterpret_cast<sockaddr*>(&local), &size) != 0) continue;
    if (Address::FromSockaddr(reinterpret_cast<sockaddr*>(&local)) != at) continue;
    if ((OptionOf(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1) == listens) return fd;
  }
  return -1;
}

TEST(EpollListenSocket, TellsTheKernelWhatItIsToDoWithClients) {
  time::SystemClock clock;
  EpollLoop loop(clock);
  Nobody nobody;
  int error = 0;
  const auto listening = loop.Listen(Address::Parse("127.0.0.1", 0).value_or(Address()), nobody, &error);
  ASSERT_NE(listening, nullptr);
  const int fd = FindSocket(listening->local(), true);
  ASSERT_GE(fd, 0);
  EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_FASTOPEN), 0);
  listening->FastOpen(true);
  EXPECT_GT(OptionOf(fd, IPPROTO_TCP, TCP_FASTOPEN), 0);
  listening->FastOpen(false);
  EXPECT_EQ(OptionOf(fd, IPPROTO_TCP, TCP_FASTOPEN), 0);

  const int client = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(connect(client, listening->local().get(), listening->local().size()), 0);
  const auto taken = listening->Accept();
  ASSERT_NE(taken, nullptr);
  const int accepted = FindSocket(listening->local(), false);
  ASSERT_GE(accepted, 0);
  EXPECT_EQ(OptionOf(accepted, SOL_SOCKET, SO_KEEPALIVE), 1) << "a client whose machine is gone is found";
  EXPECT_EQ(OptionOf(accepted, IPPROTO_TCP, TCP_USER_TIMEOUT), 0) << "one that reads nothing for long is not";
  close(client);
}

// For the calling thread, and for ever: the kernel's answer where the user watches as much as he may.
bool RefuseWatches() {
  const sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_epoll_ctl, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[1])),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, EPOLL_CTL_ADD, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog program = {std::size(filter), const_cast<sock_filter*>(filter)};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

TEST(EpollLoop, WhatTheKernelDoesNotWatchIsNotConnectedAndNotObserved) {
  const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool able = false;
  std::thread watched_out([&able, client] {
    time::SystemClock clock;
    EpollLoop loop(clock);
    Nobody nobody;
    int error = 0;
    const auto listening = loop.Listen(Address::Parse("127.0.0.1", 0).value_or(Address()), nobody, &error);
    const Address at = listening->local();
    ASSERT_EQ(connect(client, at.get(), at.size()), 0);
    able = RefuseWatches();
    if (!able) return;
    EXPECT_EQ(loop.Connect(at, nobody, &error), nullptr);
    EXPECT_EQ(error, ENOSPC);
    while (const auto accepted = listening->Accept()) EXPECT_FALSE(loop.Observe(*accepted, nobody));
  });
  watched_out.join();
  if (able) EXPECT_TRUE(Ended(client));
  close(client);
  if (!able) GTEST_SKIP() << "no seccomp here";
}

}  // namespace
}  // namespace pillion::net
