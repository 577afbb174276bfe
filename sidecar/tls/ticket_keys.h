// The keys that session tickets are sealed with: one ring for the whole process, so that a client may come
// back to any worker, and to the same listener under new certificates.
//
//   current: seals and opens | previous: opens only, and the client gets a new ticket
//
// Any thread may ask; the main loop rotates.
#ifndef PILLION_SIDECAR_TLS_TICKET_KEYS_H_
#define PILLION_SIDECAR_TLS_TICKET_KEYS_H_

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "sidecar/time/clock.h"

namespace pillion::tls {

struct TicketKey {
  static constexpr size_t kBytes = 80;
  std::array<unsigned char, 16> name;
  std::array<unsigned char, 32> hmac;
  std::array<unsigned char, 32> aes;
  // `bytes`: kBytes of them, in the order of the members.
  static TicketKey From(const std::string& bytes);
};

class TicketKeys {
 public:
  // A stolen key opens the tickets of this long, twice. Longer than any ticket lives.
  static constexpr auto kLife = std::chrono::hours(12);

  explicit TicketKeys(time::MonotonicTime now);
  // Fixed keys, as configured; at least one. They are never rotated.
  explicit TicketKeys(const std::vector<std::string>& keys);

  // Makes a new current key when the present one is old enough. Returns whether it did.
  bool RotateIfDue(time::MonotonicTime now);
  time::MonotonicTime next_rotation() const { return next_; }
  using Keys = std::vector<TicketKey>;  // the current one first
  std::shared_ptr<const Keys> keys() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return keys_;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const Keys> keys_;
  time::MonotonicTime next_ = time::MonotonicTime::max();  // main loop only
};

}  // namespace pillion::tls

#endif  // PILLION_SIDECAR_TLS_TICKET_KEYS_H_
