// One worker: an engine on its own thread. Others reach it by mailbox only.
#ifndef PILLION_SIDECAR_WORKER_WORKER_H_
#define PILLION_SIDECAR_WORKER_WORKER_H_

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "sidecar/net/epoll_loop.h"
#include "sidecar/worker/engine.h"

namespace pillion::worker {

// Letters to one thread. Any thread posts; the owner takes all between turns.
template <typename Letter>
class Mailbox {
 public:
  void Post(Letter letter) {
    const std::lock_guard<std::mutex> lock(mutex_);
    letters_.push_back(std::move(letter));
    waiting_.store(true, std::memory_order_release);
  }
  bool waiting() const { return waiting_.load(std::memory_order_acquire); }
  std::vector<Letter> Take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    waiting_.store(false, std::memory_order_relaxed);
    return std::exchange(letters_, {});
  }

 private:
  std::mutex mutex_;
  std::vector<Letter> letters_;
  std::atomic<bool> waiting_{false};
};

class Worker {
 public:
  using Letter = std::function<void(Engine&)>;
  using RecordSink = std::function<void(std::vector<telemetry::RequestRecord>)>;

  // `sink` is called on the worker's thread with finished request records; it must only pass them on.
  Worker(const time::Clock& clock, telemetry::Shard& stats, uint64_t seed, RecordSink sink, Place place);
  // Stops the thread.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  void Start();
  // Ends the thread. Call it for all before the first is destroyed: they post to each other.
  void Stop();
  // From any thread. Runs between two turns.
  void Post(Letter letter);
  // Only in a letter, before Engine::Apply: what its listeners listen on.
  void Lend(std::vector<net::BoundSocket> sockets) { loop_.Lend(std::move(sockets)); }

 private:
  void Main();
  Place Ringing(Place place);

  net::EpollLoop loop_;
  Mailbox<Letter> mailbox_;  // before the engine, which may still ring while it ends
  Engine engine_;
  RecordSink sink_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

}  // namespace pillion::worker

#endif  // PILLION_SIDECAR_WORKER_WORKER_H_
