#include "sidecar/filters/json_transcoder/json_values.h"

#include <gtest/gtest.h>

#include <vector>

#include "sidecar/base/random.h"

namespace pillion::filters {
namespace {

using Form = JsonValues::Form;
using Step = JsonValues::Step;
using Values = std::vector<std::string>;

// All values of a text that comes in pieces; "broken" last when it is.
Values Cut(std::string_view text, size_t piece, Form form = Form::kStream) {
  JsonValues values(form);
  Values all;
  while (!text.empty()) {
    std::string_view next = text.substr(0, piece == 0 ? text.size() : piece);
    text.remove_prefix(next.size());
    while (!next.empty()) {
      const Step step = values.Next(next);
      if (step == Step::kValue) all.push_back(values.value());
      if (step == Step::kBroken) {
        all.emplace_back("broken");
        return all;
      }
    }
  }
  Step step = values.Finish();
  if (step == Step::kValue) {
    all.push_back(values.value());
    step = values.Finish();
  }
  if (step == Step::kBroken) all.emplace_back("broken");
  return all;
}

struct Case {
  std::string text;
  Values values;
};

TEST(JsonValues, AStreamIsAnArrayOrOneValueAfterTheOther) {
  const Case cases[] = {
      {"", {}},
      {" \r\n\t", {}},
      {"[]", {}},
      {" [ ] ", {}},
      {"{}", {"{}"}},
      {R"([{"a":1},{"b":[1,2,{"c":"]"}]}])", {R"({"a":1})", R"({"b":[1,2,{"c":"]"}]})"}},
      {"[ {} , {} ]\n", {"{}", "{}"}},
      {"{}\n{}\n", {"{}", "{}"}},
      {"{}{}", {"{}", "{}"}},
      {"1 2\n\"a b\" null", {"1", "2", "\"a b\"", "null"}},
      {"[1,-2.5e+3,true]", {"1", "-2.5e+3", "true"}},
      {R"(["\"]\\","x"])", {R"("\"]\\")", "\"x\""}},
      {R"({"a":"'"})", {R"({"a":"'"})"}},
      {"[{}", {"{}", "broken"}},
      {"[{},", {"{}", "broken"}},
      {"[{},]", {"{}", "broken"}},
      {"[,{}]", {"broken"}},
      {"[{} {}]", {"{}", "broken"}},
      {"[{}]]", {"{}", "broken"}},
      {"[{}]{}", {"{}", "broken"}},
      {"{", {"broken"}},
      {"{]", {"broken"}},
      {"}", {"broken"}},
      {"\"abc", {"broken"}},
      {"\"abc\\", {"broken"}},
      {"{'a':1}", {"broken"}},
      {"1,2", {"broken"}},
      {"{},{}", {"{}", "broken"}},
      {"[1", {"broken"}},
  };
  for (const Case& one : cases) {
    for (size_t piece = 0; piece <= 8; ++piece)
      EXPECT_EQ(Cut(one.text, piece), one.values) << one.text << piece;
  }
}

TEST(JsonValues, OneIsOne) {
  const Case cases[] = {
      {"", {"broken"}},
      {"[1,2]", {"[1,2]"}},
      {" {} ", {"{}"}},
      {"{} {}", {"{}", "broken"}},
      {"1, \"x\": 2", {"broken"}},
      {"[1], \"x\": [2]", {"[1]", "broken"}},
      {"'a'", {"broken"}},
  };
  for (const Case& one : cases) {
    for (size_t piece = 0; piece <= 8; ++piece)
      EXPECT_EQ(Cut(one.text, piece, Form::kOne), one.values) << one.text;
  }
}

TEST(JsonValues, DepthHasALimit) {
  const std::string fits(JsonValues::kMaxDepth, '[');
  EXPECT_EQ(Cut(fits + std::string(JsonValues::kMaxDepth, ']'), 0, Form::kOne).back().front(), '[');
  EXPECT_EQ(Cut(fits + "[", 0, Form::kOne), Values{"broken"});
}

TEST(JsonValues, NothingDependsOnTheFragments) {
  Random random(11);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (uint64_t n = random.Next() % 24; n > 0; --n) text += "[]{},:\"\\1a \n'"[random.Next() % 13];
    const Values whole = Cut(text, 0);
    for (size_t piece = 1; piece < 4; ++piece) EXPECT_EQ(Cut(text, piece), whole) << text;
  }
}

}  // namespace
}  // namespace pillion::filters
