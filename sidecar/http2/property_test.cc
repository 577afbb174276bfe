// Two codecs, many streams, random turns: whatever the order, what one side sends the other gets, once and
// unchanged, and every stream closes exactly once on both sides. The seed is printed when it fails.
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "sidecar/http2/codec.h"

namespace pillion::http2 {
namespace {

using Kind = http::ContentLength::Kind;

// One direction of one stream, as its sender meant it and as its receiver saw it.
struct Half {
  std::string meant;
  std::string got;
  size_t queued = 0;  // of `meant`, given to the codec
  bool finished = false;
  bool with_trailers = false;
  bool got_trailers = false;
  bool ended = false;
};
struct Exchange {
  Half request;
  Half response;
  bool answered = false;
  bool reset = false;
  int closed_at_client = 0;
  int closed_at_server = 0;
  size_t unread = 0;  // request content whose credit the server holds back
};

class World {
 public:
  explicit World(uint32_t seed)
      : random_(seed), client_(Role::kClient, SmallLimits()), server_(Role::kServer, SmallLimits()) {}

  void Play(int turns) {
    for (int i = 0; i < turns && !testing::Test::HasFailure(); ++i) Turn();
    Settle();
    for (const auto& [id, e] : exchanges_) {
      EXPECT_EQ(e.closed_at_client, 1) << id;
      EXPECT_EQ(e.closed_at_server, e.request_seen() ? 1 : 0) << id;
      if (e.reset) continue;
      for (const Half* half : {&e.request, &e.response}) {
        EXPECT_TRUE(half->ended) << id;
        EXPECT_TRUE(half->got == half->meant) << id;
        EXPECT_EQ(half->got_trailers, half->with_trailers) << id;
      }
    }
    EXPECT_EQ(client_.open_streams(), 0u);
    EXPECT_EQ(server_.open_streams(), 0u);
  }

 private:
  struct Tracked : Exchange {
    bool seen = false;
    bool request_seen() const { return seen; }
  };

  static Limits SmallLimits() {
    Limits limits;
    limits.max_concurrent_streams = 8;
    limits.stream_window_bytes = 3000;
    limits.connection_window_bytes = 80'000;
    limits.send_buffer_bytes = 2000;
    return limits;
  }
  uint32_t Pick(uint32_t n) { return static_cast<uint32_t>(random_() % n); }
  std::string RandomText() {
    static constexpr uint32_t kSizes[] = {0, 1, 10, 1000, 3000, 20'000, 50'000};
    std::string text(Pick(kSizes[Pick(7)] + 1), ' ');
    for (char& c : text) c = static_cast<char>(random_());
    return text;
  }

  void Submit() {
    if (client_.StreamRoom() == 0) return;
    http::RequestHead head;
    head.method = http::Method::kPost;
    head.method_text = "POST";
    head.path = "/" + std::to_string(Pick(1000));
    head.authority = "a";
    head.has_authority = true;
    head.headers.Add("x-value", std::string(Pick(300), 'v'));
    Tracked e;
    e.request.meant = RandomText();
    if (Pick(2) == 0) {
      head.content = {Kind::kSized, e.request.meant.size()};
    } else {
      head.content = {Kind::kUnsized, 0};
      e.request.with_trailers = Pick(3) == 0;
    }
    const bool end = e.request.meant.empty() && !e.request.with_trailers;
    e.request.finished = end;
    bool too_large = false;
    const StreamId id = client_.SubmitRequest(head, end, &too_large);
    ASSERT_GT(id, 0);
    exchanges_[id] = std::move(e);
  }

  void Push(Codec& codec, StreamId id, Half& half) {
    if (half.finished) return;
    SliceQueue queue;
    const size_t piece = std::min<size_t>(half.meant.size() - half.queued, 1 + Pick(5000));
    queue.AppendCopy(std::string_view(half.meant).substr(half.queued, piece));
    half.queued += codec.SendContent(id, queue);
    if (half.queued < half.meant.size() || Pick(3) == 0) return;
    half.finished = true;
    if (!half.with_trailers) return codec.FinishContent(id);
    http::HeaderList trailers;
    trailers.Add("t", "u");
    codec.SendTrailers(id, trailers);
  }

