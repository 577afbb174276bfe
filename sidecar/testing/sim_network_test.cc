// What the simulated network promises. Each case was seen on Linux 6.18 first; the NotSent proof
// (DESIGN.md section 6) stands on them.
#include "sidecar/testing/sim_network.h"

#include <errno.h>
#include <gtest/gtest.h>

#include <array>

namespace pillion::testing {
namespace {

using Kind = net::IoResult::Kind;

struct Quiet : net::Observer {
  void OnReady(bool, bool) override {}
};

// A client and a server end on one machine, nothing cut, every acknowledgement late.
class Connection : public ::testing::Test {
 protected:
  Connection() : network_(clock_, 1, Faults()), loop_(network_.NewLoop()) {
    int error = 0;
    const net::Address at = net::Address::Parse("127.0.0.1", 80).value_or(net::Address());
    listen_ = loop_->Listen(at, quiet_, &error);
    client_ = loop_->Connect(at, quiet_, &error);
    Pass(std::chrono::milliseconds(10));
    server_ = listen_->Accept();
  }
  static SimFaults Faults() {
    SimFaults faults;
    faults.late_ack_percent = 100;
    faults.cut_percent = 0;
    return faults;
  }
  void Pass(time::Duration time) {
    const time::MonotonicTime end = clock_.Now() + time;
    while (network_.NextEvent() <= end) {
      clock_.AdvanceTo(network_.NextEvent());
      network_.Deliver();
    }
    clock_.AdvanceTo(end);
  }
  static net::IoResult Write(net::Socket& socket, std::string text) {
    const iovec part{text.data(), text.size()};
    return socket.Write({&part, 1});
  }
  static std::string Read(net::Socket& socket) {
    std::array<char, 1000> bytes;
    const net::IoResult result = socket.Read(bytes);
    switch (result.kind) {
      case Kind::kBytes:
        return {bytes.data(), result.bytes};
      case Kind::kWouldBlock:
        return "(blocked)";
      case Kind::kEnd:
        return "(end)";
      case Kind::kReset:
        return result.error == ECONNRESET ? "(ECONNRESET)" : "(EPIPE)";
    }
    return "?";
  }

