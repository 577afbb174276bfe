#include "sidecar/export/prometheus.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <sstream>

namespace pillion::exporting {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// A strict reader of the format: what it does not know is a failure, and so is a family in two places, a
// sample without TYPE or a series twice.
class Scrape {
 public:
  explicit Scrape(const std::string& text) {
    EXPECT_TRUE(text.ends_with('\n'));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) Take(line);
  }
  std::optional<double> Find(const std::string& series) const {
    const auto found = samples_.find(series);
    return found == samples_.end() ? std::nullopt : std::optional(found->second);
  }
  const std::map<std::string, double>& samples() const { return samples_; }
  const std::map<std::string, std::string>& types() const { return types_; }

 private:
  void Take(const std::string& line) {
    if (line.starts_with("# HELP ")) {
      family_ = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(helped_.insert(family_).second) << line;
      return;
    }
    if (line.starts_with("# TYPE ")) {
      EXPECT_EQ(line.substr(7, line.find(' ', 7) - 7), family_);
      const std::string type = line.substr(line.rfind(' ') + 1);
      EXPECT_TRUE(type == "counter" || type == "gauge" || type == "histogram") << line;
      EXPECT_TRUE(types_.emplace(family_, type).second) << line;
      return;
    }
    TakeSample(line);
  }
  void TakeSample(const std::string& line) {
    size_t at = 0;
    while (at < line.size() && (std::isalnum(line[at]) != 0 || line[at] == '_')) ++at;
    std::string name = line.substr(0, at);
    if (types_[family_] == "histogram") {
      const std::string suffix = name.substr(std::min(family_.size(), name.size()));
      EXPECT_TRUE(suffix == "_bucket" || suffix == "_sum" || suffix == "_count") << line;
      name.resize(family_.size());
    }
    EXPECT_EQ(name, family_) << line;
    if (line[at] == '{') at = PastLabels(line, at + 1);
    ASSERT_LT(at, line.size()) << line;
    ASSERT_EQ(line[at], ' ') << line;
    size_t used = 0;
    const double value = std::stod(line.substr(at + 1), &used);
    EXPECT_EQ(at + 1 + used, line.size()) << line;
    EXPECT_TRUE(samples_.emplace(line.substr(0, at), value).second) << line;
  }
  static size_t PastLabels(const std::string& line, size_t at) {
    while (at < line.size() && line[at] != '}') {
      const size_t equals = line.find('=', at);
      EXPECT_EQ(line[equals + 1], '"') << line;
      at = equals + 2;
      while (at < line.size() && line[at] != '"') at += line[at] == '\\' ? 2 : 1;
      ++at;
      if (line[at] == ',') ++at;
    }
    return at + 1;
  }
  std::string family_;
  std::set<std::string> helped_;
  std::map<std::string, std::string> types_;
  std::map<std::string, double> samples_;
};

void Count(telemetry::RouteStats& stats, uint16_t code, time::Duration duration) {
  stats.started.Add();
  stats.finished.Add();
  stats.CountCode(code);
  stats.request_duration.Record(duration);
}

TEST(PrometheusText, SumsTheWorkersOfOneSeries) {
  telemetry::Registry registry;
  telemetry::RouteStats& a = registry.NewShard().Route({"out", "web/0", "web"});
  telemetry::RouteStats& b = registry.NewShard().Route({"out", "web/0", "web"});
  Count(a, 200, milliseconds(1));
  Count(a, 503, milliseconds(2));
  Count(b, 200, milliseconds(3));
  b.started.Add();
  b.retries.Add(4);
  a.request_bytes.Add(10);
  b.request_bytes.Add(5);
  const Scrape scrape(PrometheusText(registry));
  const std::string labels = R"(listener="out",route="web/0",cluster="web")";
  EXPECT_EQ(scrape.Find("pillion_requests_total{" + labels + ",code=\"200\"}"), 2);
  EXPECT_EQ(scrape.Find("pillion_requests_total{" + labels + ",code=\"503\"}"), 1);
  EXPECT_EQ(scrape.Find("pillion_requests_active{" + labels + "}"), 1);
  EXPECT_EQ(scrape.Find("pillion_retries_total{" + labels + "}"), 4);
  EXPECT_EQ(scrape.Find("pillion_request_bytes_total{" + labels + "}"), 15);
  EXPECT_EQ(scrape.Find("pillion_request_duration_seconds_count{" + labels + "}"), 3);
  EXPECT_EQ(scrape.Find("pillion_request_duration_seconds_sum{" + labels + "}"), 0.006);
}

