#include "sidecar/filter/chain.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace pillion::filter {
namespace {

constexpr size_t kAll = std::numeric_limits<size_t>::max();

}  // namespace

RequestState::RequestState() = default;
RequestState::RequestState(RequestState&& other) noexcept = default;
RequestState::~RequestState() = default;

Decision Transform::OnRequestBody(const RequestBodyView& body) {
  body.out.MoveFrom(body.in, kAll);
  return Decision::kContinue;
}

Decision Transform::OnRequestTrailers(const RequestBodyView&, http::HeaderList&) {
  return Decision::kContinue;
}

Decision Transform::OnResponseHead(const ResponseHeadView&) { return Decision::kContinue; }

Decision Transform::OnResponseBody(const ResponseBodyView& body) {
  body.out.MoveFrom(body.in, kAll);
  return Decision::kContinue;
}

Decision Transform::OnResponseTrailers(const ResponseBodyView&, http::HeaderList&) {
  return Decision::kContinue;
}

void AddTransform(RequestState& state, std::unique_ptr<Transform> transform, HeldLimits limits) {
  if (state.chain == nullptr) state.chain = std::make_unique<Chain>();
  state.chain->Add(std::move(transform), limits);
}

void Chain::Add(std::unique_ptr<Transform> transform, HeldLimits limits) {
  Link& link = links_.emplace_back(std::move(transform), limits);
  // What the links before it have let out while they held.
  if (!request_out_.empty()) link.request.in = std::move(request_out_);
}

bool Chain::only_response_head() const {
  return std::all_of(links_.begin(), links_.end(),
                     [](const Link& link) { return link.transform->only_response_head(); });
}

std::optional<time::MonotonicTime> Chain::goes_on_until() const {
  for (const Link& link : links_) {
    if (const auto until = link.transform->goes_on_until()) return until;
  }
  return std::nullopt;
}

bool Chain::TellClientGone() {
  bool news = false;
  for (const Link& link : links_) news = link.transform->OnClientGone() || news;
  return news;
}

size_t Chain::HeldBytes() const {
  size_t bytes = request_out_.bytes() + response_out_.bytes();
  for (const Link& link : links_)
    bytes += link.request.in.bytes() + link.response.in.bytes() + link.transform->HeldBytes();
  return bytes;
}

Passage Chain::FeedLink(Link& link, SliceQueue& out, bool end, http::HeaderList& trailers,
                        const RequestView& request) {
  SliceQueue& in = link.request.in;
  const size_t before = in.bytes();
  const size_t out_before = out.bytes();
  // Not told of the end while there is more than may be held: that comes with it must not let it pass.
  end = end && before <= link.limits.request;
  const RequestBodyView body{{in, out, out_before + kStepBytes, end},
                             request,
                             request.head,
                             request.response,
                             request.response_body};
  Decision decision = link.transform->OnRequestBody(body);
  yielded_ = yielded_ || decision == Decision::kYield;
  const bool stopped =
      decision == Decision::kRespond || decision == Decision::kReset || decision == Decision::kYield;
  if (!stopped && end && (in.empty() || out.bytes() < body.budget)) {
    const Decision last = link.transform->OnRequestTrailers(body, trailers);
    if (decision != Decision::kRematch) decision = last;
    // Held at its very end, for something else than content: it is told again.
    link.request.over = last != Decision::kHold;
    if (link.request.over) in.Clear();
  }
  const bool stuck = !link.request.over && in.bytes() == before && out.bytes() == out_before;
  progressed_ = progressed_ || !stuck;
  switch (decision) {
    case Decision::kRespond:
      request_answered_ = true;
      return Passage::kAnswered;
    case Decision::kReset:
      return Passage::kBroken;
    case Decision::kRematch:
      return Passage::kRematch;
    case Decision::kContinue:
    case Decision::kYield:
    case Decision::kHold:
    case Decision::kWait:  // the last two are not a body hook's
    case Decision::kRefuse:
      break;
  }
  if (stuck && before > link.limits.request) return Passage::kTooLarge;
  return decision == Decision::kHold ? Passage::kHeld : Passage::kFlows;
}

