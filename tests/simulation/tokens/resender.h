// A client's sidecar that is none of ours, on the network between the sidecars: it sends what has a token as
// often as it likes, late, to whom it likes and with other content. What it keeps to is that it tells where
// the first attempt of the token went: whoever lied about that could have anything run twice.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_RESENDER_H_
#define PILLION_TESTS_SIMULATION_TOKENS_RESENDER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/http/head.h"
#include "sidecar/idempotency/hello.h"
#include "sidecar/idempotency/token.h"
#include "sidecar/idempotency/verdict.h"
#include "sidecar/net/loop.h"
#include "sidecar/time/clock.h"
#include "tests/simulation/tokens/ledger.h"
#include "tests/simulation/tokens/line.h"
#include "tests/simulation/tokens/schedule.h"

namespace pillion::simulation::tokens {

// What came of one Send.
struct Reply {
  enum class End : uint8_t { kNone, kAnswered, kReset, kNotSent };
  End end = End::kNone;
  idempotency::Incarnation to{};  // whom it was sent to
  std::optional<idempotency::Verdict> verdict;
  uint16_t status = 0;
  std::string body;
  std::string run;  // of gRPC's trailers
  time::MonotonicTime sent{};
  time::MonotonicTime told{};  // when its head came
  time::MonotonicTime ended{};
};

// A token of it, from its first Send on.
struct SentToken {
  std::optional<idempotency::Token> token;  // none: nothing of it was sent
  idempotency::Incarnation first{};
  idempotency::DomainId domain = 0;
};

class Resender {
 public:
  // All outlive it.
  Resender(net::Loop& loop, const Ledger& ledger, const Schedule& schedule, uint64_t seed);
  // Number of the one of the schedule's sends that is due.
  void Begin(size_t number, time::MonotonicTime now);
  bool Run(time::MonotonicTime now);
  time::MonotonicTime NextDeadline() const;
  const std::vector<Reply>& replies() const { return replies_; }
  const std::vector<SentToken>& tokens() const { return tokens_; }

 private:
  struct Way {
    std::unique_ptr<Http2Line> line;
    idempotency::HeardHello heard;
    std::vector<size_t> waiting;                // numbers of sends
    std::map<http2::StreamId, size_t> streams;  // likewise
  };
  void Move(Way& way, time::MonotonicTime now);
  void Submit(Way& way, size_t number, time::MonotonicTime now);
  // `first`: of its token. It says so by saying nothing, but in mode local, which does not ask.
  http::RequestHead MakeHead(const Send& send, size_t bytes, bool first) const;
  void Take(Way& way, const http2::Event& event, time::MonotonicTime now);
  void End(size_t number, Reply::End end, time::MonotonicTime now);
  void Lose(Way& way, time::MonotonicTime now);

  net::Loop& loop_;
  const Ledger& ledger_;
  const Schedule& schedule_;
  Random random_;
  std::vector<Reply> replies_;
  std::vector<SentToken> tokens_;
  std::vector<Way> ways_;                         // by replica
  std::map<size_t, time::MonotonicTime> leaves_;  // sends that are given up, and when
  bool called_ = false;
};

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_RESENDER_H_