TEST(PrometheusText, BucketsAreCumulativeAndEndInInfinity) {
  telemetry::Registry registry;
  telemetry::RouteStats& stats = registry.NewShard().Route({"l", "r", "c"});
  for (const auto duration : {microseconds(1), microseconds(63), microseconds(64), microseconds(1000)})
    Count(stats, 200, duration);
  Count(stats, 200, std::chrono::minutes(10));
  const Scrape scrape(PrometheusText(registry));
  const auto bucket = [&](const std::string& le) {
    return scrape.Find(R"(pillion_request_duration_seconds_bucket{listener="l",route="r",cluster="c",le=")" +
                       le + "\"}");
  };
  EXPECT_EQ(bucket("0.000064"), 2);
  EXPECT_EQ(bucket("0.000128"), 3);
  EXPECT_EQ(bucket("0.000512"), 3);
  EXPECT_EQ(bucket("0.001024"), 4);
  EXPECT_EQ(bucket("67.108864"), 4);
  EXPECT_EQ(bucket("+Inf"), 5);
}

TEST(PrometheusText, LabelsCannotBreakOut) {
  telemetry::Registry registry;
  Count(registry.NewShard().Route({"a\"} 1\nevil 1", "b\\", "\xFF"}), 200, milliseconds(1));
  const Scrape scrape(PrometheusText(registry));
  EXPECT_EQ(scrape.Find("pillion_requests_total{listener=\"a\\\"} 1\\nevil "
                        "1\",route=\"b\\\\\",cluster=\"\uFFFD\",code=\"200\"}"),
            1);
}

TEST(PrometheusText, RoutesThatNeverTookARequestAreLeftOut) {
  telemetry::Registry registry;
  registry.NewShard().Route({"idle", "r", "c"});
  EXPECT_EQ(PrometheusText(registry).find("listener=\"idle\""), std::string::npos);
}

TEST(PrometheusText, ClustersTellWhatThereIs) {
  const telemetry::Registry registry;
  ledger::ClusterCounts counts;
  counts.endpoints = 3;
  counts.ejected = 1;
  counts.ejections = 4;
  counts.checks_failed = 2;
  counts.held[0][2] = 7;
  counts.refused[1][3] = 5;
  counts.retries = 6.5;
  const Scrape scrape(PrometheusText(registry, {{"a\"b", counts}, {"quiet", {}}}));
  const std::string label = "{cluster=\"a\\\"b\"";
  EXPECT_EQ(scrape.Find("pillion_endpoints" + label + ",state=\"known\"}"), 3);
  EXPECT_EQ(scrape.Find("pillion_endpoints" + label + ",state=\"ejected\"}"), 1);
  EXPECT_EQ(scrape.Find("pillion_endpoints" + label + ",state=\"check_failed\"}"), std::nullopt);
  EXPECT_EQ(scrape.Find("pillion_ejections_total" + label + "}"), 4);
  EXPECT_EQ(scrape.Find("pillion_health_checks_total" + label + ",result=\"passed\"}"), 0);
  EXPECT_EQ(scrape.Find("pillion_health_checks_total" + label + ",result=\"failed\"}"), 2);
  EXPECT_EQ(scrape.Find("pillion_circuit_held" + label + ",priority=\"default\",circuit=\"requests\"}"), 7);
  EXPECT_EQ(scrape.Find("pillion_circuit_refused_total" + label + ",priority=\"high\",circuit=\"retries\"}"),
            5);
  EXPECT_EQ(scrape.Find("pillion_retry_budget" + label + "}"), 6);
  for (const auto& [series, value] : scrape.samples())
    EXPECT_EQ(series.find("quiet"), std::string::npos) << value;
}

