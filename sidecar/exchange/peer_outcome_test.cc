#include "sidecar/exchange/peer_outcome.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::exchange {
namespace {

http::ResponseHead Head(uint16_t status, const std::string& name = "", const std::string& value = "") {
  http::ResponseHead head;
  head.status = status;
  if (!name.empty()) head.headers.Add(name, value);
  return head;
}

TEST(PeerOutcome, WhatOneSidecarTellsTheOtherReads) {
  for (const Outcome outcome : {Outcome::kNotSent, Outcome::kRefused, Outcome::kAmbiguous}) {
    for (size_t kind = 1; kind < kErrorKinds; ++kind) {
      const RequestError error{static_cast<ErrorKind>(kind), Side::kUpstream, outcome, ""};
      if (error.kind == ErrorKind::kDeadline || error.kind == ErrorKind::kUpgradeRefused) continue;
      const RequestError read = ReadOutcome(DescribeOutcome(error));
      EXPECT_EQ(read.kind, error.kind) << DescribeOutcome(error);
      EXPECT_EQ(read.outcome, outcome);
      EXPECT_EQ(read.side, Side::kUpstream);
      EXPECT_FALSE(read.detail.empty());
    }
  }
}

TEST(PeerOutcome, OfWhatIsTheClientsOwnFaultNothingIsTold) {
  const RequestError client{ErrorKind::kMalformed, Side::kClient, Outcome::kNotSent, ""};
  EXPECT_EQ(DescribeOutcome(client), "");
  const RequestError no_route{ErrorKind::kNoRoute, Side::kLocal, Outcome::kNotSent, ""};
  EXPECT_EQ(DescribeOutcome(no_route), "");
  const RequestError late{ErrorKind::kDeadline, Side::kUpstream, Outcome::kAmbiguous, ""};
  EXPECT_EQ(DescribeOutcome(late), "");
  const RequestError answered{ErrorKind::kMalformed, Side::kUpstream, Outcome::kAnswered, ""};
  EXPECT_EQ(DescribeOutcome(answered), "");
  const RequestError pressure{ErrorKind::kPressure, Side::kLocal, Outcome::kNotSent, ""};
  EXPECT_EQ(DescribeOutcome(pressure), "not_sent;pressure");
}

TEST(PeerOutcome, WhatIsNoneIsNone) {
  for (const char* text : {"", "not_sent", "not_sent;", ";reset", "not_sent;none", "answered;reset",
                           "not_sent;reset ", "Not_sent;reset", "not_sent;connect_failed;x"}) {
    EXPECT_FALSE(ReadOutcome(text)) << text;
  }
}

TEST(PeerOutcome, OnlyASidecarIsBelievedAndNobodySeesIt) {
  for (const Answerer from : {Answerer::kSidecar, Answerer::kOwnApp, Answerer::kOther}) {
    http::ResponseHead head = Head(503, "Pillion-Outcome", "not_sent;connect_failed");
    head.headers.Add("X-Other", "1");
    EXPECT_EQ(static_cast<bool>(TakeOutcome(head, from)), from == Answerer::kSidecar);
    EXPECT_EQ(head.headers.size(), 1u);
  }
  http::ResponseHead good = Head(200, "Pillion-Outcome", "not_sent;connect_failed");
  EXPECT_FALSE(TakeOutcome(good, Answerer::kSidecar));
  EXPECT_EQ(good.headers.size(), 0u);
}

TEST(PeerOutcome, OurOwnAppMaySayOfAnErrorThatItHasNotRunTheRequest) {
  const auto told = [](uint16_t status, const std::string& value, const std::string& grpc_status = "",
                       Answerer from = Answerer::kOwnApp) {
    http::ResponseHead head = Head(status, "pillion-not-executed", value);
    if (!grpc_status.empty()) head.headers.Add("grpc-status", grpc_status);
    const RequestError error = TakeOutcome(head, from);
    EXPECT_FALSE(head.headers.Find("pillion-not-executed"));
    return error;
  };
  EXPECT_EQ(told(503, "1").outcome, Outcome::kRefused);
  EXPECT_EQ(told(429, "1").kind, ErrorKind::kPeerRefused);
  EXPECT_EQ(told(200, "1", "14").outcome, Outcome::kRefused);
  EXPECT_FALSE(told(200, "1"));
  EXPECT_FALSE(told(200, "1", "0"));
  EXPECT_FALSE(told(503, "0"));
  EXPECT_FALSE(told(503, ""));
  EXPECT_FALSE(told(503, "1", "", Answerer::kOther)) << "it may pass on what another said";
  EXPECT_FALSE(told(503, "1", "", Answerer::kSidecar)) << "it says so in its own way";
}

}  // namespace
}  // namespace pillion::exchange
