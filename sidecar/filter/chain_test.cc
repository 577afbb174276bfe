// Chains of small transforms: what comes out does not depend on how it came in, heads wait, limits hold.
#include "sidecar/filter/chain.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::filter {
namespace {

// Doubles each byte; says how much it saw in a trailer.
class Doubling final : public Transform {
 public:
  Decision OnRequestBody(const RequestBodyView& body) override { return Double(body); }
  Decision OnRequestTrailers(const RequestBodyView& body, http::HeaderList& trailers) override {
    return End(body, trailers);
  }
  Decision OnResponseBody(const ResponseBodyView& body) override { return Double(body); }
  Decision OnResponseTrailers(const ResponseBodyView& body, http::HeaderList& trailers) override {
    return End(body, trailers);
  }

 private:
  Decision Double(const BodyView& body) {
    while (!body.in.empty() && body.out.bytes() < body.budget) {
      const char byte = body.in.front().view().front();
      body.in.Consume(1);
      body.out.AppendCopy(std::string(2, byte));
      ++seen_;
    }
    return Decision::kContinue;
  }
  Decision End(const BodyView& body, http::HeaderList& trailers) {
    body.out.AppendCopy(".");
    trailers.Add("x-seen", std::to_string(seen_));
    return Decision::kContinue;
  }
  size_t seen_ = 0;
};

// Holds the head until everything is here, and turns it round.
class Reversing final : public Transform {
 public:
  Decision OnRequestBody(const RequestBodyView& body) override { return Reverse(body); }
  Decision OnResponseHead(const ResponseHeadView&) override { return Decision::kHold; }
  Decision OnResponseBody(const ResponseBodyView& body) override {
    if (Reverse(body) == Decision::kHold) return Decision::kHold;
    body.head.status = 201;
    return Decision::kContinue;
  }

 private:
  static Decision Reverse(const BodyView& body) {
    if (!body.end) return Decision::kHold;
    std::string text = body.in.ToString();
    body.in.Clear();
    body.out.AppendCopy(std::string(text.rbegin(), text.rend()));
    return Decision::kContinue;
  }
};

class Refusing final : public Transform {
 public:
  explicit Refusing(Decision decision) : decision_(decision) {}
  Decision OnRequestBody(const RequestBodyView&) override { return decision_; }
  Decision OnResponseBody(const ResponseBodyView&) override { return decision_; }

