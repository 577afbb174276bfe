#include "tests/simulation/tokens/caller.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace pillion::simulation::tokens {

Callers::Callers(net::Loop& loop, const Ledger& ledger, const std::vector<Ask>& asks)
    : loop_(loop), ledger_(ledger), asks_(asks), told_(asks.size()) {}

void Callers::Begin(size_t number, time::MonotonicTime now) {
  const Ask& ask = asks_[number];
  auto call = std::make_unique<Call>();
  call->number = number;
  told_[number].asked = now;
  if (ask.patience.count() > 0) call->leaves = now + ask.patience;
  if (ledger_.items[ask.id].work.grpc) {
    call->http2 = std::make_unique<Http2Line>(called_, loop_, At(kOutboundPort, ask.outbound));
  } else {
    const auto idle = std::ranges::find(idle_, ask.outbound, &Idle::outbound);
    if (ask.reuses && idle != idle_.end() && !idle->line->gone()) {
      call->text = std::move(idle->line);
      idle_.erase(idle);
    } else {
      call->text = std::make_unique<Line>(called_, loop_, At(kOutboundPort, ask.outbound));
    }
  }
  call->line().ready = true;
  called_ = true;
  calls_.push_back(std::move(call));
}

time::MonotonicTime Callers::NextDeadline() const {
  time::MonotonicTime next = time::MonotonicTime::max();
  for (const auto& call : calls_) next = std::min(next, call->leaves);
  return next;
}

bool Callers::Run(time::MonotonicTime now) {
  const bool worked = std::exchange(called_, false);
  if (!worked && NextDeadline() > now) return false;
  for (Idle& idle : idle_) {
    if (std::exchange(idle.line->ready, false)) idle.line->Read();
  }
  for (const auto& call : calls_) {
    if (call->line().ready) Look(*call, now);
    if (now >= call->leaves && told_[call->number].end == Told::End::kNone) {
      call->line().Drop(true);
      End(*call, Told::End::kLeft, now);
    }
  }
  std::erase_if(calls_, [this](const auto& call) { return told_[call->number].end != Told::End::kNone; });
  return true;
}

void Callers::End(Call& call, Told::End end, time::MonotonicTime now) {
  Told& told = told_[call.number];
  if (told.end != Told::End::kNone) return;
  told.end = end;
  told.ended = now;
  if (end == Told::End::kAnswered && call.text != nullptr && !call.text->gone()) {
    call.text->text.clear();
    idle_.push_back({asks_[call.number].outbound, std::move(call.text)});
  }
}

void Callers::Look(Call& call, time::MonotonicTime now) {
  Told& told = told_[call.number];
  Line& line = call.line();
  line.ready = false;
  bool whole = false;
  if (!call.sent && line.connected()) Send(call);
  if (call.http2 != nullptr) {
    call.http2->Move([&](const http2::Event& event) { TakeGrpc(*call.http2, event, told, whole); });
  } else {
    line.Read();
    line.Flush();
    whole = TakeText(line.text, line.ended, told);
  }
  if (whole) {
    End(call, Told::End::kAnswered, now);
  } else if (line.gone()) {
    End(call, Told::End::kBroken, now);
  }
}

void Callers::Send(Call& call) {
  call.sent = true;
  call.http2 != nullptr ? SendGrpc(call) : SendText(call);
}

void Callers::SendText(Call& call) const {
  const Ask& ask = asks_[call.number];
  const std::string body = RequestBody(ask.id, false, ask.body_bytes);
  std::string text = "POST /order HTTP/1.1\r\nhost: app\r\nuser-agent: " + std::to_string(ask.id) + "\r\n";
  if (!ask.chunked) {
    text += "content-length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  } else {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string length;
    for (size_t left = body.size(); left > 0; left /= 16) length.insert(0, 1, kDigits[left % 16]);
    text += "transfer-encoding: chunked\r\n\r\n" + length + "\r\n" + body + "\r\n0\r\n\r\n";
  }
  call.text->Put(text);
}

void Callers::SendGrpc(Call& call) const {
  const Ask& ask = asks_[call.number];
  http::RequestHead head;
  head.method = http::Method::kPost;
  head.method_text = "POST";
  head.path = "/shop.Orders/Place";
  head.scheme = "http";
  head.authority = "app";
  head.has_authority = true;
  head.content = {http::ContentLength::Kind::kUnsized, 0};
  head.headers.Add("content-type", "application/grpc");
  head.headers.Add("te", "trailers");
  head.headers.Add("user-agent", std::to_string(ask.id));
  bool too_large = false;
  http2::Codec& codec = call.http2->codec;
  call.stream = codec.SubmitRequest(head, false, &too_large);
  SliceQueue content;
  content.AppendCopy(RequestBody(ask.id, false, ask.body_bytes));
  codec.SendContent(call.stream, content);
  codec.FinishContent(call.stream);
}

void Callers::TakeGrpc(Http2Line& line, const http2::Event& event, Told& told, bool& whole) {
  using Kind = http2::Event::Kind;
  const auto status = [&told](const http::HeaderList& fields) {
    told.grpc_status = fields.Find("grpc-status").value_or(told.grpc_status);
    told.run = fields.Find("x-run").value_or(told.run);
  };
  if (event.kind == Kind::kResponseHead) {
    const http::ResponseHead& head = line.codec.response(event);
    told.status = head.status;
    told.by_app = head.headers.Find("x-app").has_value();
    status(head.headers);
  } else if (event.kind == Kind::kContent) {
    told.body += event.content;
    line.codec.ReleaseCredit(event.stream, event.content.size());
  } else if (event.kind == Kind::kTrailers) {
    status(line.codec.trailers(event));
  } else if (event.kind == Kind::kEnd) {
    whole = true;
  } else if (event.kind == Kind::kClosed && !whole) {
    line.Drop(false);  // the stream alone was reset: there is nothing else on it
  }
}

bool Callers::TakeText(const std::string& text, bool ended, Told& told) {
  const size_t end = text.find("\r\n\r\n");
  if (end == std::string::npos || text.size() < 12) return false;
  const std::string_view head = std::string_view(text).substr(0, end + 2);
  told.status = static_cast<uint16_t>(std::strtoul(text.c_str() + 9, nullptr, 10));
  told.by_app = head.find("\r\nx-app: ") != std::string_view::npos;
  std::string_view rest = std::string_view(text).substr(end + 4);
  if (const size_t at = head.find("\r\ncontent-length: "); at != std::string_view::npos) {
    size_t bytes = 0;
    std::from_chars(head.data() + at + 18, head.data() + head.size(), bytes);
    told.body = rest.substr(0, bytes);
    return rest.size() >= bytes;
  }
  if (head.find("\r\ntransfer-encoding: ") == std::string_view::npos) {
    told.body = rest;
    return ended;
  }
  told.body.clear();
  for (;;) {
    const size_t line = rest.find("\r\n");
    if (line == std::string_view::npos) return false;
    size_t bytes = 0;
    std::from_chars(&rest[0], &rest[line], bytes, 16);
    rest.remove_prefix(line + 2);
    if (rest.size() < bytes + 2) return false;
    if (bytes == 0) return true;
    told.body += rest.substr(0, bytes);
    rest.remove_prefix(bytes + 2);
  }
}

}  // namespace pillion::simulation::tokens
