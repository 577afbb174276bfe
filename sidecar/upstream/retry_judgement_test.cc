#include "sidecar/upstream/retry_judgement.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace pillion::upstream {
namespace {

RequestError Failed(ErrorKind kind, Outcome outcome) { return {kind, Side::kUpstream, outcome, ""}; }

TEST(Judge, APostThatMayHaveRunIsNeverRetried) {
  config::RetryPolicy policy;
  policy.on = ~0u;
  policy.max_retries = 10;
  policy.status_codes = {200, 404};
  for (int kind = 1; kind <= static_cast<int>(ErrorKind::kInternal); ++kind) {
    for (const http::Method method : {http::Method::kPost, http::Method::kPatch, http::Method::kOther}) {
      AttemptFacts facts;
      facts.method = method;
      facts.error = Failed(static_cast<ErrorKind>(kind), Outcome::kAmbiguous);
      EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
      facts.reused_connection = true;
      EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
    }
  }
  AttemptFacts answered;
  answered.method = http::Method::kPost;
  answered.status = 503;
  EXPECT_EQ(JudgeAttempt(answered, &policy).verdict, Verdict::kDeliver);
}

TEST(Judge, WhatWasNotProcessedIsRetriedForAnyMethodButNotForEver) {
  for (const Outcome outcome : {Outcome::kNotSent, Outcome::kRefused}) {
    AttemptFacts facts;
    facts.method = http::Method::kPost;
    facts.error = Failed(ErrorKind::kReset, outcome);
    EXPECT_EQ(JudgeAttempt(facts, nullptr).verdict, Verdict::kRetrySafe);
    facts.safe_retries = kMaxSafeRetries;
    EXPECT_EQ(JudgeAttempt(facts, nullptr).verdict, Verdict::kDeliver);
    facts.safe_retries = 0;
    facts.body_replayable = false;
    EXPECT_EQ(JudgeAttempt(facts, nullptr).verdict, Verdict::kDeliver);
  }
}

// Its peer says that it did not take the request, and had begun to answer it.
TEST(Judge, WhatWasAnsweredIsNotRetriedWhateverIsSaidOfItAfterwards) {
  config::RetryPolicy policy;
  policy.on = ~0u;
  policy.max_retries = 10;
  AttemptFacts facts;
  facts.method = http::Method::kPost;
  facts.answered = true;
  for (const Outcome outcome : {Outcome::kNotSent, Outcome::kRefused}) {
    facts.error = Failed(ErrorKind::kPeerRefused, outcome);
    EXPECT_EQ(JudgeAttempt(facts, nullptr).verdict, Verdict::kDeliver);
    EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
  }
  facts.method = http::Method::kGet;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
}

// Nearly every stream is of a connection that was used before.
TEST(Judge, WhatTheConnectionAloneIsToBlameForIsFreeOnce) {
  AttemptFacts facts;
  facts.error = Failed(ErrorKind::kPeerRefused, Outcome::kRefused);
  EXPECT_EQ(JudgeAttempt(facts, nullptr).verdict, Verdict::kRetryFree);
  facts.error = Failed(ErrorKind::kClosed, Outcome::kNotSent);
  EXPECT_EQ(JudgeAttempt(facts, nullptr).verdict, Verdict::kRetrySafe) << "a new connection, and down";
  facts.reused_connection = true;
  EXPECT_EQ(JudgeAttempt(facts, nullptr).verdict, Verdict::kRetryFree);
  facts.safe_retries = 1;
  EXPECT_EQ(JudgeAttempt(facts, nullptr).verdict, Verdict::kRetrySafe) << "once";
}

// The next hop would take it no better the second time.
TEST(Judge, WhatCannotBeSentIsNotTriedAgain) {
  config::RetryPolicy policy;
  policy.on = ~0u;
  policy.max_retries = 10;
  AttemptFacts facts;
  facts.error = Failed(ErrorKind::kHeadTooLarge, Outcome::kAmbiguous);
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
  facts.error.side = Side::kClient;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
}

// Another sidecar's attempt, which answered for it.
TEST(Judge, WhatAnotherSidecarTellsCountsAsItsOwnAttempt) {
  AttemptFacts facts;
  facts.method = http::Method::kPost;
  facts.told = true;
  facts.status = 503;
  facts.reused_connection = true;  // the one to the sidecar, which is not stale
  for (const Outcome outcome : {Outcome::kNotSent, Outcome::kRefused}) {
    facts.error = Failed(ErrorKind::kConnectFailed, outcome);
    EXPECT_EQ(JudgeAttempt(facts, nullptr).verdict, Verdict::kRetrySafe);
    facts.other_endpoints = false;  // it has tried what there is to try
    EXPECT_EQ(JudgeAttempt(facts, nullptr).reason, NoRetry::kNoOtherEndpoint);
    facts.other_endpoints = true;
  }
  config::RetryPolicy policy;
  policy.max_retries = 1;
  facts.error = Failed(ErrorKind::kReset, Outcome::kAmbiguous);
  for (const uint32_t on : {config::kRetryReset, config::kRetryGatewayError}) {
    policy.on = on;
    facts.method = http::Method::kPost;
    EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
    facts.method = http::Method::kGet;
    EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
  }
  policy.on = config::kRetryStatusCodes;
  policy.status_codes = {503};
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy) << "its answer counts too";
  policy.status_codes = {502};
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
}

