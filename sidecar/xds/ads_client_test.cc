// The ADS client against a control plane in memory: the test plays the exchange's side of the side call.
#include "sidecar/xds/ads_client.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/endpoint/v3/endpoint.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "sidecar/base/slice.h"

namespace pillion::xds {
namespace {

using envoy::config::cluster::v3::Cluster;
using envoy::config::endpoint::v3::ClusterLoadAssignment;
using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Names = std::vector<std::string>;

class HandClock : public time::Clock {
 public:
  time::MonotonicTime Now() const override { return now; }
  time::WallTime Wall() const override { return {}; }
  time::MonotonicTime now{seconds(1000)};
};

// Nobody: the exchange of a stream that the test plays.
class Nobody final : public stream::Runnable {
 public:
  stream::Progress Run() override { return stream::Progress::kIdle; }
};

std::string Framed(const std::string& message) {
  const auto size = static_cast<uint32_t>(message.size());
  std::string framed(5, '\0');
  for (size_t i = 1; i < 5; ++i) framed[i] = static_cast<char>(size >> (8 * (4 - i)));
  return framed + message;
}

Cluster Eds(const std::string& name) {
  Cluster cluster;
  cluster.set_name(name);
  cluster.set_type(Cluster::EDS);
  cluster.mutable_eds_cluster_config()->mutable_eds_config()->mutable_ads();
  cluster.mutable_eds_cluster_config()->mutable_eds_config()->set_resource_api_version(
      envoy::config::core::v3::V3);
  return cluster;
}

// Refused, with `text` quoted in the reason.
Cluster Bad(const std::string& name) {
  Cluster cluster;
  cluster.set_name(name);
  cluster.set_type(Cluster::EDS);
  return cluster;
}

ClusterLoadAssignment Endpoints(const std::string& name) {
  ClusterLoadAssignment assignment;
  assignment.set_cluster_name(name);
  return assignment;
}

template <typename... Protos>
DiscoveryResponse Response(Type type, const std::string& version, const std::string& nonce,
                           const Protos&... protos) {
  DiscoveryResponse response;
  response.set_type_url(std::string(UrlOf(type)));
  response.set_version_info(version);
  response.set_nonce(nonce);
  (response.add_resources()->PackFrom(protos), ...);
  return response;
}

std::string Short(const DiscoveryRequest& request) {
  Type type = Type::kCluster;
  EXPECT_TRUE(TypeOfUrl(request.type_url(), type)) << request.type_url();
  constexpr const char* kShort[] = {"CDS", "EDS", "LDS", "RDS"};
  std::string text = kShort[static_cast<size_t>(type)];
  text += " version=" + request.version_info() + " nonce=" + request.response_nonce();
  for (const std::string& name : request.resource_names()) text += " " + name;
  if (request.has_error_detail()) text += " NACK";
  if (request.has_node()) text += " node=" + request.node().id();
  return text;
}

class AdsClientTest : public ::testing::Test {
 protected:
  AdsClientTest() {
    bootstrap_->ads_cluster = "control";
    bootstrap_->dynamic_clusters = true;
    bootstrap_->dynamic_listeners = true;
    envoy::config::core::v3::Node node;
    node.set_id("me");
    bootstrap_->serialized_node = node.SerializeAsString();
    store_ = std::make_unique<ResourceStore>(bootstrap_, ResourceStore::Options{});
    client_ = std::make_unique<AdsClient>(
        turn_, random_, *bootstrap_, *store_,
        [this](std::string_view cluster, std::unique_ptr<stream::ClientStream> stream) {
          EXPECT_EQ(cluster, "control");
          stream->set_owner(&nobody_);
          began_.push_back(clock_.now);
          if (refuse_) return;  // the stream is destroyed: no exchange could be made
          stream_ = std::move(stream);
        },
        [this] { ++changes_; });
    client_->Start();
    Run();
  }
  ~AdsClientTest() override {
    client_.reset();
    Run();
  }

