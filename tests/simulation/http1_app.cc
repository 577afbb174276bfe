#include "tests/simulation/http1_app.h"

#include <algorithm>

namespace pillion::simulation {

Http1App::Http1App(const PeerParts& parts, const net::Address& at, uint64_t seed)
    : parts_(parts), clock_(parts.clock), ledger_(parts.ledger), random_(seed) {
  int error = 0;
  listen_ = parts_.loop.Listen(at, *this, &error);
}

bool Http1App::Run() {
  bool worked = false;
  while (accept_) {
    auto connection = parts_.Accept<Connection>(*listen_);
    accept_ = connection != nullptr;
    if (!accept_) break;
    connections_.push_back(std::move(connection));
    worked = true;
  }
  for (auto& connection : connections_) {
    const bool due = !connection->pieces.empty() && connection->next_at <= clock_.Now();
    if (!connection->ready() && !due) continue;
    worked = true;
    connection->Pump();
    while (!connection->broken && !connection->closing && Serve(*connection)) {
    }
    connection->Pump();
    if (connection->tunnel) Tunnel(*connection);
  }
  std::erase_if(connections_, [](const auto& c) {
    const bool over = c->closing || (c->ended && !c->tunnel && c->pieces.empty());
    return c->broken || (over && c->out.empty() && c->MayClose());
  });
  return worked;
}

time::MonotonicTime Http1App::NextDeadline() const {
  auto next = time::MonotonicTime::max();
  for (const auto& connection : connections_) {
    if (!connection->pieces.empty()) next = std::min(next, connection->next_at);
  }
  return next;
}

// True when there may be more to do.
bool Http1App::Serve(Connection& c) {
  if (c.tunnel) return Tunnel(c);
  bool moved = false;
  if (!c.complete) {
    c.complete = c.reader.Read(c.in, c.ended);
    if (!c.reader.error().empty()) {
      Wrong("the app got: " + c.reader.error());
      c.closing = true;
      return false;
    }
    if (c.reader.has_head() && c.fate == nullptr && !SeeHead(c)) return false;
    if (c.complete) Complete(c);
    moved = c.complete;
  }
  moved = SendPieces(c) || moved;
  if (!c.answering || !c.pieces.empty() || c.after == After::kSilence) return moved;
  if (c.after == After::kReset) c.ResetOnClose();
  if (c.after != After::kKeep) {
    c.closing = true;
    return false;
  }
  if (!c.complete || c.tunnel) return moved;
  c.reader = {};
  c.fate = nullptr;
  c.complete = c.answering = false;
  return true;
}

bool Http1App::SeeHead(Connection& c) {
  Message& head = c.reader.message();
  c.fate = ledger_.Find(head.fields["x-id"]);
  if (c.fate == nullptr) {
    Wrong("the app got an unknown id: " + head.fields["x-id"]);
    c.closing = true;
    return false;
  }
  const Plan& plan = c.fate->plan;
  const std::string id = std::to_string(plan.id);
  const std::string line = std::string(plan.post ? "POST" : "GET") +
                           (plan.kind == Kind::kTunnel ? " /t/" : " /r/") + id + " HTTP/1.1";
  if (head.first_line != line) Wrong("the app got '" + head.first_line + "', not '" + line + "'");
  if (head.fields.count("pillion-h1") != 0) Wrong("the app sees pillion-h1");
  if (plan.kind == Kind::kTunnel && head.fields["upgrade"] != "sim")
    Wrong("tunnel " + id + " is not asked for");
  if (head.fields["host"] != "app.example") Wrong("host is '" + head.fields["host"] + "'");
  if (plan.app == AppManner::kContinue) c.out += "HTTP/1.1 100 Continue\r\n\r\n";
  if (plan.app == AppManner::kHints) c.out += "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
  if (plan.app == AppManner::kEarly || plan.app == AppManner::kEarlyClose ||
      plan.app == AppManner::kEarlyReset)
    RunRequest(c);
  return true;
}

void Http1App::Complete(Connection& c) {
  const Plan& plan = c.fate->plan;
  Message& request = c.reader.message();
  const size_t bytes = plan.kind == Kind::kTunnel ? 0 : plan.request_bytes;
  if (request.body != BodyOf(plan.id, bytes, 'q'))
    Wrong("the request body of " + std::to_string(plan.id) + " is not what was sent");
  if (plan.trailers && plan.chunked && request.trailers["x-sum"] != std::to_string(plan.id))
    Wrong("the request trailers of " + std::to_string(plan.id) + " are lost");
  if (!c.answering) RunRequest(c);
}

void Http1App::RunRequest(Connection& c) {
  const Plan& plan = c.fate->plan;
  const int run = ++c.fate->run;
  c.answering = true;
  c.after = After::kKeep;
  c.next_at = clock_.Now();
  switch (plan.app) {
    case AppManner::kNever:
      c.after = After::kSilence;
      return;
    case AppManner::kHangUp:
      c.after = After::kClose;
      return;
    case AppManner::kReset:
    case AppManner::kEarlyReset:
      c.after = After::kReset;
      return;
    case AppManner::kRubbish:
      c.pieces.push_back({{}, "this is no HTTP\r\n\r\n"});
      c.after = After::kClose;
      return;
    case AppManner::kFailFirst:
      Answer(c, run == 1 ? 503 : 200);
      return;
    case AppManner::kCloseSilently:
      Answer(c, 200);
      // Behind the answer, or when the next request may be on its way.
      if (random_.Next() % 2 == 0) {
        c.pieces.push_back({std::chrono::microseconds(random_.Next() % 6000), ""});
      }
      c.after = After::kClose;
      return;
    case AppManner::kEarlyClose:
    case AppManner::kCloseAfter:
    case AppManner::kUntilClose:
      c.after = After::kClose;
      break;
    case AppManner::kCutShort:
      c.after = random_.Next() % 2 == 0 ? After::kClose : After::kReset;
      break;
    default:
      break;
  }
  Answer(c, 200);
}

void Http1App::Answer(Connection& c, int status) {
  const Plan& plan = c.fate->plan;
  const std::string id = std::to_string(plan.id);
  if (plan.kind == Kind::kTunnel && status == 200) {
    std::string bytes = BodyOf(plan.id, plan.response_bytes, 's');
    if (plan.app == AppManner::kCutShort) bytes.resize(random_.Next() % (bytes.size() + 1));
    c.out += "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: sim\r\nX-Id: " + id +
             "\r\n\r\n" + bytes;
    c.tunnel = true;
    return;
  }
  const std::string body = BodyOf(plan.id, plan.response_bytes, 's');
  std::string text = status == 200 ? "HTTP/1.1 200 OK\r\n" : "HTTP/1.1 503 Service Unavailable\r\n";
  text += "X-Id: " + id + "\r\n";
  if (c.after != After::kKeep && plan.app != AppManner::kCloseSilently) text += "Connection: close\r\n";
  if (plan.response_chunked) {
    text += "Transfer-Encoding: chunked\r\n\r\n" +
            Chunked(body, 1 + random_.Next() % 5000, plan.trailers ? "X-Sum: " + id + "\r\n" : "");
  } else if (plan.app == AppManner::kUntilClose) {
    text += "\r\n" + body;
  } else {
    text += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  if (plan.app == AppManner::kCutShort) text.resize(text.size() - 1 - random_.Next() % (text.size() - 1));
  const size_t cuts = plan.app == AppManner::kSlow ? 1 + random_.Next() % 5 : 0;
  for (size_t i = 0; i < cuts && text.size() > 1; ++i) {
    const size_t n = 1 + random_.Next() % (text.size() - 1);
    c.pieces.push_back({std::chrono::milliseconds(random_.Next() % 200), text.substr(0, n)});
    text.erase(0, n);
  }
  c.pieces.push_back({cuts == 0 ? time::Duration(0) : std::chrono::milliseconds(100), std::move(text)});
  c.next_at = clock_.Now() + c.pieces.front().wait;
}

bool Http1App::SendPieces(Connection& c) {
  bool moved = false;
  while (!c.pieces.empty() && c.next_at <= clock_.Now()) {
    c.out += c.pieces.front().bytes;
    c.pieces.pop_front();
    if (!c.pieces.empty()) c.next_at = clock_.Now() + c.pieces.front().wait;
    moved = true;
  }
  return moved;
}

// Both directions are let end; the tunnel's bytes are looked at all the while.
bool Http1App::Tunnel(Connection& c) {
  const Plan& plan = c.fate->plan;
  const std::string id = std::to_string(plan.id);
  if (!BodyOf(plan.id, plan.request_bytes, 'q').starts_with(c.in))
    Wrong("tunnel " + id + " brought other bytes to the app than were sent");
  if (plan.app == AppManner::kCutShort && c.out.empty()) {
    c.ResetOnClose();
    c.closing = true;
    return false;
  }
  if (c.out.empty() && !c.broken && (plan.last != LastToEnd::kApp || c.ended)) c.ShutdownWrite();
  if (!c.ended || !c.out.empty()) return false;
  // Its client ends it behind the last byte, or resets it.
  if (c.in.size() != plan.request_bytes)
    Wrong("tunnel " + id + " ended behind " + std::to_string(c.in.size()) + " of " +
          std::to_string(plan.request_bytes) + " bytes as if they were all");
  c.tunnel = false;
  c.closing = true;
  return false;
}

}  // namespace pillion::simulation