TEST(Judge, TellsWhyThereIsNoFurtherAttempt) {
  const auto reason = [](const AttemptFacts& facts, const config::RetryPolicy* policy) {
    const Judgement judgement = JudgeAttempt(facts, policy);
    EXPECT_EQ(judgement.verdict, Verdict::kDeliver);
    return judgement.reason;
  };
  config::RetryPolicy policy;
  policy.on = config::kRetry5xx;
  policy.max_retries = 1;
  AttemptFacts good;
  good.status = 200;
  EXPECT_EQ(reason(good, nullptr), NoRetry::kNone);
  EXPECT_EQ(reason(good, &policy), NoRetry::kNone);
  AttemptFacts error;
  error.status = 404;
  EXPECT_EQ(reason(error, &policy), NoRetry::kNone) << "it is the answer";
  AttemptFacts lost;
  lost.error = Failed(ErrorKind::kReset, Outcome::kAmbiguous);
  EXPECT_EQ(reason(lost, nullptr), NoRetry::kNoPolicy);
  policy.on = config::kRetryConnectFailure;
  EXPECT_EQ(reason(lost, &policy), NoRetry::kNoCondition);
  policy.on = config::kRetry5xx;
  lost.paid_retries = 1;
  EXPECT_EQ(reason(lost, &policy), NoRetry::kUsedUp);
  lost.paid_retries = 0;
  lost.method = http::Method::kPost;
  EXPECT_EQ(reason(lost, &policy), NoRetry::kCouldRunTwice);
  lost.method = http::Method::kGet;
  lost.body_replayable = false;
  EXPECT_EQ(reason(lost, &policy), NoRetry::kBody);
  lost.error.side = Side::kClient;
  EXPECT_EQ(reason(lost, &policy), NoRetry::kCannotBeSent);
  AttemptFacts unsent;
  unsent.error = Failed(ErrorKind::kConnectFailed, Outcome::kNotSent);
  unsent.other_endpoints = false;
  EXPECT_EQ(reason(unsent, nullptr), NoRetry::kNoOtherEndpoint);
  unsent.other_endpoints = true;
  unsent.safe_retries = kMaxSafeRetries;
  EXPECT_EQ(reason(unsent, nullptr), NoRetry::kUsedUp);
}

