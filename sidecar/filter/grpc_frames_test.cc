// The bytes of frames and of base64, as a peer sees them: what writes and what reads them must not err alike.
#include "sidecar/filter/grpc_frames.h"

#include <gtest/gtest.h>

#include "sidecar/filter/base64.h"

namespace pillion::filter {
namespace {

TEST(GrpcFrames, TheirBytesAreFlagsAndABigEndianLength) {
  EXPECT_EQ(kCompressedFlag, 0x01);
  EXPECT_EQ(FrameHeadText(0, 0x01020304), std::string("\0\1\2\3\4", 5));
  EXPECT_EQ(FrameHeadText(kTrailersFlag, 0xFEFDFCFB), std::string("\x80\xFE\xFD\xFC\xFB", 5));
}

TEST(GrpcFrames, TheyAreReadWhenTheyAreWhole) {
  const std::string head("\x85\xFE\xFD\xFC\xFB", 5);
  for (size_t piece = 1; piece <= head.size(); ++piece) {
    SliceQueue in;
    for (size_t at = 0; at < head.size(); at += piece) {
      EXPECT_FALSE(PeekFrameHead(in)) << at;
      in.AppendCopy(head.substr(at, piece));
    }
    const auto frame = PeekFrameHead(in);
    ASSERT_TRUE(frame);
    EXPECT_EQ(frame->flags, 0x85);
    EXPECT_EQ(frame->bytes, 0xFEFDFCFB);
    EXPECT_EQ(in.bytes(), head.size());
  }
}

// RFC 4648 section 10, and its two last digits.
TEST(Base64, IsWhatOthersMakeOfIt) {
  struct Case {
    std::string bytes;
    std::string text;
  };
  for (const Case& one : {Case{"", ""}, Case{"f", "Zg=="}, Case{"fo", "Zm8="}, Case{"foo", "Zm9v"},
                          Case{"foob", "Zm9vYg=="}, Case{"\xfb\xef\xff", "++//"}}) {
    Base64Encoder encoder;
    std::string encoded;
    encoder.Feed(one.bytes, encoded);
    encoder.Flush(encoded);
    EXPECT_EQ(encoded, one.text);
    EXPECT_EQ(DecodeBinaryField(one.text), one.bytes);
    EXPECT_EQ(DecodeBinaryField(one.text.substr(0, one.text.find('='))), one.bytes);
  }
  for (const char* text : {"Z", "Zm9vZ", "-_-_", "Z===", "Zg=v", "=g==", "Z m8", "Zm9v\n"})
    EXPECT_EQ(DecodeBinaryField(text), std::nullopt) << text;
}

}  // namespace
}  // namespace pillion::filter