  void Run() {
    for (int turns = 0; turns < 100 && turn_.Run(); ++turns) {
    }
  }
  void Advance(time::Duration by) {
    const time::MonotonicTime end = clock_.now + by;
    while (clock_.now < end) {
      clock_.now = std::min(end, std::max(clock_.now, turn_.NextDeadline()));
      Run();
    }
  }
  // Requests that the server has not read yet.
  std::vector<DiscoveryRequest> Requests() {
    std::vector<DiscoveryRequest> requests;
    SliceQueue& content = stream_->in().content;
    std::string bytes(content.bytes(), '\0');
    content.CopyTo(bytes.data(), bytes.size());
    content.Consume(bytes.size());
    for (size_t at = 0; at < bytes.size();) {
      size_t size = 0;
      for (size_t i = 1; i < 5; ++i) size = size << 8 | static_cast<uint8_t>(bytes[at + i]);
      EXPECT_TRUE(requests.emplace_back().ParseFromString(bytes.substr(at + 5, size)));
      at += 5 + size;
    }
    return requests;
  }
  Names Asked() {
    Names texts;
    for (const DiscoveryRequest& request : Requests()) texts.push_back(Short(request));
    return texts;
  }
  void SendBytes(const std::string& bytes) {
    if (!answered_) {
      http::ResponseHead head;
      head.status = 200;
      (void)stream_->SendResponse(head, false);
    }
    answered_ = true;
    SliceQueue queue;
    queue.AppendCopy(bytes);
    stream_->SendContent(queue);
    EXPECT_EQ(queue.bytes(), 0u);
    Run();
  }
  template <typename... Responses>
  void Send(const Responses&... responses) {
    SendBytes((Framed(responses.SerializeAsString()) + ...));
  }
  void EndStream(const std::string& status = "14") {
    http::HeaderList trailers;
    trailers.Add("grpc-status", status);
    trailers.Add("grpc-message", "the server goes");
    stream_->FinishWithTrailers(trailers);
    Run();
    stream_.reset();
    answered_ = false;
    Run();
  }
  // The stream breaks without a word.
  void BreakStream() {
    stream_.reset();
    answered_ = false;
    Run();
  }