TEST(Judge, TheOnlyEndpointThatIsDownIsTriedAgainOnlyByAPolicyThatWaits) {
  config::RetryPolicy policy;
  policy.on = config::kRetryConnectFailure;
  policy.max_retries = 1;
  for (const ErrorKind kind : {ErrorKind::kConnectFailed, ErrorKind::kConnectTimeout}) {
    AttemptFacts facts;
    facts.method = http::Method::kPost;
    facts.error = Failed(kind, Outcome::kNotSent);
    EXPECT_EQ(JudgeAttempt(facts, nullptr).verdict, Verdict::kRetrySafe);
    facts.other_endpoints = false;
    EXPECT_EQ(JudgeAttempt(facts, nullptr).verdict, Verdict::kDeliver);
    EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
  }
  AttemptFacts refused;  // it is there, and may take the next one
  refused.error = Failed(ErrorKind::kPeerRefused, Outcome::kRefused);
  refused.other_endpoints = false;
  EXPECT_EQ(JudgeAttempt(refused, nullptr).verdict, Verdict::kRetryFree);
}

TEST(Judge, PolicyConditionsAndCountsAreHonoured) {
  config::RetryPolicy policy;
  policy.on = config::kRetryGatewayError;
  policy.max_retries = 2;
  AttemptFacts facts;
  facts.status = 503;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
  facts.paid_retries = 2;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
  facts.paid_retries = 0;
  facts.status = 500;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
  facts.status = 200;
  facts.grpc_status = 14;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
  policy.on = config::kRetryGrpcUnavailable;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
}

// xds.md 1.4: what of all that may happen to an attempt each condition wants.
TEST(Judge, EachConditionWantsItsOwn) {
  std::map<std::string, AttemptFacts> events;
  const auto failed = [&](const std::string& name, ErrorKind kind, Outcome outcome) {
    events[name].error = Failed(kind, outcome);
    events[name].safe_retries = kMaxSafeRetries;  // no condition is needed before
  };
  failed("reset", ErrorKind::kReset, Outcome::kAmbiguous);
  failed("timeout", ErrorKind::kPerTryTimeout, Outcome::kAmbiguous);
  failed("unsent", ErrorKind::kClosed, Outcome::kNotSent);
  failed("connect", ErrorKind::kConnectFailed, Outcome::kNotSent);
  failed("late", ErrorKind::kConnectTimeout, Outcome::kNotSent);
  failed("refused", ErrorKind::kPeerRefused, Outcome::kRefused);
  for (const uint16_t status : {200, 404, 409, 418, 429, 500, 501, 502, 503, 504})
    events[std::to_string(status)].status = status;
  for (const uint32_t status : {0u, 1u, 2u, 4u, 8u, 13u, 14u}) {
    AttemptFacts& facts = events["grpc" + std::to_string(status)];
    facts.status = 200;
    facts.grpc_status = status;
  }
  events["header"].status = 200;
  events["header"].headers_match = true;
  events["limited"].status = 429;
  events["limited"].rate_limited = true;
  events["limited503"].status = 503;
  events["limited503"].rate_limited = true;
  const std::string errors = "connect late refused reset timeout unsent ";
  const std::vector<std::pair<uint32_t, std::string>> wanted = {
      {0, ""},
      {config::kRetry5xx, "500 501 502 503 504 " + errors},
      {config::kRetryGatewayError, "502 503 504 " + errors},
      {config::kRetryReset, errors},
      {config::kRetryConnectFailure, "connect late "},
      {config::kRetryRefusedStream, "refused "},
      {config::kRetryRetriable4xx, "409 "},
      {config::kRetryStatusCodes, "418 501 "},
      {config::kRetryGrpcCancelled, "grpc1 "},
      {config::kRetryGrpcDeadlineExceeded, "grpc4 "},
      {config::kRetryGrpcResourceExhausted, "grpc8 "},
      {config::kRetryGrpcInternal, "grpc13 "},
      {config::kRetryGrpcUnavailable, "grpc14 "},
      {config::kRetryResetBeforeRequest, "unsent "},
      {config::kRetryHeaders, "header "},
      {config::kRetryRateLimited, "limited limited503 "},
      {config::kRetryRefusedStream | config::kRetryRetriable4xx, "409 refused "},
  };
  for (const auto& [on, names] : wanted) {
    config::RetryPolicy policy;
    policy.on = on;
    policy.max_retries = 10;
    policy.status_codes = {418, 501};
    std::string again;
    for (const auto& [name, facts] : events) {
      if (JudgeAttempt(facts, &policy).verdict == Verdict::kRetryPolicy) again += name + " ";
    }
    EXPECT_EQ(again, names) << on;
  }
}

