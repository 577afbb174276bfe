// What a sidecar tells each HTTP/2 client of its own about itself: which process it is, and for which domains
// it makes sure that no token runs twice (specs/idempotency.md 0.9 and 2.2: learnt from the peer itself, not
// assumed of it by configuration). It travels in a frame of a type of our own, which others ignore (RFC 9113
// section 5.5). A value.
//
//   1 byte   version, 1
//  16 bytes  incarnation
//   n times  8 bytes domain, 8 bytes its clock: milliseconds since 1970
//
// Numbers have their most significant byte first. A client stops believing what it was told when the
// connection ends, or another hello comes on it.
#ifndef PILLION_SIDECAR_IDEMPOTENCY_HELLO_H_
#define PILLION_SIDECAR_IDEMPOTENCY_HELLO_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sidecar/idempotency/terms.h"
#include "sidecar/time/clock.h"

namespace pillion::idempotency {

// Attack: memory by a peer's hello, once for each connection to it.
inline constexpr size_t kMaxDomains = 64;

struct Hello {
  struct Domain {
    DomainId id = 0;
    DomainTime clock{};  // when it was sent
    bool operator==(const Domain&) const = default;
  };
  Incarnation incarnation{};
  std::vector<Domain> domains;  // at most kMaxDomains
  bool operator==(const Hello&) const = default;
  // nullptr: it is not among them.
  const Domain* Find(DomainId id) const;
};

// A hello as it was heard, and when.
struct HeardHello {
  Hello hello;
  time::MonotonicTime at{};
  // The domain's clock now, or a little less. `domain`: one of the hello's.
  DomainTime Clock(const Hello::Domain& domain, time::MonotonicTime now) const {
    return domain.clock + std::chrono::floor<DomainTime>(now - at);
  }
};
// Of a peer that says nothing of itself.
inline const HeardHello kNothingHeard;

std::string Encode(const Hello& hello);
// nullopt: it is none of version 1. Then nothing is known of the peer.
std::optional<Hello> DecodeHello(std::string_view payload);

// As they stand in pillion-domain and pillion-first: 16 and 32 digits, lower case.
using DomainText = std::array<char, 16>;
DomainText TextOf(DomainId id);
std::string ToHex(DomainId id);
std::string ToHex(const Incarnation& incarnation);
// nullopt: not exactly so.
std::optional<DomainId> ParseDomainId(std::string_view text);
std::optional<Incarnation> ParseIncarnation(std::string_view text);

}  // namespace pillion::idempotency

#endif  // PILLION_SIDECAR_IDEMPOTENCY_HELLO_H_
