#include "sidecar/http1/serializer.h"

#include <gtest/gtest.h>

#include <string>

#include "sidecar/http1/transcript.h"

namespace pillion::http1 {
namespace {

using Kind = http::ContentLength::Kind;

http::RequestHead Request() {
  http::RequestHead head;
  head.path = "/p?q";
  head.authority = "a.example";
  head.has_authority = true;
  head.scheme = "http";
  head.headers.Add("x-one", "1");
  head.headers.Add("ETag", "\"t\"");
  return head;
}

std::string Write(const http::RequestHead& head, const WriteOptions& options = {}) {
  std::string out;
  AppendRequestHead(head, options, out);
  return out;
}
std::string Write(const http::ResponseHead& head, const WriteOptions& options = {}) {
  std::string out;
  AppendResponseHead(head, options, out);
  return out;
}

TEST(Serializer, WritesHostFirstAndOneFraming) {
  http::RequestHead head = Request();
  EXPECT_EQ(Write(head), "GET /p?q HTTP/1.1\r\nhost: a.example\r\nx-one: 1\r\nETag: \"t\"\r\n\r\n");
  head.content = {Kind::kSized, 0};
  head.headers.Add("Content-Length", "7");
  head.headers.Add("transfer-encoding", "chunked");
  head.headers.Add("Host", "b");
  EXPECT_EQ(Write(head),
            "GET /p?q HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\nx-one: 1\r\nETag: \"t\"\r\n\r\n");
  head.content = {Kind::kUnsized, 0};
  EXPECT_EQ(Write(head),
            "GET /p?q HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\nx-one: 1\r\nETag: "
            "\"t\"\r\n\r\n");
}

TEST(Serializer, WritesTargetsInTheirForm) {
  http::RequestHead head = Request();
  head.headers.Clear();
  head.form = http::TargetForm::kAbsolute;
  EXPECT_EQ(Write(head), "GET http://a.example/p?q HTTP/1.1\r\nhost: a.example\r\n\r\n");
  head.form = http::TargetForm::kAuthority;
  head.method_text = "CONNECT";
  EXPECT_EQ(Write(head), "CONNECT a.example HTTP/1.1\r\nhost: a.example\r\n\r\n");
  head.form = http::TargetForm::kAsterisk;
  head.method_text = "OPTIONS";
  head.path = "*";
  EXPECT_EQ(Write(head), "OPTIONS * HTTP/1.1\r\nhost: a.example\r\n\r\n");
  head.has_authority = false;
  EXPECT_EQ(Write(head, {.version = http::Version::kHttp10, .keep_alive = true}),
            "OPTIONS * HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
}

// RFC 9110 section 10.1.4.
TEST(Serializer, TeIsSaidToBeForTheNextHop) {
  http::RequestHead head = Request();
  head.headers.Clear();
  head.headers.Add("te", "trailers");
  const std::string start = "GET /p?q HTTP/1.1\r\nhost: a.example\r\n";
  EXPECT_EQ(Write(head, {}), start + "connection: TE\r\nte: trailers\r\n\r\n");
  EXPECT_EQ(Write(head, {.close = true}), start + "connection: close, TE\r\nte: trailers\r\n\r\n");
  head.upgrade = "chat";
  EXPECT_EQ(Write(head, {}), start + "connection: Upgrade, TE\r\nupgrade: chat\r\nte: trailers\r\n\r\n");
}

TEST(Serializer, SpellsNamesInTitleCase) {
  http::RequestHead head = Request();
  head.headers.Add("x--3d-aB", "v");
  EXPECT_EQ(
      Write(head, {.close = true, .spelling = Spelling::kTitleCase}),
      "GET /p?q HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\nX-One: 1\r\nETag: \"t\"\r\nX--3d-AB: "
      "v\r\n\r\n");
}

TEST(Serializer, ResponseFramingFollowsContentAndStatus) {
  http::ResponseHead head;
  head.content = {Kind::kSized, 12};
  EXPECT_EQ(Write(head), "HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\n");
  head.content = {Kind::kUnsized, 0};
  EXPECT_EQ(Write(head), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
  EXPECT_EQ(Write(head, {.version = http::Version::kHttp10}), "HTTP/1.0 200 OK\r\n\r\n");
  head.content = {Kind::kUntilClose, 0};
  EXPECT_EQ(Write(head, {.close = true}), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
  head.content = {Kind::kNone, 0};
  EXPECT_EQ(Write(head), "HTTP/1.1 200 OK\r\n\r\n");
  head.declared_length = 5;
  EXPECT_EQ(Write(head), "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
  head.status = 304;
  EXPECT_EQ(Write(head), "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n");
  head.status = 204;
  EXPECT_EQ(Write(head), "HTTP/1.1 204 No Content\r\n\r\n");
  head.status = 103;
  EXPECT_EQ(Write(head), "HTTP/1.1 103 Early Hints\r\n\r\n");
  head.status = 299;
  head.declared_length.reset();
  EXPECT_EQ(Write(head), "HTTP/1.1 299 \r\n\r\n");
}

TEST(Serializer, WhatIsWrittenIsReadBackTheSame) {
  http::RequestHead head = Request();
  head.content = {Kind::kUnsized, 0};
  std::string bytes = Write(head);
  AppendChunkSize(0x1f, bytes);
  bytes += std::string(31, 'c') + "\r\n";
  http::HeaderList trailers;
  trailers.Add("grpc-status", "0");
  AppendLastChunk(trailers, Spelling::kTitleCase, bytes);
  EXPECT_TRUE(bytes.ends_with("\r\n0\r\nGrpc-Status: 0\r\n\r\n"));
  EXPECT_EQ(Transcript(Role::kRequests, bytes, {}),
            "<GET origin http|a.example|/p?q HTTP/1.1 keep unsized [x-one=1][ETag=\"t\"]>(" +
                std::string(31, 'c') + ")END[Grpc-Status=0] ");
}

}  // namespace
}  // namespace pillion::http1