TEST(PrometheusText, TokensAreCountedByVerdictAndTheirRecordsByState) {
  telemetry::Registry registry;
  telemetry::Shard& shard = registry.NewShard();
  telemetry::RouteStats& route = shard.Route({"in", "pay", "c"});
  route.started.Add();
  route.token_attempts.Add(7);
  route.token_retries_not_run.Add(14);
  route.token_retries_ambiguous.Add(15);
  route.token_verdicts[static_cast<size_t>(idempotency::Verdict::kReplayed)].Add(3);
  shard.worker.token_waits.Record(std::chrono::milliseconds(3));
  idempotency::LocalTable::Counts counts;
  counts.in_flight = 1;
  counts.completed = 2;
  counts.tombstones = 3;
  counts.unknown = 4;
  counts.detached = 5;
  counts.room.bytes = 6;
  counts.answer_bytes = 13;
  counts.room.waiters = 7;
  counts.shed = 8;
  counts.late = 9;
  counts.fenced = 10;
  counts.full = 11;
  counts.quota = 12;
  const Scrape scrape(PrometheusText(registry, {}, {.tables = {{0xab, counts}}, .stores = {}}));
  const std::string labels = "{listener=\"in\",route=\"pay\",cluster=\"c\"";
  EXPECT_EQ(scrape.Find("pillion_token_attempts_total" + labels + "}"), 7);
  EXPECT_EQ(scrape.Find("pillion_token_retries_total" + labels + ",class=\"not_run\"}"), 14);
  EXPECT_EQ(scrape.Find("pillion_token_retries_total" + labels + ",class=\"ambiguous\"}"), 15);
  EXPECT_EQ(scrape.Find("pillion_token_verdicts_total" + labels + ",verdict=\"replayed\"}"), 3);
  EXPECT_EQ(scrape.Find("pillion_token_wait_seconds_count"), 1);
  EXPECT_EQ(scrape.Find("pillion_token_replay_age_seconds_count"), 0);
  const std::string domain = "{domain=\"00000000000000ab\"";
  EXPECT_EQ(scrape.Find("pillion_token_records" + domain + ",state=\"in_flight\"}"), 1);
  EXPECT_EQ(scrape.Find("pillion_token_records" + domain + ",state=\"completed\"}"), 2);
  EXPECT_EQ(scrape.Find("pillion_token_records" + domain + ",state=\"tombstone\"}"), 3);
  EXPECT_EQ(scrape.Find("pillion_token_records" + domain + ",state=\"unknown\"}"), 4);
  EXPECT_EQ(scrape.Find("pillion_token_detached" + domain + "}"), 5);
  EXPECT_EQ(scrape.Find("pillion_token_bytes" + domain + "}"), 6);
  EXPECT_EQ(scrape.Find("pillion_token_answer_bytes" + domain + "}"), 13);
  EXPECT_EQ(scrape.Find("pillion_token_waiters" + domain + "}"), 7);
  EXPECT_EQ(scrape.Find("pillion_token_events_total" + domain + ",what=\"answer_shed\"}"), 8);
  EXPECT_EQ(scrape.Find("pillion_token_events_total" + domain + ",what=\"late_answer\"}"), 9);
  EXPECT_EQ(scrape.Find("pillion_token_double_execution_suspected_total" + domain + "}"), 10);
  EXPECT_EQ(scrape.Find("pillion_token_events_total" + domain + ",what=\"refused_full\"}"), 11);
  EXPECT_EQ(scrape.Find("pillion_token_events_total" + domain + ",what=\"refused_quota\"}"), 12);
  for (const auto& [series, value] : scrape.samples())
    EXPECT_EQ(series.find("token_store"), std::string::npos) << value;
}

