#include "sidecar/idempotency/saved_answer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

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

}  // namespace
}  // namespace pillion::idempotency
