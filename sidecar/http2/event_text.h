// For tests: the events of a codec as text, one part per event; content pieces of a stream in a row are
// joined.
#ifndef PILLION_SIDECAR_HTTP2_EVENT_TEXT_H_
#define PILLION_SIDECAR_HTTP2_EVENT_TEXT_H_

#include <map>
#include <string>

#include "sidecar/http2/codec.h"

namespace pillion::http2 {

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

class EventText {
 public:
  // Takes all events of `codec` and clears them. Gives the credit of content back when `release`.
  void Take(Codec& codec, bool release = true) {
    for (const Event& event : codec.events()) {
      std::string& own =
          by_stream_[event.kind == Event::Kind::kGoAway || event.kind == Event::Kind::kNote ? 0
                                                                                            : event.stream];
      if (event.kind == Event::Kind::kContent && own.ends_with(") ")) {
        own.insert(own.size() - 2, event.content);
      } else {
        own += One(codec, event);
      }
      if (event.kind != Event::Kind::kContent) content_of_ = 0;
      if (event.kind == Event::Kind::kContent && content_of_ == event.stream) {
        text_.insert(text_.size() - 2, event.content);
      } else {
        text_ += One(codec, event);
      }
      if (event.kind != Event::Kind::kContent) continue;
      content_of_ = event.stream;
      if (release) codec.ReleaseCredit(event.stream, event.content.size());
    }
    codec.ClearEvents();
  }
  // In the order of the events.
  const std::string& text() const { return text_; }
  // Stream by stream: independent of how the input was cut.
  std::string by_stream() const {
    std::string text;
    for (const auto& [id, own] : by_stream_) text += own;
    return text;
  }
  void Clear() {
    text_.clear();
    content_of_ = 0;
  }

 private:
  static std::string One(Codec& codec, const Event& event) {
    const std::string id = std::to_string(event.stream);
    const std::string error = event.error == ErrorKind::kNone ? "" : "!" + std::string(ToString(event.error));
    switch (event.kind) {
      case Event::Kind::kRequestHead: {
        const http::RequestHead& h = codec.request(event);
        if (!error.empty()) return id + ":request" + error + " ";
        return id + ":" + h.method_text + "<" + h.scheme + "|" + (h.has_authority ? h.authority : "(none)") +
               "|" + h.path + "|" + std::to_string(static_cast<int>(h.form)) + " " + Describe(h.content) +
               Describe(h.headers) + "> ";
      }
      case Event::Kind::kResponseHead: {
        const http::ResponseHead& h = codec.response(event);
        if (!error.empty()) return id + ":response" + error + " ";
        return id + ":" + std::to_string(h.status) + "<" + Describe(h.content) +
               (h.declared_length ? " declared:" + std::to_string(*h.declared_length) : "") +
               Describe(h.headers) + "> ";
      }
      case Event::Kind::kContent:
        return id + ":(" + std::string(event.content) + ") ";
      case Event::Kind::kTrailers:
        return id + ":trailers" + error + Describe(codec.trailers(event)) + " ";
      case Event::Kind::kEnd:
        return id + ":end ";
      case Event::Kind::kWritable:
        return id + ":writable ";
      case Event::Kind::kClosed:
        return id + ":closed" +
               (event.code == ErrorCode::kNoError ? "" : "=" + std::to_string(static_cast<int>(event.code))) +
               (event.by_peer ? ",peer" : "") + (event.refused ? ",refused" : "") +
               (event.unsent ? ",unsent" : "") + " ";
      case Event::Kind::kNote:
        return "note(" + codec.note() + ") ";
      case Event::Kind::kGoAway:
        return "goaway:" + id + "=" + std::to_string(static_cast<int>(event.code)) + " ";
    }
    return "?";
  }
  std::string text_;
  std::map<StreamId, std::string> by_stream_;
  StreamId content_of_ = 0;
};

// What the codec has to send, as bytes.
inline std::string Drain(Codec& codec) {
  SliceQueue out;
  codec.Output(out, SIZE_MAX);
  return out.ToString();
}

}  // namespace pillion::http2

#endif  // PILLION_SIDECAR_HTTP2_EVENT_TEXT_H_
