// What a whole engine gives up where memory is short: everything that a peer made it hold is found, and only
// that.
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "sidecar/http2/frames.h"
#include "sidecar/testing/sim_peer.h"
#include "sidecar/worker/engine_fixture.h"

namespace pillion::worker {
namespace {

using std::chrono::milliseconds;
using testing::SimPeer;
using testing::SimServer;

constexpr uint16_t kPort = 15001;
constexpr uint16_t kAppPort = 8080;
constexpr std::string_view kPost = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
constexpr std::string_view kGet = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

class SheddingTest : public EngineFixture {
 protected:
  SheddingTest() : app_(*peers_, At(kAppPort)) {
    ProxyConfig proxy(kPort, kAppPort);
    proxy.server->http.pass_upgrades = true;
    Apply(proxy.snapshot);
  }
  std::unique_ptr<SimPeer> Client(std::string_view says) {
    auto client = std::make_unique<SimPeer>(*peers_, At(kPort));
    Pass(milliseconds(1));
    Say(*client, says);
    return client;
  }
  void Say(SimPeer& client, std::string_view text) {
    while (!text.empty()) {
      text.remove_prefix(client.SendSome(text));
      Pass(milliseconds(1));
    }
  }
  // The app takes all that was sent: what is held then is for no one's reading.
  void AppReads() {
    for (int i = 0; i < 20; ++i) {
      for (const auto& app : app_.taken) app->Read();
      Pass(milliseconds(1));
    }
  }
  // Gives up what holds most; what the client gets then.
  std::string Shed(SimPeer& client) {
    EXPECT_EQ(engine_.ShedLargest(), 1u);
    Pass(milliseconds(10));
    client.Read();
    EXPECT_EQ(engine_.ShedLargest(), 0u) << "nothing is left of it";
    return client.text;
  }
  static bool Over(const SimPeer& client) { return client.ended || client.reset; }
  uint64_t shed() const { return stats_.worker.shed_streams.value(); }

