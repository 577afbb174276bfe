#include "sidecar/net/proxy_protocol.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::net {
namespace {

using Kind = ProxyHeader::Kind;

std::string Describe(const ProxyHeader& header) {
  switch (header.kind) {
    case Kind::kMore:
      return "more";
    case Kind::kAbsent:
      return "absent";
    case Kind::kMalformed:
      return "malformed";
    case Kind::kFound:
      break;
  }
  const auto text = [](const std::optional<Address>& a) { return a ? a->ToString() : std::string("-"); };
  return "v" + std::to_string(header.version) + " " + std::to_string(header.size) + " " +
         text(header.source) + " > " + text(header.destination);
}

// What is said of `bytes` when they come one by one: the first answer that is not "more", and after how many.
std::string Fed(std::string_view bytes) {
  for (size_t n = 1; n <= bytes.size(); ++n) {
    const ProxyHeader header = ReadProxyHeader(bytes.substr(0, n));
    if (header.kind != Kind::kMore) return Describe(header);
  }
  return "more";
}

struct Case {
  std::string bytes;
  std::string expected;
};

std::string V2(std::string_view rest) { return std::string("\r\n\r\n\0\r\nQUIT\n", 12) + std::string(rest); }
template <size_t N>
std::string Bytes(const char (&text)[N]) {
  return std::string(text, N - 1);
}

TEST(ProxyProtocolTest, HeadersAreReadWholeAndByteByByte) {
  const Case cases[] = {
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\r\nGET /", "v1 36 1.2.3.4:1000 > 5.6.7.8:80"},
      {"PROXY TCP6 ::1 fe80::2 65535 0\r\n", "v1 32 [::1]:65535 > [fe80::2]:0"},
      {"PROXY UNKNOWN\r\nx", "v1 15 - > -"},
      {"PROXY UNKNOWN what ever it says\r\n", "v1 33 - > -"},
      {"PROXY TCP4 ::1 5.6.7.8 1000 80\r\n", "malformed"},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1000 080\r\n", "malformed"},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1000 65536\r\n", "malformed"},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80 \r\n", "malformed"},
      {"PROXY TCP4 1.2.3.4  5.6.7.8 1000 80\r\n", "malformed"},
      {"PROXY UDP4 1.2.3.4 5.6.7.8 1000 80\r\n", "malformed"},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1000\r\n", "malformed"},
      {"PROXY TCP4 " + std::string(96, '1'), "malformed"},
      {"PROXY TCP4 1.2.3.4 5.6.7.8 1000 80\n", "more"},
      {"PROXI TCP4", "absent"},
      {"GET / HTTP/1.1\r\n", "absent"},
      {"\r\n\r\n\1", "absent"},
      {"PROXY", "more"},
      {V2(Bytes("\x21\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x03\xe8\x00\x50rest")),
       "v2 28 1.2.3.4:1000 > 5.6.7.8:80"},
      {V2(Bytes("\x21\x11\x00\x0f\x01\x02\x03\x04\x05\x06\x07\x08\x03\xe8\x00\x50\x04\x00\x00")),
       "v2 31 1.2.3.4:1000 > 5.6.7.8:80"},
      {V2(Bytes("\x21\x21\x00\x24") + std::string(15, '\0') + "\1" + std::string(15, '\0') + "\2" +
          Bytes("\x00\x01\x00\x02")),
       "v2 52 [::1]:1 > [::2]:2"},
      {V2(Bytes("\x20\x00\x00\x00")), "v2 16 - > -"},
      {V2(Bytes("\x20\x11\x00\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x03\xe8\x00\x50")), "v2 28 - > -"},
      {V2(Bytes("\x21\x31\x00\x02..")), "v2 18 - > -"},
      {V2(Bytes("\x21\x11\x00\x0b...........")), "malformed"},
      {V2(Bytes("\x21\x21\x00\x23")), "malformed"},
      {V2(Bytes("\x22\x11\x00\x0c")), "malformed"},
      {V2(Bytes("\x11\x11\x00\x0c")), "malformed"},
      {V2(Bytes("\x21\x11\xff\xff")), "malformed"},
      {V2(Bytes("\x21\x11\x00\x0c\x01")), "more"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(Describe(ReadProxyHeader(c.bytes)), c.expected) << c.bytes;
    EXPECT_EQ(Fed(c.bytes), c.expected) << c.bytes;
  }
}

TEST(ProxyProtocolTest, WhatIsWrittenIsRead) {
  const char* const pairs[][2] = {{"1.2.3.4", "5.6.7.8"}, {"::1", "fe80::2"}, {"1.2.3.4", "::1"}};
  for (const uint8_t version : {1, 2}) {
    for (const auto& [from, to] : pairs) {
      const auto source = *Address::Parse(from, 1000);
      const auto destination = *Address::Parse(to, 80);
      const bool known = source.family() == destination.family();
      std::string bytes;
      AppendProxyHeader(version, source, destination, bytes);
      const std::string size = std::to_string(bytes.size());
      EXPECT_EQ(Fed(bytes + "x"), "v" + std::to_string(version) + " " + size + " " +
                                      (known ? source.ToString() + " > " + destination.ToString() : "- > -"));
      bytes.clear();
      AppendProxyHeader(version, std::nullopt, destination, bytes);
      EXPECT_EQ(Fed(bytes), "v" + std::to_string(version) + " " + std::to_string(bytes.size()) + " - > -");
    }
  }
}

}  // namespace
}  // namespace pillion::net