// So that no request has more attempts than its policy says, for whatever reasons.
TEST(Judge, RetriesThatNeededNoPolicyCountForItAsWell) {
  config::RetryPolicy policy;
  policy.on = config::kRetry5xx;
  policy.max_retries = 2;
  AttemptFacts facts;
  facts.error = Failed(ErrorKind::kConnectFailed, Outcome::kNotSent);
  facts.safe_retries = facts.paid_retries = 2;
  EXPECT_EQ(JudgeAttempt(facts, &policy).reason, NoRetry::kUsedUp);
  policy.max_retries = 3;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
}

TEST(Judge, BesideAnAttemptOnlyWhatMayRunTwiceIsTried) {
  config::RetryPolicy policy;
  policy.max_retries = 1;
  AttemptFacts facts;
  EXPECT_EQ(JudgeHedge(facts, policy), NoRetry::kNone);
  facts.paid_retries = 1;
  EXPECT_EQ(JudgeHedge(facts, policy), NoRetry::kUsedUp);
  facts = {};
  facts.method = http::Method::kPost;
  EXPECT_EQ(JudgeHedge(facts, policy), NoRetry::kCouldRunTwice);
  facts.idempotent_method = true;
  EXPECT_EQ(JudgeHedge(facts, policy), NoRetry::kNone);
  facts.idempotent_method = false;
  policy.non_idempotent = true;
  EXPECT_EQ(JudgeHedge(facts, policy), NoRetry::kNone);
  facts.body_replayable = false;
  EXPECT_EQ(JudgeHedge(facts, policy), NoRetry::kBody);
  facts = {};
  facts.request_matches = false;
  EXPECT_EQ(JudgeHedge(facts, policy), NoRetry::kRequestHeaders);
  facts = {};
  facts.other_endpoints = false;
  EXPECT_EQ(JudgeHedge(facts, policy), NoRetry::kNoOtherEndpoint);
}

TEST(Judge, AGrpcMethodThatIsIdempotentIsRetriedThoughItIsAPost) {
  config::RetryPolicy policy;
  policy.on = config::kRetryGrpcUnavailable;
  AttemptFacts facts;
  facts.method = http::Method::kPost;
  facts.answered = true;
  facts.status = 200;
  facts.grpc_status = 14;
  EXPECT_EQ(JudgeAttempt(facts, &policy).reason, NoRetry::kCouldRunTwice);
  facts.idempotent_method = true;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
}

TEST(Judge, WhatTheUpstreamCannotDoItCannotDoAgain) {
  config::RetryPolicy policy;
  policy.on = ~0u;
  policy.max_retries = 10;
  AttemptFacts facts;
  facts.reused_connection = true;
  facts.error = Failed(ErrorKind::kUpgradeRefused, Outcome::kNotSent);
  EXPECT_EQ(JudgeAttempt(facts, nullptr).reason, NoRetry::kCannotBeSent);
  EXPECT_EQ(JudgeAttempt(facts, &policy).reason, NoRetry::kCannotBeSent);
}

TEST(Judge, WhoLimitsRatesIsAskedAgainOnlyWhereThePolicySaysSo) {
  config::RetryPolicy policy;
  policy.on = config::kRetry5xx;
  policy.max_retries = 1;
  AttemptFacts facts;
  facts.status = 503;
  facts.rate_limited = true;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
  policy.on |= config::kRetryRateLimited;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
}

TEST(Judge, EachGrpcStatusHasItsCondition) {
  const std::pair<uint32_t, uint32_t> conditions[] = {{1, config::kRetryGrpcCancelled},
                                                      {4, config::kRetryGrpcDeadlineExceeded},
                                                      {8, config::kRetryGrpcResourceExhausted},
                                                      {13, config::kRetryGrpcInternal},
                                                      {14, config::kRetryGrpcUnavailable}};
  config::RetryPolicy policy;
  policy.max_retries = 1;
  for (const auto& [code, condition] : conditions) {
    policy.on = condition;
    for (uint32_t said = 0; said <= 17; ++said) {
      AttemptFacts facts;
      facts.status = 200;
      facts.grpc_status = said;
      EXPECT_EQ(JudgeAttempt(facts, &policy).verdict,
                said == code ? Verdict::kRetryPolicy : Verdict::kDeliver)
          << code << ' ' << said;
    }
  }
}