  VirtualClock clock_;
  SimNetwork network_;
  std::unique_ptr<net::Loop> loop_;
  Quiet quiet_;
  std::unique_ptr<net::ListenSocket> listen_;
  std::unique_ptr<net::Socket> client_;
  std::unique_ptr<net::Socket> server_;
};
constexpr auto kSoon = std::chrono::milliseconds(10);  // arrived, the late acknowledgement not sent

TEST_F(Connection, AcknowledgesLateWhatHasArrived) {
  EXPECT_EQ(*client_->AckedBytes(), 1u);
  Write(*client_, "request");
  Pass(kSoon);
  EXPECT_EQ(*client_->AckedBytes(), 1u);
  Pass(std::chrono::milliseconds(50));
  EXPECT_EQ(*client_->AckedBytes(), 8u) << "the SYN and seven bytes";
}

TEST_F(Connection, AcknowledgesWithTheNextBytesThatWay) {
  Write(*client_, "request");
  Pass(kSoon);
  Write(*server_, "answer");
  Pass(kSoon);
  EXPECT_EQ(Read(*client_), "answer");
  EXPECT_EQ(*client_->AckedBytes(), 8u);
}

TEST_F(Connection, ClosedAfterEverythingWasReadAcknowledgesItWithTheEnd) {
  Write(*client_, "request");
  Pass(kSoon);
  EXPECT_EQ(Read(*server_), "request");
  server_.reset();
  Pass(kSoon);
  EXPECT_EQ(Read(*client_), "(end)");
  EXPECT_EQ(*client_->AckedBytes(), 8u);
}

TEST_F(Connection, ClosedBeforeTheBytesComeEndsWithoutAcknowledgingThem) {
  Write(*client_, "request");
  server_.reset();
  Pass(kSoon);
  EXPECT_EQ(Read(*client_), "(end)");
  EXPECT_EQ(Read(*client_), "(end)") << "the RST that came after the FIN is not told to a reader";
  EXPECT_EQ(*client_->AckedBytes(), 1u);
  const net::IoResult write = Write(*client_, "more");
  EXPECT_EQ(write.kind, Kind::kReset);
  EXPECT_EQ(write.error, EPIPE);
}

TEST_F(Connection, ClosedWithSomethingUnreadIsResetAndAcknowledgesNothing) {
  Write(*client_, "request");
  Pass(kSoon);
  std::array<char, 3> part;
  EXPECT_EQ(server_->Read(part).bytes, 3u);
  server_.reset();
  Pass(std::chrono::seconds(1));
  EXPECT_EQ(*client_->AckedBytes(), 1u);
  EXPECT_EQ(Read(*client_), "(ECONNRESET)");
  EXPECT_EQ(Read(*client_), "(end)") << "the error is told once";
}

TEST_F(Connection, TellsAResetToTheWriterAndThenAnEndToTheReader) {
  Write(*client_, "request");
  Pass(kSoon);
  server_.reset();
  Pass(kSoon);
  const net::IoResult write = Write(*client_, "more");
  EXPECT_EQ(write.kind, Kind::kReset);
  EXPECT_EQ(write.error, ECONNRESET);
  EXPECT_EQ(Read(*client_), "(end)");
  EXPECT_EQ(*client_->AckedBytes(), 1u);
}

TEST_F(Connection, LetsReadWhatCameBeforeAReset) {
  Write(*server_, "answer");
  SimNetwork::ResetOnClose(*server_);
  server_.reset();
  Pass(kSoon);
  EXPECT_EQ(Read(*client_), "answer");
  EXPECT_EQ(Read(*client_), "(ECONNRESET)");
}

TEST_F(Connection, CarriesBytesAgainstAHalfClose) {
  client_->ShutdownWrite();
  Pass(kSoon);
  EXPECT_EQ(Read(*server_), "(end)");
  Write(*server_, "answer");
  Pass(kSoon);
  EXPECT_EQ(Read(*client_), "answer");
}

TEST_F(Connection, MayBeRedirected) {
  const net::Address dialled = net::Address::Parse("10.0.0.1", 81).value_or(net::Address());
  network_.Redirect(*loop_, dialled, listen_->local());
  const auto others = network_.NewLoop();
  int error = 0;
  const auto client = loop_->Connect(dialled, quiet_, &error);
  const auto not_redirected = others->Connect(dialled, quiet_, &error);
  Pass(std::chrono::milliseconds(10));
  const auto server = listen_->Accept();
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(client->ConnectError(), 0);
  EXPECT_EQ(not_redirected->ConnectError(), ECONNREFUSED);
  EXPECT_EQ(client->peer(), dialled);
  EXPECT_EQ(server->own(), listen_->local());
  EXPECT_EQ(server->OriginalDestination(), dialled);
  EXPECT_EQ(server_->OriginalDestination(), listen_->local());
}

TEST_F(Connection, RefusesWhereNobodyListensAndResetsThoseNobodyAccepted) {
  int error = 0;
  const auto waiting = loop_->Connect(listen_->local(), quiet_, &error);
  Pass(kSoon);
  EXPECT_EQ(waiting->ConnectError(), 0);
  const net::Address at = listen_->local();
  listen_.reset();
  const auto late = loop_->Connect(at, quiet_, &error);
  Pass(kSoon);
  EXPECT_EQ(Read(*waiting), "(ECONNRESET)");
  EXPECT_EQ(late->ConnectError(), ECONNREFUSED);
}

TEST_F(Connection, LosesNothingForEverInABlackHole) {
  network_.BlackHole(listen_->local(), true);
  Write(*client_, "request");
  Write(*server_, "answer");
  int error = 0;
  const auto late = loop_->Connect(listen_->local(), quiet_, &error);
  Pass(std::chrono::hours(1));
  EXPECT_EQ(Read(*server_), "(blocked)");
  EXPECT_EQ(Read(*client_), "(blocked)");
  EXPECT_EQ(*client_->AckedBytes(), 1u);
  EXPECT_EQ(late->ConnectError(), EINPROGRESS);
  client_.reset();
  network_.BlackHole(listen_->local(), false);
  Pass(kSoon);
  EXPECT_EQ(Read(*server_), "request") << "although its sender is gone";
  EXPECT_EQ(late->ConnectError(), 0);
}

TEST_F(Connection, BreaksWhereItIsToldTo) {
  const net::Address at = net::Address::Parse("127.0.0.1", 80).value_or(net::Address());
  network_.CutLater({.to = at, .connection = 1, .answers = false, .after = 5});
  int error = 0;
  const auto whole = loop_->Connect(at, quiet_, &error);
  Pass(std::chrono::milliseconds(10));
  const auto whole_end = listen_->Accept();
  const auto cut = loop_->Connect(at, quiet_, &error);
  Pass(std::chrono::milliseconds(10));
  const auto cut_end = listen_->Accept();
  for (const auto& client : {whole.get(), cut.get()}) {
    Write(*client, "abc");
    Write(*client, "defg");
  }
  Pass(std::chrono::milliseconds(100));
  EXPECT_EQ(Read(*whole_end), "abcdefg");
  EXPECT_EQ(Read(*whole_end), "(blocked)");
  EXPECT_EQ(Read(*cut_end), "abcde");
  EXPECT_EQ(Read(*cut_end), "(ECONNRESET)");
  EXPECT_EQ(Read(*cut), "(ECONNRESET)");
}

TEST_F(Connection, OfAKilledProcessEndsAndNothingMoreIsSaidOnIt) {
  struct Told : net::Observer {
    void OnReady(bool readable, bool) override { told = told || readable; }
    bool told = false;
  } observer;
  const auto process = network_.NewLoop();
  int error = 0;
  auto socket =
      process->Connect(net::Address::Parse("127.0.0.1", 80).value_or(net::Address()), observer, &error);
  Pass(std::chrono::milliseconds(10));
  const auto other = listen_->Accept();
  Write(*other, "unread");
  Write(*socket, "before");
  Pass(std::chrono::milliseconds(10));
  observer.told = false;
  SimNetwork::Kill(*process);
  EXPECT_TRUE(observer.told) << "who waits for the socket has to notice";
  EXPECT_EQ(Write(*socket, "after").kind, Kind::kReset);
  EXPECT_EQ(Read(*socket), "(ECONNRESET)");
  EXPECT_EQ(process->Connect(other->local(), observer, &error), nullptr);
  socket.reset();
  Pass(std::chrono::milliseconds(10));
  EXPECT_EQ(Read(*other), "before");
  EXPECT_EQ(Read(*other), "(ECONNRESET)") << "something was unread";
}

}  // namespace
}  // namespace pillion::testing
