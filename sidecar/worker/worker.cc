#include "sidecar/worker/worker.h"

#include <utility>

namespace pillion::worker {

Worker::Worker(const time::Clock& clock, telemetry::Shard& stats, uint64_t seed, RecordSink sink, Place place)
    : loop_(clock, net::EpollLoop::Listening::kOnLentSockets),
      engine_(clock, loop_, stats, seed, Ringing(std::move(place))),
      sink_(std::move(sink)) {}

Worker::~Worker() { Stop(); }

Place Worker::Ringing(Place place) {
  place.ring = [this] { Post([](Engine& engine) { engine.AnswerDoor(); }); };
  return place;
}

void Worker::Stop() {
  stop_ = true;
  loop_.Wake();
  if (thread_.joinable()) thread_.join();
}

void Worker::Start() {
  thread_ = std::thread([this] { Main(); });
}

void Worker::Post(Letter letter) {
  mailbox_.Post(std::move(letter));
  loop_.Wake();
}

void Worker::Main() {
  while (!stop_) {
    engine_.TurnOnce(time::MonotonicTime::max());
    // Records first: a letter that asks whether all requests have ended is answered after they were handed
    // over.
    if (!engine_.records().empty()) sink_(engine_.records().Take());
    if (mailbox_.waiting()) {
      for (Letter& letter : mailbox_.Take()) letter(engine_);
    }
  }
}

}  // namespace pillion::worker