  void Respond(StreamId id, Tracked& e) {
    http::ResponseHead head;
    if (Pick(4) == 0) {
      head.status = 103;
      server_.SubmitInformational(id, head);
    }
    head.status = 200;
    e.response.meant = RandomText();
    head.content = {Kind::kUnsized, 0};
    e.response.with_trailers = Pick(2) == 0;
    e.answered = true;
    EXPECT_TRUE(server_.SubmitResponse(id, head, false));
  }

  void Take(Codec& codec, bool at_server) {
    for (const Event& event : codec.events()) {
      Tracked& e = exchanges_.at(event.stream);
      Half& half = at_server ? e.request : e.response;
      EXPECT_EQ(at_server ? e.closed_at_server : e.closed_at_client, 0) << "event after closed";
      switch (event.kind) {
        case Event::Kind::kRequestHead:
          EXPECT_FALSE(e.seen);
          e.seen = true;
          break;
        case Event::Kind::kContent:
          half.got += event.content;
          if (at_server) {
            e.unread += event.content.size();
          } else {
            codec.ReleaseCredit(event.stream, event.content.size());
          }
          break;
        case Event::Kind::kTrailers:
          half.got_trailers = true;
          break;
        case Event::Kind::kEnd:
          EXPECT_FALSE(half.ended);
          half.ended = true;
          break;
        case Event::Kind::kClosed:
          ++(at_server ? e.closed_at_server : e.closed_at_client);
          break;
        default:
          break;
      }
    }
    codec.ClearEvents();
  }

  void Carry(Codec& from, Codec& to, bool to_server) {
    SliceQueue out;
    from.Output(out, 1 + Pick(30'000));
    Take(from, !to_server);
    const std::string bytes = out.ToString();
    const size_t cut = bytes.empty() ? 0 : Pick(static_cast<uint32_t>(bytes.size()));
    for (const std::string_view part :
         {std::string_view(bytes).substr(0, cut), std::string_view(bytes).substr(cut)}) {
      ASSERT_TRUE(to.Feed(part)) << to.error_detail();
      Take(to, to_server);
    }
  }

  bool Alive(const Tracked& e) const { return e.closed_at_client == 0 && !e.reset; }

  void Turn() {
    const uint32_t what = Pick(12);
    if (what == 0) return Submit();
    if (what < 3) return Carry(client_, server_, true);
    if (what < 5) return Carry(server_, client_, false);
    if (exchanges_.empty()) return;
    auto it = exchanges_.end();
    std::advance(
        it, -static_cast<int>(1 + Pick(std::min<uint32_t>(8, static_cast<uint32_t>(exchanges_.size())))));
    auto& [id, e] = *it;
    if (!Alive(e)) return;
    if (what < 8) return Push(client_, id, e.request);
    if (!e.seen || e.closed_at_server > 0) return;
    if (what == 8) {
      server_.ReleaseCredit(id, e.unread);
      e.unread = 0;
    } else if (!e.answered) {
      Respond(id, e);
    } else if (what == 11 && Pick(20) == 0) {
      e.reset = true;
      (Pick(2) == 0 ? client_ : server_).Reset(id, ErrorCode::kCancel);
    } else {
      Push(server_, id, e.response);
    }
  }

  // Everybody does what is left to do.
  void Settle() {
    for (int i = 0; i < 5000 && !testing::Test::HasFailure(); ++i) {
      bool open = false;
      for (auto& [id, e] : exchanges_) {
        open = open || e.closed_at_client == 0 || (e.seen && e.closed_at_server == 0);
        if (!Alive(e)) continue;
        Push(client_, id, e.request);
        if (!e.seen || e.closed_at_server > 0) continue;
        server_.ReleaseCredit(id, e.unread);
        e.unread = 0;
        if (!e.answered) Respond(id, e);
        Push(server_, id, e.response);
      }
      Carry(client_, server_, true);
      Carry(server_, client_, false);
      if (!open) return;
    }
  }

  std::mt19937 random_;
  Codec client_;
  Codec server_;
  std::map<StreamId, Tracked> exchanges_;
};

TEST(Property, RandomTurnsLoseNothing) {
  for (uint32_t seed = 1; seed <= 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    world.Play(400);
    if (HasFailure()) return;
  }
}

}  // namespace
}  // namespace pillion::http2
