// The server rules of specs/xds.md 2.2 and 2.4, one by one.
#include "control-plane/xds/stream.h"

#include <gtest/gtest.h>

#include <set>

#include "control-plane/xds/limits.h"
#include "control-plane/xds/test_resources.h"

namespace pillion::control {
namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using testing::TestSet;
using enum ResourceType;
using Names = std::vector<std::string>;

ResourceType TypeOf(const DiscoveryResponse& response) {
  return TypeOfUrl(response.type_url()).value_or(kCluster);
}

class StreamTest : public ::testing::Test {
 protected:
  DiscoveryRequest Request(ResourceType type, const Names& names) {
    DiscoveryRequest request;
    request.mutable_node()->set_id("n1");
    request.set_type_url(std::string(TypeUrl(type)));
    for (const std::string& name : names) request.add_resource_names(name);
    return request;
  }
  void Subscribe(ResourceType type, const Names& names) {
    ASSERT_TRUE(stream_.OnRequest(Request(type, names), now_).ok());
  }
  DiscoveryRequest Answer(const DiscoveryResponse& response, const Names& names) {
    DiscoveryRequest request = Request(TypeOf(response), names);
    request.set_response_nonce(response.nonce());
    request.set_version_info(response.version_info());
    return request;
  }
  void Ack(const DiscoveryResponse& response, const Names& names = {}) {
    ASSERT_TRUE(stream_.OnRequest(Answer(response, names), now_).ok());
  }
  void Nack(const DiscoveryResponse& response, const Names& names = {}, const std::string& why = "bad") {
    DiscoveryRequest request = Answer(response, names);
    // The version of a NACK is the last accepted one; that it equals the new one here must mislead nobody.
    request.mutable_error_detail()->set_message(why);
    ASSERT_TRUE(stream_.OnRequest(request, now_).ok());
  }
  // "" when there is nothing to send, else what goes out: "cluster a b".
  std::string Next() {
    const auto response = stream_.Next(now_);
    if (!response.has_value()) return "";
    last_ = *response;
    constexpr const char* kWords[] = {"cluster", "endpoints", "listener", "routes"};
    const ResourceType type = TypeOf(last_);
    std::string text = kWords[static_cast<size_t>(type)];
    const Resources& sent = stream_.state(type).sent();
    std::set<std::string> names;
    for (const auto& body : last_.resources()) {
      for (const auto& [name, resource] : sent) {
        if (resource->body.value() == body.value()) names.insert(name);
      }
    }
    EXPECT_EQ(names.size(), static_cast<size_t>(last_.resources_size()));
    for (const std::string& name : names) text += " " + name;
    return text;
  }
  std::string NextAcked(const Names& names = {}) {
    const std::string text = Next();
    if (!text.empty()) Ack(last_, names);
    return text;
  }
  // A client that takes everything: both clusters a and b, routes r over listener l.
  void Settle() {
    Subscribe(kCluster, {});
    ASSERT_EQ(NextAcked(), "cluster a b");
    Subscribe(kEndpoints, {"a", "b"});
    ASSERT_EQ(NextAcked({"a", "b"}), "endpoints a b");
    Subscribe(kListener, {});
    ASSERT_EQ(NextAcked(), "listener l");
    Subscribe(kRoutes, {"r"});
    ASSERT_EQ(NextAcked({"r"}), "routes r");
    ASSERT_EQ(Next(), "");
  }
  static TestSet Basic() { return std::move(TestSet().Both("a").Both("b").Listener("l", "r")); }

