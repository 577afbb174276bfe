// What the first bytes of a connection tell, whole and byte by byte.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/listener/client_hello.h"
#include "sidecar/listener/http_sniff.h"
#include "sidecar/listener/server_first.h"

namespace pillion::listener {
namespace {

std::string Number(size_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}
std::string Vector(const std::string& body, int bytes) { return Number(body.size(), bytes) + body; }
std::string Extension(size_t type, const std::string& body) { return Number(type, 2) + Vector(body, 2); }
std::string ServerName(const std::string& name) {
  return Extension(0, Vector(std::string(1, '\0') + Vector(name, 2), 2));
}
std::string Alpn(const std::vector<std::string>& protocols) {
  std::string list;
  for (const std::string& protocol : protocols) list += Vector(protocol, 1);
  return Extension(16, Vector(list, 2));
}
std::string Message(const std::string& extensions) {
  const std::string body = "\3\3" + std::string(32, 'r') + Vector(std::string(32, 's'), 1) +
                           Vector(std::string("\x13\x01", 2), 2) + Vector(std::string(1, '\0'), 1) +
                           extensions;
  return "\1" + Vector(body, 3);
}
// The message in records of at most `size` bytes.
std::string Records(const std::string& message, size_t size = 16384) {
  std::string bytes;
  for (size_t at = 0; at < message.size(); at += size)
    bytes += std::string("\x16\x03\x01", 3) + Vector(message.substr(at, size), 2);
  return bytes;
}
std::string Hello(const std::string& extensions) { return Records(Message(Vector(extensions, 2))); }

std::string Describe(const ClientHello& hello) {
  if (hello.kind == ClientHello::Kind::kMore) return "more";
  if (hello.kind == ClientHello::Kind::kNotTls) return "not tls";
  std::string text = "tls " + hello.server_name;
  for (const std::string& protocol : hello.protocols) text += " " + protocol;
  return text;
}
// The first answer but "more" when the bytes come one by one, and whether the whole says the same.
std::string Read(const std::string& bytes) {
  std::string first = "more";
  for (size_t n = 1; n <= bytes.size() && first == "more"; ++n)
    first = Describe(ReadClientHello(std::string_view(bytes).substr(0, n)));
  const std::string whole = Describe(ReadClientHello(bytes));
  return first == whole ? first : "cut: " + first + ", whole: " + whole;
}

TEST(ClientHelloTest, NamesAndProtocolsAreRead) {
  EXPECT_EQ(Read(Hello(ServerName("A.Example") + Alpn({"h2", "http/1.1"}))), "tls a.example h2 http/1.1");
  EXPECT_EQ(Read(Hello(Extension(10, "x") + Alpn({"h2"}))), "tls  h2");
  EXPECT_EQ(Read(Records(Message(""))), "tls ");
  EXPECT_EQ(Read(Hello("") + "more bytes"), "tls ");
}

TEST(ClientHelloTest, AMessageMaySpanRecords) {
  const std::string message = Message(Vector(ServerName("a.example"), 2));
  for (size_t size = 1; size <= message.size(); ++size)
    EXPECT_EQ(Read(Records(message, size)), "tls a.example");
}

TEST(ClientHelloTest, WhatContradictsItIsNotTls) {
  EXPECT_EQ(Read("GET / HTTP/1.1\r\n"), "not tls");
  EXPECT_EQ(Read("\x16\x02"), "not tls");
  EXPECT_EQ(Read("\x16\x03\x05"), "not tls");
  EXPECT_EQ(Read(std::string("\x16\x03\x01\x00\x00", 5)), "not tls");
  EXPECT_EQ(Read("\x16\x03\x01\x40\x01"), "not tls");
  EXPECT_EQ(Read(std::string("\x16\x03\x01\x00\x05\x02", 6)), "not tls") << "a ServerHello";
  EXPECT_EQ(Read(std::string("\x16\x03\x01\x00\x10\x01\x00\x50\x00", 9)), "not tls") << "too long";
  EXPECT_EQ(Read(Hello(Number(0, 2) + "\xff\xff")), "not tls") << "an extension longer than its message";
  EXPECT_EQ(Read(Hello(ServerName(std::string("a\0b", 3)))), "not tls");
  EXPECT_EQ(Read(Records(Message("x"))), "not tls");
}

TEST(ClientHelloTest, AnEndlessOneIsGivenUp) {
  const std::string endless = Records(std::string("\1\0\x3f\xff", 4) + std::string(16000, 'x'), 1);
  EXPECT_EQ(Describe(ReadClientHello(std::string_view(endless).substr(0, kMaxClientHelloBytes))), "not tls");
}

TEST(ClientHelloTest, NoBytesMakeItReadTooFar) {
  Random random(1);
  const std::string good = Hello(ServerName("a.example") + Alpn({"h2"}));
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = good.substr(0, 1 + random.Next() % good.size());
    for (int k = 0; k < 3; ++k) bytes[random.Next() % bytes.size()] = static_cast<char>(random.Next());
    ReadClientHello(std::vector<char>(bytes.begin(), bytes.end()).empty() ? std::string_view() : bytes);
  }
}

HttpGuess Sniff(const std::string& bytes) {
  for (size_t n = 1; n <= bytes.size(); ++n) {
    const HttpGuess guess = SniffHttp(std::string_view(bytes).substr(0, n));
    if (guess != HttpGuess::kMore) {
      EXPECT_EQ(guess, SniffHttp(bytes)) << bytes;
      return guess;
    }
  }
  return HttpGuess::kMore;
}

TEST(HttpSniffTest, RequestLinesAndThePreface) {
  EXPECT_EQ(Sniff("GET / HTTP/1.1\r\n"), HttpGuess::kHttp11);
  EXPECT_EQ(Sniff("GET / HTTP/1.0\r\n"), HttpGuess::kHttp10);
  EXPECT_EQ(Sniff("\r\nfoo http://a/b?c HTTP/1.9\r\n"), HttpGuess::kHttp11);
  EXPECT_EQ(Sniff("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nrest"), HttpGuess::kHttp2);
  EXPECT_EQ(Sniff("PRI / HTTP/1.1\r\n"), HttpGuess::kHttp11);
  EXPECT_EQ(Sniff("GET /" + std::string(kMaxSniffedBytes, 'x')), HttpGuess::kHttp11);
}

TEST(HttpSniffTest, OtherProtocols) {
  EXPECT_EQ(Sniff("PRI * HTTP/2.0\r\n\r\nXX"), HttpGuess::kNone);
  EXPECT_EQ(Sniff("EHLO mail.example\r\n"), HttpGuess::kNone);
  EXPECT_EQ(Sniff("get key\r\n"), HttpGuess::kNone);
  EXPECT_EQ(Sniff("*1\r\n$4\r\nPING\r\n"), HttpGuess::kNone);
  EXPECT_EQ(Sniff("SSH-2.0-x y\r\n"), HttpGuess::kNone);
  EXPECT_EQ(Sniff(std::string("\x16\x03\x01", 3)), HttpGuess::kNone);
  EXPECT_EQ(Sniff("GET  / HTTP/1.1\r\n"), HttpGuess::kNone);
  EXPECT_EQ(Sniff("GET / HTTP/2.0\r\n"), HttpGuess::kNone);
  EXPECT_EQ(Sniff("\r\n\r\n\r\n\r\n\r\n"), HttpGuess::kNone);
  EXPECT_EQ(Sniff(std::string(40, 'A') + " / HTTP/1.1"), HttpGuess::kNone);
  EXPECT_EQ(Sniff("AUTH " + std::string(kMaxSniffedBytes, 'x')), HttpGuess::kNone);
  EXPECT_EQ(Sniff("GET /a"), HttpGuess::kMore);
}

TEST(ServerFirstTest, APortIsExpectedAfterTwoInARowAndForgottenWhenAClientSpeaks) {
  ServerFirst ports;
  ports.ServerSpoke(25);
  EXPECT_FALSE(ports.Expected(25));
  ports.ServerSpoke(25);
  EXPECT_TRUE(ports.Expected(25));
  EXPECT_FALSE(ports.Expected(26));
  ports.ClientSpoke(25);
  EXPECT_FALSE(ports.Expected(25));
}

TEST(ServerFirstTest, ItRemembersOnlySoMany) {
  ServerFirst ports;
  for (int port = 0; port < 60000; ++port) {
    ports.ServerSpoke(static_cast<uint16_t>(port));
    ports.ServerSpoke(static_cast<uint16_t>(port));
  }
  size_t expected = 0;
  for (int port = 0; port < 60000; ++port) expected += ports.Expected(static_cast<uint16_t>(port)) ? 1 : 0;
  EXPECT_EQ(expected, ServerFirst::kMaxPorts);
}

}  // namespace
}  // namespace pillion::listener
