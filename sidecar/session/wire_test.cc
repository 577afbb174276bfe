// What a wire makes of a connection's end, by the error that a write has met before.
#include "sidecar/session/wire.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <utility>

namespace pillion::session {
namespace {

// Writes fail; reads say end-of-stream, as those of a kernel that has told the error already.
class BrokenSocket : public net::Socket {
 public:
  explicit BrokenSocket(int error) : error_(error) {}
  net::IoResult Read(std::span<char>) override { return {net::IoResult::Kind::kEnd, 0, 0}; }
  net::IoResult Write(std::span<const iovec>) override { return {net::IoResult::Kind::kReset, 0, error_}; }
  int ConnectError() override { return 0; }
  void ShutdownWrite() override {}
  std::optional<uint64_t> AckedBytes() override { return std::nullopt; }
  const net::Address& peer() const override { return address_; }
  void SetEnds(const net::Address&, const net::Address&) override {}
  const net::Address& local() const override { return address_; }

 private:
  const int error_;
  const net::Address address_;
};

// True: the end that is read behind a write that met `error` is told as a reset.
bool IsTakenForAReset(int error) {
  ReadScratch scratch;
  telemetry::WireStats stats;
  Wire wire(scratch, stats);
  wire.Attach(std::make_unique<BrokenSocket>(error));
  wire.Mark(true, true);
  wire.out().AppendCopy("bytes");
  EXPECT_EQ(wire.Flush(), Wire::Flushed::kBroken);
  EXPECT_TRUE(wire.broken());
  EXPECT_EQ(wire.written(), 0u);
  const Wire::Filled filled = wire.Fill();
  EXPECT_TRUE(filled == Wire::Filled::kEnd || filled == Wire::Filled::kReset);
  EXPECT_EQ(stats.silent.value(), error == ETIMEDOUT || error == EHOSTUNREACH ? 1u : 0u);
  return filled == Wire::Filled::kReset;
}

TEST(Wire, AnEndBehindAFailedWriteIsOneOnlyWhenThePeerHadEndedBefore) {
  EXPECT_FALSE(IsTakenForAReset(EPIPE));  // a FIN had come, then a RST: all that was said has been read
  EXPECT_TRUE(IsTakenForAReset(ECONNRESET));
  EXPECT_TRUE(IsTakenForAReset(ETIMEDOUT));
  EXPECT_TRUE(IsTakenForAReset(EHOSTUNREACH));
}

// As a TLS socket does, whose error stays.
class FailedSocket final : public BrokenSocket {
 public:
  using BrokenSocket::BrokenSocket;
  net::IoResult Read(std::span<char>) override { return Write({}); }
  int ConnectError() override { return Write({}).error; }
};

TEST(Wire, APeerThatVanishedIsCountedOnceHoweverOftenItIsTold) {
  for (const bool writes_first : {true, false}) {
    ReadScratch scratch;
    telemetry::WireStats stats;
    Wire wire(scratch, stats);
    wire.Attach(std::make_unique<FailedSocket>(ETIMEDOUT));
    wire.Mark(true, true);
    wire.out().AppendCopy("bytes");
    if (writes_first) EXPECT_EQ(wire.Flush(), Wire::Flushed::kBroken);
    EXPECT_EQ(wire.Fill(), Wire::Filled::kReset);
    EXPECT_EQ(wire.Flush(), Wire::Flushed::kBroken);
    EXPECT_TRUE(wire.IsReset());
    EXPECT_EQ(stats.silent.value(), 1u);
  }
}

}  // namespace
}  // namespace pillion::session