  Moment now_{};
  Stream stream_;
  DiscoveryResponse last_;
};

TEST_F(StreamTest, ARequestWithoutTypeOrNodeEndsTheStream) {
  DiscoveryRequest request = Request(kCluster, {});
  request.clear_type_url();
  EXPECT_EQ(stream_.OnRequest(request, now_).code(), absl::StatusCode::kInvalidArgument);
  request = Request(kCluster, {});
  request.clear_node();
  EXPECT_EQ(stream_.OnRequest(request, now_).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(StreamTest, LaterRequestsMayOmitTheNodeAndMustNotChangeIt) {
  Subscribe(kCluster, {});
  DiscoveryRequest request = Request(kListener, {});
  request.clear_node();
  EXPECT_TRUE(stream_.OnRequest(request, now_).ok());
  request.mutable_node()->set_id("other");
  EXPECT_EQ(stream_.OnRequest(request, now_).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(StreamTest, TooManyNamesEndTheStream) {
  DiscoveryRequest request = Request(kEndpoints, {});
  for (size_t i = 0; i <= kMaxSubscribedNames; ++i) request.add_resource_names("n" + std::to_string(i));
  EXPECT_EQ(stream_.OnRequest(request, now_).code(), absl::StatusCode::kResourceExhausted);
}

TEST_F(StreamTest, ATypeThatWeHaveNothingOfIsHeardAndNotAnswered) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  DiscoveryRequest request = Request(kCluster, {"x"});
  request.set_type_url("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret");
  EXPECT_TRUE(stream_.OnRequest(request, now_).ok());
  EXPECT_EQ(Next(), "");
}

TEST_F(StreamTest, AnEmptyFirstListIsEverythingForClustersAndListenersOnly) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Subscribe(kRoutes, {});
  Subscribe(kEndpoints, {});
  EXPECT_EQ(Next(), "");
  Subscribe(kCluster, {});
  EXPECT_EQ(NextAcked(), "cluster a b");
}

TEST_F(StreamTest, AnEmptyListAfterANameUnsubscribes) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Subscribe(kCluster, {"a"});
  EXPECT_EQ(NextAcked(), "cluster a");  // the ACK names nothing
  stream_.SetTarget(TestSet().Cluster("a", 2).Endpoints("a").Seal());
  EXPECT_EQ(Next(), "");
}

TEST_F(StreamTest, AStarIsEverythingAndItsAbsenceEndsIt) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Subscribe(kCluster, {"*", "a"});
  EXPECT_EQ(NextAcked({"a"}), "cluster a b");
  EXPECT_EQ(Next(), "");  // less than before: nothing to say
  stream_.SetTarget(TestSet().Both("a").Cluster("b", 2).Endpoints("b").Seal());
  EXPECT_EQ(Next(), "");
}

TEST_F(StreamTest, ARequestWithAnEmptyNonceIsValidThoughItHasAVersion) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  DiscoveryRequest request = Request(kCluster, {});
  request.set_version_info("from another stream");
  ASSERT_TRUE(stream_.OnRequest(request, now_).ok());
  EXPECT_EQ(Next(), "cluster a b");
}

TEST_F(StreamTest, AWishThatCrossesTheFirstResponseIsNoAnswerToIt) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Subscribe(kEndpoints, {"a"});
  ASSERT_EQ(Next(), "endpoints a");
  const DiscoveryResponse first = last_;
  Subscribe(kEndpoints, {"a", "b"});
  EXPECT_EQ(Next(), "") << "one response outstanding per type";
  Ack(first, {"a", "b"});
  EXPECT_EQ(NextAcked({"a", "b"}), "endpoints b");
}

TEST_F(StreamTest, AStaleNonceIsIgnoredWithAllThatTheRequestSays) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Subscribe(kEndpoints, {"a"});
  ASSERT_EQ(NextAcked({"a"}), "endpoints a");
  const DiscoveryResponse old = last_;
  stream_.SetTarget(TestSet().Cluster("a").Endpoints("a", 2).Both("b").Seal());
  ASSERT_EQ(Next(), "endpoints a");
  Nack(old, {"a", "b"});
  EXPECT_TRUE(stream_.state(kEndpoints).in_flight());
  EXPECT_EQ(stream_.stale_requests(), 1u);
  EXPECT_EQ(stream_.state(kEndpoints).history().rejection, "");
  Ack(last_, {"a"});
  EXPECT_EQ(Next(), "");
}

TEST_F(StreamTest, ANameThatIsAddedIsSentThoughNothingChanged) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Settle();
  Subscribe(kEndpoints, {"b"});
  EXPECT_EQ(Next(), "");
  Subscribe(kEndpoints, {"a", "b"});
  EXPECT_EQ(NextAcked({"a", "b"}), "endpoints a");
}

