#include "tests/simulation/http1_client.h"

#include <cerrno>
#include <utility>

namespace pillion::simulation {
namespace {

constexpr size_t kPipelineDepth = 4;
constexpr auto kExpectPatience = std::chrono::seconds(1);
constexpr auto kSlowRead = std::chrono::milliseconds(5);

}  // namespace

bool Http1Client::Run() {
  if (done()) return false;
  bool worked = false;
  if (!connection_) {
    if (ids_.empty()) return false;
    if (!MayDial()) return false;
    connection_ = std::make_unique<TextConnection>();
    Dial(*connection_);
    return true;
  }
  if (!Connected(connection_)) return connection_ == nullptr;
  while (Ask()) worked = true;
  worked = ActInTime() || worked;
  if (!connection_) return true;
  if (!connection_->ready() && !worked) return false;
  connection_->Pump();
  while (connection_ && Answered()) {
  }
  // A tunnel's other direction goes on.
  const bool ended = connection_ && connection_->ended && !(tunnel_ && !connection_->out.empty());
  if (ended || (connection_ && connection_->broken)) ConnectionEnded();
  if (connection_ && asked_.empty() && ids_.empty()) CloseConnection();
  return true;
}

// True when a request was asked.
bool Http1Client::Ask() {
  if (ids_.empty() || last_ || connection_->ended || connection_->broken) return false;
  const Plan& next = ledger_.fates.at(ids_.front()).plan;
  const bool may_queue = next.client == ClientManner::kPipelined && asked_.size() < kPipelineDepth &&
                         (asked_.empty() || front().client == ClientManner::kPipelined);
  if (!asked_.empty() && !may_queue) return false;
  asked_.push_back(ids_.front());
  ids_.pop_front();
  Write(next);
  return true;
}

void Http1Client::Write(const Plan& plan) {
  const std::string id = std::to_string(plan.id);
  std::string head = std::string(plan.post ? "POST" : "GET") +
                     (plan.kind == Kind::kTunnel ? " /t/" : " /r/") + id +
                     " HTTP/1.1\r\nHost: app.example\r\nX-Id: " + id + "\r\n";
  std::string body;
  if (plan.kind == Kind::kTunnel) {
    head += "Connection: Upgrade\r\nUpgrade: sim\r\n";
    last_ = true;
  } else if (plan.chunked) {
    head += "Transfer-Encoding: chunked\r\n";
    body = Chunked(BodyOf(plan.id, plan.request_bytes, 'q'), 1 + random_.Next() % 20000,
                   plan.trailers ? "X-Sum: " + id + "\r\n" : "");
  } else if (plan.post) {
    head += "Content-Length: " + std::to_string(plan.request_bytes) + "\r\n";
    body = BodyOf(plan.id, plan.request_bytes, 'q');
  }
  switch (plan.client) {
    case ClientManner::kExpects:
      if (body.empty()) break;
      head += "Expect: 100-continue\r\n";
      held_body_ = std::move(body);
      body.clear();
      wait_until_ = clock_.Now() + kExpectPatience;
      break;
    case ClientManner::kSlowReader:
      connection_->allowance = 0;
      wait_until_ = clock_.Now() + kSlowRead;
      break;
    case ClientManner::kHalfClose:
      last_ = true;
      break;
    case ClientManner::kLeavesInRequest:
      if (plan.kind == Kind::kTunnel) break;  // when it is open
      body.resize(random_.Next() % (body.size() + 1));
      if (body.empty()) head.resize(random_.Next() % head.size());
      last_ = true;
      wait_until_ = clock_.Now() + std::chrono::microseconds(random_.Next() % 20000);
      break;
    case ClientManner::kLeavesInResponse:
      leave_after_ = 1 + random_.Next() % (plan.response_bytes + 100);
      break;
    default:
      break;
  }
  const bool whole =
      plan.kind == Kind::kTunnel || plan.client != ClientManner::kLeavesInRequest || !body.empty();
  if (whole) head += "\r\n";
  connection_->out += head + body;
}

// What is due by the clock, or by what has gone out.
bool Http1Client::ActInTime() {
  if (asked_.empty()) return false;
  const Plan& plan = front();
  if (LeavesNow(plan)) {
    // The answer to what was pipelined before it has come; what is behind it was not asked.
    for (const uint64_t id : std::exchange(asked_, {})) ++ledger_.fates.at(id).left;
    if (plan.kind == Kind::kTunnel) connection_->ResetOnClose();
    CloseConnection();
    return true;
  }
  if (plan.client == ClientManner::kHalfClose && connection_->out.empty() && connection_->ready() == false)
    connection_->ShutdownWrite();
  if (!due()) return false;
  wait_until_ = kNever;
  if (plan.client == ClientManner::kExpects) connection_->out += std::exchange(held_body_, {});
  if (plan.client == ClientManner::kSlowReader) {
    connection_->allowance += 1 + random_.Next() % 40000;
    wait_until_ = clock_.Now() + kSlowRead;
  }
  return true;
}

bool Http1Client::LeavesNow(const Plan& plan) const {
  if (plan.client == ClientManner::kLeavesInRequest)
    return plan.kind == Kind::kTunnel ? tunnel_ && connection_->out.empty() : due();
  return plan.client == ClientManner::kLeavesInResponse && taken_ >= leave_after_;
}

// True when a message was complete and there may be another.
bool Http1Client::Answered() {
  if (asked_.empty()) {
    if (!connection_->in.empty()) ledger_.wrong.push_back("bytes that nobody asked for: " + connection_->in);
    connection_->in.clear();
    return false;
  }
  Fate& fate = ledger_.fates.at(asked_.front());
  if (tunnel_) return LookAtTunnel(fate);
  const size_t before = connection_->in.size();
  const bool complete = reader_.Read(connection_->in, connection_->ended && !connection_->broken);
  taken_ += before - connection_->in.size();
  if (!reader_.error().empty()) {
    Wrong(fate.plan.id, reader_.error());
    connection_->broken = true;
    return false;
  }
  if (LeavesNow(fate.plan)) {
    ActInTime();
    return false;
  }
  if (!complete) return false;
  const int status = reader_.message().status();
  if (status / 100 == 1) return TakeInterim(fate);
  TakeAnswer(fate, status == 200);
  return true;
}

bool Http1Client::TakeInterim(Fate& fate) {
  fate.interim = true;
  const int status = reader_.message().status();
  reader_ = {};
  if (status == 101) {
    tunnel_ = true;
    taken_ = 0;
    if (fate.plan.kind != Kind::kTunnel) Wrong(fate.plan.id, "101");
    std::string bytes = BodyOf(fate.plan.id, fate.plan.request_bytes, 'q');
    if (fate.plan.client == ClientManner::kLeavesInRequest) bytes.resize(random_.Next() % (bytes.size() + 1));
    connection_->out += bytes;
    connection_->Pump();
  }
  if (status == 100 && !held_body_.empty()) {
    connection_->out += std::exchange(held_body_, {});
    wait_until_ = kNever;
    connection_->Pump();
  }
  return true;
}

void Http1Client::TakeAnswer(Fate& fate, bool ok) {
  const Plan& plan = fate.plan;
  Message& answer = reader_.message();
  const std::string id = std::to_string(plan.id);
  if (answer.fields.count("pillion-h1") != 0) Wrong(plan.id, "the client sees pillion-h1");
  const bool from_app = answer.fields.count("x-id") != 0;
  if (ok || from_app) {
    if (answer.fields["x-id"] != id) Wrong(plan.id, "it is for " + answer.fields["x-id"]);
    if (answer.body != BodyOf(plan.id, plan.response_bytes, 's'))
      Wrong(plan.id, "wrong body, " + std::to_string(answer.body.size()) + " bytes");
    if (plan.trailers && plan.response_chunked && answer.trailers["x-sum"] != id)
      Wrong(plan.id, "its trailers are lost");
  }
  fate.status = answer.status();
  if (!ok && fate.status / 100 != 5) Wrong(plan.id, answer.first_line);
  ++(ok ? fate.ok : fate.error);
  const bool close = answer.fields["connection"] == "close" || !held_body_.empty();
  asked_.pop_front();
  taken_ = 0;
  reader_ = {};
  connection_->allowance = SIZE_MAX;
  wait_until_ = kNever;
  if (!close && !last_) return;
  // What was pipelined behind it was not taken.
  for (; !asked_.empty(); asked_.pop_back()) {
    ids_.push_front(asked_.back());
    ++ledger_.fates.at(asked_.back()).repeated;
  }
  CloseConnection();
}

bool Http1Client::LookAtTunnel(Fate& fate) {
  TextConnection& c = *connection_;
  const Plan& plan = fate.plan;
  taken_ = c.in.size();
  if (!BodyOf(plan.id, plan.response_bytes, 's').starts_with(c.in))
    Wrong(plan.id, "the tunnel's bytes are not what was sent");
  if (LeavesNow(plan)) {
    ActInTime();
    return false;
  }
  if (c.out.empty() && !c.broken && (plan.last != LastToEnd::kClient || c.ended)) c.ShutdownWrite();
  if (!c.ended || c.broken || !c.out.empty()) return false;
  if (plan.app == AppManner::kCutShort || c.in.size() != plan.response_bytes)
    Wrong(plan.id, "its tunnel ended behind " + std::to_string(c.in.size()) + " bytes as if they were all");
  ++fate.ok;
  fate.status = 101;
  asked_.pop_front();
  CloseConnection();
  return false;
}

void Http1Client::ConnectionEnded() {
  const bool begun = connection_->broken || taken_ > 0 || !connection_->in.empty() || tunnel_;
  for (; !asked_.empty(); asked_.pop_back()) {
    Fate& fate = ledger_.fates.at(asked_.back());
    // What stands behind another request was not begun in any case.
    const bool taken = begun && asked_.size() == 1;
    if (fate.plan.client == ClientManner::kLeavesInRequest) {
      ++fate.left;
    } else if (!taken && ledger_.calm) {
      ids_.push_front(asked_.back());
      ++fate.repeated;
    } else {
      ++fate.broken;
    }
  }
  CloseConnection();
}

void Http1Client::CloseConnection() {
  connection_.reset();
  reader_ = {};
  taken_ = leave_after_ = 0;
  held_body_.clear();
  last_ = tunnel_ = false;
  wait_until_ = kNever;
}

}  // namespace pillion::simulation
