// Random schedules: a model client of the whole protocol against Stream, with messages delayed at will,
// snapshots changing under way and resources that the client rejects. The seed is printed on failure;
// PILLION_SEED reruns one.
#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <map>
#include <random>
#include <set>

#include "control-plane/xds/limits.h"
#include "control-plane/xds/stream.h"
#include "control-plane/xds/test_resources.h"

namespace pillion::control {
namespace {

using envoy::service::discovery::v3::DiscoveryRequest;
using envoy::service::discovery::v3::DiscoveryResponse;
using testing::TestSet;
using enum ResourceType;

// Takes what is good in a response and rejects it all the same when something is bad, as Envoy does. A
// resource is bad when the first byte of its hash says so; routes are never bad, so that every run has an end
// to check.
class ModelClient {
 public:
  explicit ModelClient(std::set<std::string> bad) : bad_(std::move(bad)) {}

  std::deque<DiscoveryRequest> outbox;

  void Start() {
    Wish(kCluster);
    Wish(kListener);
  }

  void Receive(const DiscoveryResponse& response, const std::map<std::string, Resource>& by_body) {
    const ResourceType type = TypeOfUrl(response.type_url()).value_or(kCluster);
    nonce_[type] = response.nonce();
    std::map<std::string, Resource> next =
        IsFullState(type) ? std::map<std::string, Resource>{} : held_[type];
    bool rejected = false;
    for (const auto& body : response.resources()) {
      const Resource& resource = by_body.at(body.value());
      if (!IsFullState(type) && !wanted_[type].contains(resource.name)) continue;  // no longer asked for
      if (bad_.contains(resource.version)) {
        rejected = true;
        refused_.insert(resource.name);
        if (held_[type].contains(resource.name)) next[resource.name] = held_[type][resource.name];
      } else {
        const auto before = held_[type].find(resource.name);
        const bool same = before != held_[type].end() && before->second.version == resource.version;
        // A changed cluster is warmed again, and waits for endpoints that come after it.
        if (type == kCluster && !same) warming_.insert(resource.name);
        next[resource.name] = resource;
      }
      if (type == kEndpoints) warmed_.insert(resource.name);
      if (type == kEndpoints) warming_.erase(resource.name);
    }
    held_[type] = std::move(next);
    DiscoveryRequest answer = Request(type);
    answer.set_version_info(response.version_info());
    if (rejected) answer.mutable_error_detail()->set_message("bad");
    outbox.push_back(std::move(answer));
    if (type == kCluster) Follow(kCluster, kEndpoints);
    if (type == kListener) Follow(kListener, kRoutes);
    Check();
  }

  const std::map<std::string, Resource>& held(ResourceType type) { return held_[type]; }
  bool warming(const std::string& name) const { return warming_.contains(name); }
  bool refused(const std::string& name) const { return refused_.contains(name); }

 private:
  DiscoveryRequest Request(ResourceType type) {
    DiscoveryRequest request;
    request.mutable_node()->set_id("n");
    request.set_type_url(std::string(TypeUrl(type)));
    request.set_response_nonce(nonce_[type]);
    for (const std::string& name : wanted_[type]) request.add_resource_names(name);
    return request;
  }
  void Wish(ResourceType type) { outbox.push_back(Request(type)); }
  // Subscribe to what the resources of `parent` name; let go of the rest.
  void Follow(ResourceType parent, ResourceType child) {
    std::set<std::string> names;
    for (const auto& [name, resource] : held_[parent]) {
      for (const Reference& reference : resource.references) names.insert(reference.name);
    }
    if (names == wanted_[child]) return;
    wanted_[child] = names;
    std::erase_if(held_[child], [&](const auto& entry) { return !names.contains(entry.first); });
    std::erase_if(warmed_,
                  [&](const std::string& name) { return child == kEndpoints && !names.contains(name); });
    Wish(child);
  }
  // No route names a cluster that is not here and warm, unless the client itself refused something of it.
  void Check() {
    for (const auto& [name, routes] : held_[kRoutes]) {
      for (const Reference& reference : routes.references) {
        if (refused_.contains(reference.name)) continue;
        EXPECT_TRUE(held_[kCluster].contains(reference.name)) << name << " names " << reference.name;
        EXPECT_TRUE(warmed_.contains(reference.name)) << name << " names " << reference.name << ", not warm";
      }
    }
  }

  std::set<std::string> bad_;      // versions
  std::set<std::string> refused_;  // names, ever
  std::map<ResourceType, std::string> nonce_;
  std::map<ResourceType, std::set<std::string>> wanted_;
  std::map<ResourceType, std::map<std::string, Resource>> held_;
  std::set<std::string> warmed_;   // endpoints came at least once
  std::set<std::string> warming_;  // clusters that wait for endpoints
};

class Schedule {
 public:
  explicit Schedule(uint64_t seed) : random_(seed), client_(Bad()) {}

