// What our HTTP/1 parser says about some bytes, for the tests in Python. A line in, a line out:
//
//   Q|R METHOD eof|open BYTES-IN-HEX   ->   ITEM \x1f ITEM ... \x1e DETAIL
//
// The bytes are read whole, cut in two at every offset, and one by one; when the verdicts differ the line
// starts with "CUT". Items are what http1_corpus.py calls the transcript; DETAIL is the reason of an error.
#include <charconv>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sidecar/exchange/answers.h"
#include "sidecar/http1/parser.h"

namespace pillion::conformance {
namespace {

using http1::Parser;

constexpr char kItemEnd = '\x1f';
constexpr char kDetail = '\x1e';
// Longer inputs are cut at some offsets only: each cut reads all of it.
constexpr size_t kEveryCutBelow = 8192;

struct Task {
  http1::Role role = http1::Role::kRequests;
  http::Method method = http::Method::kGet;
  bool eof = false;
  std::string bytes;
};

std::string Escaped(std::string_view text) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\\') {
      out += "\\\\";
    } else if (byte >= 0x20 && byte < 0x7f) {
      out += c;
    } else if (c == '\r' || c == '\n' || c == '\t') {
      out += c == '\r' ? "\\r" : c == '\n' ? "\\n" : "\\t";
    } else {
      out += "\\x";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    }
  }
  return out;
}

std::string Fields(const http::HeaderList& fields) {
  std::string text;
  for (size_t i = 0; i < fields.size(); ++i) {
    text += " [";
    for (const char c : fields[i].name) text += static_cast<char>(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    text += ": " + Escaped(fields[i].value) + "]";
  }
  return text;
}

std::string Target(const http::RequestHead& head) {
  switch (head.form) {
    case http::TargetForm::kAbsolute:
      return head.scheme + "://" + head.authority + head.path;
    case http::TargetForm::kAuthority:
      return head.authority;
    case http::TargetForm::kOrigin:
    case http::TargetForm::kAsterisk:
      break;
  }
  return head.path;
}

class Reading {
 public:
  explicit Reading(const Task& task) : task_(task), parser_(task.role, limits_) {
    parser_.ExpectResponseTo(task.method);
  }
  // Gives the next bytes. False after an error.
  bool Give(std::string_view bytes) {
    waiting_.append(bytes);
    while (true) {
      const Parser::Step step = parser_.Next(waiting_);
      const std::string content(step.content);
      waiting_.erase(0, step.consumed);
      if (step.event == Parser::Event::kNeedMore) return true;
      if (!Note(step.event, content)) return false;
    }
  }
  std::string Finish() {
    if (failed_) return text_;
    if (task_.eof) {
      const Parser::Step step = parser_.Finish();
      if (step.event != Parser::Event::kNeedMore) Note(step.event, {});
    } else if (!parser_.idle()) {
      FlushContent();
      Item("more");
    }
    return text_;
  }
  std::string_view detail() const { return failed_ ? parser_.error().detail : std::string_view(); }

 private:
  void Item(const std::string& item) {
    if (!text_.empty()) text_ += kItemEnd;
    text_ += item;
  }
  void FlushContent() {
    if (!content_.empty()) Item("body " + Escaped(content_));
    content_.clear();
  }
  bool Note(Parser::Event event, const std::string& content) {
    if (event == Parser::Event::kContent) {
      content_ += content;
      return true;
    }
    FlushContent();
    if (event == Parser::Event::kHead) Item(Head());
    if (event == Parser::Event::kEnd) Item("end" + Fields(parser_.trailers()));
    if (event != Parser::Event::kError) return true;
    failed_ = true;
    const Side side = task_.role == http1::Role::kRequests ? Side::kClient : Side::kUpstream;
    Item("error " +
         std::to_string(exchange::AnswerFor({parser_.error().kind, side, Outcome::kAmbiguous, {}}).status));
    return false;
  }
  std::string Head() {
    if (task_.role == http1::Role::kRequests) {
      const http::RequestHead& head = parser_.request();
      return head.method_text + " " + Escaped(Target(head)) + " " +
             std::string(http::ToString(head.version)) +
             " host=" + (head.has_authority ? Escaped(head.authority) : "-") +
             (head.keep_alive ? " keep" : " close") + Fields(head.headers);
    }
    const http::ResponseHead& head = parser_.response();
    return std::to_string(head.status) + " " + std::string(http::ToString(head.version)) +
           (head.keep_alive ? " keep" : " close") + Fields(head.headers);
  }

  const Task& task_;
  http1::Limits limits_;
  Parser parser_;
  std::string waiting_;
  std::string content_;
  std::string text_;
  bool failed_ = false;
};

std::string Read(const Task& task, const std::vector<std::string_view>& pieces, std::string* detail) {
  Reading reading(task);
  for (const std::string_view piece : pieces) {
    if (!reading.Give(piece)) break;
  }
  std::string text = reading.Finish();
  if (detail != nullptr) *detail = reading.detail();
  return text;
}

// Where a message that is cut off goes wrong is noticed early or late, and so with one status or another.
bool Same(const Task& task, const std::string& a, const std::string& b) {
  if (!task.eof) return a == b;
  return a.substr(0, a.find("error")) == b.substr(0, b.find("error"));
}

std::string Judge(const Task& task) {
  const std::string_view all = task.bytes;
  std::string detail;
  const std::string whole = Read(task, {all}, &detail);
  const size_t stride = 1 + all.size() / kEveryCutBelow;
  for (size_t at = 1; at < all.size(); at += stride) {
    const std::string cut = Read(task, {all.substr(0, at), all.substr(at)}, nullptr);
    if (!Same(task, cut, whole)) return absl::StrCat("CUT at ", at, ": ", cut, " and whole: ", whole);
  }
  std::vector<std::string_view> bytes;
  bytes.reserve(all.size());
  for (size_t at = 0; at < all.size(); ++at) bytes.push_back(all.substr(at, 1));
  const std::string one_by_one = Read(task, bytes, nullptr);
  if (!Same(task, one_by_one, whole)) return "CUT everywhere: " + one_by_one + " and whole: " + whole;
  return whole + kDetail + detail;
}

bool ReadTask(const std::string& line, Task& task) {
  const size_t method = line.find(' ');
  const size_t eof = line.find(' ', method + 1);
  const size_t hex = line.find(' ', eof + 1);
  if (hex == std::string::npos) return false;
  task.role = line[0] == 'Q' ? http1::Role::kRequests : http1::Role::kResponses;
  task.method = http::ParseMethod(std::string_view(line).substr(method + 1, eof - method - 1));
  task.eof = line[eof + 1] == 'e';
  for (size_t i = hex + 1; i + 1 < line.size(); i += 2) {
    int byte = 0;
    std::from_chars(line.data() + i, line.data() + i + 2, byte, 16);
    task.bytes += static_cast<char>(byte);
  }
  return true;
}

}  // namespace
}  // namespace pillion::conformance

int main() {
  std::ios::sync_with_stdio(false);
  std::string line;
  while (std::getline(std::cin, line)) {
    pillion::conformance::Task task;
    if (!ReadTask(line, task)) return 2;
    std::cout << pillion::conformance::Judge(task) << '\n';
  }
  return 0;
}
