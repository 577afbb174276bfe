#include "sidecar/idempotency/hello.h"

#include <algorithm>
#include <span>
#include <tuple>

#include "sidecar/base/hex.h"

namespace pillion::idempotency {
namespace {

constexpr char kVersion = 1;
constexpr size_t kHeadBytes = 1 + std::tuple_size_v<Incarnation>;
constexpr size_t kDomainBytes = 16;

void AppendNumber(std::string& out, uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(number >> shift);
}

uint64_t ReadNumber(std::string_view bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < 8; ++i) number = number << 8 | static_cast<uint8_t>(bytes[i]);
  return number;
}

}  // namespace

const Hello::Domain* Hello::Find(DomainId id) const {
  const auto found = std::ranges::find(domains, id, &Domain::id);
  return found == domains.end() ? nullptr : &*found;
}

std::string Encode(const Hello& hello) {
  std::string out;
  out.reserve(kHeadBytes + kDomainBytes * hello.domains.size());
  out += kVersion;
  out.append(hello.incarnation.begin(), hello.incarnation.end());
  for (const Hello::Domain& domain : hello.domains) {
    AppendNumber(out, domain.id);
    AppendNumber(out, static_cast<uint64_t>(domain.clock.count()));
  }
  return out;
}

std::optional<Hello> DecodeHello(std::string_view payload) {
  if (payload.size() < kHeadBytes || payload.front() != kVersion) return std::nullopt;
  std::string_view rest = payload.substr(kHeadBytes);
  if (rest.size() % kDomainBytes != 0 || rest.size() > kMaxDomains * kDomainBytes) return std::nullopt;
  Hello hello;
  std::ranges::copy(payload.substr(1, hello.incarnation.size()), hello.incarnation.begin());
  hello.domains.reserve(rest.size() / kDomainBytes);
  for (; !rest.empty(); rest.remove_prefix(kDomainBytes)) {
    const auto clock = static_cast<int64_t>(ReadNumber(rest.substr(8)));
    hello.domains.push_back({ReadNumber(rest), DomainTime(clock)});
    // What a token can say of its time.
    if (hello.domains.back().id == 0 || clock < 0 || clock >= int64_t{1} << 48) return std::nullopt;
  }
  return hello;
}

DomainText TextOf(DomainId id) {
  std::array<uint8_t, 8> bytes;
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(id >> (56 - 8 * i));
  DomainText text;
  WriteHex(bytes, text.data());
  return text;
}

std::string ToHex(DomainId id) {
  const DomainText text = TextOf(id);
  return {text.data(), text.size()};
}

std::string ToHex(const Incarnation& incarnation) { return pillion::ToHex(incarnation); }

std::optional<DomainId> ParseDomainId(std::string_view text) {
  std::array<uint8_t, 8> bytes{};
  if (!ParseHex(text, bytes)) return std::nullopt;
  return ReadNumber({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::optional<Incarnation> ParseIncarnation(std::string_view text) {
  Incarnation incarnation{};
  if (!ParseHex(text, incarnation)) return std::nullopt;
  return incarnation;
}

}  // namespace pillion::idempotency
