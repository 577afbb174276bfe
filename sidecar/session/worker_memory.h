// Memory that all sessions of a worker use in turn. What a session needs only while a message is under way
// lies here, so that an idle connection holds no parser, head or buffer.
#ifndef PILLION_SIDECAR_SESSION_WORKER_MEMORY_H_
#define PILLION_SIDECAR_SESSION_WORKER_MEMORY_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/http/head.h"
#include "sidecar/http1/parser.h"
#include "sidecar/session/wire.h"

namespace pillion::session {

// Kept of each kind. A burst must not be paid for in memory for ever.
inline constexpr size_t kMaxSpares = 128;

template <typename Head>
class SpareHeads {
 public:
  // `head`, which is fresh, gets the memory of an old one.
  void Lend(Head& head) {
    if (kept_.empty()) return;
    swap(head, kept_.back());
    kept_.pop_back();
  }
  void TakeBack(Head& head) {
    if (kept_.size() == kMaxSpares) return;
    head.Recycle();
    kept_.push_back(std::move(head));
  }

 private:
  std::vector<Head> kept_;
};

class SpareParsers {
 public:
  // Ready for the first message of a connection. `limits` outlives its use.
  std::unique_ptr<http1::Parser> Lend(http1::Role role, const http1::Limits& limits) {
    if (kept_.empty()) return std::make_unique<http1::Parser>(role, limits);
    std::unique_ptr<http1::Parser> parser = std::move(kept_.back());
    kept_.pop_back();
    parser->Restart(role, limits);
    return parser;
  }
  void TakeBack(std::unique_ptr<http1::Parser> parser) {
    if (parser == nullptr || kept_.size() == kMaxSpares) return;
    parser->request().Recycle();  // the next head may never come, and then must not be this one
    parser->response().Recycle();
    parser->trailers() = {};
    kept_.push_back(std::move(parser));
  }

 private:
  std::vector<std::unique_ptr<http1::Parser>> kept_;
};

struct WorkerMemory {
  ReadScratch scratch;
  SpareHeads<http::RequestHead> requests;
  SpareHeads<http::ResponseHead> responses;
  SpareParsers parsers;
  std::string text;  // a head that is being written; empty between calls
};

}  // namespace pillion::session

#endif  // PILLION_SIDECAR_SESSION_WORKER_MEMORY_H_
