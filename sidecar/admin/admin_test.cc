#include "sidecar/admin/admin.h"

#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "sidecar/admin/views.h"
#include "sidecar/base/hex.h"
#include "sidecar/idempotency/digest.h"
#include "sidecar/idempotency/tables.h"
#include "sidecar/stream/side_call.h"
#include "sidecar/testing/sim_network.h"

namespace pillion::admin {
namespace {

using http::Method;

// What the pages see, and how often they were let to.
struct Facts {
  std::vector<std::string> not_ready;
  std::vector<std::string> remarks;
  std::function<void(std::string)> clusters_asked;
  int quits = 0;
};

// The client's end is a side call: what the pages send can be read there.
class AdminTest : public ::testing::Test, public stream::Runnable {
 protected:
  void TearDown() override { turn_.Run(); }  // exchanges whose client is gone end here
  stream::Progress Run() override { return stream::Progress::kIdle; }
  Sources MakeSources() {
    return {.not_ready = [this] { return facts_.not_ready; },
            .remarks = [this] { return facts_.remarks; },
            .metrics = [] { return std::string("metric 1\n"); },
            .config_dump = [] { return std::string(1'000'000, 'x'); },
            .clusters = [this](auto done) { facts_.clusters_asked = std::move(done); },
            .quit = [this] { ++facts_.quits; },
            .tokens = [] { return std::string("all"); },
            .token = [](const TokenHash& hash,
                        const std::function<void(std::string)>& done) { done("of " + ToHex(hash)); }};
  }
  std::unique_ptr<stream::SideCall> Begin(http::RequestHead head) {
    auto call = std::make_unique<stream::SideCall>(turn_, *this);
    auto client = call->Open(std::move(head));
    client->in().ended = true;
    factory_.Begin(std::move(client));
    turn_.Run();
    return call;
  }
  static http::RequestHead Head(const std::string& path, Method method = Method::kGet) {
    http::RequestHead head;
    head.method = method;
    head.path = path;
    head.authority = "127.0.0.1:9901";
    head.has_authority = true;
    return head;
  }
  std::unique_ptr<stream::SideCall> Get(const std::string& path) { return Begin(Head(path)); }
  void Advance(time::Duration by) {
    clock_.AdvanceTo(clock_.Now() + by);
    turn_.Run();
  }