TEST_F(StreamTest, ANamedClusterSubscriptionIsAnsweredWithAllThatIsWanted) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Subscribe(kCluster, {"a"});
  EXPECT_EQ(NextAcked({"a"}), "cluster a");
  Subscribe(kCluster, {"a", "b"});
  EXPECT_EQ(NextAcked({"a", "b"}), "cluster a b");
  Subscribe(kCluster, {"a", "b", "nowhere"});
  EXPECT_EQ(NextAcked({"a", "b", "nowhere"}), "cluster a b") << "its absence is the answer";
}

TEST_F(StreamTest, ANameThatDoesNotExistYetIsPushedWhenItAppears) {
  stream_.SetTarget(TestSet().Both("a").Seal());
  Subscribe(kEndpoints, {"a", "late"});
  EXPECT_EQ(NextAcked({"a", "late"}), "endpoints a");
  stream_.SetTarget(TestSet().Both("a").Both("late").Seal());
  EXPECT_EQ(NextAcked({"a", "late"}), "endpoints late");
}

TEST_F(StreamTest, ANameThatGoesAndComesBackUnchangedIsSentAgain) {
  stream_.SetTarget(TestSet().Both("a").Seal());
  Subscribe(kEndpoints, {"a"});
  EXPECT_EQ(NextAcked({"a"}), "endpoints a");
  stream_.SetTarget(TestSet().Seal());
  EXPECT_EQ(Next(), "") << "absence means nothing for endpoints";
  stream_.SetTarget(TestSet().Both("a").Seal());
  EXPECT_EQ(NextAcked({"a"}), "endpoints a");
}

TEST_F(StreamTest, EverythingGoneIsAnEmptyClusterResponse) {
  stream_.SetTarget(TestSet().Both("a").Seal());
  Subscribe(kCluster, {});
  EXPECT_EQ(NextAcked(), "cluster a");
  stream_.SetTarget(TestSet().Seal());
  EXPECT_EQ(NextAcked(), "cluster");
  EXPECT_EQ(Next(), "");
}

TEST_F(StreamTest, AnUnchangedTargetSendsNothing) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Settle();
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  EXPECT_EQ(Next(), "");
}

TEST_F(StreamTest, ARejectedVersionIsNotSentAgainAndNotRecordedAsHeld) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Settle();
  stream_.SetTarget(Basic().Routes("r", {"b"}).Seal());
  ASSERT_EQ(Next(), "routes r");
  Nack(last_, {"r"}, "virtual_hosts[0]: no");
  EXPECT_EQ(Next(), "");
  EXPECT_EQ(stream_.state(kRoutes).history().rejection, "virtual_hosts[0]: no");
  EXPECT_EQ(stream_.state(kRoutes).history().rejected_version, last_.version_info());
  EXPECT_EQ(stream_.state(kRoutes).held().at("r")->references.front().name, "a");
  stream_.SetTarget(Basic().Routes("r", {"b"}).Seal());
  EXPECT_EQ(Next(), "") << "the same content under a new snapshot is still the rejected one";
  stream_.SetTarget(Basic().Routes("r", {"b"}, 2).Seal());
  EXPECT_EQ(NextAcked({"r"}), "routes r");
}

TEST_F(StreamTest, AfterARejectionTheGoodHalfRidesWithTheNextResponse) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Settle();
  const auto with = [](int a, int b) {
    return TestSet()
        .Cluster("a")
        .Endpoints("a", a)
        .Cluster("b")
        .Endpoints("b", b)
        .Listener("l", "r")
        .Routes("r", {"a"})
        .Seal();
  };
  stream_.SetTarget(with(2, 2));
  ASSERT_EQ(Next(), "endpoints a b");
  Nack(last_, {"a", "b"});
  stream_.SetTarget(with(3, 2));
  EXPECT_EQ(NextAcked({"a", "b"}), "endpoints a b");
}

TEST_F(StreamTest, AnErrorDetailIsKeptUpToALimitAndStaysUtf8) {
  stream_.SetTarget(TestSet().Both("a").Seal());
  Subscribe(kCluster, {});
  ASSERT_EQ(Next(), "cluster a");
  std::string why(kMaxErrorDetailBytes - 1, 'x');
  Nack(last_, {}, why + "\xC3\xA9");
  EXPECT_EQ(stream_.state(kCluster).history().rejection, why);
}