 private:
  Decision decision_;
};

// Bit i of `cuts`: a piece ends behind byte i. The end comes with the last piece, or alone.
struct Slicing {
  uint32_t cuts;
  bool end_alone;
};

class ChainTest : public ::testing::Test {
 protected:
  RequestView View() { return {options_, nullptr, head_, state_, random_, response_, body_}; }
  Chain& chain() { return *state_.chain; }
  void Add(std::unique_ptr<Transform> transform, HeldLimits limits = {}) {
    AddTransform(state_, std::move(transform), limits);
  }
  // All of `text`, `step` bytes at a time, as an exchange does it.
  std::string Request(std::string_view text, size_t step) {
    std::string out;
    SliceQueue content;
    while (!chain().request_over()) {
      const std::string_view piece = text.substr(0, step);
      text.remove_prefix(piece.size());
      content.AppendCopy(piece);
      passage_ = Passage::kFlows;
      do {
        passage_ = chain().FeedRequest(content, text.empty(), trailers_, View());
        if (passage_ != Passage::kFlows && passage_ != Passage::kHeld) return out;
        if (passage_ == Passage::kHeld) {
          EXPECT_TRUE(chain().request_held());
          continue;
        }
        out += chain().request_out().ToString();
        chain().request_out().Clear();
      } while (chain().progressed());
    }
    return out;
  }
  std::string Response(std::string_view text, size_t step) {
    std::string out;
    SliceQueue content;
    http::ResponseHead head;
    chain().BeginResponse({head, false, 0});
    while (!chain().response_over()) {
      const std::string_view piece = text.substr(0, step);
      text.remove_prefix(piece.size());
      content.AppendCopy(piece);
      do {
        passage_ = chain().FeedResponse(content, text.empty(), trailers_, head);
        if (passage_ != Passage::kFlows && passage_ != Passage::kHeld) return out;
        if (chain().response_held()) continue;
        out += chain().response_out().ToString();
        chain().response_out().Clear();
      } while (chain().progressed());
    }
    status_ = head.status;
    return out;
  }
  // What is said of it in the end, of a request or a response.
  Passage FeedSliced(const std::string& text, const Slicing& slicing, bool request) {
    SliceQueue content;
    http::ResponseHead head;
    if (!request) chain().BeginResponse({head, false, 0});
    Passage passage = Passage::kHeld;
    const auto feed = [&](bool ended) {
      do {
        passage = request ? chain().FeedRequest(content, ended, trailers_, View())
                          : chain().FeedResponse(content, ended, trailers_, head);
      } while (passage == Passage::kHeld && chain().progressed());
    };
    size_t from = 0;
    for (size_t i = 0; i < text.size() && passage == Passage::kHeld; ++i) {
      const bool last = i + 1 == text.size();
      if (!last && (slicing.cuts >> i & 1) == 0) continue;
      content.AppendCopy(text.substr(from, i + 1 - from));
      from = i + 1;
      feed(last && !slicing.end_alone);
    }
    if (passage == Passage::kHeld) feed(true);
    return passage;
  }
  config::HttpOptions options_;
  http::RequestHead head_;
  RequestState state_;
  Random random_{1};
  http::ResponseHead response_;
  SliceQueue body_;
  http::HeaderList trailers_;
  Passage passage_ = Passage::kFlows;
  uint16_t status_ = 0;
};

TEST_F(ChainTest, WhatComesOutDoesNotDependOnTheFragments) {
  for (size_t step = 1; step <= 9; ++step) {
    state_.chain.reset();
    trailers_.Clear();
    Add(std::make_unique<Doubling>());
    Add(std::make_unique<Doubling>());
    EXPECT_EQ(Request("abc", step), "aaaabbbbcccc...");
    EXPECT_EQ(trailers_.size(), 2u);
    EXPECT_EQ(trailers_[1].value, "7");
    EXPECT_EQ(Response("xy", step), "xxxxyyyy...");
  }
}

TEST_F(ChainTest, LongContentPassesInSteps) {
  Add(std::make_unique<Doubling>());
  Add(std::make_unique<Doubling>());
  const std::string text(3 * kStepBytes, 'x');
  EXPECT_EQ(Request(text, text.size()).size(), 4 * text.size() + 3);
}

TEST_F(ChainTest, AHeldRequestHeadIsLetGoByTheBody) {
  for (size_t step = 1; step <= 5; ++step) {
    state_.chain.reset();
    trailers_.Clear();
    Add(std::make_unique<Doubling>());
    Add(std::make_unique<Reversing>());
    chain().HoldRequest();
    SliceQueue content;
    std::string text = "abc";
    for (size_t at = 0; at < text.size() && chain().request_held(); at += step) {
      content.AppendCopy(text.substr(at, step));
      const bool last = at + step >= text.size();
      const Passage passage = chain().FeedRequest(content, last, trailers_, View());
      EXPECT_EQ(passage, last ? Passage::kFlows : Passage::kHeld);
    }
    EXPECT_FALSE(chain().request_held());
    // What comes after it in the order of filters gets what it has let out.
    Add(std::make_unique<Doubling>());
    EXPECT_EQ(Request("", 1), "..ccccbbbbaaaa" + std::string("."));
  }
}

TEST_F(ChainTest, AHeldResponseHeadReachesTheNextOnlyWhenItIsLetGo) {
  for (size_t step = 1; step <= 5; ++step) {
    state_.chain.reset();
    trailers_.Clear();
    Add(std::make_unique<Reversing>());
    Add(std::make_unique<Reversing>());
    EXPECT_EQ(Response("abc", step), "abc");
    EXPECT_EQ(status_, 201);
  }
}

TEST_F(ChainTest, WhatIsHeldHasALimit) {
  Add(std::make_unique<Reversing>(), {.request = 1000, .response = 1000});
  chain().HoldRequest();
  Request(std::string(5000, 'x'), 100);
  EXPECT_EQ(passage_, Passage::kTooLarge);
  state_.chain.reset();
  Add(std::make_unique<Doubling>());
  Add(std::make_unique<Reversing>(), {.request = 1000, .response = 1000});
  Response(std::string(5000, 'x'), 7);
  EXPECT_EQ(passage_, Passage::kTooLarge);
}

TEST_F(ChainTest, WhatIsTooMuchToHoldDoesNotDependOnTheFragments) {
  constexpr size_t kLimit = 8;
  const std::string text = "0123456789";
  for (size_t size = kLimit - 1; size <= text.size(); ++size) {
    const Passage wanted = size <= kLimit ? Passage::kFlows : Passage::kTooLarge;
    for (uint32_t n = 0; n < 2U << (size - 1); ++n) {
      const Slicing slicing{n >> 1, (n & 1) != 0};
      state_.chain.reset();
      Add(std::make_unique<Reversing>(), {.request = kLimit, .response = kLimit});
      chain().HoldRequest();
      EXPECT_EQ(FeedSliced(text.substr(0, size), slicing, true), wanted) << size << ' ' << n;
      state_.chain.reset();
      Add(std::make_unique<Reversing>(), {.request = kLimit, .response = kLimit});
      EXPECT_EQ(FeedSliced(text.substr(0, size), slicing, false), wanted) << size << ' ' << n;
    }
  }
}

TEST_F(ChainTest, WhatIsTakenAtOnceMayBeMoreThanMayBeHeld) {
  Add(std::make_unique<Doubling>(), {.request = 4, .response = 4});
  EXPECT_EQ(Request("0123456789", 10), "00112233445566778899.");
  EXPECT_EQ(Response("0123456789", 10), "00112233445566778899.");
}

TEST_F(ChainTest, ItKnowsWhatItHolds) {
  Add(std::make_unique<Doubling>());
  Add(std::make_unique<Reversing>());  // keeps all until the end
  chain().HoldRequest();
  SliceQueue content;
  content.AppendCopy("abc");
  chain().FeedRequest(content, false, trailers_, View());
  EXPECT_EQ(chain().HeldBytes(), 6u);
  chain().FeedRequest(content, true, trailers_, View());
  EXPECT_EQ(chain().HeldBytes(), 7u) << "now behind the last, with what the first has added";
  chain().request_out().Clear();
  EXPECT_EQ(chain().HeldBytes(), 0u);
  http::ResponseHead head;
  chain().BeginResponse({head, false, 0});
  content.AppendCopy("abcd");
  chain().FeedResponse(content, false, trailers_, head);
  EXPECT_EQ(chain().HeldBytes(), 4u);
}

// Takes three bytes a turn, and keeps them.
class Slow final : public Transform {
 public:
  Decision OnRequestBody(const RequestBodyView& body) override { return Take(body); }
  Decision OnRequestTrailers(const RequestBodyView& body, http::HeaderList&) override { return End(body); }
  Decision OnResponseBody(const ResponseBodyView& body) override { return Take(body); }
  Decision OnResponseTrailers(const ResponseBodyView& body, http::HeaderList&) override { return End(body); }
  size_t HeldBytes() const override { return kept_.size(); }

