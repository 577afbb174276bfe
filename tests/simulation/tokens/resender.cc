#include "tests/simulation/tokens/resender.h"

#include <algorithm>
#include <utility>

namespace pillion::simulation::tokens {
namespace {
constexpr auto kUntilItLeaves = std::chrono::milliseconds(15);
}  // namespace

Resender::Resender(net::Loop& loop, const Ledger& ledger, const Schedule& schedule, uint64_t seed)
    : loop_(loop),
      ledger_(ledger),
      schedule_(schedule),
      random_(seed),
      replies_(schedule.sends.size()),
      tokens_(schedule.tokens.size()),
      ways_(schedule.settings.replicas) {}

void Resender::Begin(size_t number, time::MonotonicTime now) {
  const Send& send = schedule_.sends[number];
  Way& way = ways_[send.replica];
  if (way.line != nullptr && (way.line->gone() || way.line->codec.draining())) Lose(way, now);
  if (way.line == nullptr)
    way.line = std::make_unique<Http2Line>(called_, loop_, At(kInboundPort, send.replica));
  way.waiting.push_back(number);
  way.line->ready = true;
  called_ = true;
}

time::MonotonicTime Resender::NextDeadline() const {
  time::MonotonicTime next = time::MonotonicTime::max();
  for (const auto& [number, at] : leaves_) next = std::min(next, at);
  return next;
}

bool Resender::Run(time::MonotonicTime now) {
  const bool worked = std::exchange(called_, false);
  if (!worked && NextDeadline() > now) return false;
  for (Way& way : ways_) {
    if (way.line == nullptr) continue;
    for (const auto& [stream, number] : way.streams) {
      const auto leaves = leaves_.find(number);
      if (leaves == leaves_.end() || leaves->second > now) continue;
      way.line->codec.Reset(stream, http2::ErrorCode::kCancel);
      way.line->ready = true;
    }
    if (way.line->ready) Move(way, now);
  }
  std::erase_if(leaves_, [now](const auto& item) { return item.second <= now; });
  return true;
}

void Resender::Move(Way& way, time::MonotonicTime now) {
  Http2Line& line = *way.line;
  const auto take = [&](const http2::Event& event) { Take(way, event, now); };
  if (line.connected() || line.gone()) line.Move(take);
  if (!line.gone() && line.connected() && line.codec.note_settled() && !way.waiting.empty()) {
    for (const size_t number : std::exchange(way.waiting, {})) Submit(way, number, now);
    line.Move(take);
  }
  if (!line.connected()) line.Read();  // whether it was refused
  if (line.gone()) Lose(way, now);
}

// Nothing more will come of what was sent that way.
void Resender::Lose(Way& way, time::MonotonicTime now) {
  for (const size_t number : std::exchange(way.waiting, {})) End(number, Reply::End::kNotSent, now);
  for (const auto& [stream, number] : std::exchange(way.streams, {})) End(number, Reply::End::kReset, now);
  way.line.reset();
  way.heard = {};
}

void Resender::End(size_t number, Reply::End end, time::MonotonicTime now) {
  Reply& reply = replies_[number];
  if (reply.end != Reply::End::kNone) return;
  reply.end = end;
  reply.ended = now;
}

http::RequestHead Resender::MakeHead(const Send& send, size_t bytes, bool first) const {
  const SentToken& sent = tokens_[send.token];
  const PeerToken& plan = schedule_.tokens[send.token];
  http::RequestHead head;
  head.method = http::Method::kPost;
  head.method_text = "POST";
  head.path = "/order";
  head.scheme = "http";
  head.authority = "app";
  head.has_authority = true;
  head.content = {http::ContentLength::Kind::kSized, bytes};
  if (ledger_.items[plan.id].work.grpc) {
    head.headers.Add("content-type", "application/grpc");
    head.headers.Add("te", "trailers");
  }
  head.headers.Add("user-agent", std::to_string(plan.id));
  if (send.other) head.headers.Add("x-other", "1");
  head.headers.Add("pillion-h1", "2");
  head.headers.Add("pillion-token", sent.token.value_or(idempotency::Token()).ToString());
  head.headers.Add("pillion-attempt", "1");
  if (!first || !schedule_.settings.is_shared())
    head.headers.Add("pillion-first", idempotency::ToHex(sent.first));
  head.headers.Add("pillion-domain", idempotency::ToHex(sent.domain));
  if (send.deadline.count() >= 0)
    head.headers.Add("x-pillion-deadline", std::to_string(send.deadline / std::chrono::milliseconds(1)));
  return head;
}

void Resender::Submit(Way& way, size_t number, time::MonotonicTime now) {
  const Send& send = schedule_.sends[number];
  SentToken& sent = tokens_[send.token];
  const idempotency::Hello& hello = way.heard.hello;
  const bool first = !sent.token;
  if (first) {
    if (hello.domains.empty()) return End(number, Reply::End::kNotSent, now);
    const auto& domain = hello.domains.front();
    const auto beside = std::chrono::floor<idempotency::DomainTime>(schedule_.tokens[send.token].minted);
    sent.token = idempotency::Token::Mint(way.heard.Clock(domain, now) + beside, random_);
    sent.first = hello.incarnation;
    sent.domain = domain.id;
  }
  const std::string body = RequestBody(schedule_.tokens[send.token].id, send.other, 0);
  bool too_large = false;
  http2::Codec& codec = way.line->codec;
  const http2::StreamId stream = codec.SubmitRequest(MakeHead(send, body.size(), first), false, &too_large);
  if (stream == 0) return End(number, Reply::End::kNotSent, now);
  SliceQueue content;
  content.AppendCopy(body);
  codec.SendContent(stream, content);
  codec.FinishContent(stream);
  way.streams[stream] = number;
  replies_[number].to = hello.incarnation;
  replies_[number].sent = now;
  if (send.leaves) leaves_[number] = now + kUntilItLeaves;
}

void Resender::Take(Way& way, const http2::Event& event, time::MonotonicTime now) {
  using Kind = http2::Event::Kind;
  http2::Codec& codec = way.line->codec;
  if (event.kind == Kind::kNote) {
    way.heard = {idempotency::DecodeHello(codec.note()).value_or(idempotency::Hello()), now};
    return;
  }
  const auto found = way.streams.find(event.stream);
  if (found == way.streams.end()) return;
  Reply& reply = replies_[found->second];
  if (event.kind == Kind::kResponseHead) {
    const http::ResponseHead& head = codec.response(event);
    const auto text = head.headers.Find("pillion-dedup");
    if (text) reply.verdict = idempotency::ParseVerdict(*text);
    reply.status = head.status;
    reply.told = now;
  } else if (event.kind == Kind::kContent) {
    reply.body += event.content;
    codec.ReleaseCredit(event.stream, event.content.size());
  } else if (event.kind == Kind::kTrailers) {
    reply.run = codec.trailers(event).Find("x-run").value_or("");
  } else if (event.kind == Kind::kEnd) {
    End(found->second, Reply::End::kAnswered, now);
  } else if (event.kind == Kind::kClosed) {
    End(found->second, Reply::End::kReset, now);
    way.streams.erase(found);
  }
}

}  // namespace pillion::simulation::tokens
