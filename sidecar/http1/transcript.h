// For tests: what a parser says about some bytes, as one line of text, however the bytes are cut. The bytes
// end at a page that may not be read, so a parser that looks one byte too far dies.
#ifndef PILLION_SIDECAR_HTTP1_TRANSCRIPT_H_
#define PILLION_SIDECAR_HTTP1_TRANSCRIPT_H_

#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <string_view>

#include "sidecar/base/check.h"
#include "sidecar/http1/parser.h"

namespace pillion::http1 {

// Holds up to `capacity` bytes; what is placed ends right before the forbidden page.
class GuardedBytes {
 public:
  explicit GuardedBytes(size_t capacity) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    size_ = (capacity / page + 2) * page;
    start_ =
        static_cast<char*>(mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    PILLION_CHECK(start_ != MAP_FAILED);
    end_ = start_ + size_ - page;
    PILLION_CHECK(mprotect(end_, page, PROT_NONE) == 0);
  }
  ~GuardedBytes() { munmap(start_, size_); }
  GuardedBytes(const GuardedBytes&) = delete;
  GuardedBytes& operator=(const GuardedBytes&) = delete;
  std::string_view Place(std::string_view bytes) {
    if (!bytes.empty()) std::memcpy(end_ - bytes.size(), bytes.data(), bytes.size());
    return {end_ - bytes.size(), bytes.size()};
  }

 private:
  char* start_;
  char* end_;
  size_t size_;
};

inline std::string Describe(const http::ContentLength& content) {
  switch (content.kind) {
    case http::ContentLength::Kind::kNone:
      return "none";
    case http::ContentLength::Kind::kSized:
      return "sized:" + std::to_string(content.bytes);
    case http::ContentLength::Kind::kUnsized:
      return "unsized";
    case http::ContentLength::Kind::kUntilClose:
      return "until-close";
  }
  return "?";
}

inline std::string Describe(const http::HeaderList& headers) {
  std::string text;
  for (size_t i = 0; i < headers.size(); ++i) {
    text += "[" + std::string(headers[i].name) + "=" + std::string(headers[i].value) + "]";
  }
  return text;
}

inline std::string Describe(const http::RequestHead& head) {
  static constexpr std::string_view kForms[] = {"origin", "absolute", "authority", "asterisk"};
  std::string text = head.method_text + " " + std::string(kForms[static_cast<size_t>(head.form)]) + " " +
                     head.scheme + "|" + (head.has_authority ? head.authority : "(none)") + "|" + head.path +
                     " ";
  text += std::string(http::ToString(head.version)) + (head.keep_alive ? " keep " : " close ");
  return text + Describe(head.content) + " " + Describe(head.headers);
}

inline std::string Describe(const http::ResponseHead& head) {
  std::string text = std::to_string(head.status) + " " + std::string(http::ToString(head.version)) +
                     (head.keep_alive ? " keep " : " close ") + Describe(head.content);
  if (head.declared_length) text += " declared:" + std::to_string(*head.declared_length);
  return text + " " + Describe(head.headers);
}

struct Feeding {
  size_t fragment = SIZE_MAX;
  http::Method answers = http::Method::kGet;
  bool finish = false;  // the connection ends after the bytes
  Limits limits;
};

// Content pieces are joined, so that the text does not depend on the cuts.
inline std::string Transcript(Role role, std::string_view bytes, const Feeding& feeding) {
  Parser parser(role, feeding.limits);
  parser.ExpectResponseTo(feeding.answers);
  GuardedBytes guarded(bytes.size());
  std::string text;
  std::string content;
  size_t taken = 0;
  size_t given = 0;
  const auto note = [&](const Parser::Step& step) {
    if (step.event == Parser::Event::kContent) {
      PILLION_CHECK(!step.content.empty());
      content += step.content;
      return true;
    }
    if (step.event == Parser::Event::kNeedMore) return false;
    if (!content.empty()) text += "(" + content + ")";
    content.clear();
    if (step.event == Parser::Event::kHead) {
      text +=
          "<" + (role == Role::kRequests ? Describe(parser.request()) : Describe(parser.response())) + ">";
    } else if (step.event == Parser::Event::kEnd) {
      text += "END" + Describe(parser.trailers()) + " ";
    } else {
      text += "ERROR:" + std::string(ToString(parser.error().kind));
      return false;
    }
    return true;
  };
  while (given < bytes.size()) {
    given += std::min(feeding.fragment, bytes.size() - given);
    while (true) {
      const std::string_view input = guarded.Place(bytes.substr(taken, given - taken));
      const Parser::Step step = parser.Next(input);
      PILLION_CHECK(step.consumed <= input.size());
      taken += step.consumed;
      if (!note(step)) break;
    }
    if (text.find("ERROR") != std::string::npos) return text;
  }
  if (feeding.finish) note(parser.Finish());
  if (!content.empty()) text += "(" + content + ")...";
  if (!parser.idle() && text.find("ERROR") == std::string::npos && !feeding.finish) text += "MORE";
  return text;
}

}  // namespace pillion::http1

#endif  // PILLION_SIDECAR_HTTP1_TRANSCRIPT_H_
