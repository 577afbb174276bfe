// Mirrors: copies of requests that go to other clusters, whose answers nobody reads.
//
//   Exchange --MirrorFeed--> Mirror --SideCall--> an exchange of its own --> cluster
//
// A mirror takes the request as the upstream gets it, and its content, by reference, as it goes by. It never
// slows or fails the original: what its cluster does not take in time is kept up to kMaxMirrorBytes, and
// beyond them it is given up. It is tried once, and has kMirrorTimeout for its answer. To the memory guard it
// is an exchange like others. One worker.
#ifndef PILLION_SIDECAR_EXCHANGE_MIRROR_H_
#define PILLION_SIDECAR_EXCHANGE_MIRROR_H_

#include <chrono>
#include <cstddef>
#include <memory>
#include <vector>

#include "sidecar/base/intrusive_list.h"
#include "sidecar/config/route_table.h"
#include "sidecar/exchange/environment.h"
#include "sidecar/exchange/side_calls.h"
#include "sidecar/http/head.h"
#include "sidecar/stream/side_call.h"

namespace pillion::exchange {

// Content that one mirror holds for a cluster that does not take it. Attack: uploads, and a target that reads
// nothing.
inline constexpr size_t kMaxMirrorBytes = size_t{256} * 1024;
// Mirrors alive at once, per worker; requests beyond are not mirrored. Attack: a target that answers nothing.
inline constexpr size_t kMaxMirrors = 1024;
// From the end of the request to the end of its answer.
inline constexpr time::Duration kMirrorTimeout = std::chrono::seconds(15);

class MirrorFeed;
class Mirrors;
struct MirrorTag;

// One, until its answer is over. Owner: the turn.
class Mirror final : public stream::Runnable, public ListNode<MirrorTag> {
 public:
  Mirror(Environment& env, size_t& alive, MirrorFeed& feed);
  ~Mirror() override;
  stream::Progress Run() override;

 private:
  friend class MirrorFeed;
  friend class Mirrors;
  size_t& alive_;
  MirrorFeed* feed_;  // null: the original needs it no more
  stream::SideCall call_;
  bool given_up_ = false;
};

// What an exchange feeds its mirrors with. Destroyed before Finish: they are given up, as is the request.
class MirrorFeed {
 public:
  explicit MirrorFeed(Environment& env) : env_(env) {}
  ~MirrorFeed();
  MirrorFeed(const MirrorFeed&) = delete;
  MirrorFeed& operator=(const MirrorFeed&) = delete;
  void Write(const SliceQueue& content);
  // The request is complete.
  void Finish();

 private:
  friend class Mirror;
  friend class Mirrors;
  void GiveUp(Mirror& mirror);
  Environment& env_;
  std::vector<Mirror*> mirrors_;  // those that are alive
};

// Those of one worker.
class Mirrors {
 public:
  // `env` outlives it.
  explicit Mirrors(Environment& env);
  // By what the route says and chance; null: none. `head` is the request as the upstream gets it.
  std::unique_ptr<MirrorFeed> Start(const std::vector<config::Mirror>& policies,
                                    const http::RequestHead& head);
  size_t alive() const { return alive_; }
  // The worker ends what is left.
  void GiveUpAll();

 private:
  Environment& env_;
  SideCalls calls_;
  IntrusiveList<Mirror, MirrorTag> all_;
  size_t alive_ = 0;
};

}  // namespace pillion::exchange

#endif  // PILLION_SIDECAR_EXCHANGE_MIRROR_H_
