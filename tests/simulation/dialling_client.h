// What simulated clients share: the requests they still have to ask, or relays to open, and how they come by
// a connection: patiently, and again after a refusal, until it is hopeless.
#ifndef PILLION_TESTS_SIMULATION_DIALLING_CLIENT_H_
#define PILLION_TESTS_SIMULATION_DIALLING_CLIENT_H_

#include <cerrno>
#include <deque>
#include <memory>
#include <string_view>
#include <utility>

#include "sidecar/base/random.h"
#include "tests/simulation/peer_parts.h"

namespace pillion::simulation {

class DiallingClient {
 protected:
  static constexpr int kMaxRefusals = 2000;
  static constexpr auto kConnectPatience = std::chrono::seconds(10);
  static constexpr auto kReconnect = std::chrono::milliseconds(10);
  static constexpr auto kNever = time::MonotonicTime::max();

  // `ids` are in the ledger.
  // `alpn`: what it speaks over TLS; "": neither version of HTTP.
  DiallingClient(const PeerParts& parts, const net::Address& to, std::string_view alpn,
                 std::deque<uint64_t> ids, uint64_t seed)
      : clock_(parts.clock),
        ids_(std::move(ids)),
        ledger_(parts.ledger),
        random_(seed),
        parts_(parts),
        to_(to),
        alpn_(alpn) {}

  bool due() const { return wait_until_ <= clock_.Now(); }
  // Not before this the next Dial.
  bool MayDial() const { return wait_until_ == kNever || due(); }
  // `connection` observes the socket it gets.
  template <typename Connection>
  void Dial(Connection& connection) {
    connection.socket = parts_.Dial(to_, alpn_, connection);
    connected_ = false;
    wait_until_ = clock_.Now() + kConnectPatience;
  }
  // False: not yet, or not any more, and then `connection` is null.
  template <typename Connection>
  bool Connected(std::unique_ptr<Connection>& connection) {
    if (connected_) return true;  // from here on it is reads that tell of a reset
    const int error = connection->socket->ConnectError();
    if (error == 0) {
      wait_until_ = kNever;
      connected_ = true;
      return true;
    }
    if (error == EINPROGRESS && !due()) return false;
    connection.reset();
    wait_until_ = clock_.Now() + kReconnect;
    if (++refusals_ < kMaxRefusals) return false;
    for (const uint64_t id : std::exchange(ids_, {})) ledger_.Lost(id);
    return false;
  }

  const time::Clock& clock_;
  std::deque<uint64_t> ids_;  // not asked yet
  Ledger& ledger_;
  Random random_;
  time::MonotonicTime wait_until_ = kNever;  // kNever: for bytes only

 private:
  const PeerParts parts_;
  const net::Address to_;
  const std::string_view alpn_;
  bool connected_ = false;
  int refusals_ = 0;
};

}  // namespace pillion::simulation

#endif  // PILLION_TESTS_SIMULATION_DIALLING_CLIENT_H_
