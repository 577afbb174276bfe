#include <algorithm>

#include "tests/simulation/http2_peers.h"

namespace pillion::simulation {

Http2App::Http2App(const PeerParts& parts, const net::Address& at, uint64_t seed)
    : parts_(parts), ledger_(parts.ledger), random_(seed) {
  limits_.stream_window_bytes = static_cast<uint32_t>(65535 + random_.Next() % 200000);
  limits_.max_concurrent_streams = static_cast<uint32_t>(1 + random_.Next() % 20);
  int error = 0;
  listen_ = parts_.loop.Listen(at, *this, &error);
}

bool Http2App::Accept() {
  bool worked = false;
  while (accept_) {
    auto connection = parts_.Accept<Http2Connection>(*listen_, http2::Role::kServer, limits_);
    accept_ = connection != nullptr;
    if (!accept_) break;
    connections_.push_back(std::move(connection));
    worked = true;
  }
  return worked;
}

bool Http2App::Run() {
  bool worked = Accept();
  for (auto& connection : connections_) {
    Http2Connection& c = *connection;
    if (!c.ready() && !c.codec.WantsOutput()) continue;
    worked = true;
    if (!c.Feed() && !c.codec.draining())
      ledger_.wrong.push_back("the sidecar broke HTTP/2: " + std::string(c.codec.error_detail()));
    HandleEvents(c);
    for (bool more = true; more;) {
      c.Flush();
      HandleEvents(c);
      more = false;
      for (auto& [id, call] : c.calls) more = SendMore(c, id, call) || more;
    }
  }
  std::erase_if(connections_, [](const auto& c) {
    return c->broken || c->ended || (c->leaving && c->calls.empty() && c->out.empty());
  });
  return worked;
}

void Http2App::HandleEvents(Http2Connection& c) {
  for (size_t i = 0; i < c.codec.events().size(); ++i) {
    const http2::Event event = c.codec.events()[i];
    if (event.kind == http2::Event::Kind::kRequestHead) {
      OnHead(c, event);
      continue;
    }
    const auto found = c.calls.find(event.stream);
    if (found == c.calls.end()) continue;
    Call& call = found->second;
    switch (event.kind) {
      case http2::Event::Kind::kContent:
        call.received += event.content;
        c.codec.ReleaseCredit(event.stream, event.content.size());
        break;
      case http2::Event::Kind::kTrailers:
        if (const auto sum = c.codec.trailers(event).Find("x-sum")) call.sum = *sum;
        break;
      case http2::Event::Kind::kEnd:
        OnEnd(c, event.stream, call);
        break;
      case http2::Event::Kind::kClosed:
        c.calls.erase(found);
        break;
      default:
        break;
    }
  }
  c.codec.ClearEvents();
  c.in.clear();
}

void Http2App::OnHead(Http2Connection& c, const http2::Event& event) {
  const http::RequestHead& head = c.codec.request(event);
  Fate* fate = ledger_.Find(std::string(head.headers.Find("x-id").value_or("")));
  if (fate == nullptr || head.path != "/g/" + std::to_string(fate->plan.id)) {
    ledger_.wrong.push_back("the HTTP/2 app got an unknown request: " + head.path);
    return;
  }
  if (head.headers.Find(http::Known::kPillionOrigin)) ledger_.wrong.push_back("the app sees pillion-h1");
  if (fate->plan.app == AppManner::kRefuse && fate->refused == 0) {
    ++fate->refused;
    c.codec.Reset(event.stream, http2::ErrorCode::kRefusedStream);
    return;
  }
  Call& call = c.calls[event.stream];
  call.fate = fate;
  // Rounds are answered one by one; an early answer does not wait for anything.
  if (fate->plan.rounds > 1 || fate->plan.app == AppManner::kEarly) Answer(c, event.stream, call);
}

void Http2App::OnEnd(Http2Connection& c, http2::StreamId id, Call& call) {
  const Plan& plan = call.fate->plan;
  call.ended = true;
  if (call.received != BodyOf(plan.id, plan.request_bytes, 'q'))
    ledger_.wrong.push_back("the HTTP/2 request body of " + std::to_string(plan.id) +
                            " is not what was sent");
  if (plan.trailers && plan.chunked && call.sum != std::to_string(plan.id))
    ledger_.wrong.push_back("the HTTP/2 request trailers of " + std::to_string(plan.id) + " are lost");
  if (!call.answering) Answer(c, id, call);
}

void Http2App::Answer(Http2Connection& c, http2::StreamId id, Call& call) {
  const Plan& plan = call.fate->plan;
  ++call.fate->run;
  call.answering = true;
  if (plan.app == AppManner::kReset || plan.app == AppManner::kNever) {
    call.finished = true;
    if (plan.app == AppManner::kReset) c.codec.Reset(id, http2::ErrorCode::kInternalError);
    return;
  }
  http::ResponseHead head;
  head.content = {http::ContentLength::Kind::kUnsized, 0};
  head.headers.Add("content-type", "application/grpc");
  head.headers.Add("x-id", std::to_string(plan.id));
  if (!c.codec.SubmitResponse(id, head, false)) ledger_.wrong.push_back("the app cannot answer");
  call.to_send = BodyOf(plan.id, plan.response_bytes, 's');
  if (plan.app == AppManner::kGoAway) {
    c.codec.GoAway(true, http2::ErrorCode::kNoError);
    c.leaving = true;
  }
}

bool Http2App::SendMore(Http2Connection& c, http2::StreamId id, Call& call) {
  if (!call.answering || call.finished) return false;
  const Plan& plan = call.fate->plan;
  size_t round = plan.rounds;
  if (plan.rounds > 1 && plan.request_bytes > 0 && !call.ended) {
    round = 0;
    while (round < plan.rounds && call.received.size() >= plan.request_bytes * (round + 1) / plan.rounds)
      ++round;
  }
  if (plan.app == AppManner::kEarly) round = plan.rounds;
  call.may_send = call.to_send.size() * round / plan.rounds;
  http::HeaderList trailers;
  trailers.Add("grpc-status", "0");
  trailers.Add("x-sum", std::to_string(plan.id));
  return c.SendContent(id, call, &trailers);
}

}  // namespace pillion::simulation
