// Runs a net::DnsResolver in the turns of its loop. Main loop only.
#ifndef PILLION_SIDECAR_MAIN_DNS_DRIVER_H_
#define PILLION_SIDECAR_MAIN_DNS_DRIVER_H_

#include <utility>

#include "sidecar/net/dns_resolver.h"
#include "sidecar/stream/turn.h"

namespace pillion {

class DnsDriver final : public stream::Runnable {
 public:
  // Both outlive it.
  DnsDriver(stream::Turn& turn, net::EpollLoop& loop)
      : turn_(turn), timer_(this), resolver_(loop, [this] { turn_.Wake(*this); }) {}
  // `done` is called in a later turn, unless the driver ends before.
  void Resolve(net::DnsQuestion question, net::DnsResolver::Done done) {
    resolver_.Resolve(std::move(question), turn_.now(), std::move(done));
  }
  stream::Progress Run() override {
    resolver_.Process(turn_.now());
    const time::MonotonicTime next = resolver_.Next(turn_.now());
    if (next == time::MonotonicTime::max()) {
      timer_.Cancel();
    } else {
      turn_.Arm(timer_, next);
    }
    return stream::Progress::kIdle;
  }

 private:
  stream::Turn& turn_;
  stream::Timer timer_;
  net::DnsResolver resolver_;
};

}  // namespace pillion

#endif  // PILLION_SIDECAR_MAIN_DNS_DRIVER_H_