http::HeaderList Fields(std::initializer_list<std::pair<const char*, const char*>> fields) {
  http::HeaderList list;
  for (const auto& [name, value] : fields) list.Add(name, value);
  return list;
}

// specs/idempotency.md 2.1 and 4.1.
TEST(Judge, ARequestWithATokenGoesByWhatIsKnownOfItAndByNothingElse) {
  using Said = idempotency::Verdict;
  config::RetryPolicy policy;
  policy.on = ~0u;  // whatever it says of statuses
  policy.status_codes = {200, 400};
  policy.max_retries = 2;
  const auto judge = [&](AttemptFacts facts) {
    facts.method = http::Method::kPost;
    facts.stamped = true;
    return JudgeAttempt(facts, &policy);
  };
  const std::pair<Said, bool> known[] = {
      {Said::kExecuted, false},  {Said::kReplayed, false},   {Said::kCoalesced, false},
      {Said::kTombstone, false}, {Said::kNotExecuted, true}, {Said::kInFlight, true},
      {Said::kUnknown, false},   {Said::kMismatch, false},   {Said::kExpired, false},
      {Said::kBadToken, false},  {Said::kDoubt, true},       {Said::kBypass, false}};
  for (const auto& [said, again] : known) {
    for (const uint16_t status : {200, 400, 409, 500, 503}) {
      AttemptFacts facts;
      facts.status = status;
      facts.verdict = said;
      EXPECT_EQ(judge(facts).verdict, again ? Verdict::kRetryPolicy : Verdict::kDeliver)
          << ToString(said) << " " << status;
      facts.may_run = true;
      EXPECT_EQ(judge(facts).verdict == Verdict::kRetryPolicy, again && said != Said::kDoubt)
          << ToString(said);
      facts.paid_retries = 2;
      EXPECT_EQ(judge(facts).verdict, Verdict::kDeliver);
    }
  }
  AttemptFacts full;
  full.status = 503;
  full.verdict = Said::kNotExecuted;
  full.told_wait.kind = ToldWait::Kind::kNever;  // longer than the policy waits
  EXPECT_EQ(judge(full).verdict, Verdict::kRetryPolicy);
  for (const uint16_t status : {200, 404, 409, 500, 502, 503, 504}) {
    AttemptFacts facts;
    facts.status = status;
    EXPECT_EQ(judge(facts).verdict, status >= 502 ? Verdict::kRetryPolicy : Verdict::kDeliver)
        << "somebody else has answered: " << status;
  }
}

// Another request of the app's may have the key, and run: to ask again is then the app's.
TEST(Judge, WhatStillRunsUnderAKeyIsAskedAgainOnlyWhereItMayBeOurs) {
  config::RetryPolicy policy;
  AttemptFacts facts;
  facts.method = http::Method::kPost;
  facts.stamped = true;
  facts.has_key = true;
  facts.status = 409;
  facts.verdict = idempotency::Verdict::kInFlight;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
  facts.may_run = true;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
  facts.may_run = false;
  facts.verdict = idempotency::Verdict::kNotExecuted;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy) << "it has not run";
}

TEST(Judge, WhatIsUnknownIsTriedAgainOnlyWherePolicySaysSo) {
  config::RetryPolicy policy;
  policy.max_retries = 1;
  AttemptFacts facts;
  facts.method = http::Method::kPost;
  facts.stamped = true;
  facts.status = 500;
  facts.verdict = idempotency::Verdict::kUnknown;
  EXPECT_EQ(JudgeAttempt(facts, &policy).reason, NoRetry::kToken);
  facts.runs_unknown_again = true;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
  facts.has_key = true;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy) << "it was ours that ran";
  facts.verdict = idempotency::Verdict::kMismatch;
  EXPECT_EQ(JudgeAttempt(facts, &policy).reason, NoRetry::kToken);
  facts.verdict = idempotency::Verdict::kUnknown;
  facts.paid_retries = 1;
  EXPECT_EQ(JudgeAttempt(facts, &policy).reason, NoRetry::kUsedUp);
}

