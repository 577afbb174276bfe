#include <algorithm>
#include <cstdint>
#include <utility>

#include "tests/simulation/http2_peers.h"

namespace pillion::simulation {
namespace {

using Length = http::ContentLength::Kind;

constexpr auto kSlowRead = std::chrono::milliseconds(5);
constexpr size_t kSlowReadBytes = 40000;

}  // namespace

Http2Client::Http2Client(const PeerParts& parts, const net::Address& to, std::deque<uint64_t> ids,
                         uint64_t seed)
    : DiallingClient(parts, to, "h2", std::move(ids), seed) {
  limits_.stream_window_bytes = static_cast<uint32_t>(65535 + random_.Next() % 200000);
  depth_ = 1 + random_.Next() % 4;
}

bool Http2Client::Run() {
  if (done()) return false;
  if (!connection_) {
    if (!MayDial()) return false;
    connection_ = std::make_unique<Http2Connection>(http2::Role::kClient, limits_);
    Dial(*connection_);
    return true;
  }
  if (!Connected(connection_)) return connection_ == nullptr;
  bool worked = due();
  if (worked) ReadSlowly();
  while (Open()) worked = true;
  if (!worked && !connection_->ready() && !connection_->codec.WantsOutput()) return false;
  Http2Connection& c = *connection_;
  if (!c.Feed() && !c.codec.draining())
    ledger_.wrong.push_back("the sidecar broke HTTP/2: " + std::string(c.codec.error_detail()));
  HandleEvents();
  for (bool more = true; more;) {
    c.Flush();
    HandleEvents();
    more = false;
    for (auto& [id, call] : c.calls) more = SendMore(id, call) || more;
  }
  if (c.broken || c.ended) {
    c.codec.ConnectionLost();
    HandleEvents();
    connection_.reset();
  } else if (c.calls.empty() && (c.leaving || ids_.empty())) {
    connection_.reset();
  }
  if (connection_ == nullptr) wait_until_ = kNever;
  return true;
}

// What is asked for by `plan`.
http::RequestHead Http2Client::HeadOf(const Plan& plan) {
  const std::string id = std::to_string(plan.id);
  http::RequestHead head;
  head.method = plan.post ? http::Method::kPost : http::Method::kGet;
  head.method_text = plan.post ? "POST" : "GET";
  const char* const prefix = plan.kind == Kind::kGrpc ? "/g/" : plan.kind == Kind::kTunnel ? "/t/" : "/r/";
  head.path = prefix + id;
  head.authority = "app.example";
  head.has_authority = true;
  head.scheme = "http";
  head.headers.Add("x-id", id);
  if (plan.kind == Kind::kGrpc) {
    head.headers.Add("content-type", "application/grpc");
    head.headers.Add("te", "trailers");
  }
  if (plan.kind == Kind::kTunnel) head.upgrade = "sim";
  const bool sized = !plan.chunked && plan.kind == Kind::kHttp;
  head.content = !plan.post ? http::ContentLength{}
                 : sized    ? http::ContentLength{Length::kSized, plan.request_bytes}
                            : http::ContentLength{Length::kUnsized, 0};
  return head;
}

bool Http2Client::Open() {
  Http2Connection& c = *connection_;
  if (ids_.empty() || c.leaving || c.calls.size() >= depth_ || c.codec.draining()) return false;
  if (c.codec.StreamRoom() == 0) return false;
  Fate& fate = ledger_.fates.at(ids_.front());
  const Plan& plan = fate.plan;
  const bool tunnel = plan.kind == Kind::kTunnel;
  if (tunnel && !c.codec.takes_extended_connect()) {
    if (!c.codec.settled()) return false;  // RFC 8441 section 3: not before the server has said so
    Wrong(plan.id, "the sidecar does not take Extended CONNECT");
    ++fate.broken;
    ids_.pop_front();
    return true;
  }
  bool too_large = false;
  const bool end = !plan.post && !tunnel;
  const http2::StreamId stream = c.codec.SubmitRequest(HeadOf(plan), end, &too_large);
  if (stream == 0) {
    c.leaving = true;
    return false;
  }
  ids_.pop_front();
  if (plan.client == ClientManner::kSlowReader && random_.Next() % 4 == 0 && c.allowance == SIZE_MAX) {
    c.allowance = 0;
    wait_until_ = clock_.Now() + kSlowRead;
  }
  Call& call = c.calls[stream];
  call.fate = &fate;
  if (!end) call.to_send = BodyOf(plan.id, plan.request_bytes, 'q');
  call.finished = end;
  return true;
}

bool Http2Client::SendMore(http2::StreamId id, Call& call) {
  const Plan& plan = call.fate->plan;
  if (plan.kind == Kind::kTunnel) return SendIntoTunnel(id, call);
  // Round r may go when the answers to the rounds before it have come.
  size_t round = 1;
  while (plan.response_bytes > 0 && round < plan.rounds &&
         call.received.size() >= plan.response_bytes * round / plan.rounds)
    ++round;
  call.may_send = plan.response_bytes > 0 ? call.to_send.size() * round / plan.rounds : call.to_send.size();
  if (!call.finished && plan.client == ClientManner::kLeavesInRequest &&
      call.sent >= call.to_send.size() / 2) {
    connection_->codec.Reset(id, http2::ErrorCode::kCancel);
    call.finished = true;
    return true;
  }
  http::HeaderList trailers;
  trailers.Add("x-sum", std::to_string(plan.id));
  return connection_->SendContent(id, call, plan.trailers && plan.chunked ? &trailers : nullptr);
}

bool Http2Client::SendIntoTunnel(http2::StreamId id, Call& call) {
  const Plan& plan = call.fate->plan;
  const bool refused = call.status != 0 && call.status != 200;
  if (call.finished) return false;
  if (plan.client == ClientManner::kLeavesInRequest && call.sent >= call.to_send.size() / 2) {
    connection_->codec.Reset(id, http2::ErrorCode::kCancel);
    call.finished = true;
    return true;
  }
  if (refused) {
    connection_->codec.FinishContent(id);
    call.finished = true;
    return true;
  }
  if (call.status == 0 && plan.client != ClientManner::kPipelined) return false;
  call.may_send = call.to_send.size();
  if (call.sent == call.to_send.size() && plan.last == LastToEnd::kClient && !call.ended) return false;
  return connection_->SendContent(id, call, nullptr, plan.last == LastToEnd::kClient && !call.ended);
}

// Streams that read slowly get a little credit; a connection that does may read a little.
void Http2Client::ReadSlowly() {
  Http2Connection& c = *connection_;
  wait_until_ = kNever;
  const auto some = [this] { return 1 + random_.Next() % kSlowReadBytes; };
  for (auto& [id, call] : c.calls) {
    const size_t credit = std::min(call.owed, some());
    if (credit == 0) continue;
    call.owed -= credit;
    c.codec.ReleaseCredit(id, credit);
    wait_until_ = clock_.Now() + kSlowRead;
  }
  if (c.allowance == SIZE_MAX) return;
  c.allowance += some();
  wait_until_ = clock_.Now() + kSlowRead;
}

void Http2Client::HandleEvents() {
  Http2Connection& c = *connection_;
  for (size_t i = 0; i < c.codec.events().size(); ++i) {
    const http2::Event event = c.codec.events()[i];
    if (event.kind == http2::Event::Kind::kGoAway) c.leaving = true;
    const auto found = c.calls.find(event.stream);
    if (event.kind == http2::Event::Kind::kGoAway || found == c.calls.end()) continue;
    Call& call = found->second;
    switch (event.kind) {
      case http2::Event::Kind::kResponseHead:
        OnHead(event, call);
        break;
      case http2::Event::Kind::kContent:
        call.received += event.content;
        if (call.fate->plan.client == ClientManner::kSlowReader) {
          call.owed += event.content.size();
          if (wait_until_ == kNever) wait_until_ = clock_.Now() + kSlowRead;
        } else {
          c.codec.ReleaseCredit(event.stream, event.content.size());
        }
        if (call.fate->plan.client == ClientManner::kLeavesInResponse)
          c.codec.Reset(event.stream, http2::ErrorCode::kCancel);
        break;
      case http2::Event::Kind::kTrailers:
        if (const auto status = c.codec.trailers(event).Find(http::Known::kGrpcStatus)) {
          call.grpc_status = *status;
        }
        if (const auto sum = c.codec.trailers(event).Find("x-sum")) call.sum = *sum;
        break;
      case http2::Event::Kind::kEnd:
        call.ended = true;
        break;
      case http2::Event::Kind::kClosed:
        OnClosed(event, call);
        c.calls.erase(found);
        break;
      default:
        break;
    }
  }
  c.codec.ClearEvents();
  c.in.clear();
}

void Http2Client::OnHead(const http2::Event& event, Call& call) {
  http::ResponseHead& head = connection_->codec.response(event);
  if (head.status / 100 == 1) {
    call.fate->interim = true;
    return;
  }
  call.status = head.status;
  const std::string id = std::to_string(call.fate->plan.id);
  if (const auto status = head.headers.Find(http::Known::kGrpcStatus)) call.grpc_status = *status;
  const auto sent_id = head.headers.Find("x-id");
  if (sent_id && *sent_id != id) Wrong(call.fate->plan.id, "it is for " + std::string(*sent_id));
  if (!sent_id && call.status == 200 && call.grpc_status.empty()) Wrong(call.fate->plan.id, "it has no id");
  if (head.headers.Find(http::Known::kPillionOrigin)) Wrong(call.fate->plan.id, "pillion-h1");
}

void Http2Client::OnClosed(const http2::Event& event, Call& call) {
  Fate& fate = *call.fate;
  const Plan& plan = fate.plan;
  fate.status = call.status;
  if (call.status == 200 && !BodyOf(plan.id, plan.response_bytes, 's').starts_with(call.received))
    Wrong(plan.id, "other bytes than were sent");
  if (!call.ended &&
      (plan.client == ClientManner::kLeavesInRequest || plan.client == ClientManner::kLeavesInResponse)) {
    ++fate.left;
  } else if (!call.ended && (event.refused || event.unsent)) {
    // The sidecar says that it did not take it; the story's end counts how often it ran.
    ++fate.repeated;
    ids_.push_front(plan.id);
  } else if (!call.ended) {
    ++fate.broken;
  } else if (call.status == 200 && (plan.kind != Kind::kGrpc || call.grpc_status == "0")) {
    Check(call);
    ++fate.ok;
  } else {
    ++fate.error;
  }
}

void Http2Client::Check(const Call& call) {
  const Plan& plan = call.fate->plan;
  if (plan.kind == Kind::kTunnel && plan.app == AppManner::kCutShort)
    Wrong(plan.id, "its tunnel was cut and ended as if it were whole");
  if (call.received != BodyOf(plan.id, plan.response_bytes, 's'))
    Wrong(plan.id, "wrong body, " + std::to_string(call.received.size()) + " bytes");
  const bool trailers =
      plan.kind == Kind::kGrpc || (plan.kind == Kind::kHttp && plan.trailers && plan.response_chunked);
  if (trailers && call.sum != std::to_string(plan.id)) Wrong(plan.id, "its trailers are lost");
}

}  // namespace pillion::simulation
