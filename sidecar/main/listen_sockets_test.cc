#include "sidecar/main/listen_sockets.h"

#include <gtest/gtest.h>

#include <memory>

#include "sidecar/net/epoll_loop.h"
#include "sidecar/time/clock.h"

namespace pillion {
namespace {

class Nobody final : public net::Observer {
 public:
  void OnReady(bool, bool) override {}
};

net::Address At(uint16_t port) { return net::Address::Parse("127.0.0.1", port).value_or(net::Address()); }

class ListenSocketsTest : public ::testing::Test {
 protected:
  // A listener of a loop of this test's own: its address is free for SO_REUSEPORT and for nothing else.
  ListenSocketsTest() : other_(clock_) {
    int error = 0;
    held_ = other_.Listen(At(0), nobody_, &error);
  }
  net::Address Free() const { return held_->local(); }
  void Want(const std::string& name, const net::Address& address) {
    auto listener = std::make_shared<config::Listener>();
    listener->name = name;
    listener->address = address;
    snapshot_.listeners[name] = {listener, {}};
  }
  time::SystemClock clock_;
  net::EpollLoop other_;
  Nobody nobody_;
  std::unique_ptr<net::ListenSocket> held_;
  config::Snapshot snapshot_;
};

TEST_F(ListenSocketsTest, EveryWorkerGetsASocketOnceAndItListens) {
  ListenSockets sockets(2);
  Want("a", Free());
  EXPECT_TRUE(sockets.Bind(snapshot_).empty());
  for (const size_t worker : {0, 1}) {
    std::vector<net::BoundSocket> lent = sockets.Take(worker);
    ASSERT_EQ(lent.size(), 1u);
    EXPECT_EQ(lent[0].address(), Free());
    net::EpollLoop loop(clock_, net::EpollLoop::Listening::kOnLentSockets);
    int error = 0;
    EXPECT_EQ(loop.Listen(Free(), nobody_, &error), nullptr) << "nothing was lent yet";
    loop.Lend(std::move(lent));
    EXPECT_NE(loop.Listen(Free(), nobody_, &error), nullptr);
    EXPECT_EQ(loop.Listen(Free(), nobody_, &error), nullptr) << "it was lent once";
  }
  EXPECT_TRUE(sockets.Bind(snapshot_).empty());
  EXPECT_TRUE(sockets.Take(0).empty()) << "the workers have them already";
}

TEST_F(ListenSocketsTest, ListenersOfAnyPortGetOneEach) {
  ListenSockets sockets(1);
  Want("a", At(0));
  Want("b", At(0));
  EXPECT_TRUE(sockets.Bind(snapshot_).empty());
  EXPECT_EQ(sockets.Take(0).size(), 2u);
}

TEST_F(ListenSocketsTest, AnAddressThatIsNotOursIsToldAndTriedAgain) {
  ListenSockets sockets(1);
  // 192.0.2.0/24 is for documentation: no interface has it.
  Want("a", net::Address::Parse("192.0.2.1", 80).value_or(net::Address()));
  EXPECT_EQ(sockets.Bind(snapshot_).count("a"), 1u);
  EXPECT_TRUE(sockets.Take(0).empty());
  EXPECT_EQ(sockets.Bind(snapshot_).count("a"), 1u);
  Want("a", Free());
  EXPECT_TRUE(sockets.Bind(snapshot_).empty());
  EXPECT_EQ(sockets.Take(0).size(), 1u);
}

TEST_F(ListenSocketsTest, AListenerThatMovesOrTakesAnothersAddressGetsNewSockets) {
  ListenSockets sockets(1);
  Want("a", Free());
  EXPECT_TRUE(sockets.Bind(snapshot_).empty());
  EXPECT_EQ(sockets.Take(0).size(), 1u);
  snapshot_.listeners.clear();
  Want("b", Free());
  EXPECT_TRUE(sockets.Bind(snapshot_).empty());
  EXPECT_EQ(sockets.Take(0).size(), 1u);
}

}  // namespace
}  // namespace pillion
