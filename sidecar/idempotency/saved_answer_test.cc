#include "sidecar/idempotency/saved_answer.h"

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "sidecar/base/random.h"
#include "sidecar/idempotency/test_answer.h"

namespace pillion::idempotency {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

Fields FieldsOf(const http::HeaderList& list) {
  Fields fields;
  for (size_t i = 0; i < list.size(); ++i) fields.emplace_back(list[i].name, list[i].value);
  return fields;
}

bool All(const http::HeaderList::Field&) { return true; }

TEST(SavedAnswer, ItSaysAgainWhatWasKept) {
  http::HeaderList head;
  head.Add("Content-Type", "text/plain");
  head.Add("X-Left", "out");
  head.Add("Set-Cookie", "");
  head.Add("set-cookie", "b=2");
  http::HeaderList trailers;
  trailers.Add("Grpc-Status", "0");
  SliceQueue content;
  content.Append(Slice::Copy(std::string(10'000, 'x')));
  content.Append(Slice::Copy(std::string(9'000, 'y')));
  ExecutionSpan execution;
  execution.at = DomainTime(5);
  execution.span[3] = 7;
  std::string written = "what another one has left";
  WriteAnswer(
      201, head, [](const http::HeaderList::Field& field) { return field.name != "X-Left"; }, content,
      &trailers, execution, written);
  const SavedAnswer answer(written);
  written.assign(written.size(), '?');
  EXPECT_EQ(answer.status(), 201);
  EXPECT_EQ(answer.execution().at, DomainTime(5));
  EXPECT_EQ(answer.execution().span, execution.span);
  http::HeaderList told;
  answer.AddHeadTo(told);
  EXPECT_EQ(FieldsOf(told),
            (Fields{{"Content-Type", "text/plain"}, {"Set-Cookie", ""}, {"set-cookie", "b=2"}}));
  EXPECT_TRUE(told.Has(http::Known::kContentType));
  http::HeaderList end;
  answer.AddTrailersTo(end);
  EXPECT_EQ(FieldsOf(end), (Fields{{"Grpc-Status", "0"}}));
  EXPECT_TRUE(answer.has_trailers());
  EXPECT_EQ(answer.content(), std::string(10'000, 'x') + std::string(9'000, 'y'));
  EXPECT_EQ(content.bytes(), 19'000u);
}

TEST(SavedAnswer, AnEmptyTrailerSectionIsNotNone) {
  const http::HeaderList none;
  std::string written;
  WriteAnswer(200, none, All, {}, &none, {}, written);
  EXPECT_TRUE(SavedAnswer(written).has_trailers());
  WriteAnswer(204, none, All, {}, nullptr, {}, written);
  const SavedAnswer without(written);
  EXPECT_FALSE(without.has_trailers());
  EXPECT_EQ(without.content(), "");
  EXPECT_EQ(without.bytes(), SavedAnswer::kOwnBytes);
  EXPECT_FALSE(SavedAnswer());
  EXPECT_EQ(SavedAnswer().bytes(), 0u);
}

// Sizes around those of the classes and of a page; old ones go, and some in between, and some are still held
// by whoever tells them.
TEST(SavedAnswer, PagesHoldWhatWasPutThere) {
  Random random(1);
  std::deque<std::pair<std::string, SavedAnswer>> kept;
  std::vector<std::pair<std::string, SavedAnswer>> held;
  {
    AnswerPages pages;
    for (int i = 0; i < 20'000; ++i) {
      const size_t around = size_t{256} << Below(random.Next(), 8);
      const size_t size = around - SavedAnswer::kOwnBytes + Below(random.Next(), 5) - 2;
      const std::string written = AnswerOf(std::string(size, static_cast<char>('a' + i % 26)));
      kept.emplace_back(written, pages.Keep(written));
      if (random.Percent(1)) held.push_back(kept.back());
      if (kept.size() > 100) kept.pop_front();
      if (random.Percent(20)) kept.erase(kept.begin() + static_cast<long>(Below(random.Next(), kept.size())));
      if (kept.empty()) continue;
      const auto& [was, is] = kept[Below(random.Next(), kept.size())];
      ASSERT_EQ(is.written(), was);
    }
  }
  for (const auto& [was, is] : kept) ASSERT_EQ(is.written(), was) << "also when nobody adds any more";
  for (const auto& [was, is] : held) ASSERT_EQ(is.written(), was);
}

}  // namespace
}  // namespace pillion::idempotency
