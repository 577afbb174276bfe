// The app of one replica: it counts what it is asked to run, over HTTP/1.1 and gRPC, and does with each
// request what the ledger says.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_APP_H_
#define PILLION_TESTS_SIMULATION_TOKENS_APP_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sidecar/net/loop.h"
#include "sidecar/time/clock.h"
#include "tests/simulation/tokens/ledger.h"
#include "tests/simulation/tokens/line.h"

namespace pillion::simulation::tokens {

class App final : public net::Observer {
 public:
  // Both outlive it.
  App(net::Loop& loop, Ledger& ledger, size_t number);
  void OnReady(bool, bool) override { called_ = true; }
  // True: there was something to do.
  bool Run(time::MonotonicTime now);
  time::MonotonicTime NextDeadline() const {
    return answers_.empty() ? time::MonotonicTime::max() : answers_.begin()->first;
  }
  // It is ended: what it runs is not answered, and nobody listens.
  void GoDown();
  void ComeUp();

 private:
  // A request that it has begun to run.
  struct Begun {
    uint64_t id = 0;
    Execution run;
    bool not_run = false;  // it will say so
  };
  struct Connection {
    std::unique_ptr<Line> text;        // one of the two
    std::unique_ptr<Http2Line> http2;  //
    Begun begun;                       // of `text`
    size_t content = 0;                // of `text`: bytes that are still to come
    bool chunked = false;
    bool in_content = false;
    bool ended = false;  // a whole request is here
    std::map<http2::StreamId, Begun> streams;
    Line& line() { return text != nullptr ? *text : *http2; }
  };
  struct Answer {
    std::shared_ptr<Connection> to;
    http2::StreamId stream = 0;
    Begun begun;
  };
  void Accept(net::ListenSocket& from, bool http2);
  Begun Begin(std::string_view agent, bool other);
  // Once the whole request is here.
  void Schedule(const std::shared_ptr<Connection>& to, http2::StreamId stream, const Begun& begun,
                time::MonotonicTime now);
  bool TakeText(Connection& from);
  void Take(const std::shared_ptr<Connection>& from, const http2::Event& event, time::MonotonicTime now);
  void Give(Answer& answer);
  void GiveText(Line& line, const Begun& begun) const;
  void GiveGrpc(Http2Line& line, http2::StreamId stream, const Begun& begun) const;

  net::Loop& loop_;
  Ledger& ledger_;
  const size_t number_;
  std::unique_ptr<net::ListenSocket> listening_;
  std::unique_ptr<net::ListenSocket> grpc_listening_;
  std::vector<std::shared_ptr<Connection>> connections_;
  std::multimap<time::MonotonicTime, Answer> answers_;
  bool called_ = false;
};

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_APP_H_