  testing::VirtualClock clock_;
  stream::Turn turn_{clock_};
  Facts facts_;
  AdminFactory factory_{turn_, MakeSources()};
};

TEST_F(AdminTest, ReadyTellsTheReasonsWhenItIsNot) {
  auto call = Get("/ready");
  EXPECT_EQ(call->response.status, 200);
  EXPECT_EQ(call->content.ToString(), "ready\n");
  EXPECT_TRUE(call->ended);
  facts_.remarks = {"stale: from disk"};
  EXPECT_EQ(Get("/ready")->content.ToString(), "ready\nstale: from disk\n");
  facts_.not_ready = {"draining", "waiting for routes a"};
  call = Get("/ready");
  EXPECT_EQ(call->response.status, 503);
  EXPECT_EQ(call->content.ToString(), "draining\nwaiting for routes a\n");
}

TEST_F(AdminTest, UnknownPagesListTheKnownOnes) {
  EXPECT_EQ(Get("/")->response.status, 200);
  const auto call = Get("/nothing");
  EXPECT_EQ(call->response.status, 404);
  EXPECT_NE(call->content.ToString().find("/config_dump"), std::string::npos);
  EXPECT_EQ(Get("/metrics?format=x")->content.ToString(), "metric 1\n");
}

TEST_F(AdminTest, MethodsAreKept) {
  auto call = Get("/quitquitquit");
  EXPECT_EQ(call->response.status, 405);
  EXPECT_EQ(call->response.headers.Find("allow"), "POST");
  EXPECT_EQ(facts_.quits, 0);
  call = Begin(Head("/metrics", Method::kDelete));
  EXPECT_EQ(call->response.status, 405);
  EXPECT_EQ(call->response.headers.Find("allow"), "GET, HEAD");
  EXPECT_EQ(Begin(Head("/quitquitquit", Method::kPost))->response.status, 200);
  EXPECT_EQ(facts_.quits, 1);
}

TEST_F(AdminTest, HeadHasTheLengthAndNoContent) {
  const auto call = Begin(Head("/metrics", Method::kHead));
  EXPECT_EQ(call->response.status, 200);
  EXPECT_EQ(call->response.declared_length, 9u);
  EXPECT_TRUE(call->content.empty());
  EXPECT_TRUE(call->ended);
}

TEST_F(AdminTest, NamesAreNoHostsForItAndWebPagesMayNotPost) {
  for (const char* good :
       {"localhost", "LOCALHOST:9901", "127.0.0.1", "10.1.2.3:80", "[::1]", "[::1]:9901"}) {
    http::RequestHead head = Head("/ready");
    head.authority = good;
    EXPECT_EQ(Begin(std::move(head))->response.status, 200) << good;
  }
  for (const char* bad : {"evil.example", "evil.example:9901", "localhost.evil.example",
                          "127.0.0.1.evil.example", "", ":9901", "[", "[]", "[::1].evil.example"}) {
    http::RequestHead head = Head("/ready");
    head.authority = bad;
    EXPECT_EQ(Begin(std::move(head))->response.status, 403) << bad;
  }
  http::RequestHead old = Head("/ready");
  old.has_authority = false;
  old.authority.clear();
  EXPECT_EQ(Begin(std::move(old))->response.status, 200) << "HTTP/1.0 without Host: no browser";
  http::RequestHead form = Head("/quitquitquit", Method::kPost);
  form.headers.Add("Origin", "http://evil.example");
  EXPECT_EQ(Begin(std::move(form))->response.status, 403);
  EXPECT_EQ(facts_.quits, 0);
}

TEST_F(AdminTest, ALongPageGoesAtTheReadersPace) {
  const auto call = Get("/config_dump");
  size_t got = 0;
  for (int turns = 0; turns < 100 && !call->ended; ++turns) {
    got += call->content.bytes();
    call->content.Clear();
    call->Consumed();
    turn_.Run();
  }
  EXPECT_EQ(got + call->content.bytes(), 1'000'000u);
}

TEST_F(AdminTest, APageThatNobodyReadsIsGivenUp) {
  const auto call = Get("/config_dump");
  Advance(std::chrono::seconds(31));
  EXPECT_TRUE(call->error);
  EXPECT_FALSE(call->ended);
}

TEST_F(AdminTest, ClustersWaitForTheWorkers) {
  auto call = Get("/clusters");
  EXPECT_FALSE(call->has_head);
  facts_.clusters_asked("[]\n");
  turn_.Run();
  EXPECT_EQ(call->content.ToString(), "[]\n");
  // Nobody waits any more: a late answer is nobody's.
  call = Get("/clusters");
  call.reset();
  turn_.Run();
  facts_.clusters_asked("[]\n");
  turn_.Run();
  // Workers that never answer.
  call = Get("/clusters");
  Advance(std::chrono::seconds(31));
  EXPECT_EQ(call->response.status, 503);
  facts_.clusters_asked("[]\n");
  turn_.Run();
}

TEST_F(AdminTest, TokensAreShownAltogetherOrOneByItsHash) {
  EXPECT_EQ(Get("/tokens")->content.ToString(), "all");
  EXPECT_EQ(Get("/tokens?")->content.ToString(), "all");
  EXPECT_EQ(Get("/tokens?hash=0123456789abcdef")->content.ToString(), "of 0123456789abcdef");
  for (const char* const bad :
       {"hash=", "hash=0123456789abcde", "hash=0123456789abcdeF", "hash=0123456789abcdef0", "other=1"}) {
    EXPECT_EQ(Get(std::string("/tokens?") + bad)->response.status, 400) << bad;
  }
}

TEST(TokensPage, ShowsRecordsByDomainAndVerdictsByRoute) {
  idempotency::Tables tables({});
  idempotency::Claim claim;
  claim.now = idempotency::DomainTime(1'000'000);
  claim.minted = claim.now;
  claim.key.token.fill(5);
  const auto table = tables.Find(0xab, {});
  const auto claimed = table->Claim(claim);
  telemetry::Registry registry;
  telemetry::Shard& shard = registry.NewShard();
  shard.Route({"in", "quiet", "c"}).started.Add();
  telemetry::RouteStats& route = shard.Route({"in", "pay", "c"});
  route.token_attempts.Add(2);
  route.token_verdicts[static_cast<size_t>(idempotency::Verdict::kInFlight)].Add(3);
  const uint64_t bytes = table->Count().room.bytes;
  EXPECT_EQ(
      TokensPage(tables, registry),
      R"({"domains":[{"domain":"00000000000000ab","in_flight":1,"completed":0,"tombstone":0,"unknown":0,)"
      R"("waiters":0,"detached":0,"bytes":)" +
          std::to_string(bytes) +
          R"(}],"stores":[],"routes":[{"listener":"in","route":"pay","cluster":"c","attempts_with_token":2,)"
          R"("verdicts":{"in-flight":3}}]})"
          "\n");
  table->Complete(claim.key, claimed.execution, {}, 201);
  const TokenHash hash = idempotency::ShortHash(claim.key.token);
  EXPECT_EQ(
      TokenPage(RecordsOf(tables.All(), hash), 1'100'000),
      R"([{"domain":"00000000000000ab","state":"tombstone","execution":1,"status":201,"kept_for_ms":65000}])"
      "\n");
  EXPECT_EQ(TokenPage(RecordsOf(tables.All(), {}), 0), "[]\n");
}

TEST(TokensPage, ShowsStoresThatAreSharedAndWhatIsWrongWithThem) {
  idempotency::Tables tables({});
  const auto tally = tables.FindTally(0xcd);
  const auto one = tally->Begin();
  const auto two = tally->Begin();
  one->ready = 1;
  ++one->claims;
  two->claims += 2;
  tally->detached().Begin();
  tally->NoteTrouble(*one, "nobody is there");
  tally->NoteTrouble(*two, "");
  const std::string page = TokensPage(tables, telemetry::Registry());
  EXPECT_NE(page.find(R"("stores":[{"domain":"00000000000000cd","workers":2,"ready":1,"held":0,"waiting":0,)"
                      R"("claims":3,"claimed":0,)"),
            std::string::npos)
      << page;
  EXPECT_NE(page.find(R"("refused_full":0,"detached":1,"trouble":"nobody is there"}],"routes":[]})"),
            std::string::npos)
      << page;
}

TEST_F(AdminTest, TooManyAtOnceAreRefused) {
  std::vector<std::unique_ptr<stream::SideCall>> waiting;
  waiting.reserve(kMaxAdminExchanges);
  for (size_t i = 0; i < kMaxAdminExchanges; ++i) waiting.push_back(Get("/clusters"));
  EXPECT_FALSE(waiting.back()->has_head);
  EXPECT_EQ(Get("/ready")->response.status, 503);
  waiting.pop_back();
  turn_.Run();
  EXPECT_EQ(Get("/ready")->response.status, 200);
}

TEST_F(AdminTest, AMalformedRequestIsAnsweredOnce) {
  auto call = std::make_unique<stream::SideCall>(turn_, *this);
  auto client = call->Open(Head("/ready"));
  client->in().error = {ErrorKind::kMalformed, Side::kClient, Outcome::kNotSent, "bad"};
  factory_.Begin(std::move(client));
  turn_.Run();
  EXPECT_EQ(call->response.status, 400);
  EXPECT_FALSE(call->response.keep_alive);
}

google::protobuf::Value Parse(const std::string& json) {
  google::protobuf::Value value;
  const auto status = google::protobuf::util::JsonStringToMessage(json, &value);
  EXPECT_TRUE(status.ok()) << status.ToString() << json;
  return value;
}

TEST(ConfigDumpPage, ShowsWhatIsHeldAndWhatWasRejectedAndWhy) {
  auto bootstrap = std::make_shared<config::Bootstrap>();
  bootstrap->node_id = "node \"1\"";
  xds::ResourceStore store(bootstrap, {});
  const auto push = [&](const char* version, bool good) {
    envoy::config::cluster::v3::Cluster cluster;
    cluster.set_name("web");
    cluster.set_type(envoy::config::cluster::v3::Cluster::STATIC);
    cluster.mutable_load_assignment()->set_cluster_name("web");
    if (!good) cluster.mutable_connect_timeout()->set_seconds(-1);
    envoy::service::discovery::v3::DiscoveryResponse response;
    response.set_version_info(version);
    response.add_resources()->PackFrom(cluster);
    (void)store.Apply(response, xds::Type::kCluster, {}, false);
  };
  push("1", true);
  push("2", false);
  const auto page = Parse(ConfigDumpPage(*bootstrap, store, nullptr, 3)).struct_value().fields();
  EXPECT_EQ(page.at("node").string_value(), "node \"1\"");
  EXPECT_EQ(page.at("generation").number_value(), 3);
  const auto& clusters = page.at("xds").list_value().values(0).struct_value().fields();
  const auto& web = clusters.at("resources").list_value().values(0).struct_value().fields();
  EXPECT_EQ(web.at("name").string_value(), "web");
  EXPECT_EQ(web.at("version").string_value(), "1");
  EXPECT_FALSE(web.at("stale").bool_value());
  EXPECT_EQ(web.at("rejected_version").string_value(), "2");
  EXPECT_NE(web.at("rejected_reason").string_value().find("connect_timeout"), std::string::npos);
  EXPECT_EQ(web.at("resource").struct_value().fields().count("load_assignment"), 1u);
}

TEST(ClustersPage, SumsTheWorkers) {
  auto cluster = std::make_shared<config::Cluster>();
  cluster->name = "web";
  cluster->protocol = config::UpstreamProtocol::kHttp2;
  auto assignment = std::make_shared<config::Assignment>();
  assignment->endpoints.emplace_back().address = *net::Address::Parse("10.0.0.1", 80);
  config::Snapshot snapshot;
  snapshot.clusters["web"] = {cluster, assignment};
  ledger::Ledger ledger(1);
  upstream::ClusterTable table({ledger, 0});
  table.Apply(snapshot);
  table.Find("web")->endpoints()[0]->active_attempts = 2;
  const ClusterFactsByName facts = CollectClusters(table);
  const auto page = Parse(ClustersPage({facts, facts}));
  const auto& web = page.list_value().values(0).struct_value().fields();
  EXPECT_EQ(web.at("protocol").string_value(), "HTTP/2");
  const auto& endpoint = web.at("endpoints").list_value().values(0).struct_value().fields();
  EXPECT_EQ(endpoint.at("address").string_value(), "10.0.0.1:80");
  EXPECT_EQ(endpoint.at("active_attempts").number_value(), 4);
  EXPECT_EQ(endpoint.at("health").string_value(), "healthy");
  EXPECT_EQ(endpoint.at("weight").number_value(), 1);
  EXPECT_EQ(endpoint.at("priority").number_value(), 0);
}

TEST(ClustersPage, NamesHaveTheirAddressesAndTheLastFailure) {
  HostNameView waiting;
  waiting.cluster = "b";
  waiting.host = "b.test";
  HostNameView resolved;
  resolved.cluster = "web";
  resolved.host = "a.test";
  resolved.addresses = {"10.0.0.1", "fd00::1"};
  resolved.resolved = true;
  resolved.failure = "no answer in time";
  resolved.failure_age_s = 7;
  resolved.refresh_in_s = 3;
  ClusterFactsByName facts;
  facts["plain"];
  facts["web"];
  const auto page = Parse(ClustersPage({facts}, {waiting, resolved}));
  ASSERT_EQ(page.list_value().values_size(), 3);
  const auto& b = page.list_value().values(0).struct_value().fields();
  EXPECT_EQ(b.at("name").string_value(), "b");
  EXPECT_EQ(b.at("names").list_value().values(0).struct_value().fields().count("last_failure"), 0u);
  EXPECT_FALSE(b.at("names").list_value().values(0).struct_value().fields().at("resolved").bool_value());
  EXPECT_EQ(page.list_value().values(1).struct_value().fields().count("names"), 0u);
  const auto& web = page.list_value().values(2).struct_value().fields();
  const auto& name = web.at("names").list_value().values(0).struct_value().fields();
  EXPECT_EQ(name.at("host").string_value(), "a.test");
  EXPECT_TRUE(name.at("resolved").bool_value());
  EXPECT_EQ(name.at("addresses").list_value().values(1).string_value(), "fd00::1");
  EXPECT_EQ(name.at("last_failure").string_value(), "no answer in time");
  EXPECT_EQ(name.at("last_failure_age_s").number_value(), 7);
  EXPECT_EQ(name.at("refresh_in_s").number_value(), 3);
}

}  // namespace
}  // namespace pillion::admin