  HandClock clock_;
  stream::Turn turn_{clock_};
  Random random_{1};
  Nobody nobody_;
  std::shared_ptr<config::Bootstrap> bootstrap_ = std::make_shared<config::Bootstrap>();
  std::unique_ptr<ResourceStore> store_;
  std::unique_ptr<AdsClient> client_;
  std::unique_ptr<stream::ClientStream> stream_;
  std::vector<time::MonotonicTime> began_;
  bool refuse_ = false;
  bool answered_ = false;
  int changes_ = 0;
};

TEST_F(AdsClientTest, AsksForClustersAndListenersAsAWholeAndNamesItselfOnce) {
  EXPECT_EQ(stream_->request().path,
            "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources");
  EXPECT_EQ(Asked(), (Names{"CDS version= nonce= node=me", "LDS version= nonce="}));
  Send(Response(Type::kCluster, "1", "a"));
  EXPECT_EQ(Asked(), (Names{"CDS version=1 nonce=a"}));
}

TEST_F(AdsClientTest, EachResponseGetsOneAnswerWithItsNonceAndWhatItNamesIsAskedFor) {
  Asked();
  EXPECT_FALSE(client_->connected());
  Send(Response(Type::kCluster, "1", "a", Eds("x"), Eds("y")));
  EXPECT_EQ(Asked(), (Names{"CDS version=1 nonce=a", "EDS version= nonce= x y"}));
  Send(Response(Type::kEndpoints, "7", "b", Endpoints("x"), Endpoints("y")));
  EXPECT_EQ(Asked(), (Names{"EDS version=7 nonce=b x y"}));
  EXPECT_TRUE(client_->connected());
  EXPECT_EQ(changes_, 2);
  EXPECT_EQ(client_->state(Type::kCluster).acks, 1u);
  Send(Response(Type::kCluster, "2", "c", Eds("y")));
  EXPECT_EQ(Asked(), (Names{"CDS version=2 nonce=c", "EDS version=7 nonce=b y"}));
  Send(Response(Type::kCluster, "3", "d"));
  EXPECT_EQ(Asked(), (Names{"CDS version=3 nonce=d", "EDS version=7 nonce=b"}));
}

TEST_F(AdsClientTest, ARefusalCarriesTheLastAcceptedVersionTheNonceAndTheReason) {
  Send(Response(Type::kCluster, "1", "a", Eds("x")));
  Asked();
  Send(Response(Type::kCluster, "2", "b", Eds("x"), Bad("no")));
  const auto requests = Requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_EQ(Short(requests[0]), "CDS version=1 nonce=b NACK");
  EXPECT_EQ(requests[0].error_detail().message().substr(0, 4), "no: ");
  EXPECT_EQ(client_->state(Type::kCluster).nacks, 1u);
  EXPECT_EQ(client_->state(Type::kCluster).last_error, requests[0].error_detail().message());
  Send(Response(Type::kCluster, "3", "c", Eds("x")));
  EXPECT_EQ(Asked(), (Names{"CDS version=3 nonce=c"}));
  EXPECT_EQ(client_->state(Type::kCluster).last_error, "");
}

TEST_F(AdsClientTest, ALongReasonIsCutBetweenCharactersSoThatTheRequestCanBeRead) {
  // Somewhere in the text a cut at 4096 bytes falls into a character, whatever the lengths around it.
  for (size_t shift = 0; shift < 3; ++shift) {
    Asked();
    std::string name(shift, 'x');
    for (int i = 0; i < 2000; ++i) name += "\u20AC";
    Send(Response(Type::kCluster, "2", "b", Bad(name)));
    const auto requests = Requests();
    ASSERT_EQ(requests.size(), 1u);  // parsed: protobuf refuses half characters
    EXPECT_LE(requests[0].error_detail().message().size(), 4096u);
    EXPECT_GT(requests[0].error_detail().message().size(), 4090u);
  }
}

TEST_F(AdsClientTest, VersionsSurviveAReconnectAndNoncesDoNot) {
  Send(Response(Type::kCluster, "1", "a", Eds("x")), Response(Type::kEndpoints, "2", "b", Endpoints("x")));
  EndStream();
  EXPECT_FALSE(client_->connected());
  EXPECT_NE(client_->last_failure().find("the server goes"), std::string::npos) << client_->last_failure();
  Advance(seconds(2));
  ASSERT_EQ(client_->streams(), 2u);
  EXPECT_EQ(Asked(),
            (Names{"CDS version=1 nonce= node=me", "LDS version= nonce=", "EDS version=2 nonce= x"}));
  EXPECT_EQ(store_->held(Type::kEndpoints).size(), 1u);
}

TEST_F(AdsClientTest, ANameThatGoesAndComesBackIsAskedForAnewEvenWithinOneRead) {
  Send(Response(Type::kCluster, "1", "a", Eds("x")), Response(Type::kEndpoints, "2", "b", Endpoints("x")));
  Asked();
  Send(Response(Type::kCluster, "3", "c"), Response(Type::kCluster, "4", "d", Eds("x")));
  EXPECT_EQ(Asked(), (Names{"CDS version=3 nonce=c", "EDS version=2 nonce=b", "CDS version=4 nonce=d",
                            "EDS version=2 nonce=b x"}));
}

TEST_F(AdsClientTest, TypesThatWereNotAskedForAreCountedAndNotAnswered) {
  Asked();
  DiscoveryResponse foreign;
  foreign.set_type_url("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret");
  foreign.set_nonce("n");
  Send(foreign, Response(Type::kRoutes, "1", "r"), Response(Type::kCluster, "1", "a"));
  EXPECT_EQ(Asked(), (Names{"CDS version=1 nonce=a"}));
  EXPECT_EQ(client_->ignored(), 2u);
  EXPECT_EQ(client_->last_ignored_type(), UrlOf(Type::kRoutes));
  EXPECT_EQ(client_->streams(), 1u);
  EXPECT_TRUE(client_->connected());
}

TEST_F(AdsClientTest, AnUnreadableMessageEndsTheStreamAndNothingIsForgotten) {
  Send(Response(Type::kCluster, "1", "a", Eds("x")));
  SendBytes(Framed("\xff\xff\xff"));
  EXPECT_FALSE(client_->connected());
  EXPECT_NE(client_->last_failure().find("not a DiscoveryResponse"), std::string::npos);
  EXPECT_EQ(stream_->in().error.kind, ErrorKind::kClientGone);
  stream_.reset();
  answered_ = false;
  Advance(seconds(2));
  EXPECT_EQ(Asked()[0], "CDS version=1 nonce= node=me");
  EXPECT_EQ(store_->Wanted(Type::kEndpoints), Names{"x"});
}

TEST_F(AdsClientTest, BytesOfNoGrpcMessageEndTheStream) {
  SendBytes(std::string("\x01\0\0\0\x01x", 6));
  EXPECT_NE(client_->last_failure().find("compressed"), std::string::npos) << client_->last_failure();
  BreakStream();
  Advance(seconds(2));
  SendBytes(std::string("\0\xff\xff\xff\xff", 5));
  EXPECT_NE(client_->last_failure().find("larger than"), std::string::npos) << client_->last_failure();
}

TEST_F(AdsClientTest, AMessageInPiecesIsTakenWholeAndHalfAMessageNotAtAll) {
  const std::string bytes = Framed(Response(Type::kCluster, "1", "a", Eds("x")).SerializeAsString());
  Asked();
  for (size_t i = 0; i < bytes.size(); ++i) {
    EXPECT_EQ(changes_, 0);
    SendBytes(bytes.substr(i, 1));
  }
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(Asked().size(), 2u);
  SendBytes(bytes.substr(0, bytes.size() - 1));
  EndStream("0");
  EXPECT_EQ(changes_, 1);
  EXPECT_FALSE(client_->connected());
}

TEST_F(AdsClientTest, WhatCameBeforeTheEndIsTakenFirst) {
  http::ResponseHead head;
  head.status = 200;
  (void)stream_->SendResponse(head, false);
  SliceQueue queue;
  queue.AppendCopy(Framed(Response(Type::kCluster, "1", "a", Eds("x")).SerializeAsString()));
  stream_->SendContent(queue);
  EndStream();
  EXPECT_EQ(client_->state(Type::kCluster).version, "1");
  EXPECT_EQ(store_->held(Type::kCluster).size(), 1u);
}

TEST_F(AdsClientTest, AfterAnOutageOfAnyLengthItIsBackWithinTwoSeconds) {
  refuse_ = true;
  BreakStream();
  for (const seconds outage : {seconds(1), seconds(10), seconds(1000), seconds(100'000)}) {
    began_.clear();
    const time::MonotonicTime start = clock_.now;
    Advance(outage);
    ASSERT_FALSE(began_.empty());
    for (size_t i = 0; i < began_.size(); ++i) {
      const time::Duration wait = began_[i] - (i == 0 ? start : began_[i - 1]);
      ASSERT_LE(wait, seconds(2));
      ASSERT_GE(wait, milliseconds(i == 0 ? 0 : 50)) << "asked too often";
    }
  }
  refuse_ = false;
  Advance(seconds(2));
  EXPECT_NE(stream_, nullptr);
}

TEST_F(AdsClientTest, AControlPlaneThatBreaksOffAfterEachAnswerIsNotAskedMoreAndMoreOften) {
  const time::MonotonicTime end = clock_.now + seconds(60);
  while (clock_.now < end) {
    if (stream_ == nullptr) {
      Advance(milliseconds(10));
      continue;
    }
    Send(Response(Type::kCluster, "1", "a"));
    EndStream();
  }
  EXPECT_LE(began_.size(), 125u);
}

TEST_F(AdsClientTest, AStreamThatLivedIsReplacedAtOnce) {
  refuse_ = true;
  BreakStream();
  Advance(seconds(100));
  refuse_ = false;
  Advance(seconds(2));
  Send(Response(Type::kCluster, "1", "a"));
  Advance(seconds(60));
  EXPECT_EQ(client_->streams(), began_.size()) << "an idle stream stays open";
  const size_t before = began_.size();
  BreakStream();
  Advance(milliseconds(100));
  EXPECT_EQ(began_.size(), before + 1);
}

TEST_F(AdsClientTest, AControlPlaneThatSendsAndNeverReadsIsLeft) {
  // Each answer repeats all names: a few bytes in, a megabyte out.
  DiscoveryResponse clusters = Response(Type::kCluster, "1", "a");
  for (int i = 0; i < 1000; ++i) {
    clusters.add_resources()->PackFrom(Eds(std::string(1000, 'n') + std::to_string(i)));
  }
  const std::string bytes = Framed(clusters.SerializeAsString());
  for (size_t at = 0; at < bytes.size(); at += 200'000) SendBytes(bytes.substr(at, 200'000));
  ASSERT_TRUE(client_->connected());
  std::string small;
  for (int i = 0; i < 100; ++i) small += Framed(Response(Type::kEndpoints, "1", "b").SerializeAsString());
  SendBytes(small);
  EXPECT_FALSE(client_->connected());
  EXPECT_NE(client_->last_failure().find("takes no requests"), std::string::npos) << client_->last_failure();
}

}  // namespace
}  // namespace pillion::xds
