// A simulated HTTP/1.1 client: asks what it has planned, one connection at a time, and checks each answer.
#ifndef PILLION_TESTS_SIMULATION_HTTP1_CLIENT_H_
#define PILLION_TESTS_SIMULATION_HTTP1_CLIENT_H_

#include <deque>
#include <memory>
#include <string>

#include "sidecar/base/random.h"
#include "sidecar/net/loop.h"
#include "sidecar/time/clock.h"
#include "tests/simulation/dialling_client.h"
#include "tests/simulation/story.h"
#include "tests/simulation/text_connection.h"

namespace pillion::simulation {

class Http1Client : DiallingClient {
 public:
  Http1Client(const PeerParts& parts, const net::Address& to, std::deque<uint64_t> ids, uint64_t seed)
      : DiallingClient(parts, to, "http/1.1", std::move(ids), seed) {}
  // True when something was done.
  bool Run();
  bool done() const { return ids_.empty() && asked_.empty() && !connection_; }
  time::MonotonicTime NextDeadline() const { return done() ? time::MonotonicTime::max() : wait_until_; }

 private:
  bool Ask();
  void Write(const Plan& plan);
  bool Answered();
  bool TakeInterim(Fate& fate);
  void TakeAnswer(Fate& fate, bool ok);
  bool LookAtTunnel(Fate& fate);
  bool ActInTime();
  bool LeavesNow(const Plan& plan) const;
  void ConnectionEnded();
  void CloseConnection();
  Plan& front() { return ledger_.fates.at(asked_.front()).plan; }
  void Wrong(uint64_t id, const std::string& what) {
    ledger_.wrong.push_back("answer to " + std::to_string(id) + ": " + what);
  }

  std::deque<uint64_t> asked_;  // on this connection
  std::unique_ptr<TextConnection> connection_;
  MessageReader reader_;
  size_t taken_ = 0;        // bytes of the answer that is read
  size_t leave_after_ = 0;  // of them
  std::string held_body_;   // until the 100
  bool last_ = false;       // nothing more is asked on this connection
  bool tunnel_ = false;
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_HTTP1_CLIENT_H_
