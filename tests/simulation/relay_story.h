// What a story's relayed connections are about: as they were planned, and what became of each.
#ifndef PILLION_TESTS_SIMULATION_RELAY_STORY_H_
#define PILLION_TESTS_SIMULATION_RELAY_STORY_H_

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace pillion::simulation {

// What an app says to everybody, before it knows to whom.
inline constexpr std::string_view kBanner = "hello\n";

enum class EndManner : uint8_t {
  kAtOnce,  // behind its last byte
  kLast,    // when it has seen the other's end; if both do, the idle time-out ends it
  kReset,   // in place of an end
};

enum class Pace : uint8_t {
  kFast,
  kSlow,
  kDeaf,  // reads nothing until long after the idle time-out
};

// What one end does.
struct EndPlan {
  size_t bytes = 0;  // that it would send, without banner or id
  EndManner manner = EndManner::kAtOnce;
  size_t reset_after = 0;  // kReset: so many of them were written
  Pace reads = Pace::kFast;
  bool slow_writer = false;  // in pieces, with pauses
};

// What is wrong with a PROXY protocol header.
enum class HeaderFault : uint8_t {
  kNone,
  kWrongWord,   // a family, command or version that there is not
  kTooLong,     // longer than any can be
  kUnfinished,  // no more of it comes
  kCutShort,    // it says that it ends, before all is said
};

// A client begins with its id in a line.
struct RelayPlan {
  uint64_t id = 0;
  EndPlan client;
  EndPlan app;
  int proxy_version = 0;  // of the PROXY protocol header before all else; 0: none
  HeaderFault fault = HeaderFault::kNone;
  bool listens_first = false;  // the client says nothing before it has heard the banner
};

// What one end did and saw.
struct RelayEnd {
  uint64_t header = 0;   // of PROXY protocol
  uint64_t written = 0;  // all but that
  uint64_t received = 0;
  bool told_end = false;
  bool did_reset = false;
  bool saw_end = false;
  bool saw_reset = false;
};

struct RelayFate {
  RelayPlan plan;
  RelayEnd client;
  RelayEnd app;
  int over = 0;         // for its client
  int lost = 0;         // no connection could be had
  int repeated = 0;     // closed before anybody had said anything
  int met[2] = {0, 0};  // by which app
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_RELAY_STORY_H_
