#include "sidecar/http/head.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::http {
namespace {

// The names that are left, one behind the other.
std::string Names(const HeaderList& headers) {
  std::string names;
  for (size_t i = 0; i < headers.size(); ++i) names.append(headers[i].name).append(" ");
  return names;
}

// Of one letter, with commas between them.
std::string Options(size_t count) {
  std::string text = "a";
  for (size_t i = 1; i < count; ++i) text += ",a";
  return text;
}

TEST(RemoveHopByHop, TakesWhatConnectionNamesAndLeavesTheRest) {
  HeaderList headers;
  headers.Add("Connection", "x-one, TE,, Keep-Alive,\tX-Two");
  headers.Add("X-One", "1");
  headers.Add("x-three", "3");
  headers.Add("traceparent", "t");
  headers.Add("connection", "x-FOUR, Connection, traceparent");
  headers.Add("x-two", "2");
  headers.Add("x-four", "4");
  headers.Add("X-One", "1 again");
  headers.Add("te", "gzip, trailers;q=1");
  headers.Add("Keep-Alive", "9");
  headers.Add("Upgrade", "websocket");
  ASSERT_TRUE(RemoveHopByHop(headers));
  EXPECT_EQ(Names(headers), "x-three traceparent te ");
  EXPECT_EQ(headers.Find(Known::kTe), "trailers");
}

TEST(RemoveHopByHop, RefusesMoreOptionsThanAnybodyNeeds) {
  HeaderList headers;
  headers.Add("connection", Options(kMaxConnectionOptions - 1));
  headers.Add("a", "");
  headers.Add("connection", "close");
  EXPECT_TRUE(RemoveHopByHop(headers));
  EXPECT_EQ(Names(headers), "");
  headers.Add("connection", Options(kMaxConnectionOptions - 1));
  headers.Add("a", "");
  headers.Add("connection", "close,b");
  EXPECT_FALSE(RemoveHopByHop(headers)) << "counted over all fields of the name";
  EXPECT_EQ(Names(headers), "connection a connection ");
}

TEST(Head, KnowsContentOfGrpc) {
  for (const char* type :
       {"application/grpc", "application/grpc+proto", "application/grpc;x=y", "Application/gRPC"})
    EXPECT_TRUE(IsGrpcContentType(type)) << type;
  for (const char* type :
       {"", "application/grpc-web", "application/grpcx", "application/json", "application/grp"})
    EXPECT_FALSE(IsGrpcContentType(type)) << type;
}

}  // namespace
}  // namespace pillion::http