 private:
  Decision Take(const BodyView& body) {
    for (int i = 0; i < 3 && !body.in.empty(); ++i) {
      kept_ += body.in.front().view().front();
      body.in.Consume(1);
    }
    return body.in.empty() ? Decision::kContinue : Decision::kYield;
  }
  Decision End(const BodyView& body) {
    body.out.AppendCopy(kept_);
    kept_.clear();
    return Decision::kContinue;
  }
  std::string kept_;
};

TEST_F(ChainTest, ItKnowsWhatItsTransformsHold) {
  Add(std::make_unique<Slow>());
  SliceQueue content;
  content.AppendCopy("ab");
  chain().FeedRequest(content, false, trailers_, View());
  EXPECT_EQ(chain().HeldBytes(), 2u);
  EXPECT_FALSE(chain().yielded());
  chain().FeedRequest(content, true, trailers_, View());
  EXPECT_EQ(chain().request_out().ToString(), "ab");
  EXPECT_EQ(chain().HeldBytes(), 2u) << "once";
}

TEST_F(ChainTest, WhoYieldsIsCalledAgainWithTheRest) {
  Add(std::make_unique<Slow>());
  Add(std::make_unique<Doubling>());
  SliceQueue content;
  content.AppendCopy("abcdefgh");
  chain().FeedRequest(content, true, trailers_, View());
  EXPECT_TRUE(chain().yielded());
  EXPECT_FALSE(chain().request_over()) << "what it has left is not dropped";
  chain().BeginTurn();
  EXPECT_FALSE(chain().yielded());
  chain().FeedRequest(content, true, trailers_, View());
  EXPECT_TRUE(chain().yielded());
  chain().BeginTurn();
  chain().FeedRequest(content, true, trailers_, View());
  EXPECT_FALSE(chain().yielded());
  EXPECT_EQ(chain().request_out().ToString(), "aabbccddeeffgghh.");
  EXPECT_TRUE(chain().request_over());
  trailers_.Clear();
  EXPECT_EQ(Response("abcdefgh", 8), "aabbccddeeffgghh.");
}

TEST_F(ChainTest, AVerdictEndsTheFeeding) {
  Add(std::make_unique<Refusing>(Decision::kReset));
  Request("x", 1);
  EXPECT_EQ(passage_, Passage::kBroken);
  Response("x", 1);
  EXPECT_EQ(passage_, Passage::kBroken);
  state_.chain.reset();
  Add(std::make_unique<Refusing>(Decision::kRespond));
  Request("x", 1);
  EXPECT_EQ(passage_, Passage::kAnswered);
  EXPECT_TRUE(chain().request_answered());
}

TEST_F(ChainTest, AnAnswerMadeHerePassesAfterOneThatBroke) {
  Add(std::make_unique<Doubling>());
  Add(std::make_unique<Reversing>());
  http::ResponseHead head;
  SliceQueue content;
  content.AppendCopy("abc");
  EXPECT_EQ(chain().BeginResponse({head, false, 0}), Passage::kHeld);
  EXPECT_EQ(chain().FeedResponse(content, false, trailers_, head), Passage::kHeld);
  chain().ForgetResponse();
  trailers_.Clear();
  EXPECT_EQ(Response("xy", 2), "yyxx.");
}

}  // namespace
}  // namespace pillion::filter
