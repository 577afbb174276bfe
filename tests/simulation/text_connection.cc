#include "tests/simulation/text_connection.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace pillion::simulation {
namespace {

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
  return text;
}

}  // namespace

bool TextConnection::Pump() {
  bool moved = true;
  while (moved && !broken) {
    moved = Read();
    moved = Write() || moved;
  }
  if (shutting() && writable_) {
    told_ = socket->Flush();
    writable_ = told_;
  }
  return !broken;
}

bool TextConnection::Read() {
  if (ended || broken) readable_ = false;
  if (!readable_ || allowance == 0) return false;
  std::array<char, 16384> bytes;
  const net::IoResult result = socket->Read({bytes.data(), std::min(bytes.size(), allowance)});
  switch (result.kind) {
    case net::IoResult::Kind::kBytes:
      in.append(bytes.data(), result.bytes);
      if (allowance != SIZE_MAX) allowance -= result.bytes;
      return true;
    case net::IoResult::Kind::kWouldBlock:
      readable_ = false;
      return false;
    case net::IoResult::Kind::kEnd:
      ended = true;
      return false;
    case net::IoResult::Kind::kReset:
      broken = true;
      return false;
  }
  return false;
}

bool TextConnection::Write() {
  if (!writable_ || out.empty() || broken) return false;
  const iovec part{out.data(), out.size()};
  const net::IoResult result = socket->Write({&part, 1});
  if (result.kind == net::IoResult::Kind::kBytes) out.erase(0, result.bytes);
  if (result.kind == net::IoResult::Kind::kWouldBlock) writable_ = false;
  if (result.kind == net::IoResult::Kind::kReset) broken = true;
  return result.kind == net::IoResult::Kind::kBytes;
}

void TextConnection::ShutdownWrite() {
  if (std::exchange(shut_, true)) return;
  socket->ShutdownWrite();
  told_ = socket->Flush();
  writable_ = writable_ && told_;
}

bool TextConnection::MayClose() {
  if (broken || reset_ || socket->security() == nullptr) return true;
  ShutdownWrite();
  return !shutting();
}

void TextConnection::ResetOnClose() {
  reset_ = true;
  socket->ResetOnClose();
}

int Message::status() const {
  return first_line.starts_with("HTTP/1.") && first_line.size() > 12 ? std::atoi(first_line.c_str() + 9) : 0;
}

bool MessageReader::Read(std::string& in, bool ended) {
  at_ = 0;
  while (phase_ != Phase::kDone && error_.empty() && Step(in, ended)) {
  }
  in.erase(0, at_);
  return phase_ == Phase::kDone;
}

// False: more is needed.
bool MessageReader::Step(const std::string& in, bool ended) {
  switch (phase_) {
    case Phase::kHead:
      return TakeHead(in);
    case Phase::kSized:
    case Phase::kChunk: {
      const size_t n = std::min(left_, in.size() - at_);
      message_.body.append(in, at_, n);
      at_ += n;
      left_ -= n;
      if (left_ > 0) return false;
      if (phase_ == Phase::kSized) {
        phase_ = Phase::kDone;
        return true;
      }
      if (in.size() < at_ + 2) return false;
      if (in.compare(at_, 2, "\r\n") != 0) error_ = "a chunk does not end where its size says";
      at_ += 2;
      phase_ = Phase::kChunkSize;
      return true;
    }
    case Phase::kChunkSize: {
      const size_t line = in.find("\r\n", at_);
      if (line == std::string::npos) return false;
      char* rest = nullptr;
      left_ = std::strtoull(in.c_str() + at_, &rest, 16);
      if (rest != in.c_str() + line || line == at_) {
        error_ = "chunk size is not a number: " + in.substr(at_, line - at_);
        return false;
      }
      at_ = line + 2;
      phase_ = left_ == 0 ? Phase::kTrailers : Phase::kChunk;
      return true;
    }
    case Phase::kTrailers:
      return TakeTrailers(in);
    case Phase::kUntilClose:
      message_.body.append(in, at_);
      at_ = in.size();
      if (ended) phase_ = Phase::kDone;
      return ended;
    case Phase::kDone:
      return false;
  }
  return false;
}

bool MessageReader::TakeHead(const std::string& in) {
  const size_t end = in.find("\r\n\r\n", at_);
  if (end == std::string::npos) return false;
  const size_t line = in.find("\r\n", at_);
  message_.first_line = in.substr(at_, line - at_);
  at_ = line + 2;
  if (!TakeFields(in, end + 2, message_.fields)) return false;
  at_ = end + 4;
  const int status = message_.status();
  const bool chunked = message_.fields.count("transfer-encoding") != 0;
  const bool sized = message_.fields.count("content-length") != 0;
  if (chunked && sized) error_ = "both framings";
  if (status / 100 == 1 || status == 204 || status == 304) {
    phase_ = Phase::kDone;
  } else if (chunked) {
    phase_ = Phase::kChunkSize;
  } else if (sized) {
    left_ = std::strtoull(message_.fields["content-length"].c_str(), nullptr, 10);
    phase_ = Phase::kSized;
  } else {
    phase_ = status != 0 ? Phase::kUntilClose : Phase::kDone;
  }
  return true;
}

bool MessageReader::TakeTrailers(const std::string& in) {
  const size_t end = in.compare(at_, 2, "\r\n") == 0 ? at_ : in.find("\r\n\r\n", at_);
  if (end == std::string::npos || in.size() < at_ + 2) return false;
  if (end != at_) {
    if (!TakeFields(in, end + 2, message_.trailers)) return false;
  }
  at_ = end == at_ ? at_ + 2 : end + 4;
  phase_ = Phase::kDone;
  return true;
}

// The lines from `at_` to `end`, which is where a line begins.
bool MessageReader::TakeFields(const std::string& in, size_t end,
                               std::map<std::string, std::string>& fields) {
  for (size_t at = at_; at < end;) {
    const size_t next = in.find("\r\n", at);
    const size_t colon = in.find(": ", at);
    if (colon == std::string::npos || colon > next) {
      error_ = "not a field: " + in.substr(at, next - at);
      return false;
    }
    const std::string name = Lower(in.substr(at, colon - at));
    if (fields.count(name) != 0) error_ = "field twice: " + name;
    fields[name] = in.substr(colon + 2, next - colon - 2);
    at = next + 2;
  }
  return error_.empty();
}

std::string Chunked(const std::string& body, size_t chunk, const std::string& trailer) {
  std::string text;
  for (size_t at = 0; at < body.size();) {
    const size_t n = std::min(body.size() - at, chunk);
    std::array<char, 24> line;
    text.append(line.data(), static_cast<size_t>(snprintf(line.data(), line.size(), "%zx\r\n", n)));
    text.append(body, at, n);
    text += "\r\n";
    at += n;
  }
  return text + "0\r\n" + trailer + "\r\n";
}

}  // namespace pillion::simulation