TEST(Judge, ARequestWithATokenThatMayHaveRunIsTriedAgain) {
  config::RetryPolicy policy;
  policy.max_retries = 1;
  AttemptFacts facts;
  facts.method = http::Method::kPost;
  facts.error = Failed(ErrorKind::kClosed, Outcome::kAmbiguous);
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
  facts.stamped = true;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
  facts.body_replayable = false;
  EXPECT_EQ(JudgeAttempt(facts, &policy).reason, NoRetry::kBody);
  facts.body_replayable = true;
  facts.answered = true;
  EXPECT_EQ(JudgeAttempt(facts, &policy).reason, NoRetry::kToken) << "its client has seen some of it";
  facts.answered = false;
  facts.error.side = Side::kClient;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
  facts.error = Failed(ErrorKind::kConnectFailed, Outcome::kNotSent);
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetrySafe) << "as any other";
  facts.may_run = true;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
  facts.paid_retries = 1;
  EXPECT_EQ(JudgeAttempt(facts, &policy).reason, NoRetry::kUsedUp);
}

TEST(ToldWait, RetryAfterIsWaitedForUpToTheLongestBackOff) {
  using Kind = ToldWait::Kind;
  config::RetryPolicy policy;
  policy.backoff_max = std::chrono::seconds(2);
  const auto told = [&](const char* value) {
    return ReadToldWait(policy, Fields({{"Retry-After", value}}), true, std::chrono::seconds(784'111'777), 0);
  };
  EXPECT_EQ(told("2").kind, Kind::kWait);
  EXPECT_EQ(told("2").wait, std::chrono::seconds(2));
  EXPECT_EQ(told("0").kind, Kind::kWait);
  EXPECT_EQ(told("3").kind, Kind::kNever);
  EXPECT_EQ(told("99999999999999999").kind, Kind::kNever);
  EXPECT_EQ(told("4000000000").kind, Kind::kNever);
  // A date: 784111777 is the standard's example of one.
  EXPECT_EQ(told("Sun, 06 Nov 1994 08:49:39 GMT").kind, Kind::kWait);
  EXPECT_EQ(told("Sun, 06 Nov 1994 08:49:39 GMT").wait, std::chrono::seconds(2));
  EXPECT_EQ(told("Sun, 06 Nov 1994 08:49:40 GMT").kind, Kind::kNever);
  EXPECT_EQ(told("Fri, 31 Dec 9999 23:59:59 GMT").kind, Kind::kNever);
  EXPECT_EQ(told("Sun, 06 Nov 1994 08:49:36 GMT").kind, Kind::kWait) << "it is over";
  EXPECT_EQ(told("Sun, 06 Nov 1994 08:49:36 GMT").wait.count(), 0);
  for (const char* value :
       {"", "-1", "1s", " 1", "Sun, 06 Nov 1994 08:49:39", "06 Nov 1994 08:49:39 GMT", "infinite-past",
        "infinite-future", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:39 CET"})
    EXPECT_EQ(told(value).kind, Kind::kNothing) << value;
}

TEST(ToldWait, AGrpcServerPushesBackOrForbids) {
  using Kind = ToldWait::Kind;
  const config::RetryPolicy policy;
  const auto told = [&](const char* value, bool grpc = true) {
    return ReadToldWait(policy, Fields({{"grpc-retry-pushback-ms", value}}), grpc, std::chrono::seconds(0),
                        0);
  };
  EXPECT_EQ(told("1500").wait, std::chrono::milliseconds(1500));
  EXPECT_EQ(told("1500", false).kind, Kind::kNothing);
  EXPECT_EQ(told("300000").kind, Kind::kWait);
  for (const char* value : {"300001", "-1", "", "soon"}) EXPECT_EQ(told(value).kind, Kind::kNever) << value;
}

TEST(ToldWait, ThePolicysOwnFieldsComeFirstInTheirOrder) {
  using Kind = ToldWait::Kind;
  config::RetryPolicy policy;
  policy.reset_headers = {{.name = "x-reset", .timestamp = true},
                          {.name = "retry-after", .timestamp = false}};
  policy.reset_max = std::chrono::seconds(100);
  const std::chrono::seconds now(1'700'000'000);
  const auto told = [&](std::initializer_list<std::pair<const char*, const char*>> fields,
                        uint64_t random = 0) {
    return ReadToldWait(policy, Fields(fields), false, now, random);
  };
  EXPECT_EQ(told({{"retry-after", "7"}, {"x-reset", "1700000005"}}).wait, std::chrono::seconds(5));
  EXPECT_EQ(told({{"retry-after", "7"}, {"x-reset", "1700000005"}}, ~uint64_t{0}).wait,
            std::chrono::milliseconds(7500))
      << "up to half as long again";
  EXPECT_EQ(told({{"retry-after", "7"}, {"x-reset", "1700000101"}}).wait, std::chrono::seconds(7))
      << "too long";
  EXPECT_EQ(told({{"retry-after", "7"}, {"x-reset", "1699999999"}}).wait, std::chrono::seconds(7)) << "over";
  EXPECT_EQ(told({{"retry-after", "101"}}).kind, Kind::kNever) << "as without them";
  EXPECT_EQ(told({}).kind, Kind::kNothing);
}

TEST(Judge, WhatAnAnswerSaysOfRetriesCounts) {
  config::RetryPolicy policy;
  policy.on = config::kRetryHeaders | config::kRetryRateLimited;
  policy.max_retries = 1;
  AttemptFacts facts;
  facts.status = 200;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver);
  facts.headers_match = true;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
  facts.headers_match = false;
  facts.rate_limited = true;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
  facts.told_wait.kind = ToldWait::Kind::kWait;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kRetryPolicy);
  facts.told_wait.kind = ToldWait::Kind::kNever;
  EXPECT_EQ(JudgeAttempt(facts, &policy).reason, NoRetry::kToldToWait);
  facts.told_wait = {};
  facts.request_matches = false;
  EXPECT_EQ(JudgeAttempt(facts, &policy).reason, NoRetry::kRequestHeaders);
  policy.on = config::kRetry5xx;
  facts.headers_match = true;
  EXPECT_EQ(JudgeAttempt(facts, &policy).verdict, Verdict::kDeliver) << "only where the policy says so";
}

TEST(Judge, WhatIsLeftMustBeEnoughForAnAttempt) {
  using std::chrono::milliseconds;
  EXPECT_FALSE(TooLate(std::nullopt, milliseconds(1000), milliseconds(1000)));
  EXPECT_FALSE(TooLate(milliseconds(30), milliseconds(10), milliseconds(20)));
  EXPECT_TRUE(TooLate(milliseconds(29), milliseconds(10), milliseconds(20)));
  EXPECT_TRUE(TooLate(milliseconds(-1), milliseconds(0), milliseconds(0)));
}

TEST(Backoff, IsJitteredWithinItsGrowingCappedSpan) {
  config::RetryPolicy policy;  // 25 ms base, 250 ms cap
  const int64_t ms = 1'000'000;
  for (uint32_t retry = 1; retry < 70; ++retry) {
    const int64_t span = std::min<int64_t>(250, retry > 10 ? 250 : 25 * ((1 << retry) - 1)) * ms;
    int64_t highest = 0;
    for (uint64_t i = 0; i < 1000; ++i) {
      const int64_t wait = Backoff(policy, retry, i * 0x9E3779B97F4A7C15u).count();
      ASSERT_GE(wait, 0);
      ASSERT_LT(wait, span);
      highest = std::max(highest, wait);
    }
    EXPECT_GT(highest, span * 9 / 10);
  }
}

}  // namespace
}  // namespace pillion::upstream
