#include "sidecar/redis/server_check.h"

#include <gtest/gtest.h>

#include <string>

namespace pillion::redis {
namespace {

constexpr std::string_view kInfo =
    "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n\r\n# Memory\r\nmaxmemory_policy:noeviction\r\n"
    "# Persistence\r\naof_enabled:1\r\n# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
    "slave0:ip=10.0.0.2,port=6379,state=online,offset=42,lag=0\r\n"
    "slave1:ip=10.0.0.3,port=6379,state=wait_bgsave,offset=0,lag=0\r\n";

Reply Setting(std::string_view name, std::string_view value) {
  Reply reply{.kind = Reply::Kind::kArray, .integer = 0, .text = {}, .parts = {}};
  for (const std::string_view text : {name, value})
    reply.parts.push_back({.kind = Reply::Kind::kText, .integer = 0, .text = std::string(text), .parts = {}});
  return reply;
}

ServerFacts Good() {
  ServerFacts facts;
  ReadInfo(kInfo, facts);
  ReadSetting("min-replicas-to-write", Setting("min-replicas-to-write", "1"), facts);
  ReadSetting("min-replicas-max-lag", Setting("min-replicas-max-lag", "2"), facts);
  return facts;
}

TEST(ServerCheck, ReadsWhatInfoSays) {
  const ServerFacts facts = Good();
  EXPECT_EQ(facts.run_id, "abc");
  EXPECT_EQ(facts.version, "7.0.15");
  EXPECT_TRUE(facts.master());
  EXPECT_EQ(facts.replicas, 1U) << "one of the two has what the primary has";
  EXPECT_EQ(facts.maxmemory_policy, "noeviction");
  EXPECT_EQ(facts.appendonly, "yes");
  EXPECT_EQ(FindFaults(facts, {}), "");
}

TEST(ServerCheck, NamesEachSettingThatIsWrongWithWhatWasExpected) {
  ServerFacts facts = Good();
  facts.maxmemory_policy = "allkeys-lru";
  facts.appendonly = "no";
  facts.version = "6.2.1";
  facts.replicas = 0;
  facts.min_replicas_to_write = 0;
  facts.min_replicas_max_lag = 10;
  EXPECT_EQ(
      FindFaults(facts, {}),
      "redis_version: found 6.2.1, expected 7 or later; maxmemory-policy: found allkeys-lru, expected "
      "noeviction; appendonly: found no, expected yes; replicas that are connected and up to date: found 0, "
      "expected at least 1; min-replicas-to-write: found 0, expected at least 1; min-replicas-max-lag: "
      "found 10, expected 1 to 2");
}

TEST(ServerCheck, ALagOfZeroSwitchesTheOtherSettingOff) {
  ServerFacts facts = Good();
  facts.min_replicas_max_lag = 0;
  EXPECT_EQ(FindFaults(facts, {}), "min-replicas-max-lag: found 0, expected 1 to 2");
  facts.min_replicas_max_lag = 2;
  facts.replicas = 2;
  EXPECT_EQ(FindFaults(facts, {}), "");
  facts.replicas = 3;
  EXPECT_EQ(FindFaults(facts, {}),
            "replicas that are connected and up to date: found 3, expected at most 2, of which 1 and the "
            "primary are more than half");
  facts.min_replicas_to_write = 2;
  EXPECT_EQ(FindFaults(facts, {.replicas = 2}), "");
  facts.min_replicas_to_write = 1;
  facts.replicas = 1;
  facts.min_replicas_max_lag = 0;
}

TEST(ServerCheck, AsksForNoReplicaWhereNoneIsWaitedFor) {
  ServerFacts facts;
  ReadInfo(
      "redis_version:8.0.0\r\nrun_id:abc\r\nrole:master\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\n",
      facts);
  EXPECT_NE(FindFaults(facts, {}), "");
  EXPECT_EQ(FindFaults(facts, {.replicas = 0}), "");
  facts.maxmemory_policy = "volatile-ttl";
  EXPECT_EQ(FindFaults(facts, {.replicas = 0}), "maxmemory-policy: found volatile-ttl, expected noeviction");
}

TEST(ServerCheck, SaysWhatItCouldNotSee) {
  ServerFacts facts;
  ReadInfo(kInfo, facts);
  for (const std::string_view setting : kCheckedSettings)
    ReadSetting(setting, {.kind = Reply::Kind::kError, .integer = 0, .text = "NOPERM no", .parts = {}},
                facts);
  EXPECT_EQ(
      FindFaults(facts, {}),
      "min-replicas-to-write: found nothing, as the server shows it neither by CONFIG GET nor by INFO, "
      "expected at least 1; min-replicas-max-lag: found nothing, as the server shows it neither by CONFIG "
      "GET nor by INFO, expected 1 to 2");
  EXPECT_EQ(FindFaults(facts, {.unseen = Requirements::Unseen::kTrust}), "");
  // What is seen is not taken on trust.
  facts.maxmemory_policy = "allkeys-lfu";
  EXPECT_NE(FindFaults(facts, {.unseen = Requirements::Unseen::kTrust}), "");
}

TEST(ServerCheck, TrustsNoServerThatSaysNothing) {
  ServerFacts facts;
  ReadInfo("", facts);
  ReadInfo("run_id", facts);
  EXPECT_FALSE(facts.master());
  EXPECT_NE(FindFaults(facts, {.replicas = 0, .unseen = Requirements::Unseen::kTrust}), "");
}

}  // namespace
}  // namespace pillion::redis