TEST(PrometheusText, StoresThatAreSharedAreCounted) {
  telemetry::Registry registry;
  idempotency::SharedTally::View view;
  view.stores = 4;
  view.detached = 5;
  view.refused_full = 6;
  uint64_t value = 100;
  for (const auto& one : idempotency::StoreTotals::all()) view.totals.*one.number = value++;
  telemetry::TokenStoreTimes& times = registry.NewShard().worker.token_store;
  times.confirmations.Record(milliseconds(1));
  for (int i = 0; i < 2; ++i) times.claims.Record(milliseconds(2));
  for (int i = 0; i < 3; ++i) times.ends.Record(milliseconds(2));
  const Scrape scrape(PrometheusText(registry, {}, {.tables = {}, .stores = {{0xcd, view}}}));
  const std::string domain = "{domain=\"00000000000000cd\"";
  EXPECT_EQ(scrape.Find("pillion_token_store_workers" + domain + "}"), 4);
  EXPECT_EQ(scrape.Find("pillion_token_detached" + domain + "}"), 5);
  EXPECT_EQ(scrape.Find("pillion_token_store_ready" + domain + "}"), 100);
  EXPECT_EQ(scrape.Find("pillion_token_store_held" + domain + "}"), 101);
  EXPECT_EQ(scrape.Find("pillion_token_store_waiting" + domain + "}"), 102);
  EXPECT_EQ(scrape.Find("pillion_token_store_events_total" + domain + ",what=\"claims\"}"), 103);
  EXPECT_EQ(scrape.Find("pillion_token_store_events_total" + domain + ",what=\"refused_full\"}"), 6);
  EXPECT_EQ(scrape.Find("pillion_token_double_execution_suspected_total" + domain + "}"),
            static_cast<double>(view.totals.fenced));
  EXPECT_EQ(scrape.Find("pillion_token_store_confirmation_seconds_count"), 1);
  EXPECT_EQ(scrape.Find("pillion_token_store_claim_seconds_count"), 2);
  EXPECT_EQ(scrape.Find("pillion_token_store_end_seconds_count"), 3);
}

TEST(PrometheusText, CodesBeyondTheSlotsAreOther) {
  telemetry::Registry registry;
  telemetry::RouteStats& stats = registry.NewShard().Route({"l", "r", "c"});
  for (uint16_t code = 200; code < 300; ++code) Count(stats, code, milliseconds(1));
  const Scrape scrape(PrometheusText(registry));
  EXPECT_EQ(scrape.Find(R"(pillion_requests_total{listener="l",route="r",cluster="c",code="other"})"), 77);
}

TEST(PrometheusText, EveryCounterOfAWorkerIsThere) {
  telemetry::Registry registry;
  telemetry::WorkerStats& stats = registry.NewShard().worker;
  // The struct is counters only, before the histograms: each gets its own value, and the closed ones stay
  // below the opened ones.
  auto* counters = reinterpret_cast<telemetry::Counter*>(&stats);
  const auto kCounters =
      static_cast<size_t>(reinterpret_cast<telemetry::Counter*>(&stats.token_waits) - counters);
  for (size_t i = 0; i < kCounters; ++i) counters[i].Add(1000 + i * i);
  stats.client_connections.Add(100'000);
  stats.upstream_connections_http1.Add(200'000);
  const Scrape scrape(PrometheusText(registry));
  std::set<double> seen;
  for (const auto& [series, value] : scrape.samples()) seen.insert(value);
  for (size_t i = 0; i < kCounters; ++i) {
    const bool closed = &counters[i] == &stats.client_connections_closed ||
                        &counters[i] == &stats.upstream_connections_closed;
    EXPECT_EQ(seen.count(static_cast<double>(counters[i].value())), closed ? 0u : 1u) << i;
  }
  EXPECT_EQ(scrape.Find("pillion_client_connections_active"),
            stats.client_connections.value() - stats.client_connections_closed.value());
  EXPECT_EQ(scrape.types().at("pillion_client_connections_active"), "gauge");
}

}  // namespace
}  // namespace pillion::exporting
