#include "control-plane/cli/tokens_text.h"

#include <gtest/gtest.h>

namespace pillion::control {
namespace {

TEST(TokensText, ShowsRecordsByStateAndVerdictsByRoute) {
  const auto text = TokensText(
      R"({"domains":[{"domain":"00000000000000ab","in_flight":1,"completed":20,"tombstone":3,"unknown":4,)"
      R"("waiters":5,"detached":6,"bytes":7000000000}],"routes":[{"listener":"inbound","route":"r",)"
      R"("cluster":"c","verdicts":{"replayed":2,"executed":9}},{"listener":"outbound","route":"s","cluster":"d",)"
      R"("attempts_with_token":12,"verdicts":{}}]})");
  EXPECT_EQ(text.value_or("none"),
            "DOMAIN            IN-FLIGHT  COMPLETED  TOMBSTONE  UNKNOWN  WAITERS  DETACHED  BYTES\n"
            "00000000000000ab  1          20         3          4        5        6         7000000000\n"
            "\n"
            "LISTENER  ROUTE  CLUSTER  ATTEMPTS  VERDICTS\n"
            "inbound   r      c        -         executed=9 replayed=2\n"
            "outbound  s      d        12\n");
  EXPECT_EQ(
      TokensText(
          R"({"domains":[],"stores":[{"domain":"00cd","workers":2,"ready":1,"held":3,"waiting":4,"detached":5,)"
          R"("claimed":6,"doubt":7,"refused":8,"trouble":""},{"domain":"00ce","workers":1,"trouble":"nobody"}],)"
          R"("routes":[]})")
          .value_or("none"),
      "STORE OF  WORKERS  READY  HELD  WAITING  DETACHED  CLAIMED  DOUBT  REFUSED  TROUBLE\n"
      "00cd      2        1      3     4        5         6        7      8        -\n"
      "00ce      1                                                                 nobody\n"
      "\n"
      "No route has seen a token.\n");
  EXPECT_EQ(TokensText(R"({"domains":[],"routes":[]})").value_or("none"),
            "No records: this sidecar enforces no domain.\n\nNo route has seen a token.\n");
  EXPECT_FALSE(TokensText("no JSON").has_value());
  EXPECT_FALSE(TokensText("[]").has_value());
  EXPECT_FALSE(TokensText(R"({"fields":[]})").has_value());
}

TEST(TokensText, ShowsOneRecord) {
  EXPECT_EQ(
      TokenText(R"([{"domain":"00ab","state":"completed","execution":3,"status":201,"answer_bytes":50,)"
                R"("kept_for_ms":1000},{"domain":"00cd","state":"unknown","execution":4,"kept_for_ms":5}])")
          .value_or("none"),
      "domain:            00ab\n"
      "state:             completed\n"
      "execution:         3\n"
      "the app's status:  201\n"
      "answer, bytes:     50\n"
      "kept for, ms:      1000\n"
      "\n"
      "domain:        00cd\n"
      "state:         unknown\n"
      "execution:     4\n"
      "kept for, ms:  5\n");
  EXPECT_EQ(TokenText("[]").value_or("none"),
            "No record: it was never here, never ran, or its time is over.\n");
  EXPECT_FALSE(TokenText("{}").has_value());
}

}  // namespace
}  // namespace pillion::control
