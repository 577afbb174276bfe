#include "sidecar/tls/socket.h"

#include <string>

#include "sidecar/tls/test_pair.h"

namespace pillion::tls {
namespace {

using Kind = net::IoResult::Kind;

std::string Text(size_t size) {
  std::string text;
  text.reserve(size);
  for (size_t i = 0; i < size; ++i) text += static_cast<char>('a' + i * 7 % 26);
  return text;
}

class FragmentTest : public TlsTest, public ::testing::WithParamInterface<size_t> {};

TEST_P(FragmentTest, AHandshakeAndBytesBothWaysSurviveAnyCuts) {
  Mutual();
  TestPair pair(Client(), Server(), {.fragment = GetParam()});
  pair.Handshake();
  ASSERT_EQ(pair.client_error, 0) << pair.client->security()->detail;
  ASSERT_EQ(pair.server_error, 0) << pair.server->security()->detail;
  EXPECT_EQ(pair.server->security()->version, "TLSv1.3");
  EXPECT_EQ(pair.server->security()->server_name, "a.example");
  EXPECT_TRUE(pair.server->security()->peer_certificate.verified);
  const std::string there = Text(40000);
  std::string arrived;
  EXPECT_TRUE(
      WriteAll(*pair.client, there, [&] { arrived += ReadAll(*pair.server, *pair.server_below).bytes; }));
  EXPECT_EQ(arrived, there);
  const std::string back = Text(3);
  arrived.clear();
  EXPECT_TRUE(
      WriteAll(*pair.server, back, [&] { arrived += ReadAll(*pair.client, *pair.client_below, 1).bytes; }));
  EXPECT_EQ(arrived, back);
}
INSTANTIATE_TEST_SUITE_P(Sizes, FragmentTest,
                         ::testing::Values(1, 2, 3, 4, 5, 6, 7, 8, 16, 31, 100, 1000, 1 << 20));

TEST_F(TlsTest, ABigTransferArrivesThroughANarrowPipe) {
  TestPair pair(Client(), Server(), {.fragment = 5000, .capacity = 9000});
  pair.Handshake();
  const std::string there = Text(3'000'000);
  std::string arrived;
  EXPECT_TRUE(
      WriteAll(*pair.client, there, [&] { arrived += ReadAll(*pair.server, *pair.server_below).bytes; }));
  EXPECT_TRUE(arrived == there);
}

TEST_F(TlsTest, WriteCountsOnlyWhatHasLeft) {
  TestPair pair(Client(), Server(), {.capacity = 40000});
  pair.Handshake();
  ReadAll(*pair.client, *pair.client_below);
  ReadAll(*pair.server, *pair.server_below);
  const std::string text = Text(60000);
  const iovec piece = {const_cast<char*>(text.data()), text.size()};
  // Two records fit, the third leaves in part.
  net::IoResult result = pair.client->Write({&piece, 1});
  EXPECT_EQ(result.kind, Kind::kBytes);
  EXPECT_EQ(result.bytes, 2 * 16384u);
  const iovec rest = {const_cast<char*>(text.data()) + result.bytes, text.size() - result.bytes};
  EXPECT_EQ(pair.client->Write({&rest, 1}).kind, Kind::kWouldBlock);
  EXPECT_EQ(pair.to_server.bytes.size(), 40000u);
  std::string arrived = ReadAll(*pair.server, *pair.server_below).bytes;
  result = pair.client->Write({&rest, 1});
  EXPECT_EQ(result.bytes, rest.iov_len);
  arrived += ReadAll(*pair.server, *pair.server_below).bytes;
  EXPECT_TRUE(arrived == text);
}

// Else a request that the peer has got would be taken for one that was never sent, and be sent again.
TEST_F(TlsTest, AWriteThatBreaksTellsWhatHadLeft) {
  TestPair pair(Client(), Server());
  pair.Handshake();
  ReadAll(*pair.server, *pair.server_below);
  pair.raw_client->last_write = pair.raw_client->writes + 1;
  const std::string text = Text(150000);
  const iovec piece = {const_cast<char*>(text.data()), text.size()};
  const net::IoResult result = pair.client->Write({&piece, 1});
  EXPECT_EQ(result.kind, Kind::kBytes);
  EXPECT_EQ(result.bytes, ReadAll(*pair.server, *pair.server_below).bytes.size());
  EXPECT_GT(result.bytes, 0u);
  const iovec rest = {const_cast<char*>(text.data()) + result.bytes, text.size() - result.bytes};
  EXPECT_EQ(pair.client->Write({&rest, 1}).kind, Kind::kReset);
}

TEST_F(TlsTest, WhatIsSealedMayLeaveWithoutAWriteThatSaysSo) {
  TestPair pair(Client(), Server(), {.capacity = 9000});
  pair.Handshake();
  ReadAll(*pair.client, *pair.client_below);
  ReadAll(*pair.server, *pair.server_below);
  EXPECT_FALSE(pair.client->MayHaveSent());
  const std::string text = Text(10000);
  const iovec piece = {const_cast<char*>(text.data()), text.size()};
  EXPECT_EQ(pair.client->Write({&piece, 1}).kind, Kind::kWouldBlock);
  EXPECT_TRUE(pair.client->MayHaveSent());
  std::string arrived = ReadAll(*pair.server, *pair.server_below).bytes;
  ReadAll(*pair.client, *pair.client_below);  // a read sends the rest
  arrived += ReadAll(*pair.server, *pair.server_below).bytes;
  EXPECT_EQ(arrived.size(), text.size());
  EXPECT_TRUE(pair.client->MayHaveSent());
  EXPECT_EQ(pair.client->Write({&piece, 1}).bytes, text.size());
  EXPECT_FALSE(pair.client->MayHaveSent());
}

TEST_F(TlsTest, SmallPiecesLeaveAsOneRecordInOneWrite) {
  TestPair pair(Client(), Server());
  pair.Handshake();
  const size_t before = pair.raw_client->writes;
  std::string a = "one ";
  std::string b = "two ";
  std::string c = "three";
  const iovec pieces[] = {{a.data(), a.size()}, {b.data(), b.size()}, {c.data(), c.size()}};
  EXPECT_EQ(pair.client->Write(pieces).bytes, 13u);
  EXPECT_EQ(pair.raw_client->writes, before + 1);
  EXPECT_LT(pair.to_server.bytes.size(), 13u + 30u);
  EXPECT_EQ(ReadAll(*pair.server, *pair.server_below).bytes, "one two three");
}

TEST_F(TlsTest, CloseNotifyIsAnEndAndThoseWhoReadMayStillAnswer) {
  TestPair pair(Client(), Server());
  pair.Handshake();
  WriteAll(*pair.client, "bye");
  pair.client->ShutdownWrite();
  const Got got = ReadAll(*pair.server, *pair.server_below);
  EXPECT_EQ(got.bytes, "bye");
  EXPECT_EQ(got.last, Kind::kEnd);
  EXPECT_TRUE(pair.to_server.ended);
  EXPECT_TRUE(WriteAll(*pair.server, "answer"));
  EXPECT_EQ(ReadAll(*pair.client, *pair.client_below).bytes, "answer");
}

TEST_F(TlsTest, AnEndWithoutCloseNotifyIsATruncation) {
  TestPair pair(Client(), Server());
  pair.Handshake();
  WriteAll(*pair.client, "half");
  pair.to_server.ended = true;
  const Got got = ReadAll(*pair.server, *pair.server_below);
  EXPECT_EQ(got.bytes, "half");
  EXPECT_EQ(got.last, Kind::kReset);
  EXPECT_EQ(got.error, ECONNABORTED);
}

// A kernel tells of a reset once. When it told a write, its reads see an end, and all the same those of ours
// a reset: a peer that went away between two requests is not one that cut an answer short.
TEST_F(TlsTest, AResetThatAWriteWasToldOfIsWhatReadsTell) {
  TestPair pair(Client(), Server());
  pair.Handshake();
  ReadAll(*pair.client, *pair.client_below);
  WriteAll(*pair.server, "early");
  pair.to_client.ended = true;
  pair.raw_client->last_write = pair.raw_client->writes;
  pair.raw_client->write_error = ECONNRESET;
  EXPECT_FALSE(WriteAll(*pair.client, "request"));
  const Got got = ReadAll(*pair.client, *pair.client_below);
  EXPECT_EQ(got.bytes, "early");
  EXPECT_EQ(got.last, Kind::kReset);
  EXPECT_EQ(got.error, ECONNRESET);
}

TEST_F(TlsTest, ShutdownWaitsForWhatIsSealedAndHasNotLeft) {
  TestPair pair(Client(), Server(), {.capacity = 20000});
  pair.Handshake();
  ReadAll(*pair.client, *pair.client_below);
  const std::string text = Text(30000);
  std::string arrived;
  WriteAll(*pair.client, text, [&] { arrived += ReadAll(*pair.server, *pair.server_below, 100).bytes; });
  // The pipe is full when the end is wanted.
  const iovec piece = {const_cast<char*>(text.data()), 16384};
  EXPECT_EQ(pair.client->Write({&piece, 1}).bytes, 16384u);
  const iovec more = {const_cast<char*>(text.data()), 10000};
  EXPECT_EQ(pair.client->Write({&more, 1}).kind, Kind::kWouldBlock);
  pair.client->ShutdownWrite();
  EXPECT_FALSE(pair.to_server.ended);
  EXPECT_FALSE(pair.client->Flush());
  pair.client_ears = {};
  arrived = ReadAll(*pair.server, *pair.server_below).bytes;
  pair.client_below->OnReady(false, true);
  EXPECT_TRUE(pair.client_ears.readable);  // it has output of its own: whoever holds it reads or flushes
  EXPECT_TRUE(pair.client->Flush());
  EXPECT_TRUE(pair.to_server.ended);
  const Got got = ReadAll(*pair.server, *pair.server_below);
  EXPECT_EQ(arrived.size() + got.bytes.size(), 26384u);
  EXPECT_EQ(got.last, Kind::kEnd);
}

TEST_F(TlsTest, ADestroyedEndSaysGoodbyeUnlessItIsToReset) {
  for (const bool reset : {false, true}) {
    TestPair pair(Client(), Server());
    pair.Handshake();
    ReadAll(*pair.server, *pair.server_below);
    if (reset) pair.client->ResetOnClose();
    pair.client = nullptr;
    EXPECT_EQ(ReadAll(*pair.server, *pair.server_below).last, reset ? Kind::kReset : Kind::kEnd);
  }
}

TEST_F(TlsTest, GarbageAndTruncatedHellosAreRefused) {
  for (const std::string bytes :
       {"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff\x01", "\x15\x03\x01\x00\x02\x02\x28"}) {
    TestPair pair(Client(), Server());
    pair.to_server.bytes = bytes;
    pair.to_server.ended = true;
    for (int i = 0; i < 10 && pair.server_error == EINPROGRESS; ++i) {
      pair.server_tools.pacer.BeginTurn();
      pair.server_below->OnReady(true, true);
      pair.server_error = pair.server->ConnectError();
    }
    EXPECT_NE(pair.server_error, 0);
    EXPECT_NE(pair.server_error, EINPROGRESS) << bytes;
    EXPECT_NE(pair.server_failure(), net::TlsFailure::kNone);
    EXPECT_FALSE(pair.server->security()->detail.empty());
  }
}

TEST_F(TlsTest, AHelloCutAnywhereIsNoHandshake) {
  std::string hello;
  {
    TestPair pair(Client(), Server());
    pair.client_tools.pacer.BeginTurn();
    pair.client->ConnectError();
    hello = pair.to_server.bytes;
  }
  ASSERT_GT(hello.size(), 100u);
  for (size_t size = 0; size < hello.size(); size += 1 + size / 8) {
    TestPair pair(Client(), Server());
    pair.to_server.bytes = hello.substr(0, size);
    for (int i = 0; i < 3; ++i) {
      pair.server_tools.pacer.BeginTurn();
      pair.server_below->OnReady(true, true);
      EXPECT_EQ(pair.server->ConnectError(), EINPROGRESS);
    }
    pair.to_server.ended = true;
    pair.server_tools.pacer.BeginTurn();
    pair.server_below->OnReady(true, true);
    EXPECT_EQ(pair.server->ConnectError(), ECONNABORTED);
    EXPECT_EQ(pair.server_failure(), net::TlsFailure::kClosed);
  }
}

TEST_F(TlsTest, BytesThatAnInspectorHasReadComeFirst) {
  TestPair pair(Client(), Server());
  pair.client_tools.pacer.BeginTurn();
  pair.client->ConnectError();
  // A server that is made with the first half of the hello.
  const std::string seen = pair.to_server.bytes.substr(0, 50);
  pair.to_server.bytes.erase(0, 50);
  pair.server = Accept(std::make_unique<MemorySocket>(pair.to_server, pair.to_client, 1 << 20, 1 << 20),
                       Server(), pair.server_tools, seen);
  pair.server_below = pair.server->Watched(pair.server_ears).second;
  pair.to_client.ended = false;
  pair.Handshake();
  EXPECT_EQ(pair.server_error, 0) << pair.server->security()->detail;
}

TEST_F(TlsTest, AWorkerTakesOneStepPerTurnAndNobodyIsForgotten) {
  WorkerTools tools;
  const auto server = Server();
  const auto client = Client();
  struct One {
    std::unique_ptr<TestPair> pair;
    std::unique_ptr<net::Socket> end;
    net::Observer* below;
    Ears ears;
  };
  std::vector<std::unique_ptr<One>> all;
  for (int i = 0; i < 5; ++i) {
    auto one = std::make_unique<One>();
    one->pair = std::make_unique<TestPair>(client, server);
    one->pair->client_tools.pacer.BeginTurn();
    one->pair->client->ConnectError();
    one->end =
        Accept(std::make_unique<MemorySocket>(one->pair->to_server, one->pair->to_client, 1 << 20, 1 << 20),
               server, tools, "");
    one->below = one->end->Watched(one->ears).second;
    all.push_back(std::move(one));
  }
  const auto answered = [&] {
    return std::ranges::count_if(all, [](const auto& one) { return !one->pair->to_client.bytes.empty(); });
  };
  for (const auto& one : all) one->pair->to_client.bytes.clear();
  tools.pacer.BeginTurn();
  for (const auto& one : all) {
    one->below->OnReady(true, true);
    EXPECT_EQ(one->end->ConnectError(), EINPROGRESS);
    one->ears = {};
  }
  EXPECT_EQ(answered(), 1);
  EXPECT_TRUE(tools.pacer.waiting());
  all[2]->end = nullptr;  // gives up its place
  for (int turn = 2; turn <= 4; ++turn) {
    tools.pacer.BeginTurn();
    for (const auto& one : all) {
      if (!one->ears.readable || one->end == nullptr) continue;  // only who was marked runs
      one->ears = {};
      EXPECT_EQ(one->end->ConnectError(), EINPROGRESS);
    }
    EXPECT_EQ(answered(), turn);
  }
  EXPECT_FALSE(tools.pacer.waiting());
}

}  // namespace
}  // namespace pillion::tls
