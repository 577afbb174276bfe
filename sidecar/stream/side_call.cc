#include "sidecar/stream/side_call.h"

#include <algorithm>
#include <utility>

namespace pillion::stream {

class SideCall::End final : public ClientStream {
 public:
  End(SideCall& call, http::RequestHead head, const std::optional<net::Address>& only)
      : call_(&call), only_(only) {
    request_ = std::move(head);
    started_ = call.turn_.now();
    in_.head = true;
  }
  ~End() override {
    if (call_ == nullptr) return;
    call_->end_ = nullptr;
    if (!call_->ended && !call_->error) {
      call_->error = {ErrorKind::kReset, Side::kLocal, Outcome::kAmbiguous,
                      "the exchange ended without a complete answer"};
    }
    call_->turn_.Wake(call_->holder_);
  }
  void ReleaseCredit(size_t) override {
    if (call_ != nullptr) call_->turn_.Wake(call_->holder_);
  }
  size_t SendRoom() const override {
    if (call_ == nullptr || call_->content.bytes() >= call_->limit_) return 0;
    return call_->limit_ - call_->content.bytes();
  }
  size_t SendContent(SliceQueue& from) override {
    if (call_ == nullptr) return 0;
    const size_t moved = call_->content.MoveFrom(from, SendRoom());
    if (moved > 0) call_->turn_.Wake(call_->holder_);
    return moved;
  }
  void Finish() override { FinishWithTrailers({}); }
  void FinishWithTrailers(const http::HeaderList& trailers) override {
    if (call_ == nullptr) return;
    call_->trailers = trailers;
    call_->ended = true;
    call_->turn_.Wake(call_->holder_);
  }
  void Reset(const RequestError& why) override {
    if (call_ != nullptr && !call_->ended) call_->error = why;
  }
  size_t Unsent() const override { return 0; }
  http::Version wire_version() const override { return http::Version::kHttp2; }
  const net::Address& peer() const override { return peer_; }
  void SendInformational(const http::ResponseHead&) override {}
  bool SendResponse(http::ResponseHead& head, bool end) override {
    if (call_ == nullptr) return true;
    call_->response = head;
    call_->has_head = true;
    call_->ended = end;
    call_->turn_.Wake(call_->holder_);
    return true;
  }
  void EndEarly() override {}
  void AnsweredLocally() override {
    if (call_ != nullptr) call_->answered_locally = true;
  }
  const net::Address* only_endpoint() const override { return only_ ? &*only_ : nullptr; }

 private:
  friend class SideCall;
  void WakeExchange() {
    if (owner_ != nullptr) call_->turn_.Wake(*owner_);
  }
  SideCall* call_;
  net::Address peer_;
  const std::optional<net::Address> only_;
};

SideCall::~SideCall() {
  if (end_ == nullptr) return;
  if (!end_->in_.error)
    end_->in_.error = {ErrorKind::kClientGone, Side::kClient, Outcome::kAmbiguous,
                       "the side call was given up"};
  end_->WakeExchange();
  end_->call_ = nullptr;
}

std::unique_ptr<ClientStream> SideCall::Open(http::RequestHead head,
                                             const std::optional<net::Address>& only) {
  auto end = std::make_unique<End>(*this, std::move(head), only);
  end_ = end.get();
  return end;
}

void SideCall::Write(std::string_view bytes) {
  if (end_ == nullptr) return;
  end_->in_.content.AppendCopy(bytes);
  end_->in_.content_bytes += bytes.size();
  end_->WakeExchange();
}

void SideCall::Write(const SliceQueue& shared) {
  if (end_ == nullptr) return;
  end_->in_.content.AppendShared(shared);
  end_->in_.content_bytes += shared.bytes();
  end_->WakeExchange();
}

void SideCall::Finish() {
  if (end_ == nullptr) return;
  end_->in_.ended = true;
  end_->WakeExchange();
}

size_t SideCall::unsent() const { return end_ == nullptr ? 0 : end_->in_.content.bytes(); }

void SideCall::Consumed() {
  if (end_ != nullptr) end_->WakeExchange();
}

void SideCall::HoldUpTo(size_t bytes) {
  limit_ = std::max(kContentBytes, bytes);
  Consumed();
}

}  // namespace pillion::stream
