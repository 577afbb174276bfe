// What the first bytes of a connection are: TLS, HTTP or a PROXY header. Each reader says "more" of growing
// prefixes until it has one verdict, the same for whatever comes behind, and before its limit is passed;
// bytes that it has no business with are not looked at.
//
//   byte 0: bits 0-1: 0 any bytes, 1 a ClientHello made of the input, 2 a PROXY header made of it;
//   bits 2-6: KiB of padding in the middle
#include "sidecar/base/check.h"
#include "sidecar/http1/transcript.h"
#include "sidecar/listener/client_hello.h"
#include "sidecar/listener/http_sniff.h"
#include "sidecar/net/proxy_protocol.h"
#include "tests/fuzz/input.h"

namespace pillion::fuzz {
namespace {

using listener::ClientHello;
using listener::HttpGuess;
using net::Address;
using net::ProxyHeader;

// "" stands for "more".
std::string TlsVerdict(std::string_view bytes) {
  const ClientHello hello = listener::ReadClientHello(bytes);
  if (hello.kind == ClientHello::Kind::kMore) return "";
  if (hello.kind == ClientHello::Kind::kNotTls) return "not tls";
  PILLION_CHECK(hello.server_name.size() <= bytes.size());
  for (const char c : hello.server_name) PILLION_CHECK(c != '\0' && (c < 'A' || c > 'Z'));
  std::string text = "tls " + hello.server_name;
  for (const std::string& protocol : hello.protocols) text.append(1, '\0').append(protocol);
  return text;
}

std::string HttpVerdict(std::string_view bytes) {
  const HttpGuess guess = listener::SniffHttp(bytes);
  PILLION_CHECK((guess == HttpGuess::kHttp2) == bytes.starts_with(listener::kHttp2Preface));
  return guess == HttpGuess::kMore ? "" : std::to_string(static_cast<int>(guess));
}

std::string ProxyVerdict(std::string_view bytes) {
  const ProxyHeader header = net::ReadProxyHeader(bytes);
  if (header.kind == ProxyHeader::Kind::kMore) return "";
  if (header.kind == ProxyHeader::Kind::kAbsent) return "absent";
  if (header.kind == ProxyHeader::Kind::kMalformed) return "malformed";
  PILLION_CHECK(header.size > 0 && header.size <= bytes.size());
  PILLION_CHECK(header.source.has_value() == header.destination.has_value());
  std::string text = "v" + std::to_string(header.version) + " " + std::to_string(header.size);
  if (header.source) text += " " + header.source->ToString() + " > " + header.destination->ToString();
  return text;
}

// The first and the last prefixes, and some between.
void CheckPrefixes(std::string_view bytes, size_t limit, std::string (*verdict_of)(std::string_view)) {
  constexpr size_t kDense = 300;
  constexpr size_t kStride = 61;
  http1::GuardedBytes guarded(bytes.size());
  std::string verdict;
  for (size_t n = 1; n <= bytes.size();) {
    const std::string now = verdict_of(guarded.Place(bytes.substr(0, n)));
    PILLION_CHECK(verdict.empty() || now == verdict);
    PILLION_CHECK(!now.empty() || n < limit);
    verdict = now;
    n += n < kDense || n + kDense > bytes.size() ? 1 : kStride;
  }
}

// A request that the parser takes is not taken for something else.
void CheckAgainstParser(std::string_view bytes) {
  constexpr size_t kLongestMethodBytes = 32;
  const HttpGuess guess = listener::SniffHttp(bytes);
  const http1::Limits limits;
  http1::Parser parser(http1::Role::kRequests, limits);
  http1::Parser::Step step = parser.Next(bytes);
  while (step.event == http1::Parser::Event::kNeedMore && step.consumed > 0) {
    bytes.remove_prefix(step.consumed);
    step = parser.Next(bytes);
  }
  if (step.event != http1::Parser::Event::kHead) return;
  if (parser.request().method_text.size() > kLongestMethodBytes) return;
  PILLION_CHECK(guess == (parser.request().version == http::Version::kHttp10 ? HttpGuess::kHttp10
                                                                             : HttpGuess::kHttp11));
}

std::string Number(size_t value, int bytes) {
  std::string text;
  for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(value >> (8 * i));
  return text;
}
std::string Vector(std::string_view body, int bytes) { return Number(body.size(), bytes).append(body); }
std::string Extension(size_t type, std::string_view body) { return Number(type, 2) + Vector(body, 2); }

// One that is well formed is read as it was meant.
std::string MakeClientHello(Input& input, size_t padding) {
  const size_t record_bytes = size_t{64} * input.Byte() + 16;
  const std::string name(input.Text());
  std::string expected = "tls ";
  for (const char c : name) expected += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  const bool named = !name.empty();
  if (name.find('\0') != std::string::npos) expected = "not tls";
  std::string protocols;
  for (int i = input.Byte() % 4; i > 0; --i) {
    const std::string_view protocol = input.Text();
    protocols += Vector(protocol, 1);
    if (expected != "not tls") expected.append(1, '\0').append(protocol);
  }
  const std::string other = Extension(0x0a0a, input.Text()) + Extension(21, std::string(padding, '\0'));
  const std::string server_name =
      named ? Extension(0, Vector(std::string(1, '\0') + Vector(name, 2), 2)) : std::string();
  const std::string body = "\3\3" + std::string(32, 'r') + Vector(input.Text(), 1) + Vector("\x13\x01", 2) +
                           Vector(std::string(1, '\0'), 1) +
                           Vector(other + Extension(16, Vector(protocols, 2)) + server_name, 2);
  const std::string message = "\1" + Vector(body, 3);
  std::string bytes;
  for (size_t at = 0; at < message.size(); at += record_bytes)
    bytes +=
        "\x16\x03" + std::string(1, '\1') + Vector(std::string_view(message).substr(at, record_bytes), 2);
  if (bytes.size() > listener::kMaxClientHelloBytes) expected = "not tls";
  PILLION_CHECK(TlsVerdict(bytes) == expected);
  return bytes;
}

Address TakeAddress(Input& input, bool v6) {
  sockaddr_in6 six = {};
  sockaddr_in four = {};
  const std::string_view ip = input.Take(v6 ? sizeof(six.sin6_addr) : sizeof(four.sin_addr));
  const auto port = static_cast<uint16_t>(input.Byte() << 8 | input.Byte());
  six.sin6_family = AF_INET6;
  four.sin_family = AF_INET;
  six.sin6_port = four.sin_port = htons(port);
  std::memcpy(v6 ? static_cast<void*>(&six.sin6_addr) : static_cast<void*>(&four.sin_addr), ip.data(),
              ip.size());
  return Address::FromSockaddr(v6 ? reinterpret_cast<const sockaddr*>(&six)
                                  : reinterpret_cast<const sockaddr*>(&four));
}

// What is written is read, and what stands behind it is left alone.
std::string MakeProxyHeader(Input& input) {
  const uint8_t how = input.Byte();
  const uint8_t version = 1 + (how & 1);
  const Address destination = TakeAddress(input, (how & 2) != 0);
  std::optional<Address> source;
  if ((how & 4) == 0) source = TakeAddress(input, (how & 8) != 0);
  std::string bytes;
  net::AppendProxyHeader(version, source, destination, bytes);
  const size_t size = bytes.size();
  bytes.append(input.Rest());
  const ProxyHeader read = net::ReadProxyHeader(bytes);
  PILLION_CHECK(read.kind == ProxyHeader::Kind::kFound && read.version == version && read.size == size);
  const bool known = source && source->family() == destination.family();
  PILLION_CHECK(read.source == (known ? source : std::nullopt));
  PILLION_CHECK(read.destination == (known ? std::optional(destination) : std::nullopt));
  return bytes;
}

// More of what stands in the middle: it may be what the input had begun.
std::string Padded(std::string_view bytes, size_t padding) {
  const size_t half = bytes.size() / 2;
  std::string all(bytes.substr(0, half));
  if (half > 0) {
    for (size_t at = 0; at < padding; ++at) all += bytes[half - 1 - at % std::min<size_t>(half, 6)];
  }
  return all.append(bytes.substr(half));
}

}  // namespace
}  // namespace pillion::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace pillion;
  fuzz::Input input(data, size);
  const uint8_t mode = input.Byte();
  const size_t padding = size_t{1024} * (mode >> 2 & 31);
  const std::string bytes = (mode & 3) == 1   ? fuzz::MakeClientHello(input, padding)
                            : (mode & 3) == 2 ? fuzz::MakeProxyHeader(input)
                                              : fuzz::Padded(input.Rest(), padding);
  fuzz::CheckPrefixes(bytes, listener::kMaxClientHelloBytes, fuzz::TlsVerdict);
  fuzz::CheckPrefixes(bytes, listener::kMaxSniffedBytes, fuzz::HttpVerdict);
  fuzz::CheckPrefixes(bytes, net::kMaxProxyHeaderBytes, fuzz::ProxyVerdict);
  fuzz::CheckAgainstParser(bytes);
  return 0;
}