  SimServer app_;
};

TEST_F(SheddingTest, IdleClientsAndSmallRequestsHoldNothing) {
  auto idle = Client("");
  auto small = Client(kGet);
  auto http2 = Client(http2::ClientStart() + http2::Head(1, http2::Get()));
  EXPECT_EQ(engine_.ShedLargest(), 0u);
}

TEST_F(SheddingTest, AWorkerThatReadsMuchGivesUpByItself) {
  memory_is_short_ = true;
  auto holder = Client("GET / HTTP/1.1\r\nx: " + std::string(20'000, 'v'));
  EXPECT_FALSE(Over(*holder)) << "little was read";
  auto upload = Client(kPost);
  const auto send = [&](size_t bytes) {
    for (size_t sent = 0; sent < bytes; sent += 4000) {
      Say(*upload, "fa0\r\n" + std::string(4000, 'x') + "\r\n");
      for (const auto& app : app_.taken) app->Read();
    }
    holder->Read();
  };
  send(kLookBytes - 50'000);
  EXPECT_FALSE(Over(*holder));
  send(60'000);
  Pass(milliseconds(10));
  holder->Read();
  EXPECT_TRUE(Over(*holder));
  EXPECT_EQ(shed(), 1u);
}

TEST_F(SheddingTest, AHeadThatIsNotComplete) {
  auto client = Client("GET / HTTP/1.1\r\nx: " + std::string(20'000, 'v'));
  EXPECT_EQ(Shed(*client), "");
  EXPECT_TRUE(Over(*client));
  EXPECT_EQ(shed(), 1u);
}

TEST_F(SheddingTest, WhatIsNotKnownToBeHttp) {
  auto client = Client("PRI * HTTP/2.0\r\n\r\nSM");
  Shed(*client);
  EXPECT_TRUE(Over(*client));
  EXPECT_EQ(shed(), 1u);
}

TEST_F(SheddingTest, TrailersThatAreNotComplete) {
  auto client = Client(std::string(kPost) + "0\r\nx: " + std::string(20'000, 'v'));
  EXPECT_TRUE(Shed(*client).starts_with("HTTP/1.1 503 ")) << client->text;
  EXPECT_EQ(shed(), 1u);
}

TEST_F(SheddingTest, RequestsThatWaitForTheOneBeforeThem) {
  std::string more;
  for (int i = 0; i < 500; ++i) more += kGet;
  auto client = Client(std::string(kGet) + more);
  EXPECT_EQ(Shed(*client), "") << "the one that is being served";
  app_.taken.at(0)->Send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
  Pass(milliseconds(10));
  client->Read();
  EXPECT_TRUE(client->text.ends_with("hi")) << client->text;
  EXPECT_TRUE(client->ended) << "whoever pipelines asks again on another connection";
  EXPECT_EQ(app_.taken.size(), 1u);
}

TEST_F(SheddingTest, TheBeginningOfATunnelThatWaitsToBeGranted) {
  auto client = Client("GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: raw\r\n\r\n" +
                       std::string(20'000, 't'));
  AppReads();
  EXPECT_TRUE(Shed(*client).starts_with("HTTP/1.1 503 ")) << client->text << " a tunnel with a hole";
  app_.taken.at(0)->Read();
  EXPECT_TRUE(Over(*app_.taken.at(0)));
}

TEST_F(SheddingTest, TheLargeHeadOfARequestThatWaitsForItsAnswer) {
  auto small = Client(kGet);
  auto client = Client("GET / HTTP/1.1\r\nhost: a\r\nx: " + std::string(20'000, 'v') + "\r\n\r\n");
  AppReads();
  EXPECT_TRUE(Shed(*client).starts_with("HTTP/1.1 503 ")) << client->text;
  app_.taken.at(0)->Send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
  Pass(milliseconds(10));
  small->Read();
  EXPECT_TRUE(small->text.ends_with("hi"));
}

TEST_F(SheddingTest, TheLargeTrailersOfOne) {
  auto client = Client(std::string(kPost) + "0\r\nx: " + std::string(20'000, 'v') + "\r\n\r\n");
  AppReads();
  EXPECT_TRUE(Shed(*client).starts_with("HTTP/1.1 503 ")) << client->text;
}

TEST_F(SheddingTest, AnHttp2HeaderBlockThatDoesNotEnd) {
  const std::string block = http2::Block(http2::Get({{"x", std::string(50'000, 'v')}}));
  auto client = Client(http2::ClientStart() + http2::Raw(http2::kHeaders, 0, 1, block.substr(0, 15'000)));
  EXPECT_EQ(engine_.ShedLargest(), 0u) << "one frame is less than the session itself costs";
  for (size_t at = 15'000; at < 45'000; at += 15'000)
    Say(*client, http2::Raw(http2::kContinuation, 0, 1, block.substr(at, 15'000)));
  // Nothing but this head is let go of, while that is enough.
  EXPECT_EQ(engine_.ShedLargest(), 1u);
  Say(*client, http2::Raw(http2::kContinuation, http2::kEndHeaders, 1, block.substr(45'000)) +
                   http2::Head(3, http2::Get()));
  client->Read();
  EXPECT_EQ(http2::Verdict(client->text), "RST 1 code=7 ");
  EXPECT_EQ(app_.taken.size(), 1u) << "the next request is served";
  EXPECT_EQ(engine_.ShedLargest(), 0u);
  EXPECT_EQ(shed(), 1u);
}

TEST_F(SheddingTest, AnHttp2HeaderBlockThatStaysOpen) {
  const std::string block = http2::Block(http2::Get({{"x", std::string(50'000, 'v')}}));
  auto client = Client(http2::ClientStart() + http2::Raw(http2::kHeaders, 0, 1, block.substr(0, 15'000)));
  Say(*client, http2::Raw(http2::kContinuation, 0, 1, block.substr(15'000, 15'000)));
  EXPECT_EQ(engine_.ShedLargest(), 1u);
  // The string that is not complete is nghttp2's.
  Shed(*client);
  EXPECT_TRUE(Over(*client));
  EXPECT_EQ(shed(), 2u);
}

// A connection that serves others, and a header block that does not end; it was refused.
class HalfHeadBesideOthers : public SheddingTest {
 protected:
  HalfHeadBesideOthers() {
    client_ = Client(http2::ClientStart() + http2::Head(1, http2::Get()));
    Begin(3);
    EXPECT_EQ(engine_.ShedLargest(), 1u);
  }
  void Begin(uint32_t stream) {
    Say(*client_, http2::Raw(http2::kHeaders, 0, stream, block_.substr(0, 15'000)) +
                      http2::Raw(http2::kContinuation, 0, stream, block_.substr(15'000, 15'000)));
  }
  std::string Rest(uint32_t stream) const {
    return http2::Raw(http2::kContinuation, http2::kEndHeaders, stream, block_.substr(30'000));
  }
  const std::string block_ = http2::Block(http2::Get({{"x", std::string(50'000, 'v')}}));
  std::unique_ptr<SimPeer> client_;
};

TEST_F(HalfHeadBesideOthers, TheyDoNotSuffer) {
  EXPECT_EQ(engine_.ShedLargest(), 0u);
  Pass(milliseconds(900));
  EXPECT_EQ(engine_.ShedLargest(), 0u);
  Say(*client_, Rest(3));
  Pass(milliseconds(900));
  EXPECT_EQ(engine_.ShedLargest(), 0u);
  app_.taken.at(0)->Send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi");
  Pass(milliseconds(10));
  client_->Read();
  EXPECT_FALSE(Over(*client_));
  EXPECT_TRUE(client_->text.ends_with("hi"));
}

TEST_F(HalfHeadBesideOthers, WhoDoesNotEndItLosesTheConnection) {
  Pass(std::chrono::seconds(1));
  Shed(*client_);
  EXPECT_TRUE(Over(*client_));
  EXPECT_EQ(shed(), 2u);
}

TEST_F(HalfHeadBesideOthers, SoDoesWhoEndsItAndBeginsTheNext) {
  Pass(milliseconds(600));
  Say(*client_, Rest(3) + http2::Head(5, http2::Get()));
  Begin(7);
  EXPECT_EQ(engine_.ShedLargest(), 1u);
  EXPECT_EQ(engine_.ShedLargest(), 0u);
  Pass(milliseconds(600));
  Shed(*client_);
  EXPECT_TRUE(Over(*client_));
}

TEST_F(HalfHeadBesideOthers, OneThatComesMuchLaterIsAnother) {
  Say(*client_, Rest(3));
  Pass(std::chrono::seconds(11));
  Begin(5);
  EXPECT_EQ(engine_.ShedLargest(), 1u);
  EXPECT_EQ(engine_.ShedLargest(), 0u);
}

TEST_F(HalfHeadBesideOthers, NobodyIsSparedAtTheEndOfMemory) {
  pressure_.Set(Pressure::kShedStreams);
  EXPECT_EQ(engine_.ShedLargest(), 0u);
  pressure_.Set(Pressure::kRefuseConnections);
  Shed(*client_);
  EXPECT_TRUE(Over(*client_));
}

TEST_F(HalfHeadBesideOthers, AtTheEndOfMemoryItIsNotRefusedFirst) {
  Say(*client_, Rest(3));
  Begin(5);
  pressure_.Set(Pressure::kRefuseConnections);
  Shed(*client_);
  EXPECT_TRUE(Over(*client_));
}

TEST_F(SheddingTest, AnHttp2HeaderBlockAndAnAnswerThatWaitsForItsClient) {
  const std::string block = http2::Block(http2::Get({{"x", std::string(50'000, 'v')}}));
  auto client =
      Client(std::string(http2::kPreface) + http2::Raw(http2::kSettings, 0, 0, http2::Setting(4, 0)) +
             http2::Head(1, http2::Get()));
  SimPeer& app = *app_.taken.at(0);
  Say(app, "HTTP/1.1 200 OK\r\ncontent-length: 20000\r\n\r\n" + std::string(20'000, 'b'));
  Say(*client, http2::Raw(http2::kHeaders, 0, 3, block.substr(0, 15'000)));
  Say(*client, http2::Raw(http2::kContinuation, 0, 3, block.substr(15'000, 15'000)));
  EXPECT_EQ(engine_.ShedLargest(), 1u);
  EXPECT_EQ(shed(), 2u) << "both are held by one";
  Pass(milliseconds(10));
  client->Read();
  EXPECT_NE(client->text.find(http2::Raw(http2::kRstStream, 0, 1, http2::U32(2))), std::string::npos);
}

// More requests than a turn gets through: HPACK makes 55 KiB of each.
class BurstTest : public SheddingTest {
 protected:
  // What such requests name: the first entry of the table.
  static std::string Large(uint32_t stream) {
    return Request(stream, http2::Block(http2::Get()) + std::string("\x40\x01x", 3) +
                               http2::HpackLength(3700) + std::string(3700, 'v'));
  }
  static std::string Request(uint32_t stream, std::string_view block) {
    return http2::Raw(http2::kHeaders, http2::kEndHeaders | http2::kEndStream, stream, block);
  }
  // They arrive, and the engine has so many turns with them.
  void Burst(SimPeer& client, uint32_t first, int turns) {
    constexpr int kCopies = 14;
    constexpr uint32_t kRequests = 40;
    const std::string copies = http2::Block(http2::Get()) + std::string(kCopies, '\xbe');
    std::string all;
    for (uint32_t i = 0; i < kRequests; ++i) all += Request(first + 2 * i, copies);
    ASSERT_EQ(client.SendSome(all), all.size());
    Travel();
    for (int i = 0; i < turns; ++i) EXPECT_TRUE(engine_.RunTurn());
  }
  // A client with a request under way, and a burst behind it that has had two turns.
  std::unique_ptr<SimPeer> BesideARequest() {
    auto client = Client(http2::ClientStart() + http2::Head(1, http2::Get()));
    pressure_.Set(Pressure::kShedRequests);
    Say(*client, Large(3));
    Burst(*client, 5, 2);
    return client;
  }
};

TEST_F(BurstTest, WhatATurnDoesNotGetToIsGivenUpWithTheConnection) {
  pressure_.Set(Pressure::kShedRequests);  // which answers each at once
  auto client = Client(http2::ClientStart());
  Say(*client, Large(1));
  Burst(*client, 3, 2);
  Shed(*client);
  EXPECT_TRUE(Over(*client));
  EXPECT_EQ(shed(), 1u);
}

TEST_F(BurstTest, BesideARequestUnderWayItHasASecond) {
  auto client = BesideARequest();
  EXPECT_EQ(engine_.ShedLargest(), 0u);
  Travel();
  EXPECT_TRUE(engine_.RunTurn());
  EXPECT_EQ(engine_.ShedLargest(), 1u) << "and it is not over";
  Pass(milliseconds(10));
  client->Read();
  EXPECT_TRUE(Over(*client));
}

TEST_F(BurstTest, WhatComesAnewHasItsOwn) {
  auto client = BesideARequest();
  client->Read();
  Burst(*client, 101, 9);  // the first is behind, and some of this is left
  engine_.ShedLargest();   // perhaps a head that is half unpacked, alone
  EXPECT_TRUE(engine_.RunTurn());
  client->Read();
  EXPECT_FALSE(Over(*client));
  Travel();
  EXPECT_TRUE(engine_.RunTurn());
  EXPECT_EQ(engine_.ShedLargest(), 1u);
  Pass(milliseconds(10));
  client->Read();
  EXPECT_TRUE(Over(*client));
}

TEST_F(BurstTest, OneThatWasGotThroughIsForgotten) {
  auto client = BesideARequest();
  Pass(std::chrono::seconds(2));
  Burst(*client, 1001, 2);
  EXPECT_EQ(engine_.ShedLargest(), 0u);
  pressure_.Set(Pressure::kRefuseConnections);
  EXPECT_EQ(engine_.ShedLargest(), 1u) << "at the end of memory nobody is spared";
}

}  // namespace
}  // namespace pillion::worker
