// The client apps: each asks once, of its own sidecar, over HTTP/1.1 or gRPC, and notes what it is told.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_CALLER_H_
#define PILLION_TESTS_SIMULATION_TOKENS_CALLER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/net/loop.h"
#include "sidecar/time/clock.h"
#include "tests/simulation/tokens/ledger.h"
#include "tests/simulation/tokens/line.h"
#include "tests/simulation/tokens/schedule.h"

namespace pillion::simulation::tokens {

// What one of them was told.
struct Told {
  enum class End : uint8_t { kNone, kAnswered, kBroken, kLeft };
  uint16_t status = 0;
  bool by_app = false;  // the answer has the app's field
  std::string body;
  std::string grpc_status;
  std::string run;  // of gRPC's trailers
  End end = End::kNone;
  time::MonotonicTime asked{};
  time::MonotonicTime ended{};
};

class Callers {
 public:
  // All outlive it.
  Callers(net::Loop& loop, const Ledger& ledger, const std::vector<Ask>& asks);
  // Number of the one of `asks` that is to begin.
  void Begin(size_t number, time::MonotonicTime now);
  bool Run(time::MonotonicTime now);
  // When one of them loses its patience.
  time::MonotonicTime NextDeadline() const;
  const std::vector<Told>& told() const { return told_; }

 private:
  struct Call {
    size_t number = 0;
    std::unique_ptr<Line> text;  // one of the two
    std::unique_ptr<Http2Line> http2;
    http2::StreamId stream = 0;
    bool sent = false;
    time::MonotonicTime leaves = time::MonotonicTime::max();
    Line& line() { return text != nullptr ? *text : *http2; }
  };
  struct Idle {
    size_t outbound = 0;
    std::unique_ptr<Line> line;
  };
  void End(Call& call, Told::End end, time::MonotonicTime now);
  void Look(Call& call, time::MonotonicTime now);
  void Send(Call& call);
  void SendText(Call& call) const;
  void SendGrpc(Call& call) const;
  // True: all of the answer is here.
  static bool TakeText(const std::string& text, bool ended, Told& told);
  static void TakeGrpc(Http2Line& line, const http2::Event& event, Told& told, bool& whole);

  net::Loop& loop_;
  const Ledger& ledger_;
  const std::vector<Ask>& asks_;
  std::vector<Told> told_;
  std::vector<std::unique_ptr<Call>> calls_;
  std::vector<Idle> idle_;
  bool called_ = false;
};

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_CALLER_H_
