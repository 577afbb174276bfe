#include "sidecar/filters/fault/fault.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "sidecar/filter/filter_drive.h"

namespace pillion::filters {
namespace {

using std::chrono::milliseconds;
using Abort = config::Fault::Abort;

constexpr config::Fraction kAll{100, 100};
constexpr config::Fraction kNone{0, 100};

config::Fault Delays(milliseconds time, config::Fraction share = kAll) {
  config::Fault fault;
  fault.delay = {.time = time, .share = share};
  return fault;
}
config::Fault Aborts(Abort::Kind kind, uint16_t status, config::Fraction share = kAll) {
  config::Fault fault;
  fault.abort = {.kind = kind, .status = status, .share = share};
  return fault;
}
config::HeaderMatch Field(const std::string& name, const std::string& value) {
  config::HeaderMatch match{.name = name};
  match.value = config::StringMatch();
  match.value->text = value;
  return match;
}

class FaultTest : public ::testing::Test {
 protected:
  filter::FilterDrive Drive(config::FilterOptions options) {
    return {filter_, config::FilterKind::kFault, std::move(options)};
  }
  // Of a request with these fields.
  std::pair<uint16_t, uint8_t> Refused(const config::Fault& fault,
                                       const std::vector<filter::Field>& fields = {}) {
    auto drive = Drive(fault);
    for (const auto& field : fields) drive.head.headers.Add(field.name, field.value);
    drive.Request("", 0);
    EXPECT_FALSE(drive.waits);
    if (!drive.refused) return {0, 0};
    EXPECT_EQ(drive.stats->faults_aborted.value(), 1u);
    return {drive.refusal->status, drive.refusal->grpc_status};
  }
  // How long such a request waits.
  milliseconds Waits(const config::Fault& fault, const std::vector<filter::Field>& fields = {}) {
    auto drive = Drive(fault);
    for (const auto& field : fields) drive.head.headers.Add(field.name, field.value);
    drive.now += std::chrono::hours(5);
    drive.Request("", 0);
    EXPECT_FALSE(drive.refused);
    EXPECT_EQ(drive.waits, drive.state.wait != nullptr);
    EXPECT_EQ(drive.stats->faults_delayed.value(), drive.waits ? 1u : 0u);
    if (!drive.waits) return {};
    return std::chrono::duration_cast<milliseconds>(drive.state.wait->until - drive.now);
  }
  Fault filter_;
};

TEST_F(FaultTest, ARequestWaitsAndThenGoesOn) {
  const config::Fault fault = Delays(milliseconds(1500));
  auto drive = Drive(fault);
  drive.Request("body", 0);
  EXPECT_TRUE(drive.waits);
  EXPECT_EQ(drive.state.wait->until - drive.now, milliseconds(1500));
  EXPECT_EQ(*fault.active, 1u);
  drive.Request("body", 0);
  EXPECT_FALSE(drive.waits);
  EXPECT_EQ(drive.sent, "body");
  EXPECT_EQ(drive.stats->faults_delayed.value(), 1u);
  drive.state.wait.reset();
  EXPECT_EQ(*fault.active, 0u);
}

TEST_F(FaultTest, ADelayedRequestMayBeRefusedWhenItsWaitIsOver) {
  config::Fault fault = Delays(milliseconds(1));
  fault.abort = Aborts(Abort::Kind::kHttp, 418).abort;
  auto drive = Drive(fault);
  drive.Request("", 0);
  EXPECT_TRUE(drive.waits);
  EXPECT_FALSE(drive.refused);
  drive.Request("", 0);
  EXPECT_TRUE(drive.refused);
  EXPECT_EQ(drive.refusal->status, 418);
  // Nobody is told that it may be tried again.
  EXPECT_EQ(drive.refusal->error.kind, ErrorKind::kFault);
  EXPECT_EQ(drive.refusal->error.outcome, Outcome::kAnswered);
}

TEST_F(FaultTest, AStatusOfOneKindStandsForOneOfTheOther) {
  using Pair = std::pair<uint16_t, uint8_t>;
  EXPECT_EQ(Refused(Aborts(Abort::Kind::kHttp, 503)), Pair(503, 14));
  EXPECT_EQ(Refused(Aborts(Abort::Kind::kHttp, 404)), Pair(404, 12));
  EXPECT_EQ(Refused(Aborts(Abort::Kind::kGrpc, 5)), Pair(404, 5));
  EXPECT_EQ(Refused(Aborts(Abort::Kind::kGrpc, 14)), Pair(503, 14));
}

TEST_F(FaultTest, ARequestMayAskForItsFault) {
  using Pair = std::pair<uint16_t, uint8_t>;
  const config::Fault aborts = Aborts(Abort::Kind::kByRequest, 0);
  EXPECT_EQ(Refused(aborts), Pair());
  EXPECT_EQ(Refused(aborts, {{"x-envoy-fault-abort-request", "410"}}).first, 410);
  EXPECT_EQ(Refused(aborts, {{"X-Envoy-Fault-Abort-Grpc-Request", "7"}}), Pair(403, 7));
  for (const char* no_status : {"199", "600", "x", "", "503x", "-1", "4294967799"}) {
    EXPECT_EQ(Refused(aborts, {{"x-envoy-fault-abort-request", no_status}}), Pair()) << no_status;
  }
  EXPECT_EQ(Refused(aborts, {{"x-envoy-fault-abort-grpc-request", "0"}}), Pair());
  EXPECT_EQ(Refused(aborts, {{"x-envoy-fault-abort-grpc-request", "17"}}), Pair());
  EXPECT_EQ(Refused(aborts, {{"x-envoy-fault-abort-request", "410"},
                             {"x-envoy-fault-abort-request-percentage", "0"}}),
            Pair());
  const config::Fault delays = Delays(milliseconds(0));
  EXPECT_EQ(Waits(delays), milliseconds(0));
  EXPECT_EQ(Waits(delays, {{"x-envoy-fault-delay-request", "250"}}), milliseconds(250));
  EXPECT_EQ(Waits(delays, {{"x-envoy-fault-delay-request", "0"}}), milliseconds(0));
  EXPECT_EQ(Waits(delays,
                  {{"x-envoy-fault-delay-request", "250"}, {"x-envoy-fault-delay-request-percentage", "0"}}),
            milliseconds(0));
}

TEST_F(FaultTest, ItAsksForNoMoreThanThePolicySays) {
  EXPECT_EQ(Waits(Delays(milliseconds(0), kNone), {{"x-envoy-fault-delay-request", "250"},
                                                   {"x-envoy-fault-delay-request-percentage", "100"}}),
            milliseconds(0));
  EXPECT_EQ(
      Refused(Aborts(Abort::Kind::kByRequest, 0, kNone),
              {{"x-envoy-fault-abort-request", "410"}, {"x-envoy-fault-abort-request-percentage", "100"}})
          .first,
      0);
  // Where the policy says what it is, the request says nothing.
  EXPECT_EQ(Waits(Delays(milliseconds(70)),
                  {{"x-envoy-fault-delay-request", "250"}, {"x-envoy-fault-delay-request-percentage", "0"}}),
            milliseconds(70));
}

TEST_F(FaultTest, OnlyRequestsThatMatchAll) {
  config::Fault fault = Delays(milliseconds(5));
  fault.headers = {Field("x-user", "ann"), Field("x-try", "yes")};
  EXPECT_EQ(Waits(fault, {{"x-user", "ann"}, {"x-try", "yes"}}), milliseconds(5));
  EXPECT_EQ(Waits(fault, {{"x-user", "ann"}}), milliseconds(0));
  EXPECT_EQ(Waits(fault), milliseconds(0));
}

TEST_F(FaultTest, AShareIsAShare) {
  // One drive: its generator goes on.
  auto drive = Drive(Delays(milliseconds(5), {2500, 10'000}));
  int waited = 0;
  for (int i = 0; i < 4000; ++i) {
    drive.Request("", 0);
    waited += drive.waits ? 1 : 0;
    drive.state.wait.reset();
  }
  EXPECT_NEAR(waited, 1000, 120);
  EXPECT_EQ(drive.stats->faults_delayed.value(), static_cast<uint64_t>(waited));
}

TEST_F(FaultTest, WhereTooManyWaitOthersPass) {
  config::Fault fault = Delays(milliseconds(5));
  fault.abort = Aborts(Abort::Kind::kHttp, 500).abort;
  fault.max_active = 2;
  auto first = Drive(fault);
  first.Request("", 0);
  auto second = Drive(fault);
  second.Request("", 0);
  EXPECT_TRUE(first.waits && second.waits);
  auto third = Drive(fault);
  third.Request("", 0);
  EXPECT_FALSE(third.waits || third.refused);
  EXPECT_EQ(third.stats->faults_skipped.value(), 1u);
  // One of those that wait still comes to its abort.
  first.Request("", 0);
  EXPECT_TRUE(first.refused);
  first.state.wait.reset();
  third.Request("", 0);
  EXPECT_TRUE(third.waits);
}

TEST_F(FaultTest, WhereNothingIsSaidNothingHappens) {
  EXPECT_EQ(Waits(config::Fault()), milliseconds(0));
  auto other = Drive(config::Present());
  other.Request("body", 0);
  EXPECT_EQ(other.sent, "body");
}

}  // namespace
}  // namespace pillion::filters
