// What is known of one host name, and when it is asked for again (Envoy's rules, xds.md 1.5). Pure: now in,
// addresses and the time of the next resolution out.
//
//   answer       addresses are                           next resolution in
//   addresses    those (kFirst: the first of them)       the TTL where it is respected and told, else
//   `refresh` none         kAll: none; kFirst: as before           kAll: `refresh`; kFirst: as behind a
//   failure failure      as before                               `backoff`, else `refresh`
//
// An answer that says "no such name" is one: its endpoints are gone, and requests fail at once and not after
// a time-out. With kFirst it is not, as there: one mistake in a zone must not take the only endpoint away.
#ifndef PILLION_SIDECAR_MAIN_RESOLVED_NAME_H_
#define PILLION_SIDECAR_MAIN_RESOLVED_NAME_H_

#include <cstdint>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/config/dns_options.h"
#include "sidecar/net/dns.h"
#include "sidecar/time/clock.h"

namespace pillion {

class ResolvedName {
 public:
  // kAll: STRICT_DNS; kFirst: LOGICAL_DNS.
  enum class Use : uint8_t { kAll, kFirst };
  // A longer TTL is a mistake, or somebody who wants to be believed for ever (RFC 8767 section 4).
  static constexpr auto kLongestTtl = std::chrono::hours(7 * 24);

  ResolvedName(const config::DnsOptions& options, Use use) : options_(options), use_(use) {}

  // True: those who use the name see a difference.
  bool Take(const net::DnsAnswer& answer, time::MonotonicTime now, Random& random);

  // A resolution has ended, well or badly.
  bool known() const { return answers_ != 0; }
  const std::vector<net::Address>& addresses() const { return addresses_; }  // port 0; kAll: sorted
  // Of Take's that were true: who has seen this number has seen these addresses.
  uint64_t revision() const { return revision_; }
  // Long ago until the first answer.
  time::MonotonicTime next() const { return next_; }
  // The last one that there was; "": none.
  const std::string& failure() const { return failure_; }
  time::MonotonicTime failed_at() const { return failed_at_; }

 private:
  time::Duration PauseBehindFailure(Random& random);

  const config::DnsOptions options_;
  const Use use_;
  std::vector<net::Address> addresses_;
  uint64_t answers_ = 0;
  uint64_t revision_ = 0;
  uint64_t failures_ = 0;  // one after the other
  time::MonotonicTime next_ = time::MonotonicTime::min();
  std::string failure_;
  time::MonotonicTime failed_at_{};
};

}  // namespace pillion

#endif  // PILLION_SIDECAR_MAIN_RESOLVED_NAME_H_
