#include "sidecar/filter/grpc.h"

#include <gtest/gtest.h>

namespace pillion::filter {
namespace {

using namespace std::chrono_literals;

TEST(Grpc, MessagesAreEscapedAndBack) {
  EXPECT_EQ(EncodeGrpcMessage("50% \xc3\xa9\n~ \x7f"), "50%25 %C3%A9%0A~ %7F");
  EXPECT_EQ(DecodeGrpcMessage("50%25 %c3%A9%0A~ "), "50% \xc3\xa9\n~ ");
  EXPECT_EQ(DecodeGrpcMessage("100% %4 %zz %"), "100% %4 %zz %");
  EXPECT_EQ(DecodeGrpcMessage("%25%7e"), "%~");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = "a" + std::string(1, static_cast<char>(byte)) + "b";
    EXPECT_EQ(DecodeGrpcMessage(EncodeGrpcMessage(text)), text) << byte;
  }
}

TEST(Grpc, TimeoutsAreRead) {
  EXPECT_EQ(ParseGrpcTimeout("1H"), 1h);
  EXPECT_EQ(ParseGrpcTimeout("2M"), 2min);
  EXPECT_EQ(ParseGrpcTimeout("3S"), 3s);
  EXPECT_EQ(ParseGrpcTimeout("4m"), 4ms);
  EXPECT_EQ(ParseGrpcTimeout("5u"), 5us);
  EXPECT_EQ(ParseGrpcTimeout("99999999n"), 99999999ns);
  EXPECT_EQ(ParseGrpcTimeout("0S"), 0s);
  EXPECT_GT(*ParseGrpcTimeout("99999999H"), 24h * 365);
  for (const char* text :
       {"", "S", "1", "1s", "-1S", "-0S", "+1S", " 1S", "1 S", "1.5S", "123456789S", "1SS"})
    EXPECT_EQ(ParseGrpcTimeout(text), std::nullopt) << text;
}

TEST(Grpc, TimeoutsAreWrittenShorterNeverLonger) {
  EXPECT_EQ(FormatGrpcTimeout(0s), "1n");
  EXPECT_EQ(FormatGrpcTimeout(-5s), "1n");
  EXPECT_EQ(FormatGrpcTimeout(99999999ns), "99999999n");
  EXPECT_EQ(FormatGrpcTimeout(100000999ns), "100000u");
  EXPECT_EQ(FormatGrpcTimeout(24h * 365 * 100), "52560000M");
  for (const auto timeout : {1ns, 123456789ns, 987654321987ns, 123456789012345678ns}) {
    const auto back = ParseGrpcTimeout(FormatGrpcTimeout(timeout));
    ASSERT_TRUE(back);
    EXPECT_LE(*back, timeout);
    EXPECT_GE(*back, timeout - timeout / 100000);
  }
}

TEST(Grpc, StatusesHaveTheirCounterparts) {
  const uint16_t http[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                           400, 409, 400, 501, 500, 503, 500, 401};
  for (uint32_t code = 0; code < 17; ++code) EXPECT_EQ(HttpStatusOfGrpc(code), http[code]) << code;
  EXPECT_EQ(HttpStatusOfGrpc(17), 500);
  EXPECT_EQ(GrpcStatusOfHttp(200), 0u);
  EXPECT_EQ(GrpcStatusOfHttp(400), 13u);
  EXPECT_EQ(GrpcStatusOfHttp(401), 16u);
  EXPECT_EQ(GrpcStatusOfHttp(403), 7u);
  EXPECT_EQ(GrpcStatusOfHttp(404), 12u);
  for (const uint16_t status : {429, 502, 503, 504}) EXPECT_EQ(GrpcStatusOfHttp(status), 14u);
  for (const uint16_t status : {201, 302, 409, 500, 599}) EXPECT_EQ(GrpcStatusOfHttp(status), 2u);
  EXPECT_EQ(ParseGrpcStatus("16"), 16u);
  for (const char* text : {"", "x", "1x", "-1", "99999999999"})
    EXPECT_EQ(ParseGrpcStatus(text), std::nullopt);
}

}  // namespace
}  // namespace pillion::filter
