#include "sidecar/config/transcoding/path_template.h"

#include <gtest/gtest.h>

namespace pillion::config {
namespace {

TEST(PathTemplate, TheGrammarIsRead) {
  const auto path = ParsePathTemplate("/v1/{a.b_1=x/*/y}/{c}/{rest=**}:do-it");
  ASSERT_TRUE(path);
  ASSERT_EQ(path->segments.size(), 6u);
  EXPECT_EQ(path->verb, "do-it");
  ASSERT_EQ(path->variables.size(), 3u);
  EXPECT_EQ(path->variables[0].field, "a.b_1");
  EXPECT_EQ(path->variables[0].first, 1u);
  EXPECT_EQ(path->variables[0].last, 4u);
  EXPECT_FALSE(path->variables[1].rest);
  EXPECT_TRUE(path->variables[2].rest);
  for (const char* text : {"/",   "",       "v1",     "/v1/",     "//",    "/a//b",     "/{}",
                           "/{a", "/a}",    "/{a=}",  "/{a={b}}", "/**/a", "/{a=**}/b", "/a*",
                           "/a:", "/a:b/c", "/a:b:c", "/{a..b}",  "/{.a}", "/{a-b}",    "/{a=b}c"}) {
    EXPECT_FALSE(ParsePathTemplate(text)) << text;
  }
}

class PathTableTest : public ::testing::Test {
 protected:
  bool Add(const std::string& method, const std::string& path) {
    const auto parsed = ParsePathTemplate(path);
    EXPECT_TRUE(parsed) << path;
    return table_.Add(*parsed, method, count_++);
  }
  int Find(std::string_view method, std::string_view path, std::string_view verb = "") {
    const auto found = table_.Find(method, SplitPath(path), verb);
    return found ? static_cast<int>(*found) : -1;
  }
  PathTable table_;
  size_t count_ = 0;
};

TEST_F(PathTableTest, TheMostExactOneWins) {
  Add("GET", "/v1/books/*");       // 0
  Add("GET", "/v1/books/new");     // 1
  Add("GET", "/v1/**");            // 2
  Add("POST", "/v1/books/*");      // 3
  Add("*", "/v1/books/*");         // 4
  Add("GET", "/v1/books/*:copy");  // 5
  Add("GET", "/v1/*/new/deep");    // 6
  EXPECT_EQ(Find("GET", "/v1/books/7"), 0);
  EXPECT_EQ(Find("GET", "/v1/books/new"), 1);
  EXPECT_EQ(Find("POST", "/v1/books/new"), 3);
  EXPECT_EQ(Find("LOCK", "/v1/books/7"), 4);
  EXPECT_EQ(Find("GET", "/v1/books/7", "copy"), 5);
  EXPECT_EQ(Find("GET", "/v1/books/7", "paste"), -1);
  EXPECT_EQ(Find("GET", "/v1/books/new/deep"), 6);
  EXPECT_EQ(Find("GET", "/v1/books/new/shallow"), 2);
  EXPECT_EQ(Find("GET", "/v1"), 2);
  EXPECT_EQ(Find("GET", "/v1/books/"), 2);  // `*` is not empty
  EXPECT_EQ(Find("GET", "/v2"), -1);
  EXPECT_EQ(Find("GET", ""), -1);
}

TEST_F(PathTableTest, TheSameTwiceIsTold) {
  EXPECT_TRUE(Add("GET", "/v1/{a}"));
  EXPECT_FALSE(Add("GET", "/v1/{b=*}"));
  EXPECT_TRUE(Add("GET", "/v1/{b=*}:verb"));
  EXPECT_TRUE(Add("PUT", "/v1/{b=*}"));
}

}  // namespace
}  // namespace pillion::config