Passage Chain::FeedRequest(SliceQueue& content, bool ended, http::HeaderList& trailers,
                           const RequestView& request) {
  progressed_ = links_.front().request.in.MoveFrom(content, kStepBytes) > 0;
  bool end = ended && content.empty();
  for (size_t i = 0; i < links_.size(); ++i) {
    Link& link = links_[i];
    if (!link.request.over && (end || !link.request.in.empty())) {
      const bool last = i + 1 == links_.size();
      const Passage passage =
          FeedLink(link, last ? request_out_ : links_[i + 1].request.in, end, trailers, request);
      if (passage == Passage::kAnswered || passage == Passage::kBroken || passage == Passage::kTooLarge)
        return passage;
      if (last && request_held_ && passage != Passage::kHeld) {
        request_held_ = false;
        return passage;
      }
    }
    end = link.request.over;
  }
  return request_held_ ? Passage::kHeld : Passage::kFlows;
}

void Chain::ForgetResponse() {
  for (Link& link : links_) {
    link.response.in.Clear();
    link.response.over = false;
  }
  response_out_.Clear();
  local_trailers.Clear();
  response_begun_ = false;
  response_held_ = false;
}

Passage Chain::BeginResponse(const ResponseHeadView& response) {
  response_begun_ = true;
  local_status_ = response.local_status;
  failure_ = response.failure;
  return PassHead(links_.size(), response);
}

Passage Chain::PassHead(size_t at, const ResponseHeadView& response) {
  response_held_ = false;
  while (at > 0) {
    const Decision decision = links_[--at].transform->OnResponseHead(response);
    response_at_ = at;
    if (decision == Decision::kHold) {
      response_held_ = true;
      return Passage::kHeld;
    }
    if (decision == Decision::kReset) return Passage::kBroken;
  }
  return Passage::kFlows;
}

Passage Chain::FeedLink(Link& link, SliceQueue& out, bool end, http::HeaderList& trailers,
                        http::ResponseHead& head) {
  SliceQueue& in = link.response.in;
  const size_t before = in.bytes();
  const size_t out_before = out.bytes();
  // As with requests.
  end = end && before <= link.limits.response;
  const ResponseBodyView body{{in, out, out_before + kStepBytes, end}, head};
  Decision decision = link.transform->OnResponseBody(body);
  yielded_ = yielded_ || decision == Decision::kYield;
  const bool stopped = decision == Decision::kReset || decision == Decision::kYield;
  if (!stopped && end && (in.empty() || out.bytes() < body.budget)) {
    decision = link.transform->OnResponseTrailers(body, trailers);
    // As with requests.
    link.response.over = decision != Decision::kHold;
    if (link.response.over) in.Clear();
  }
  if (decision == Decision::kReset) return Passage::kBroken;
  const bool stuck = !link.response.over && in.bytes() == before && out.bytes() == out_before;
  progressed_ = progressed_ || !stuck;
  if (stuck && before > link.limits.response) return Passage::kTooLarge;
  return decision == Decision::kHold ? Passage::kHeld : Passage::kFlows;
}

Passage Chain::FeedResponse(SliceQueue& content, bool ended, http::HeaderList& trailers,
                            http::ResponseHead& head, Holder holder) {
  const bool asks = holder == Holder::kIsAskedAgain;
  progressed_ = !asks && links_.back().response.in.MoveFrom(content, kStepBytes) > 0;
  bool end = ended && content.empty();
  for (size_t i = links_.size(); i-- > 0;) {
    Link& link = links_[i];
    const bool holds = response_held_ && i == response_at_;
    if (!link.response.over && (end || !link.response.in.empty() || (holds && asks))) {
      const Passage passage =
          FeedLink(link, i == 0 ? response_out_ : links_[i - 1].response.in, end, trailers, head);
      if (passage == Passage::kBroken || passage == Passage::kTooLarge) return passage;
      if (holds && (passage == Passage::kFlows || link.response.over)) {
        const Passage passed = PassHead(i, {head, false, local_status_, failure_});
        if (passed != Passage::kFlows && passed != Passage::kHeld) return passed;
      }
    }
    if (response_held_ && i == response_at_) return Passage::kHeld;
    end = link.response.over;
  }
  return Passage::kFlows;
}

}  // namespace pillion::filter