  void Run() {
    NewTarget();
    client_.Start();
    for (int i = 0; i < 400 && !::testing::Test::HasFailure(); ++i) {
      const uint64_t dice = random_() % 20;
      if (dice == 0)
        NewTarget();
      else if (dice < 10)
        ToServer();
      else
        ToClient();
    }
    // Nothing changes any more: it must come to rest, and soon.
    int steps = 0;
    while (Busy() && ++steps < 500) {
      ToServer();
      ToClient();
      if (client_.outbox.empty() && to_client_.empty() && stream_.Deadline().has_value()) {
        now_.steady = stream_.Deadline().value_or(now_.steady);
        Pump();
      }
    }
    EXPECT_LT(steps, 500) << "the two go on for ever";
    CheckAgreement();
  }

 private:
  bool Busy() { return !client_.outbox.empty() || !to_client_.empty() || stream_.Deadline().has_value(); }
  // Some versions that a target may contain.
  std::set<std::string> Bad() {
    std::set<std::string> bad;
    if (random_() % 2 == 0) return bad;
    for (const std::string name : {"a", "b", "c", "d"}) {
      const int revision = static_cast<int>(random_() % 3);
      const auto set = TestSet().Cluster(name, revision).Endpoints(name, revision).Seal();
      bad.insert(set->of(random_() % 2 == 0 ? kCluster : kEndpoints).at(name)->version);
    }
    return bad;
  }
  void NewTarget() {
    TestSet set;
    std::vector<std::string> clusters;
    for (const std::string name : {"a", "b", "c", "d"}) {
      if (random_() % 3 == 0) continue;
      clusters.push_back(name);
      set.Cluster(name, static_cast<int>(random_() % 3)).Endpoints(name, static_cast<int>(random_() % 3));
    }
    for (const std::string name : {"r", "s"}) {
      if (random_() % 4 == 0) continue;
      std::vector<std::string> named;
      for (const std::string& cluster : clusters) {
        if (random_() % 2 == 0) named.push_back(cluster);
      }
      set.Listener("l" + name, name, static_cast<int>(random_() % 3));
      set.Routes(name, named, static_cast<int>(random_() % 3));
    }
    target_ = set.Seal();
    ASSERT_TRUE(target_->DanglingReferences().empty());
    for (const ResourceType type : kResourceTypes) {
      for (const auto& [name, resource] : target_->of(type)) {
        by_body_.insert_or_assign(resource->body.value(), *resource);
      }
    }
    stream_.SetTarget(target_);
    Pump();
  }
  void ToServer() {
    if (client_.outbox.empty()) return;
    const DiscoveryRequest request = client_.outbox.front();
    client_.outbox.pop_front();
    if (!request.response_nonce().empty()) outstanding_[request.type_url()].erase(request.response_nonce());
    ASSERT_TRUE(stream_.OnRequest(request, now_).ok());
    Pump();
  }
  void ToClient() {
    if (to_client_.empty()) return;
    const DiscoveryResponse response = to_client_.front();
    to_client_.pop_front();
    client_.Receive(response, by_body_);
  }
  void Pump() {
    while (auto response = stream_.Next(now_)) {
      auto& outstanding = outstanding_[response->type_url()];
      EXPECT_TRUE(outstanding.empty()) << "two responses of " << response->type_url();
      outstanding.insert(response->nonce());
      to_client_.push_back(*std::move(response));
    }
  }
  void CheckAgreement() {
    for (const auto& [name, cluster] : client_.held(kCluster)) {
      EXPECT_FALSE(client_.warming(name)) << name << " waits for endpoints for ever";
    }
    for (const ResourceType type : {kCluster, kListener}) {
      for (const auto& [name, resource] : client_.held(type)) {
        EXPECT_TRUE(target_->of(type).contains(name)) << name << " should be gone";
      }
    }
    for (const ResourceType type : kResourceTypes) {
      for (const auto& [name, resource] : target_->of(type)) {
        if (client_.refused(name)) continue;
        const auto held = client_.held(type).find(name);
        ASSERT_NE(held, client_.held(type).end()) << TypeUrl(type) << " " << name;
        EXPECT_EQ(held->second.version, resource->version) << TypeUrl(type) << " " << name;
      }
    }
  }

  std::mt19937_64 random_;
  Moment now_{};
  Stream stream_;
  ModelClient client_;
  std::shared_ptr<const ResourceSet> target_;
  std::map<std::string, Resource> by_body_;
  std::deque<DiscoveryResponse> to_client_;
  std::map<std::string, std::set<std::string>> outstanding_;
};

TEST(ScheduleTest, RandomSchedulesKeepTheOrderAndEndInAgreement) {
  uint64_t first = 1;
  uint64_t last = 1000;
  if (const char* seed = std::getenv("PILLION_SEED")) first = last = std::strtoull(seed, nullptr, 10);
  for (uint64_t seed = first; seed <= last; ++seed) {
    SCOPED_TRACE("PILLION_SEED=" + std::to_string(seed));
    Schedule(seed).Run();
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace pillion::control
