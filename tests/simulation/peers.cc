#include "tests/simulation/peers.h"

#include <array>
#include <cstdlib>

namespace pillion::simulation {
namespace {

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return text;
}

// Decodes a chunked body at `at`. npos: incomplete; else where it ends.
size_t CutChunks(const std::string& text, size_t at, std::string& body, std::string& error) {
  while (true) {
    const size_t line = text.find("\r\n", at);
    if (line == std::string::npos) return line;
    char* rest = nullptr;
    const size_t size = std::strtoull(text.c_str() + at, &rest, 16);
    if (rest != text.c_str() + line) error = "chunk size is not a number: " + text.substr(at, line - at);
    if (!error.empty()) return 0;
    if (size == 0) {
      if (text.size() < line + 4) return std::string::npos;
      if (text.compare(line + 2, 2, "\r\n") != 0) error = "unexpected trailers";
      return line + 4;
    }
    if (text.size() < line + 2 + size + 2) return std::string::npos;
    body.append(text, line + 2, size);
    if (text.compare(line + 2 + size, 2, "\r\n") != 0) error = "chunk is not ended by CRLF";
    at = line + 2 + size + 2;
  }
}

}  // namespace

bool TextConnection::Pump() {
  bool moved = true;
  while (moved && !broken) {
    moved = false;
    if (readable_ && !ended) {
      std::array<char, 16384> bytes;
      const net::IoResult result = socket->Read(bytes);
      if (result.kind == net::IoResult::Kind::kBytes) in.append(bytes.data(), result.bytes), moved = true;
      if (result.kind == net::IoResult::Kind::kWouldBlock) readable_ = false;
      if (result.kind == net::IoResult::Kind::kEnd) ended = true;
      if (result.kind == net::IoResult::Kind::kReset) broken = true;
    } else {
      readable_ = false;
    }
    if (writable_ && !out.empty() && !broken) {
      const iovec part{out.data(), out.size()};
      const net::IoResult result = socket->Write({&part, 1});
      if (result.kind == net::IoResult::Kind::kBytes) out.erase(0, result.bytes), moved = true;
      if (result.kind == net::IoResult::Kind::kWouldBlock) writable_ = false;
      if (result.kind == net::IoResult::Kind::kReset) broken = true;
    }
  }
  return !broken;
}

size_t CutMessage(const std::string& text, bool ended, Message& message, std::string& error) {
  const size_t head_end = text.find("\r\n\r\n");
  if (head_end == std::string::npos) return 0;
  size_t at = text.find("\r\n");
  message = {};
  message.first_line = text.substr(0, at);
  while (at < head_end) {
    const size_t start = at + 2;
    at = text.find("\r\n", start);
    const size_t colon = text.find(':', start);
    const std::string name = Lower(text.substr(start, colon - start));
    if (message.fields.count(name) != 0) error = "field twice: " + name;
    message.fields[name] = text.substr(colon + 2, at - colon - 2);
  }
  const size_t body = head_end + 4;
  if (message.fields.count("transfer-encoding") != 0) {
    if (message.fields.count("content-length") != 0) error = "both framings";
    const size_t end = CutChunks(text, body, message.body, error);
    return end == std::string::npos ? 0 : end;
  }
  if (message.fields.count("content-length") != 0) {
    const size_t size = std::strtoull(message.fields["content-length"].c_str(), nullptr, 10);
    if (text.size() < body + size) return 0;
    message.body = text.substr(body, size);
    return body + size;
  }
  if (message.first_line.starts_with("HTTP/")) {  // until close
    if (!ended) return 0;
    message.body = text.substr(body);
    return text.size();
  }
  return body;
}

SimApp::SimApp(net::Loop& loop, const net::Address& at, Ledger& ledger, uint64_t seed)
    : loop_(loop), ledger_(ledger), random_(seed) {
  int error = 0;
  listen_ = loop_.Listen(at, *this, &error);
}

bool SimApp::Run() {
  bool worked = false;
  while (accept_) {
    auto socket = listen_->Accept();
    accept_ = socket != nullptr;
    if (!accept_) break;
    auto connection = std::make_unique<Connection>();
    loop_.Observe(*socket, *connection);
    connection->socket = std::move(socket);
    connections_.push_back(std::move(connection));
    worked = true;
  }
  for (auto& connection : connections_) {
    if (!connection->ready()) continue;
    worked = true;
    connection->Pump();
    while (!connection->broken && !connection->closing && Serve(*connection)) {
    }
    connection->Pump();
  }
  std::erase_if(connections_, [](const auto& c) {
    return c->broken || (c->ended && c->out.empty()) || (c->closing && c->out.empty());
  });
  return worked;
}

