#include "sidecar/redis/test_proxy.h"

#include <algorithm>
#include <array>
#include <cerrno>

namespace pillion::redis {

TestProxy::TestProxy(TestWorker& worker, const net::Address& server) : worker_(worker), server_(server) {
  int error = 0;
  listener_ = worker.loop.Listen(net::Address::Parse("127.0.0.1", 0).value_or(net::Address()), *this, &error);
}
TestProxy::~TestProxy() = default;

void TestProxy::OnReady(bool, bool) { worker_.turn.Wake(*this); }

stream::Progress TestProxy::Run() {
  while (auto client = listener_->Accept()) {
    int error = 0;
    Pair& pair = pairs_.emplace_back();
    pair.client = std::move(client);
    worker_.loop.Observe(*pair.client, *this);
    pair.server = worker_.loop.Connect(server_, *this, &error);
    pair.over = pair.server == nullptr;
  }
  for (Pair& pair : pairs_) Pump(pair);
  pairs_.remove_if([](const Pair& pair) { return pair.over; });
  return stream::Progress::kIdle;
}

void TestProxy::Pump(Pair& pair) {
  if (pair.over) return;
  const int error = pair.server->ConnectError();
  if (error == EINPROGRESS) return;
  if (error != 0) {
    pair.over = true;
    return;
  }
  Move(*pair.client, *pair.server, pair.to_server, left_to_server_, asked_, pair);
  if (!pair.over) Move(*pair.server, *pair.client, pair.to_client, left_, said_, pair);
}

void TestProxy::Move(net::Socket& from, net::Socket& to, std::string& held, size_t& left, uint64_t& moved,
                     Pair& pair) {
  std::array<char, 16384> room;
  while (!pair.over) {
    const net::IoResult read = from.Read({room.data(), room.size()});
    if (read.kind == net::IoResult::Kind::kWouldBlock) break;
    if (read.kind != net::IoResult::Kind::kBytes) pair.over = true;
    moved += read.bytes;
    const size_t bytes = std::min(read.bytes, left);
    if (left != SIZE_MAX) left -= bytes;
    held.append(room.data(), bytes);
    if (left == 0) {
      left = SIZE_MAX;
      pair.over = cut_ = true;
    }
  }
  while (!held.empty()) {
    const iovec piece = {held.data(), held.size()};
    const net::IoResult written = to.Write({&piece, 1});
    if (written.kind != net::IoResult::Kind::kBytes) break;
    held.erase(0, written.bytes);
  }
}

}  // namespace pillion::redis