TEST_F(StreamTest, AChangedClusterGetsItsEndpointsAgain) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Settle();
  stream_.SetTarget(
      TestSet().Cluster("a", 2).Endpoints("a").Both("b").Listener("l", "r").Routes("r", {"a"}).Seal());
  EXPECT_EQ(Next(), "cluster a b");
  EXPECT_TRUE(stream_.state(kCluster).in_flight());
  EXPECT_FALSE(stream_.Next(now_).has_value()) << "endpoints wait for the clusters' answer";
  Ack(last_);
  EXPECT_EQ(NextAcked({"a", "b"}), "endpoints a");
  EXPECT_EQ(Next(), "");
}

TEST_F(StreamTest, AChangeGoesOutInOrderAndTheOldClusterLeavesLast) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Settle();
  stream_.SetTarget(TestSet().Both("b").Both("c").Listener("l", "r", 2).Routes("r", {"c"}).Seal());
  EXPECT_EQ(NextAcked(), "cluster a b c");
  EXPECT_EQ(NextAcked(), "listener l");
  EXPECT_EQ(Next(), "") << "routes wait until the endpoints of c are taken";
  Subscribe(kEndpoints, {"a", "b", "c"});
  EXPECT_EQ(Next(), "endpoints c");
  EXPECT_FALSE(stream_.Next(now_).has_value());
  Ack(last_, {"a", "b", "c"});
  EXPECT_EQ(Next(), "routes r");
  EXPECT_FALSE(stream_.Next(now_).has_value()) << "a stays while routes to it may be in use";
  Ack(last_, {"r"});
  EXPECT_EQ(NextAcked(), "cluster b c");
  EXPECT_EQ(Next(), "");
}

TEST_F(StreamTest, AClusterStaysWhileTheRoutesThatReplaceItAreRejected) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Settle();
  stream_.SetTarget(TestSet().Both("b").Listener("l", "r").Routes("r", {"b"}).Seal());
  ASSERT_EQ(Next(), "routes r") << "nothing to add, and a must stay";
  Nack(last_, {"r"});
  EXPECT_EQ(Next(), "");
  EXPECT_TRUE(stream_.state(kCluster).held().contains("a"));
}

TEST_F(StreamTest, RoutesGoAnywayWhenEndpointsAreNeverTaken) {
  stream_.SetTarget(Basic().Routes("r", {"a"}).Seal());
  Settle();
  stream_.SetTarget(Basic().Both("c").Routes("r", {"c"}).Seal());
  ASSERT_EQ(NextAcked(), "cluster a b c");
  ASSERT_EQ(Next(), "");
  ASSERT_TRUE(stream_.Deadline().has_value());
  EXPECT_EQ(stream_.Deadline().value_or(now_.steady), now_.steady + kEndpointPatience);
  now_.steady += kEndpointPatience - std::chrono::milliseconds(1);
  EXPECT_EQ(Next(), "");
  now_.steady += std::chrono::milliseconds(1);
  EXPECT_EQ(NextAcked({"r"}), "routes r");
  EXPECT_FALSE(stream_.Deadline().has_value());
}

TEST_F(StreamTest, NothingIsSentBeforeThereIsATarget) {
  Subscribe(kCluster, {});
  EXPECT_EQ(Next(), "");
}

TEST(ResourceSetTest, EqualContentHasEqualVersionsAndOtherContentOthers) {
  const auto a = TestSet().Both("x").Seal();
  const auto b = TestSet().Both("x").Seal();
  const auto c = TestSet().Cluster("x").Endpoints("x", 2).Seal();
  EXPECT_EQ(a->version(kEndpoints), b->version(kEndpoints));
  EXPECT_NE(a->version(kEndpoints), c->version(kEndpoints));
  EXPECT_EQ(a->version(kCluster), c->version(kCluster));
}

TEST(ResourceSetTest, ADanglingReferenceIsFound) {
  EXPECT_TRUE(TestSet().Both("x").Seal()->DanglingReferences().empty());
  EXPECT_EQ(TestSet().Cluster("x").Seal()->DanglingReferences().size(), 1u);
}

}  // namespace
}  // namespace pillion::control
