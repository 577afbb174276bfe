#include "sidecar/route/edits.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::route {
namespace {

using config::HeaderEdit;
using config::TextFormat;
using Action = HeaderEdit::Action;
using Kind = TextFormat::Kind;

std::string Show(const http::HeaderList& fields) {
  std::string text;
  for (size_t i = 0; i < fields.size(); ++i)
    text.append(fields[i].name).append("=").append(fields[i].value).append(" ");
  return text;
}

HeaderEdit Edit(Action action, const std::string& name, const std::string& value = "") {
  HeaderEdit edit;
  edit.action = action;
  edit.name = name;
  if (!value.empty()) edit.value.pieces.push_back({.text = value});
  return edit;
}

class EditsTest : public testing::Test {
 protected:
  EditsTest() {
    head_.path = "/a?b";
    head_.authority = "shop";
    head_.has_authority = true;
    head_.headers.Add("A", "1");
    head_.headers.Add("b", "2");
    head_.headers.Add("a", "3");
  }
  std::string After(const config::HeaderEdits& edits) {
    http::RequestHead head = head_;
    Apply(edits, {.request = head, .client = "1.2.3.4:5", .route = "r", .cluster = "c"}, head.headers);
    return Show(head.headers);
  }
  std::string Filled(std::vector<TextFormat::Piece> pieces, std::string_view client = "1.2.3.4:5") {
    http::HeaderList response;
    response.Add("Server", "nginx");
    return FillIn({.pieces = std::move(pieces)},
                  {.request = head_, .response = &response, .client = client, .route = "r", .cluster = "c"});
  }
  http::RequestHead head_;
};

TEST_F(EditsTest, AreMadeInOrder) {
  EXPECT_EQ(After({}), "A=1 b=2 a=3 ");
  EXPECT_EQ(After({Edit(Action::kRemove, "a")}), "b=2 ");
  EXPECT_EQ(After({Edit(Action::kAppend, "a", "x")}), "A=1 b=2 a=3 a=x ");
  EXPECT_EQ(After({Edit(Action::kAddIfAbsent, "a", "x"), Edit(Action::kAddIfAbsent, "n", "y")}),
            "A=1 b=2 a=3 n=y ");
  EXPECT_EQ(After({Edit(Action::kOverwrite, "a", "x"), Edit(Action::kOverwrite, "n", "y")}), "b=2 a=x n=y ");
  EXPECT_EQ(After({Edit(Action::kOverwriteIfExists, "b", "x"), Edit(Action::kOverwriteIfExists, "n", "y")}),
            "A=1 a=3 b=x ");
  EXPECT_EQ(After({Edit(Action::kAppend, "n", "y"), Edit(Action::kRemove, "n")}), "A=1 b=2 a=3 ");
}

TEST_F(EditsTest, AnEmptyValueChangesNothingUnlessItIsKept) {
  EXPECT_EQ(After({Edit(Action::kOverwrite, "a")}), "A=1 b=2 a=3 ");
  HeaderEdit kept = Edit(Action::kOverwrite, "a");
  kept.keep_empty = true;
  EXPECT_EQ(After({kept}), "b=2 a= ");
}

TEST_F(EditsTest, ValuesAreFilledIn) {
  EXPECT_EQ(Filled({{.text = "x-"}, {.kind = Kind::kRequestField, .text = "a"}, {.text = "!"}}), "x-1!");
  EXPECT_EQ(Filled({{.kind = Kind::kRequestField, .text = ":path", .most = 2}}), "/a");
  EXPECT_EQ(Filled({{.kind = Kind::kRequestField, .text = "none", .otherwise = ":authority"}}), "shop");
  EXPECT_EQ(Filled({{.kind = Kind::kRequestField, .text = "none"}}), "");
  EXPECT_EQ(Filled({{.kind = Kind::kResponseField, .text = "server"}}), "nginx");
  EXPECT_EQ(Filled({{.kind = Kind::kClient}}), "1.2.3.4:5");
  EXPECT_EQ(Filled({{.kind = Kind::kClientWithoutPort}}), "1.2.3.4");
  EXPECT_EQ(Filled({{.kind = Kind::kClientWithoutPort}}, "[::1]:80"), "::1");
  EXPECT_EQ(Filled({{.kind = Kind::kProtocol}}), "HTTP/1.1");
  EXPECT_EQ(Filled({{.kind = Kind::kRoute}, {.text = "/"}, {.kind = Kind::kCluster}}), "r/c");
}

}  // namespace
}  // namespace pillion::route
