#include "sidecar/filters/tracing/tracing.h"

#include <gtest/gtest.h>

namespace pillion::filters {
namespace {

constexpr std::string_view kParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

TEST(TraceParent, LegalValuesSurviveARoundTrip) {
  const auto parent = ParseTraceParent(kParent);
  ASSERT_TRUE(parent);
  EXPECT_TRUE(parent->sampled);
  EXPECT_EQ(FormatTraceParent(*parent), kParent);
  EXPECT_TRUE(ParseTraceParent("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes-later"));
}

TEST(TraceParent, IllegalValuesAreAsIfAbsent) {
  for (const char* value : {
           "",
           "00",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-00000000000000000000000000000000-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0x",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
           "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
       }) {
    EXPECT_FALSE(ParseTraceParent(value)) << value;
  }
}

class TracingFilter : public ::testing::Test {
 protected:
  TracingFilter() { options_.tracing = config::Tracing{"collector", "me", 100, 100}; }
  filter::RequestView View() { return {options_, nullptr, head_, state_, random_, response_, body_}; }
  config::HttpOptions options_;
  http::RequestHead head_;
  filter::RequestState state_;
  Random random_{1};
  http::ResponseHead response_;
  SliceQueue body_;
  Tracing tracing_;
};

TEST_F(TracingFilter, TakesTheParentUpAndHangsEveryAttemptBelowIt) {
  head_.headers.Add("traceparent", kParent);
  head_.headers.Add("tracestate", "vendor=1");
  tracing_.OnRequestHead(View());
  EXPECT_TRUE(state_.trace.sampled);
  tracing_.OnAttemptHead(View());
  const auto first = ParseTraceParent(*head_.headers.Find(http::Known::kTraceparent));
  tracing_.OnAttemptHead(View());
  const auto second = ParseTraceParent(*head_.headers.Find(http::Known::kTraceparent));
  EXPECT_EQ(first->trace, ParseTraceParent(kParent)->trace);
  EXPECT_EQ(state_.trace.parent, ParseTraceParent(kParent)->span);
  EXPECT_NE(first->span, second->span);
  EXPECT_NE(first->span, ParseTraceParent(kParent)->span);
  EXPECT_EQ(head_.headers.Find(http::Known::kTracestate), "vendor=1");
}

TEST_F(TracingFilter, AParentThatIsNotSampledStaysUnsampled) {
  std::string unsampled(kParent);
  unsampled.back() = '0';
  head_.headers.Add("traceparent", unsampled);
  tracing_.OnRequestHead(View());
  tracing_.OnAttemptHead(View());
  EXPECT_FALSE(state_.trace.sampled);
  EXPECT_EQ(head_.headers.Find(http::Known::kTraceparent), unsampled);
}

TEST_F(TracingFilter, SamplingFollowsThePolicy) {
  options_.tracing->random_sampling = 25;
  int sampled = 0;
  for (int i = 0; i < 10000; ++i) {
    state_.trace = {};
    head_.headers.Clear();
    tracing_.OnRequestHead(View());
    sampled += state_.trace.sampled;
  }
  EXPECT_NEAR(sampled, 2500, 200);
}

TEST_F(TracingFilter, WithoutPolicyNothingIsTouched) {
  options_.tracing.reset();
  head_.headers.Add("traceparent", "rubbish");
  tracing_.OnRequestHead(View());
  tracing_.OnAttemptHead(View());
  EXPECT_EQ(head_.headers.Find(http::Known::kTraceparent), "rubbish");
}

}  // namespace
}  // namespace pillion::filters
