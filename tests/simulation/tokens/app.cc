#include "tests/simulation/tokens/app.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "sidecar/base/check.h"
#include "tests/simulation/tokens/schedule.h"

namespace pillion::simulation::tokens {
namespace {

// Of an HTTP/1.1 head in lower case; "": it is not there.
std::string_view FieldOf(std::string_view head, std::string_view name) {
  const size_t at = head.find(name);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = head.substr(at + name.size());
  return rest.substr(0, rest.find('\r'));
}

size_t Number(std::string_view text) {
  size_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

constexpr std::string_view kChunkedEnd = "0\r\n\r\n";

}  // namespace

App::App(net::Loop& loop, Ledger& ledger, size_t number) : loop_(loop), ledger_(ledger), number_(number) {
  ComeUp();
}

void App::ComeUp() {
  int error = 0;
  listening_ = loop_.Listen(At(kAppPort, number_), *this, &error);
  grpc_listening_ = loop_.Listen(At(kGrpcAppPort, number_), *this, &error);
}

void App::GoDown() {
  listening_.reset();
  grpc_listening_.reset();
  for (const auto& connection : connections_) connection->line().Drop(true);
  connections_.clear();
  answers_.clear();
}

void App::Accept(net::ListenSocket& from, bool http2) {
  while (auto socket = from.Accept()) {
    auto connection = std::make_shared<Connection>();
    if (http2) {
      connection->http2 = std::make_unique<Http2Line>(called_, loop_, std::move(socket));
    } else {
      connection->text = std::make_unique<Line>(called_, loop_, std::move(socket));
    }
    connections_.push_back(std::move(connection));
  }
}

bool App::Run(time::MonotonicTime now) {
  bool worked = std::exchange(called_, false);
  if (worked) {
    if (listening_ != nullptr) Accept(*listening_, false);
    if (grpc_listening_ != nullptr) Accept(*grpc_listening_, true);
    for (const auto& connection : connections_) {
      if (!connection->line().ready) continue;
      if (connection->http2 != nullptr) {
        connection->http2->Move([&](const http2::Event& event) { Take(connection, event, now); });
        continue;
      }
      Line& line = *connection->text;
      line.ready = false;
      line.Read();
      line.Flush();
      while (TakeText(*connection)) Schedule(connection, 0, connection->begun, now);
    }
    std::erase_if(connections_, [](const auto& one) { return one->line().gone(); });
  }
  for (; !answers_.empty() && answers_.begin()->first <= now; answers_.erase(answers_.begin())) {
    worked = true;
    Answer& answer = answers_.begin()->second;
    if (!answer.to->line().gone()) Give(answer);
  }
  return worked;
}

// It counts from the end of the head on: an app may act on that.
App::Begun App::Begin(std::string_view agent, bool other) {
  Begun begun;
  begun.id = Number(agent);
  PILLION_CHECK(begun.id < ledger_.items.size());
  Item& item = ledger_.items[begun.id];
  if (item.work.manner == Manner::kFirstNot && item.refusals == 0) {
    ++item.refusals;
    begun.not_run = true;
    return begun;
  }
  begun.run = {.number = ++ledger_.runs,
               .other = other,
               .replica = number_,
               .confirmed = ledger_.confirmed && ledger_.confirmed(begun.id, other)};
  item.runs.push_back(begun.run);
  return begun;
}

void App::Schedule(const std::shared_ptr<Connection>& to, http2::StreamId stream, const Begun& begun,
                   time::MonotonicTime now) {
  answers_.emplace(now + ledger_.items[begun.id].work.takes, Answer{to, stream, begun});
}

// True: another whole request is here.
bool App::TakeText(Connection& from) {
  std::string& text = from.text->text;
  if (!from.in_content) {
    const size_t end = text.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    const std::string head = text.substr(0, end + 2);
    PILLION_CHECK(head.find("\r\npillion") == std::string::npos);
    from.begun = Begin(FieldOf(head, "\r\nuser-agent: "), !FieldOf(head, "\r\nx-other: ").empty());
    from.content = Number(FieldOf(head, "\r\ncontent-length: "));
    from.chunked = !FieldOf(head, "\r\ntransfer-encoding: ").empty();
    from.in_content = true;
    text.erase(0, end + 4);
  }
  if (from.chunked) {
    const size_t end = text.starts_with(kChunkedEnd) ? 0 : text.find("\r\n0\r\n\r\n");
    if (end == std::string::npos) return false;
    text.erase(0, end == 0 ? kChunkedEnd.size() : end + kChunkedEnd.size() + 2);
  } else {
    if (text.size() < from.content) return false;
    text.erase(0, from.content);
  }
  from.in_content = false;
  return true;
}

void App::Take(const std::shared_ptr<Connection>& from, const http2::Event& event, time::MonotonicTime now) {
  using EventKind = http2::Event::Kind;
  http2::Codec& codec = from->http2->codec;
  if (event.kind == EventKind::kRequestHead) {
    const http::HeaderList& headers = codec.request(event).headers;
    PILLION_CHECK(!headers.Has(http::Known::kPillionToken));
    from->streams[event.stream] =
        Begin(headers.Find("user-agent").value_or(""), headers.Find("x-other").has_value());
  } else if (event.kind == EventKind::kContent) {
    codec.ReleaseCredit(event.stream, event.content.size());
  } else if (event.kind == EventKind::kEnd) {
    if (const auto found = from->streams.find(event.stream); found != from->streams.end())
      Schedule(from, event.stream, found->second, now);
  } else if (event.kind == EventKind::kClosed) {
    from->streams.erase(event.stream);
  }
}

void App::Give(Answer& answer) {
  const Work& work = ledger_.items[answer.begun.id].work;
  Line& line = answer.to->line();
  if (!answer.begun.not_run) {
    if (work.manner == Manner::kNever) return;
    if (work.manner == Manner::kResets || work.manner == Manner::kCloses) {
      line.Drop(work.manner == Manner::kResets);
      return;
    }
  }
  if (answer.to->http2 == nullptr) {
    GiveText(line, answer.begun);
  } else if (answer.to->streams.contains(answer.stream)) {
    GiveGrpc(*answer.to->http2, answer.stream, answer.begun);
  }
  if (work.closes_after || (work.manner == Manner::kHalf && !answer.begun.not_run)) line.Drop(false);
}

void App::GiveText(Line& line, const Begun& begun) const {
  const Work& work = ledger_.items[begun.id].work;
  if (begun.not_run) {
    line.Put(begun.id % 2 == 0 ? "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n"
                               : "HTTP/1.1 503 Service Unavailable\r\npillion-not-executed: "
                                 "1\r\ncontent-length: 0\r\n\r\n");
    return;
  }
  std::string body = AnswerBody(begun.id, begun.run.number, work.answer_bytes);
  const size_t bytes = body.size();
  if (work.manner == Manner::kHalf) body.resize(bytes / 2);
  line.Put("HTTP/1.1 " + std::to_string(work.status) +
           " Said\r\nx-app: 1\r\ncontent-length: " + std::to_string(bytes) + "\r\n\r\n" + body);
}

void App::GiveGrpc(Http2Line& line, http2::StreamId stream, const Begun& begun) const {
  const Work& work = ledger_.items[begun.id].work;
  http::ResponseHead head;
  head.headers.Add("content-type", "application/grpc");
  if (!begun.not_run) head.headers.Add("x-app", "1");
  if (begun.not_run) {
    head.headers.Add("grpc-status", "14");
    head.headers.Add("pillion-not-executed", "1");
    (void)line.codec.SubmitResponse(stream, head, true);
  } else {
    head.content = {http::ContentLength::Kind::kUnsized, 0};
    (void)line.codec.SubmitResponse(stream, head, false);
    SliceQueue content;
    content.AppendCopy(AnswerBody(begun.id, begun.run.number, work.answer_bytes));
    line.codec.SendContent(stream, content);
    if (work.manner != Manner::kHalf) {
      http::HeaderList trailers;
      trailers.Add("grpc-status", work.status == 201 ? "0" : "10");
      trailers.Add("x-run", std::to_string(begun.run.number));
      line.codec.SendTrailers(stream, trailers);
    }
  }
  line.Move([](const http2::Event&) {});
}

}  // namespace pillion::simulation::tokens
