// The event registry: the one list of what can be noted about a request. Explain, access log and spans read
// the same records, so they cannot disagree.
#ifndef PILLION_SIDECAR_TELEMETRY_EVENTS_H_
#define PILLION_SIDECAR_TELEMETRY_EVENTS_H_

#include <array>
#include <cstdint>
#include <string_view>

#include "sidecar/time/clock.h"

namespace pillion::telemetry {

// name, the word in explain, what the detail number is.
#define PILLION_EVENTS(X)                                         \
  X(kReceived, "received", "wire version")                        \
  X(kRouted, "routed", "index of the route in its virtual host")  \
  X(kDelayed, "delayed", "milliseconds")                          \
  X(kAnsweredHere, "answered-here", "status")                     \
  X(kPicked, "picked", "port of the endpoint")                    \
  X(kSessionKept, "session-kept", "port of the endpoint")         \
  X(kWaitedForStream, "connecting", "0")                          \
  X(kAcquired, "acquired", "1 when the connection had been used") \
  X(kHeadSent, "head-sent", "attempt number")                     \
  X(kStamped, "token-stamped", "attempt number")                  \
  X(kTokenVerdict, "token-verdict", "number of the verdict")      \
  X(kUpgraded, "upgraded-to-h2", "0")                             \
  X(kHeadReceived, "head-received", "status")                     \
  X(kAttemptFailed, "attempt-failed", "error kind")               \
  X(kRetry, "retry", "attempt number")                            \
  X(kNotRetried, "not-retried", "number of the reason")           \
  X(kHedge, "hedge", "attempt number")                            \
  X(kNotHedged, "not-hedged", "number of the reason")             \
  X(kBackoff, "backoff", "milliseconds")                          \
  X(kTimeout, "timeout", "error kind")                            \
  X(kDelivered, "delivered", "status")                            \
  X(kClientGone, "client-gone", "error kind")                     \
  X(kEnded, "ended", "0")

enum class Event : uint8_t {
#define PILLION_EVENT_ENUM(name, word, detail) name,
  PILLION_EVENTS(PILLION_EVENT_ENUM)
#undef PILLION_EVENT_ENUM
};

std::string_view ToString(Event event);
// What the detail number of the event means.
std::string_view DetailOf(Event event);

// The last kCapacity things that happened to one exchange; plain records, formatted only when asked.
class EventRing {
 public:
  static constexpr size_t kCapacity = 16;
  struct Record {
    Event event;
    uint32_t detail;
    time::MonotonicTime at;
  };
  void Note(Event event, uint32_t detail, time::MonotonicTime at) {
    records_[count_ % kCapacity] = {event, detail, at};
    ++count_;
  }
  size_t size() const { return count_ < kCapacity ? count_ : kCapacity; }
  // Oldest first.
  const Record& operator[](size_t i) const {
    return records_[(count_ < kCapacity ? i : count_ + i) % kCapacity];
  }
  uint32_t lost() const { return count_ < kCapacity ? 0 : count_ - static_cast<uint32_t>(kCapacity); }

 private:
  std::array<Record, kCapacity> records_;
  uint32_t count_ = 0;
};

}  // namespace pillion::telemetry

#endif  // PILLION_SIDECAR_TELEMETRY_EVENTS_H_
