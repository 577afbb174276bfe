// Ends of simulated connections that know when something has come, as text and as HTTP/2.
#ifndef PILLION_TESTS_SIMULATION_TOKENS_LINE_H_
#define PILLION_TESTS_SIMULATION_TOKENS_LINE_H_

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "sidecar/http2/codec.h"
#include "sidecar/net/loop.h"
#include "sidecar/testing/sim_peer.h"

namespace pillion::simulation::tokens {

class Line : public testing::SimPeer {
 public:
  // `called`, which outlives it, becomes true when there is something to do.
  Line(bool& called, net::Loop& loop, const net::Address& to) : SimPeer(loop, to), called_(called) {}
  Line(bool& called, net::Loop& loop, std::unique_ptr<net::Socket> socket)
      : SimPeer(loop, std::move(socket)), called_(called) {
    OnReady(true, true);
  }
  void OnReady(bool, bool) override {
    ready = true;
    called_ = true;
  }
  bool gone() const { return ended || reset || dropped; }
  void Put(std::string_view bytes) {
    unsent += bytes;
    Flush();
  }
  void Flush() {
    if (!unsent.empty() && !gone() && connected()) unsent.erase(0, SendSome(unsent));
  }
  // It ends here and now: by a RST, or as a process that closes its socket.
  void Drop(bool by_reset) {
    if (std::exchange(dropped, true)) return;
    called_ = true;
    by_reset ? Reset() : Close();
  }
  std::string unsent;
  bool ready = false;
  bool dropped = false;

 private:
  bool& called_;
};

class Http2Line : public Line {
 public:
  Http2Line(bool& called, net::Loop& loop, const net::Address& to)
      : Line(called, loop, to), codec(http2::Role::kClient, {}) {}
  Http2Line(bool& called, net::Loop& loop, std::unique_ptr<net::Socket> socket)
      : Line(called, loop, std::move(socket)), codec(http2::Role::kServer, {}) {}
  // What has come and what is to go; each event is given to `take`.
  template <typename Take>
  void Move(Take take) {
    ready = false;
    Read();
    const std::string fed = std::exchange(text, {});
    if (!fed.empty() && !codec.Feed(fed)) Drop(true);
    Walk(take);
    for (int i = 0; i < 2 && !gone() && codec.WantsOutput(); ++i) {
      SliceQueue out;
      codec.Output(out, SIZE_MAX);
      Put(out.ToString());
      Walk(take);
    }
    Flush();
  }
  http2::Codec codec;

 private:
  template <typename Take>
  void Walk(Take take) {
    for (size_t i = 0; i < codec.events().size(); ++i) take(codec.events()[i]);
    codec.ClearEvents();
  }
};

}  // namespace pillion::simulation::tokens

#endif  // PILLION_TESTS_SIMULATION_TOKENS_LINE_H_
