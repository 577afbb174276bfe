#include "tests/simulation/policies/app.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>

namespace pillion::simulation {

App::App(net::Loop& loop, const net::Address& at, const AppTraits& traits)
    : loop_(loop), traits_(traits), random_(at.port()) {
  int error = 0;
  listening_ = loop.Listen(at, *this, &error);
}

bool App::Run(time::MonotonicTime now, Executions& executions) {
  bool worked = std::exchange(called_, false);
  if (worked) Receive();
  for (; !running_.empty() && running_.begin()->first <= now; running_.erase(running_.begin())) {
    worked = true;
    Peer& peer = *running_.begin()->second;
    if (!peer.gone()) Answer(peer);
  }
  for (; !waiting_.empty() && HasRoom(); waiting_.pop_front()) {
    worked = true;
    if (!traits_.looks_for_gone || !waiting_.front().from->gone())
      Begin(std::move(waiting_.front()), now, executions);
  }
  return worked;
}

void App::Answer(Peer& peer) {
  if (random_.Percent(traits_.loses_percent)) {
    peer.Reset();
    peer.reset = true;
    called_ = true;
  } else if (random_.Percent(traits_.fails_percent)) {
    peer.Send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n");
  } else {
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  }
}

void App::Receive() {
  while (auto socket = listening_->Accept())
    peers_.push_back(std::make_shared<Peer>(called_, loop_, std::move(socket)));
  for (const auto& peer : peers_) {
    if (!std::exchange(peer->ready, false)) continue;
    peer->Read();
    for (uint64_t id = 0; TakeRequest(*peer, id);) {
      if (waiting_.size() < traits_.waiting || HasRoom()) {
        waiting_.push_back({peer, id});
      } else {
        peer->Send("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
      }
    }
  }
  std::erase_if(peers_, [](const auto& peer) { return peer->gone(); });
}

void App::Begin(Request request, time::MonotonicTime now, Executions& executions) {
  ++executions[request.id];
  const auto takes = std::chrono::duration<double, std::nano>(traits_.takes) * slowness_;
  running_.emplace(now + std::chrono::duration_cast<time::Duration>(takes), std::move(request.from));
}

void App::ResetConnections() {
  for (const auto& peer : peers_) {
    peer->Reset();
    peer->reset = true;
  }
  peers_.clear();
}

time::MonotonicTime App::NextDeadline() const {
  return running_.empty() ? time::MonotonicTime::max() : running_.begin()->first;
}

bool App::TakeRequest(Peer& peer, uint64_t& id) {
  const size_t end = peer.text.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  const size_t whole = end + 4 + (peer.text.starts_with("POST") ? kRequestBody.size() : 0);
  if (peer.text.size() < whole) return false;
  id = std::strtoull(peer.text.c_str() + peer.text.find('/') + 1, nullptr, 10);
  peer.text.erase(0, whole);
  return true;
}

}  // namespace pillion::simulation
