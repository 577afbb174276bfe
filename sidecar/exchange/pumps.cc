// The two body pumps: bytes go on when both ends have room, and only then does the sender get new credit.
#include "sidecar/exchange/exchange.h"

namespace pillion::exchange {

// client -> [replay_] -> attempt's pending -> upstream
bool Exchange::PumpRequest() {
  if (attempt_ == nullptr || !attempt_->head_sent() || attempt_->request_finished ||
      attempt_->stream() == nullptr)
    return false;
  if (attempt_->error()) return false;
  stream::UpstreamStream& to = *attempt_->stream();
  stream::Inbox& in = client_->in();
  bool moved = false;
  while (true) {
    if (!attempt_->pending.empty()) {
      const size_t sent = to.SendContent(attempt_->pending);
      moved = moved || sent > 0;
      if (!attempt_->pending.empty()) return moved;
    }
    if (in.content.empty()) break;
    const size_t room = to.SendRoom();
    if (room == 0) return moved;
    const size_t taken = attempt_->pending.MoveFrom(in.content, room);
    client_->ReleaseCredit(taken);
    if (replayable_ && !head_delivered_) {
      replayable_ = replay_.bytes() + taken <= kMaxReplayBytes && upgrade_.empty();
      if (replayable_) {
        replay_.AppendShared(attempt_->pending);
      } else {
        replay_.Clear();
      }
    }
  }
  if (!in.ended) return moved;
  attempt_->request_finished = true;
  if (in.trailers_present) {
    to.FinishWithTrailers(in.trailers);
  } else {
    to.Finish();
  }
  return true;
}

// upstream, or the local answer -> client
bool Exchange::PumpResponse() {
  if (!head_delivered_ || response_finished_) return false;
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
    head.headers.Remove(http::Known::kPillionOrigin);
    http::RemoveHopByHop(head.headers);
    client_->SendInformational(head);
  }
}

}  // namespace pillion::exchange
