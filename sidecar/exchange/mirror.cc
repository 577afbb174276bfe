#include "sidecar/exchange/mirror.h"

#include <algorithm>
#include <string>
#include <utility>

namespace pillion::exchange {
namespace {

// "host-shadow:port". An address in brackets would be none any more.
void AddSuffix(std::string& authority) {
  if (authority.empty() || authority.front() == '[') return;
  authority.insert(std::min(authority.rfind(':'), authority.size()), "-shadow");
}

}  // namespace

Mirror::Mirror(Environment& env, size_t& alive, MirrorFeed& feed)
    : alive_(alive), feed_(&feed), call_(env.turn, *this) {
  ++alive_;
}

Mirror::~Mirror() {
  --alive_;
  if (feed_ != nullptr) std::erase(feed_->mirrors_, this);
}

// Whatever comes is thrown away.
stream::Progress Mirror::Run() {
  if (!call_.content.empty()) {
    call_.content.Clear();
    call_.Consumed();
  }
  const bool over = given_up_ || call_.ended || call_.error;
  return over ? stream::Progress::kDone : stream::Progress::kIdle;
}

MirrorFeed::~MirrorFeed() {
  while (!mirrors_.empty()) GiveUp(*mirrors_.back());
}

void MirrorFeed::GiveUp(Mirror& mirror) {
  std::erase(mirrors_, &mirror);
  mirror.feed_ = nullptr;
  mirror.given_up_ = true;
  env_.turn.Wake(mirror);
}

void MirrorFeed::Write(const SliceQueue& content) {
  for (size_t i = mirrors_.size(); i-- > 0;) {
    Mirror& mirror = *mirrors_[i];
    if (mirror.call_.unsent() + content.bytes() > kMaxMirrorBytes) {
      env_.stats.worker.mirrors_given_up.Add();
      GiveUp(mirror);
    } else {
      mirror.call_.Write(content);
    }
  }
}

void MirrorFeed::Finish() {
  for (Mirror* const mirror : std::exchange(mirrors_, {})) {
    mirror->feed_ = nullptr;
    mirror->call_.Finish();
  }
}

Mirrors::Mirrors(Environment& env)
    : env_(env),
      calls_(env, {.name = "mirrors",
                   .direction = config::Direction::kOutbound,
                   .timeout = kMirrorTimeout,
                   .tried_once = true}) {}

void Mirrors::GiveUpAll() {
  for (Mirror* mirror = all_.front(); mirror != nullptr; mirror = all_.Next(mirror)) {
    mirror->given_up_ = true;
    env_.turn.Wake(*mirror);
  }
}

std::unique_ptr<MirrorFeed> Mirrors::Start(const std::vector<config::Mirror>& policies,
                                           const http::RequestHead& head) {
  std::unique_ptr<MirrorFeed> feed;
  for (const config::Mirror& policy : policies) {
    if (!policy.share.Hits(env_.random)) continue;
    if (alive_ >= kMaxMirrors) {
      env_.stats.worker.mirrors_left_out.Add();
      continue;
    }
    if (feed == nullptr) feed = std::make_unique<MirrorFeed>(env_);
    auto* const mirror = new Mirror(env_, alive_, *feed);  // the turn's, once it has been woken
    feed->mirrors_.push_back(mirror);
    all_.PushBack(mirror);
    env_.stats.worker.mirrors.Add();
    http::RequestHead copy = head;
    copy.headers.Remove(http::Known::kExpect);  // nobody would wait for the leave
    if (policy.add_suffix) AddSuffix(copy.authority);
    calls_.Begin(policy.cluster, mirror->call_.Open(std::move(copy)));
    env_.turn.Wake(*mirror);
  }
  return feed;
}

}  // namespace pillion::exchange
