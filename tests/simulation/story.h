// What one story is about: the requests as they were planned, and what became of each.
#ifndef PILLION_TESTS_SIMULATION_STORY_H_
#define PILLION_TESTS_SIMULATION_STORY_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sidecar/time/clock.h"
#include "tests/simulation/relay_story.h"

namespace pillion::simulation {

// What the application does with a request.
enum class AppManner : uint8_t {
  kAnswer,
  kCloseAfter,     // answers with Connection: close
  kUntilClose,     // the answer ends with the connection
  kContinue,       // 100 on sight of the head
  kHints,          // 103 on sight of the head
  kEarly,          // answers on sight of the head, and reads the rest
  kSlow,           // the answer comes in pieces
  kRefuse,         // HTTP/2: the first time REFUSED_STREAM, and it is not run
  kGoAway,         // HTTP/2: answers and leaves the connection
  kFailFirst,      // 503 the first time
  kEarlyClose,     // answers on sight of the head and closes
  kCloseSilently,  // answers as if the connection stayed, and closes it
  kNever,
  kHangUp,      // reads it, runs it, closes
  kReset,       // reads it, runs it, resets
  kEarlyReset,  // runs it on sight of the head, resets
  kRubbish,     // answers what is no HTTP
  kCutShort,    // closes in the middle of its answer; resets in the middle of a tunnel
};

enum class ClientManner : uint8_t {
  kPlain,
  kHalfClose,  // ends its side behind the request
  kPipelined,  // does not wait for the answer before it; HTTP/2 tunnel: for the answer that opens it
  kExpects,    // Expect: 100-continue
  kSlowReader,
  kLeavesInRequest,
  kLeavesInResponse,
};

enum class Kind : uint8_t { kHttp, kTunnel, kGrpc };

// kTunnel: who ends his side only when he has seen the other's end.
enum class LastToEnd : uint8_t { kNobody, kClient, kApp };

// One request as its client planned it. The body and the answer are functions of the id, so that any mix-up
// shows.
struct Plan {
  uint64_t id = 0;
  Kind kind = Kind::kHttp;
  AppManner app = AppManner::kAnswer;
  ClientManner client = ClientManner::kPlain;
  size_t request_bytes = 0;
  size_t response_bytes = 0;
  LastToEnd last = LastToEnd::kNobody;
  uint32_t rounds = 1;  // kGrpc: messages each way, each sent when the one before was answered
  // Independent choices.
  bool post = false;
  bool chunked = false;
  bool response_chunked = false;
  bool trailers = false;  // behind chunked messages, both ways
};

struct Fate {
  Plan plan;
  int run = 0;       // by the app
  int refused = 0;   // by the app, not run
  int ok = 0;        // a complete answer of the app's
  int error = 0;     // an answer that is not 200
  int broken = 0;    // the connection or stream ended first
  int left = 0;      // the client did not wait
  int repeated = 0;  // asked again because the sidecar said that it was not taken
  int status = 0;
  bool interim = false;  // a 1xx came
};

struct Ledger {
  std::map<uint64_t, Fate> fates;
  std::map<uint64_t, RelayFate> relays;  // other ids
  time::Duration relay_idle{};           // the sidecars' time-out
  size_t relay_room = 0;                 // for bytes that are under way from one end to the other
  // Over TLS an end that breaks off may have sent so many bytes more than it counts as written: records that
  // it had sealed.
  uint64_t sealed_room = 0;
  std::vector<std::string> wrong;  // corruption of any kind
  // Nothing in this story excuses a lost request: clients may ask again when a connection ends cleanly before
  // any byte of an answer, because the sidecar must not have taken it.
  bool calm = false;

  Fate* Find(const std::string& id) {
    const auto found = fates.find(std::strtoull(id.c_str(), nullptr, 10));
    return found == fates.end() ? nullptr : &found->second;
  }
  // No connection could be had for it.
  void Lost(uint64_t id) {
    const auto relay = relays.find(id);
    ++(relay != relays.end() ? relay->second.lost : fates.at(id).broken);
  }
};

inline std::string BodyOf(uint64_t id, size_t bytes, char salt) {
  std::string body(bytes, '\0');
  uint64_t x = id * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(salt);
  for (size_t i = 0; i < bytes; ++i) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    body[i] = static_cast<char>('!' + (x >> 58));
  }
  return body;
}

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_STORY_H_
