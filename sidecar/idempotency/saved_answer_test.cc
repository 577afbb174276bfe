#include "sidecar/idempotency/saved_answer.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

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
  Execution execution;
  execution.at = DomainTime(5);
  execution.span[3] = 7;
  const auto answer = SavedAnswer::Of(
      201, head, [](const http::HeaderList::Field& field) { return field.name != "X-Left"; }, content,
      &trailers, execution);
  EXPECT_EQ(answer->status(), 201);
  EXPECT_EQ(answer->execution().at, DomainTime(5));
  EXPECT_EQ(answer->execution().span, execution.span);
  http::HeaderList told;
  answer->AddHeadTo(told);
  EXPECT_EQ(FieldsOf(told),
            (Fields{{"Content-Type", "text/plain"}, {"Set-Cookie", ""}, {"set-cookie", "b=2"}}));
  EXPECT_TRUE(told.Has(http::Known::kContentType));
  http::HeaderList end;
  answer->AddTrailersTo(end);
  EXPECT_EQ(FieldsOf(end), (Fields{{"Grpc-Status", "0"}}));
  EXPECT_TRUE(answer->has_trailers());
  EXPECT_EQ(answer->content(), std::string(10'000, 'x') + std::string(9'000, 'y'));
  EXPECT_EQ(content.bytes(), 19'000u);
}

TEST(SavedAnswer, AnEmptyTrailerSectionIsNotNone) {
  const http::HeaderList none;
  const SliceQueue nothing;
  const auto empty = SavedAnswer::Of(200, none, All, nothing, &none, {});
  EXPECT_TRUE(empty->has_trailers());
  const auto without = SavedAnswer::Of(204, none, All, nothing, nullptr, {});
  EXPECT_FALSE(without->has_trailers());
  EXPECT_EQ(without->content(), "");
  EXPECT_EQ(without->Bytes(), sizeof(SavedAnswer));
}

}  // namespace
}  // namespace pillion::idempotency
