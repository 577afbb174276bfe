// The two body pumps: bytes go on when both ends have room, and only then does the sender get new credit.
#include "sidecar/exchange/exchange.h"
#include "sidecar/exchange/origin_header.h"
#include "sidecar/exchange/peer_outcome.h"

namespace pillion::exchange {

// client -> the chain's queues: until something may go on, or nothing moves.
filter::Passage Exchange::FilterRequest() {
  filter::Chain& chain = *filter_state_.chain;
  stream::Inbox& in = client_->in();
  const bool held = chain.request_held();
  filter::Refusal no_refusal;
  std::optional<filter::StickySession> no_session;
  const filter::Caller caller{env_.turn.now(),     env_.turn.wall(), env_.stats.worker, client_->peer(),
                              client_->security(), no_refusal,       no_session};
  const filter::RequestView view = FilterView(&caller);
  while (!chain.yielded() && !chain.request_over() && (held || chain.request_out().empty())) {
    const size_t before = in.content.bytes();
    const filter::Passage passage = chain.FeedRequest(in.content, in.ended, in.trailers, view);
    if (in.content.bytes() < before) {
      client_->ReleaseCredit(before - in.content.bytes());
      last_activity_ = env_.turn.now();
    }
    const bool flows = passage == filter::Passage::kFlows || passage == filter::Passage::kHeld;
    if (!flows || (held && !chain.request_held())) return passage;
    if (!chain.progressed()) break;
  }
  if (chain.yielded()) env_.turn.WakeNextTurn(*this);
  return held ? filter::Passage::kHeld : filter::Passage::kFlows;
}

// attempt, or the answer made here -> the chain's queues, likewise.
filter::Passage Exchange::FilterResponse() {
  filter::Chain& chain = *filter_state_.chain;
  stream::Inbox* const in = local_answer_ ? nullptr : &attempt_->stream()->in();
  SliceQueue& content = in == nullptr ? local_body_ : in->content;
  http::HeaderList& trailers = in == nullptr ? chain.local_trailers : in->trailers;
  http::ResponseHead& head = local_answer_ ? local_head_ : attempt_->stream()->response();
  while (!chain.yielded() && !chain.response_over() &&
         (chain.response_held() || chain.response_out().empty())) {
    const size_t before = content.bytes();
    using Holder = filter::Chain::Holder;
    const Holder holder = Awaited() == nullptr ? Holder::kGetsContent : Holder::kIsAskedAgain;
    const size_t who = chain.response_holder();
    const filter::Passage passage =
        chain.FeedResponse(content, in == nullptr || in->ended, trailers, head, holder);
    // Another filter may hold the head now, for content.
    const bool passed = !chain.response_held() || chain.response_holder() != who;
    if (holder == Holder::kIsAskedAgain && passed) LeaveDoorbell();
    if (in != nullptr && content.bytes() < before) {
      attempt_->stream()->ReleaseCredit(before - content.bytes());
      last_activity_ = env_.turn.now();
    }
    if (passage != filter::Passage::kFlows && passage != filter::Passage::kHeld) return passage;
    if (!chain.progressed()) break;
  }
  if (chain.yielded()) env_.turn.WakeNextTurn(*this);
  return chain.response_held() ? filter::Passage::kHeld : filter::Passage::kFlows;
}

void Exchange::EnterDoorbell() {
  if (env_.doorbell != nullptr) Awaited()->waiter = env_.doorbell->Enter(*this);
}

void Exchange::LeaveDoorbell() {
  filter::Await* const await = Awaited();
  if (await == nullptr) return;
  if (await->waiter) env_.doorbell->Leave(await->waiter->number);
  filter_state_.token->await.reset();
}

// What goes to the client begins here: no head that a filter holds.
std::optional<Next> Exchange::HeadThroughFilters(http::ResponseHead& head) {
  filter::Chain& chain = *filter_state_.chain;
  if (!local_answer_) {
    if (ClientLost()) return AnswerLocally(std::exchange(client_->in().error, {}));
    if (chain.request_answered()) return AnswerFromFilter();
    if (attempt_->Advance() == Next::kDone && attempt_->error()) return AnswerLocally(attempt_->error());
  }
  filter::Passage passage = filter::Passage::kHeld;
  if (!chain.response_begun()) {
    const stream::Inbox* const in = local_answer_ ? nullptr : &attempt_->stream()->in();
    const bool end =
        in == nullptr ? local_body_.empty() : in->ended && in->content.empty() && !in->trailers_present;
    const RequestError failure = ForTheWhole(local_answer_ ? error_ : attempt_->told());
    passage = chain.BeginResponse({head, end, local_answer_ ? local_status_ : uint16_t{0}, failure});
  }
  // Also when nobody holds: whether more comes decides on the framing of the head.
  if (passage == filter::Passage::kHeld || passage == filter::Passage::kFlows) passage = FilterResponse();
  if (passage == filter::Passage::kHeld && Awaited() != nullptr && !Awaited()->waiter) {
    EnterDoorbell();
    if (Awaited()->waiter) passage = FilterResponse();
  }
  if (passage == filter::Passage::kHeld) return Next::kWait;
  LeaveDoorbell();
  if (passage != filter::Passage::kFlows) {
    const RequestError error{
        passage == filter::Passage::kTooLarge ? ErrorKind::kBodyTooLarge : ErrorKind::kMalformed,
        Side::kUpstream, Outcome::kAnswered, "a filter cannot carry the response"};
    return local_answer_ ? Abandon(error) : AnswerLocally(error);
  }
  using Kind = http::ContentLength::Kind;
  const bool no_content = http::ResponseHasNoContent(client_->request().method, head.status);
  if (!no_content && head.content.kind == Kind::kNone && !ResponseHasNoMore(head))
    head.content.kind = Kind::kUnsized;
  return std::nullopt;
}

// client -> [filters] -> [replay_] -> attempt's pending -> upstream
bool Exchange::PumpRequest() {
  if (attempt_ == nullptr || !attempt_->head_sent() || attempt_->request_finished ||
      attempt_->stream() == nullptr)
    return false;
  if (attempt_->error()) return false;
  stream::UpstreamStream& to = *attempt_->stream();
  stream::Inbox& in = client_->in();
  filter::Chain* const chain = filter_state_.chain.get();
  SliceQueue& from = chain == nullptr ? in.content : chain->request_out();
  bool moved = false;
  while (true) {
    if (!attempt_->pending.empty()) {
      const size_t sent = to.SendContent(attempt_->pending);
      moved = moved || sent > 0;
      if (!attempt_->pending.empty()) return moved;
    }
    if (chain != nullptr && from.empty() && !RefillFromFilters()) return true;
    if (from.empty()) break;
    const size_t room = to.SendRoom();
    if (room == 0) return moved;
    const size_t taken = attempt_->pending.MoveFrom(from, room);
    if (chain == nullptr) client_->ReleaseCredit(taken);
    if (mirrors_ != nullptr) mirrors_->Write(attempt_->pending);
    if (replayable_ && !head_delivered_) {
      replayable_ = replay_.bytes() + taken <= kMaxReplayBytes && !tunnel_;
      if (replayable_) {
        replay_.AppendShared(attempt_->pending);
      } else {
        replay_.Clear();
      }
    }
  }
  if (chain == nullptr ? !in.ended : !chain->request_over()) return moved;
  attempt_->request_finished = true;
  if (chain == nullptr ? in.trailers_present : !in.trailers.empty()) {
    to.FinishWithTrailers(in.trailers);
  } else {
    to.Finish();
  }
  return true;
}

// False: a filter ends the request; the step in which the exchange is finds out why.
bool Exchange::RefillFromFilters() {
  filter::Chain& chain = *filter_state_.chain;
  stream::Inbox& in = client_->in();
  if (ClientLost() || chain.request_answered()) return false;
  const filter::Passage passage = FilterRequest();
  if (passage == filter::Passage::kFlows) return true;
  // An answer that comes when another is on its way is none.
  if (passage == filter::Passage::kAnswered && !head_delivered_) return false;
  in.error = passage == filter::Passage::kTooLarge ? kTooLargeToHold : kNotUnderstood;
  return false;
}

bool Exchange::PumpFilteredResponse() {
  filter::Chain& chain = *filter_state_.chain;
  if (FilterResponse() != filter::Passage::kFlows) {
    const RequestError error{ErrorKind::kMalformed, Side::kUpstream, Outcome::kAnswered,
                             "a filter cannot carry the response"};
    if (local_answer_) {
      client_->in().error = error;
    } else {
      attempt_->Fail(error);
    }
    return true;
  }
  const size_t sent = client_->SendContent(chain.response_out());
  response_bytes_ += sent;
  if (!chain.response_out().empty() || !chain.response_over()) return sent > 0;
  const http::HeaderList& trailers = local_answer_ ? chain.local_trailers : attempt_->stream()->in().trailers;
  if (trailers.empty()) {
    client_->Finish();
  } else {
    client_->FinishWithTrailers(trailers);
  }
  response_finished_ = true;
  return true;
}

// upstream, or the local answer -> [filters] -> client
bool Exchange::PumpResponse() {
  if (!head_delivered_ || response_finished_) return false;
  if (filter_state_.chain != nullptr) return PumpFilteredResponse();
  if (local_answer_) {
    const size_t sent = client_->SendContent(local_body_);
    response_bytes_ += sent;
    if (!local_body_.empty()) return sent > 0;
    client_->Finish();
    response_finished_ = true;
    return true;
  }
  stream::Inbox& in = attempt_->stream()->in();
  bool moved = false;
  if (!in.content.empty()) {
    const size_t sent = client_->SendContent(in.content);
    if (sent > 0) {
      attempt_->stream()->ReleaseCredit(sent);
      response_bytes_ += sent;
      moved = true;
    }
  }
  // An error after the last byte loses nothing; one before it must not look like an end.
  if (!in.content.empty() || !in.ended) return moved;
  if (in.trailers_present) {
    client_->FinishWithTrailers(in.trailers);
  } else {
    client_->Finish();
  }
  response_finished_ = true;
  return true;
}

// 1xx responses go on as they come (RFC 9110 section 15.2), to clients that know them.
void Exchange::PassInformational() {
  if (attempt_ == nullptr || attempt_->stream() == nullptr || head_delivered_) return;
  http::ResponseHead head;
  while (attempt_->stream()->TakeInformational(head)) {
    if (client_->request().version == http::Version::kHttp10) continue;
    DropOutcome(head.headers);
    head.headers.RemoveAny({http::Known::kPillionDedup, http::Known::kPillionOther});
    TakeOrigin(head);
    if (!http::RemoveHopByHop(head.headers)) continue;  // a 1xx may be left out
    if (from_peer_) head.headers.Set(http::Known::kPillionOrigin, DescribeOrigin(head));
    client_->SendInformational(head);
  }
}

}  // namespace pillion::exchange