bool SimApp::Serve(Connection& connection) {
  Message request;
  std::string error;
  const size_t size = CutMessage(connection.in, connection.ended, request, error);
  if (!error.empty()) ledger_.wrong.push_back("app got: " + error);
  if (size == 0) return false;
  connection.in.erase(0, size);
  const uint64_t id = std::strtoull(request.fields["x-id"].c_str(), nullptr, 10);
  const auto found = ledger_.plans.find(id);
  if (found == ledger_.plans.end()) {
    ledger_.wrong.push_back("app got an unknown id: " + request.fields["x-id"]);
    return false;
  }
  const Plan& plan = found->second;
  ++ledger_.run_by_app[id];
  const std::string line =
      std::string(plan.post ? "POST" : "GET") + " /r/" + std::to_string(id) + " HTTP/1.1";
  if (request.first_line != line)
    ledger_.wrong.push_back("app got '" + request.first_line + "', expected '" + line + "'");
  if (request.body != BodyOf(id, plan.request_bytes, 'q'))
    ledger_.wrong.push_back("request body of " + std::to_string(id) + " is not what was sent");
  if (request.fields.count("pillion-h1") != 0) ledger_.wrong.push_back("the app sees pillion-h1");
  if (request.fields["host"] != "app.example")
    ledger_.wrong.push_back("host is '" + request.fields["host"] + "'");
  std::string answer = "HTTP/1.1 200 OK\r\nX-Id: " + std::to_string(id) + "\r\n";
  if (plan.app_closes) answer += "Connection: close\r\n";
  const std::string body = BodyOf(id, plan.response_bytes, 's');
  if (plan.response_chunked) {
    answer += "Transfer-Encoding: chunked\r\n\r\n";
    for (size_t at = 0; at < body.size();) {
      const size_t n = std::min<size_t>(body.size() - at, 1 + random_.Next() % 5000);
      std::array<char, 24> hex;
      answer.append(hex.data(), static_cast<size_t>(snprintf(hex.data(), hex.size(), "%zx\r\n", n)));
      answer += body.substr(at, n) + "\r\n";
      at += n;
    }
    answer += "0\r\n\r\n";
  } else if (plan.app_closes && plan.response_bytes % 2 == 0) {
    answer += "\r\n" + body;  // ends with the connection
  } else {
    answer += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  connection.out += answer;
  connection.closing = plan.app_closes;
  return true;
}

bool SimClient::Run() {
  if (done()) return false;
  bool worked = false;
  if (!connection_) {
    connection_ = std::make_unique<TextConnection>();
    int error = 0;
    connection_->socket = loop_.Connect(to_, *connection_, &error);
    worked = true;
  }
  if (connection_->socket->ConnectError() == EINPROGRESS) return worked;
  if (!asking_ && !connection_->ended && !connection_->broken) {
    if (plans_.empty()) {
      connection_.reset();
      return true;
    }
    Ask(plans_.front());
    worked = true;
  }
  if (!connection_->ready() && !worked) return false;
  connection_->Pump();
  if (asking_ && Take()) return true;
  if (connection_->broken || connection_->ended) {
    if (asking_) Over(ledger_.broken);
    connection_.reset();
  }
  return true;
}

void SimClient::Ask(const Plan& plan) {
  asking_ = true;
  std::string text = std::string(plan.post ? "POST" : "GET") + " /r/" + std::to_string(plan.id) +
                     " HTTP/1.1\r\nHost: app.example\r\nX-Id: " + std::to_string(plan.id) + "\r\n";
  const std::string body = BodyOf(plan.id, plan.request_bytes, 'q');
  if (plan.chunked) {
    text += "Transfer-Encoding: chunked\r\n\r\n";
    if (!body.empty()) {
      std::array<char, 24> hex;
      text.append(hex.data(), static_cast<size_t>(snprintf(hex.data(), hex.size(), "%zx\r\n", body.size())));
      text += body + "\r\n";
    }
    text += "0\r\n\r\n";
  } else {
    if (plan.post) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    text += "\r\n" + body;
  }
  connection_->out += text;
}

// True when an answer was complete.
bool SimClient::Take() {
  Message answer;
  std::string error;
  const size_t size = CutMessage(connection_->in, connection_->ended, answer, error);
  if (!error.empty()) ledger_.wrong.push_back("client got: " + error);
  if (size == 0) return false;
  connection_->in.erase(0, size);
  const Plan plan = plans_.front();
  const std::string who = "answer to " + std::to_string(plan.id);
  if (answer.fields.count("pillion-h1") != 0) ledger_.wrong.push_back("the client sees pillion-h1");
  if (answer.first_line == "HTTP/1.1 200 OK") {
    if (answer.fields["x-id"] != std::to_string(plan.id))
      ledger_.wrong.push_back(who + " is for " + answer.fields["x-id"]);
    if (answer.body != BodyOf(plan.id, plan.response_bytes, 's')) {
      ledger_.wrong.push_back(who + " has the wrong body: " + std::to_string(answer.body.size()) + " bytes");
    }
    Over(ledger_.answered_200);
  } else if (answer.first_line.starts_with("HTTP/1.1 50")) {
    Over(ledger_.answered_error);
  } else {
    ledger_.wrong.push_back(who + ": " + answer.first_line);
    Over(ledger_.answered_error);
  }
  if (answer.fields["connection"] == "close") connection_.reset();
  return true;
}

void SimClient::Over(std::map<uint64_t, int>& where) {
  ++where[plans_.front().id];
  plans_.pop_front();
  asking_ = false;
}

}  // namespace pillion::simulation
